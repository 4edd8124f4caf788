import pytest
from pipeline.report.fig_a_fig5b import ANNOTATED, FULL, compute, draw
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {
    FULL: 0.8,
    ANNOTATED: 0.72,
    **{f"annotated/animals-size-mre{digits}": 0.76 - int(digits) / 400 for digits in ("00", "08", "32")},
}
ANNOTATION = {"classes": "cat dog bird", "annotated_mre": 0.143, "annotation": "simulated"}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES, **ANNOTATION)


def star(frame):
    return frame[frame["series"] == "annotated"].iloc[0]


def test_points_equal_the_runs_given(runs, published):
    curve = compute(runs, published).query("series == 'size targets'")
    assert curve["mre_percent"].tolist() == [0, 8, 32]
    assert curve["ours_percent"].tolist() == pytest.approx([76, 74, 68])


def test_the_star_stands_at_the_error_of_our_annotator(runs, published):
    assert star(compute(runs, published))["mre_percent"] == pytest.approx(14.3)


def test_the_printed_star_stands_at_the_printed_error(runs, published):
    row = star(compute(runs, published))
    assert (row["mre_published_percent"], row["published_percent"]) == (15.9, 89.6)


def test_the_share_of_full_masks_is_compared(runs, published):
    row = star(compute(runs, published))
    assert row["share_of_full_percent"] == pytest.approx(90)
    assert row["share_of_full_published_percent"] == 97.2


def test_full_masks_are_level_over_the_whole_axis(runs, published):
    full = compute(runs, published).query("run == @FULL")
    assert full["mre_percent"].tolist() == [0, 32]
    assert full["published_percent"].tolist() == [92.2, 92.2]


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match=r"a-fig5b: 1 of 5 runs missing: annotated/animals-annotated"):
        compute(runs.drop(ANNOTATED), published)


@pytest.mark.parametrize(
    ("annotation", "words"), [("simulated", "sizes by simulated annotator"), ("annotated", "sizes by people")]
)
def test_the_legend_says_who_annotated(published, annotation, words):
    runs = make_runs(ACCURACIES, **{**ANNOTATION, "annotation": annotation})
    assert words in [text.get_text() for text in draw(compute(runs, published), runs).legends[0].get_texts()]


def test_axes_have_labels_and_units(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert axes.get_xlabel().endswith("(%)")
    assert axes.get_ylabel().endswith("(%)")


def test_the_axis_names_the_classes_trained(published):
    runs = make_runs(ACCURACIES, **{**ANNOTATION, "classes": "cat dog"})
    assert draw(compute(runs, published), runs).axes[0].get_ylabel() == "mIoU, cat, dog and background (%)"


def test_several_seeds_have_bands(runs, published):
    three = make_runs(ACCURACIES, seeds=3, **ANNOTATION)
    assert len(draw(compute(runs, published), runs).axes[0].collections) == 0
    assert len(draw(compute(three, published), three).axes[0].collections) >= 1


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
