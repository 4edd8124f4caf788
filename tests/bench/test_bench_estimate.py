import sys

import pytest

from pipeline.bench import estimate
from pipeline.bench.estimate import Measured
from pipeline.bench.steps import REFERENCE, read_params

PAPER = read_params("paper")
FULL = PAPER.run("size_noise", "full")  # 10,582 images, 60 epochs, batch 16 of 512 px: 39,660 steps
SIZE = PAPER.run("size_noise", "size-mre08")
KEPT = FULL.model_copy(update={"features": "kept"})


def row(objective, *, solver="", step_ms=100.0, ratio=1.0, network="resnet101", kind="deeplabv3plus", batch=16, size_px=512):
    return Measured(objective, solver, step_ms, ratio, 30000.0, network, kind, batch, size_px, "bf16", "a GPU")


def test_a_measured_step_is_used_as_it_is():
    found = estimate.cost(PAPER, FULL, [row("masks", step_ms=360.0)], {}, {})
    assert found.steps == 39660
    assert found.hours == pytest.approx(39660 * 0.36 / 3600)
    assert (found.basis, found.memory_gb, found.memory_estimated) == ("measured, a GPU", 30.0, False)


def test_another_batch_and_size_cost_by_their_pixels():
    milliseconds, basis = estimate.step_time(PAPER, FULL, [row("masks", batch=4, size_px=256)], {})
    assert milliseconds == pytest.approx(1600)
    assert basis == "estimated, pixels, a GPU"


def test_memory_beyond_the_weights_grows_with_pixels():
    fixed_gb = 3 * estimate.weight_bytes(PAPER.networks["resnet101"], 21) / 1e9
    memory_gb, estimated = estimate.memory(PAPER, FULL, [row("masks", batch=4, size_px=256)])
    assert estimated
    assert memory_gb == pytest.approx(fixed_gb + 16 * (30 - fixed_gb))


def test_memory_of_another_network_says_nothing():
    assert estimate.memory(PAPER, FULL, [row("masks", network="mobilenet")]) == (None, False)


def test_with_a_rate_the_ratio_of_the_own_network_counts_and_its_time_does_not():
    rows = [row("size", ratio=9.0, kind="small"), row("size", ratio=1.25, batch=2)]
    milliseconds, basis = estimate.step_time(PAPER, SIZE, rows, {"": 32.0})
    assert milliseconds == pytest.approx(1.25 * 500)
    assert basis == "estimated, images per second, ratio of a GPU"


def test_ratios_of_another_network_multiply_the_given_rate():
    small = row("size", ratio=1.5, kind="small", batch=8, size_px=64)
    milliseconds, basis = estimate.step_time(PAPER, SIZE, [small], {"": 32.0})
    assert milliseconds == pytest.approx(1.5 * 16 / 32 * 1000)
    assert basis == "estimated, images per second, ratio of a GPU"


def test_without_a_rate_ratios_multiply_what_was_measured_on_the_network():
    rows = [row(REFERENCE, step_ms=200.0, batch=8), row("size", ratio=1.5, kind="small", batch=8, size_px=64)]
    milliseconds, basis = estimate.step_time(PAPER, SIZE, rows, {})
    assert milliseconds == pytest.approx(1.5 * 400)
    assert basis == "estimated, pixels, a GPU, ratio of a GPU"


def test_the_rate_of_a_network_comes_before_that_of_all():
    milliseconds, _ = estimate.step_time(PAPER, FULL, [row("masks", kind="small")], {"resnet101": 16.0, "": 1.0})
    assert milliseconds == pytest.approx(1000)


def test_the_row_of_another_solver_does_not_count():
    run = PAPER.run("potts", "q-len100")
    rows = [row("soft-q", solver="fast", ratio=2.0), row("soft-q", solver="gradient, 200 steps", ratio=9.0)]
    assert estimate.step_time(PAPER, run, rows, {"": 12.0})[0] == pytest.approx(9000)
    assert estimate.step_time(PAPER, run, rows[:1], {"": 12.0})[0] is None


def test_fewer_gradient_steps_cost_in_proportion():
    run = next(run for run in PAPER.runs["solvers"].values() if run.objective == "soft-q-half")
    rows = [row("soft-q-half", solver="gradient, 200 steps", ratio=9.0)]
    milliseconds, basis = estimate.step_time(PAPER, run, rows, {"": 12.0})
    assert milliseconds == pytest.approx(5000)
    assert basis.endswith("ratio of a GPU at 200 steps")


def test_nothing_known_is_said_not_guessed():
    assert estimate.step_time(PAPER, FULL, [], {}) == (None, "no time of resnet101 (deeplabv3plus)")
    assert estimate.step_time(PAPER, SIZE, [], {"": 1.0}) == (None, "no ratio of size")


@pytest.mark.parametrize(("run", "milliseconds"), [(FULL, 360.0), (KEPT, 90.0)])
def test_a_run_on_kept_features_costs_steps_of_its_head_and_others_whole_ones(run, milliseconds):
    rows = [row("masks", step_ms=360.0), row("masks", step_ms=90.0)._replace(kept_features=True)]
    found = estimate.cost(PAPER, run, rows, {}, {})
    assert found.hours == pytest.approx(found.steps * milliseconds / 3.6e6)


def test_neither_whole_steps_nor_images_per_second_say_what_a_step_on_kept_features_takes():
    found = estimate.cost(PAPER, KEPT, [row("masks")], {"": 40.0}, {})
    assert (found.hours, found.basis) == (None, "no time of resnet101 (deeplabv3plus) on kept features")


def test_a_subset_counts_as_the_whole_set_at_most():
    run = PAPER.run("annotated", "cat-full")
    assert estimate.num_images(PAPER, run, {}) == (10582, True)
    assert estimate.num_images(PAPER, run, {"cat": 900.0}) == (900, False)


def test_a_set_of_unknown_size_asks_for_it():
    spec = PAPER.datasets["voc"].model_copy(update={"kind": "folder"})
    own = PAPER.model_copy(update={"datasets": {**PAPER.datasets, "voc": spec}})
    with pytest.raises(ValueError, match="--images voc=N"):
        estimate.num_images(own, FULL, {})
    assert estimate.num_images(own, FULL, {"voc": 50.0}) == (50, False)


def test_weights_are_counted_without_making_them():
    found = estimate.weight_bytes(PAPER.networks["resnet101"], 21)
    assert 150e6 < found < 300e6


def test_every_family_has_a_line_and_the_assumption_stands_in_the_heading():
    text = estimate.report(PAPER, [], {"": 40.0}, {})
    assert all(f"| {family} | {len(runs)} |" in text for family, runs in PAPER.runs.items() if runs)
    assert "per second under plain cross-entropy: 40 with any network" in text.split("| family")[0]
    assert "| coco | 40.0 | 20.0 |" in text


@pytest.mark.parametrize("text", ["fast", "resnet101=", "0", "a=nan"])
def test_an_impossible_number_is_an_error(text):
    with pytest.raises(ValueError, match="--images-per-second: expected NAME=NUMBER"):
        estimate.pairs([text], "--images-per-second")


def test_another_table_is_an_error(tmp_path):
    path = tmp_path / "solver.csv"
    path.write_text("energy,solver\n")
    with pytest.raises(ValueError, match="has no column batch, compiled"):
        estimate.read_steps([path])


def test_a_missing_table_names_the_command_that_makes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["estimate", "--steps", str(tmp_path / "none.csv")])
    with pytest.raises(SystemExit):
        estimate.main()
    assert "`python -m pipeline.bench.steps` makes one" in capsys.readouterr().err
