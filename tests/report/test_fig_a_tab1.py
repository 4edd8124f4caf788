import pytest
from pipeline.report.fig_a_tab1 import CLASSES, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure
from pipeline.report.tables import write_table

ACCURACIES = {
    f"annotated/{name}-{kind}": 0.9 - 0.1 * place - loss
    for place, name in enumerate(CLASSES)
    for kind, loss in (("full", 0), ("size", 0.02), ("annotated", 0.03))
}
ANNOTATION = {"annotated_mre": 0.15, "annotated_seconds": 11.5, "annotation": "simulated"}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES, **ANNOTATION)


def test_numbers_equal_the_runs_given(runs, published):
    frame = compute(runs, published)
    assert frame["ours_percent"].tolist() == pytest.approx([90, 88, 87, 80, 78, 77, 70, 68, 67])


def test_printed_numbers_and_differences_stand_beside(runs, published):
    dog = compute(runs, published).query("series == 'dog'")
    assert dog["published_percent"].tolist() == [88.1, 84.3, 84.5]
    assert dog["difference_points"].tolist() == pytest.approx([80 - 88.1, 78 - 84.3, 77 - 84.5])


def test_the_table_has_a_row_per_class_and_a_group_per_supervision(runs, published):
    table = tabulate(compute(runs, published))
    assert table["class"].tolist() == list(CLASSES)
    assert [name for name in table if name.endswith(" ours")][:3] == ["mask ours", "exact size ours", "annotated size ours"]


def test_time_and_error_of_the_annotators_stand_beside(runs, published):
    bird = tabulate(compute(runs, published)).iloc[2]
    assert bird[["seconds per image published", "seconds per image ours"]].tolist() == [15.2, 11.5]
    assert bird[["mRE published", "mRE ours"]].tolist() == pytest.approx([20.1, 15])


@pytest.mark.parametrize(("annotation", "words"), [("simulated", "simulated annotator"), ("annotated", "people")])
def test_figure_and_table_say_who_annotated(published, annotation, words):
    runs = make_runs(ACCURACIES, **{**ANNOTATION, "annotation": annotation})
    frame = compute(runs, published)
    assert set(tabulate(frame)["annotator of ours"]) == {words}
    assert words in draw(frame, runs).legends[0].get_title().get_text()


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match=r"a-tab1: 1 of 9 runs missing: annotated/dog-size"):
        compute(runs.drop("annotated/dog-size"), published)


def test_a_class_of_which_nothing_was_trained_is_left_out(runs, published):
    two = runs.drop([f"annotated/bird-{kind}" for kind in ("full", "size", "annotated")])
    frame = compute(two, published)
    assert list(tabulate(frame)["class"]) == ["cat", "dog"]
    assert draw(frame, two).axes


def test_nothing_trained_is_an_error(runs, published):
    with pytest.raises(ValueError, match="a-tab1: 9 of 9 runs missing"):
        compute(runs.iloc[:0], published)


def test_annotations_without_time_are_an_error(runs, published):
    with pytest.raises(ValueError, match="annotated_seconds"):
        compute(runs.drop(columns="annotated_seconds"), published)


def test_the_best_epoch_gets_a_column_only_where_tracked(runs, published):
    assert not any("best" in name for name in tabulate(compute(runs, published)))
    table = tabulate(compute(runs.assign(mIoU_val_best=0.95), published))
    assert table["mask ours, best epoch"].tolist() == pytest.approx([95] * 3)


def test_the_table_can_be_written(tmp_path, published):
    runs = make_runs(ACCURACIES, seeds=3, **ANNOTATION)
    write_table(tabulate(compute(runs, published)), tmp_path / "table")
    assert "| 91.00 ± 1.00 |" in (tmp_path / "table.md").read_text()


def test_every_row_has_a_dot_for_published_and_ours(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert len(axes.get_yticklabels()) == 9
    assert len(axes.containers) == 9
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [line.get_xdata()[0] for line in hollow][:3] == [90.6, 88.8, 88.0]


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
