import pytest
from pipeline.report.fig_a_fig1 import RUNS, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.labeling_cost import LabelStatistics
from pipeline.report.style import save_figure
from pipeline.report.tables import write_table

STATISTICS = LabelStatistics(num_classes=4, classes_per_image=2.0)
ACCURACIES = {RUNS["point"]: 0.5, RUNS["size"]: 0.6, RUNS["full"]: 0.7}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_kinds_follow_the_paper(runs, published):
    assert compute(runs, published, STATISTICS)["kind"].tolist() == ["tag", "point", "size", "box", "full"]


def test_seconds_of_pascal_follow_the_rule(runs, published):
    seconds = compute(runs, published, STATISTICS)["seconds_voc"].tolist()
    assert seconds == pytest.approx([20.0, 22.1, 36.95, 38.1, 239.7])


def test_seconds_of_our_data_set_follow_its_statistics(runs, published):
    seconds = compute(runs, published, STATISTICS)["seconds_ours"].tolist()
    assert seconds == pytest.approx([4, 2 + 2 * 2.4, 2 + 2 * 12.3, 2 + 2.8 * 7, 2 + 2.8 * 79])


def test_accuracies_are_runs_or_cited(runs, published):
    frame = compute(runs, published, STATISTICS).set_index("kind")
    assert frame.loc[["point", "size", "full"], "ours_percent"].tolist() == pytest.approx([50, 60, 70])
    assert frame.loc[["tag", "box"], "ours_percent"].isna().all()
    assert frame["published_percent"].dropna().to_dict() == {"tag": 62.7, "point": 66.6, "size": 71.9, "full": 78.2}


def test_the_table_says_where_each_number_comes_from(runs, published):
    table = tabulate(compute(runs, published, STATISTICS)).set_index("supervision")
    assert table["accuracy"].to_dict() == {
        "tags": "reported by its authors",
        "points": "trained here",
        "size targets": "trained here",
        "boxes": "printed in the picture only",
        "full masks": "trained here",
    }
    assert table["time per item"].str.len().gt(10).all()


def test_the_best_epoch_gets_a_column_only_where_tracked(runs, published):
    assert not any("best" in name for name in tabulate(compute(runs, published, STATISTICS)))
    table = tabulate(compute(runs.assign(mIoU_val_best=0.8), published, STATISTICS))
    assert table["mIoU ours, best epoch"].dropna().tolist() == pytest.approx([80] * 3)


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match=r"a-fig1: 1 of 3 runs missing: scribble_sizes/pce-crf-len000"):
        compute(runs.drop(RUNS["point"]), published, STATISTICS)


def test_ours_stand_at_the_cost_of_our_data_set(runs, published):
    axes = draw(compute(runs, published, STATISTICS), runs).axes[0]
    lines = [container.lines[0] for container in axes.containers]
    ours = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]
    assert ours == [pytest.approx(point) for point in [(6.8, 50), (26.6, 60), (223.2, 70)]]


def test_time_is_logarithmic_and_in_seconds(runs, published):
    axes = draw(compute(runs, published, STATISTICS), runs).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "labelling time per image (s)"


def test_the_table_can_be_written(tmp_path, runs, published):
    write_table(tabulate(compute(runs, published, STATISTICS)), tmp_path / "table")
    assert "| full masks | 239.70 |" in (tmp_path / "table.md").read_text()


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published, STATISTICS), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
