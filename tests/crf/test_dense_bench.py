import csv
import sys

import pytest
import torch

from pipeline.bench import dense_crf as bench


@pytest.fixture(scope="module")
def rows():
    pictures = bench.read_pictures(None, 1, 32)
    return {row["method"]: row for row in bench.measure(pictures, bench.made_up_predictions(pictures, 3), repeats=1)}


def test_every_method_is_measured(rows):
    assert list(rows) == list(bench.methods())
    assert all(row["total_ms"] > row["reused_ms"] > 0 for row in rows.values())


def test_the_peer_is_the_measure_of_speed(rows):
    assert rows[bench.PEER]["speedup"] == 1


def test_all_classes_at_once_give_the_numbers_of_the_peer(rows):
    assert rows["lattice"]["error"] == pytest.approx(rows[bench.PEER]["error"], rel=1e-4)


def test_the_best_scale_never_makes_the_error_larger(rows):
    assert all(row["scaled_error"] <= row["error"] + 1e-6 for row in rows.values())


def test_accuracy_of_half_the_sum_is_repaired_by_its_scale():
    exact = torch.tensor([1.0, 2.0, 3.0])
    assert bench.accuracy(exact / 2, exact) == pytest.approx({"error": 0.5, "scaled_error": 0.0, "scale": 2.0}, abs=1e-6)


def test_predictions_are_distributions():
    probs = bench.made_up_predictions(bench.read_pictures(None, 1, 16), 4)
    assert torch.allclose(probs.sum(1), torch.ones(1, 16, 16), atol=1e-5)


def test_refuses_a_directory_with_too_few_pictures(tmp_path):
    with pytest.raises(ValueError, match="at least 3 JPEG or PNG files, got 0"):
        bench.read_pictures(tmp_path, 3, 16)


def test_the_command_writes_one_line_per_picture_and_method(tmp_path, monkeypatch, capsys):
    out = tmp_path / "bench.csv"
    threads = torch.get_num_threads()
    arguments = ["bench", "--count", "2", "--size", "16", "--classes", "2", "--repeats", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()
    torch.set_num_threads(threads)
    lines = list(csv.DictReader(out.open()))
    assert len(lines) == 2 * len(bench.methods())
    assert {line["device"] for line in lines} == {"cpu"}
    assert "speed-up" in capsys.readouterr().out
