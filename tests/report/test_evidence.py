import json

import pandas as pd
import pytest

from pipeline.report.evidence import (
    CHARTS,
    SUMMARY,
    chart_points,
    chart_table,
    drawn_charts,
    evidence,
    measured,
    recorded_runs,
    write_evidence,
)
from pipeline.report.runs import Where

CHART = {chart.name: chart for chart in CHARTS}
PROVENANCE = {
    "profile": "real",
    "devices": ["cpu"],
    "seeds": {"acdc": 3},
    "hours": {"potts": 1.25},
    "data": {"voc": {"kind": "voc"}},
}


@pytest.fixture
def record(tmp_path, results_of_three_seeds):
    """A record of every run there is."""
    for family, rows in results_of_three_seeds.groupby("family"):
        (tmp_path / family).mkdir()
        rows.to_csv(tmp_path / family / "results.csv", index=False)
    (tmp_path / "provenance.json").write_text(json.dumps(PROVENANCE))
    return tmp_path


def without(record, family, **fields):
    """Take the runs with these fields out of a record."""
    path = record / family / "results.csv"
    rows = pd.read_csv(path)
    where = Where(**fields)
    rows[[not where.matches(row) for row in rows.to_dict("records")]].to_csv(path, index=False)


def test_a_full_record_fills_every_chart(record):
    assert [chart.name for chart, _ in drawn_charts(record)] == [chart.name for chart in CHARTS]


def test_every_series_of_a_chart_has_a_look():
    for chart in CHARTS:
        assert set(chart.curves) == set(chart.drawing.looks)
        assert set(chart.levels) == set(chart.drawing.levels)


def test_an_empty_record_fills_none(tmp_path):
    assert drawn_charts(tmp_path) == []


def test_a_run_that_was_not_recorded_leaves_a_gap_only(record):
    without(record, "size_noise", method="size_crf")
    without(record, "size_noise", method="size", mre=0.08)
    frame = chart_points(recorded_runs(record), CHART["size-errors"])
    assert set(frame["series"]) == {"size targets", "full masks"}
    assert frame["mre_percent"].dropna().tolist() == [0, 4, 16, 32]


def test_a_chart_without_two_levels_is_left_out(record):
    for length in (0.5, 1.0):
        without(record, "potts", length_ratio=length)
    assert "relaxations" not in [chart.name for chart, _ in drawn_charts(record)]


def test_a_chart_of_one_series_is_left_out(record):
    for family in ("cross_entropies", "methods"):
        (record / family / "results.csv").unlink()
    assert "cross-entropies" not in [chart.name for chart, _ in drawn_charts(record)]


def test_a_metric_that_was_not_measured_is_left_out(record):
    without(record, "acdc", method="pce_size")
    runs = recorded_runs(record)
    assert not measured(runs, Where(family="size_noise", method="full"), "mIoU_train_best")
    assert chart_points(runs, CHART["size-barriers"])["mre_percent"].isna().all()


def test_a_table_has_a_row_per_series_and_a_column_per_level(record):
    chart = CHART["size-errors"]
    lines = chart_table(chart, chart_points(recorded_runs(record), chart))
    assert lines[0] == "| | 0 % | 4 % | 8 % | 16 % | 32 % |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["size targets", "size targets + CRF", "full masks"]
    assert "±" in lines[2]
    assert lines[-1].count("±") == 1


def test_the_summary_names_the_files_that_are_written(record):
    write_evidence(record)
    told = json.loads((record / SUMMARY).read_text())
    assert told == evidence(record)
    assert all((record / f"{chart['name']}{suffix}").is_file() for chart in told["charts"] for suffix in (".svg", ".csv"))


def test_charts_that_are_not_filled_any_more_go(record):
    write_evidence(record)
    without(record, "label_noise", label_noise=0.5)
    write_evidence(record)
    assert not list(record.glob("curves-label-noise*"))


def test_drawing_again_gives_the_same_bytes(record):
    write_evidence(record)
    before = {path.name: path.read_bytes() for path in record.glob("curves-*")}
    write_evidence(record)
    assert before == {path.name: path.read_bytes() for path in record.glob("curves-*")}
