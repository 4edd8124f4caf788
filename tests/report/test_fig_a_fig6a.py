import pandas as pd
import pytest
from pipeline.report.fig_a_fig6a import compute, draw
from report_runs import make_runs

from pipeline.report.style import save_figure

METRIC = {"metric": "DSC_val", "dataset": "acdc"}
ACCURACIES = {
    "acdc/full": 0.88,
    "acdc/pce": 0.5,
    "acdc/barrier": 0.8,
    "acdc/mean-size": 0.81,
    **{f"acdc/size-mre{digits}": 0.87 - int(digits) / 1000 for digits in ("00", "08", "32")},
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES, **METRIC)


def test_points_equal_the_runs_given(runs):
    curve = compute(runs).query("method == 'size'")
    assert curve["mre_percent"].tolist() == [0, 8, 32]
    assert curve["ours_percent"].tolist() == pytest.approx([87, 86.2, 83.8])


def test_methods_without_an_error_are_level_over_the_whole_axis(runs):
    level = compute(runs).query("method == 'size_barrier'")
    assert level["mre_percent"].tolist() == [0, 32]
    assert level["ours_percent"].tolist() == pytest.approx([80, 80])


def test_the_paper_prints_no_number(runs):
    assert compute(runs)["published_percent"].isna().all()


def test_a_missing_run_is_named(runs):
    with pytest.raises(ValueError, match=r"a-fig6a: 1 of 7 runs missing: acdc/mean-size"):
        compute(runs.drop("acdc/mean-size"))


def test_runs_without_dice_are_an_error(runs):
    with pytest.raises(ValueError, match="DSC_val"):
        compute(runs.rename(columns={"DSC_val": "mIoU_val"}))


def test_the_mean_target_is_told_from_the_barrier(runs):
    lines = [line for line in draw(compute(runs), runs).axes[0].lines if line.get_marker() == "None"]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4


def test_the_legend_names_every_method(runs):
    texts = [text.get_text() for text in draw(compute(runs), runs).legends[0].get_texts()]
    assert texts == ["size targets", "full masks", "mean size target", "size barrier", "seeds only"]


def test_several_seeds_have_bands(runs):
    three = make_runs(ACCURACIES, seeds=3, **METRIC)
    frame = compute(three)
    assert frame["ours_std_percent"].tolist() == pytest.approx([1] * len(frame))
    assert len(draw(frame, three).axes[0].patches) == 4


def test_axes_have_labels_and_units(runs):
    axes = draw(compute(runs), runs).axes[0]
    assert axes.get_xlabel().endswith("(%)")
    assert axes.get_ylabel() == "DSC on validation slices (%)"


def test_runs_of_other_artefacts_are_ignored(runs):
    other = make_runs({"acdc/size-mre08-other": 0.1}, **METRIC)
    assert compute(pd.concat([runs, other])).equals(compute(runs))


def test_drawing_again_gives_the_same_bytes(tmp_path, runs):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
