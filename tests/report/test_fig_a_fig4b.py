import pandas as pd
import pytest
from pipeline.report.fig_a_fig4b import FULL, WITHOUT, compute, draw
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {
    FULL: 0.7,
    **{f"scribble_sizes/pce-crf-len{digits}": 0.4 + int(digits) / 500 for digits in ("000", "030", "100")},
    **{
        f"scribble_sizes/size-mre{mre}-len{digits}": 0.6 - int(mre) / 1000 + int(digits) / 5000
        for mre in ("00", "08", "16")
        for digits in ("000", "030", "100")
    },
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


@pytest.fixture
def runs_of_three_seeds():
    return make_runs(ACCURACIES, seeds=3)


def test_points_equal_the_runs_given(runs, published):
    curve = compute(runs, published).query("series == @WITHOUT")
    assert curve["length_ratio"].tolist() == [0, 0.3, 1]
    assert curve["ours_percent"].tolist() == pytest.approx([40, 46, 60])


def test_every_error_has_its_own_curve(runs, published):
    frame = compute(runs, published).query("length_ratio == 0")
    assert frame.set_index("series")["ours_percent"].to_dict() == pytest.approx(
        {WITHOUT: 40, "mRE 0 %": 60, "mRE 8 %": 59.2, "mRE 16 %": 58.4, "full masks": 70}
    )


def test_the_two_printed_numbers_stand_at_length_zero(runs, published):
    printed = compute(runs, published).dropna(subset="published_percent")
    assert printed[["series", "length_ratio", "published_percent"]].values.tolist() == [[WITHOUT, 0, 66.6], ["mRE 0 %", 0, 74]]
    assert printed["difference_points"].tolist() == pytest.approx([40 - 66.6, 60 - 74])


def test_full_masks_are_level_over_the_whole_axis(runs, published):
    assert compute(runs, published).query("run == @FULL")["length_ratio"].tolist() == [0, 1]


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match=r"a-fig4b: 1 of 12 runs missing: scribble_sizes/size-mre16-len030"):
        compute(runs.drop("scribble_sizes/size-mre16-len030"), published)


def test_full_supervision_is_needed(runs, published):
    with pytest.raises(ValueError, match="size_noise/full"):
        compute(runs.drop(FULL), published)


def test_networks_are_not_mixed(runs, published):
    runs.loc[FULL, "network"] = "vit"
    with pytest.raises(ValueError, match="one network"):
        compute(runs, published)


def test_seeds_are_averaged_with_their_deviation(runs_of_three_seeds, published):
    point = compute(runs_of_three_seeds, published).iloc[0]
    assert point["ours_percent"] == pytest.approx(41)
    assert point["ours_std_percent"] == pytest.approx(1)
    assert point["seeds"] == 3


def test_errors_differ_by_the_line_of_one_colour(runs, published):
    lines = [line for line in draw(compute(runs, published), runs).axes[0].lines if line.get_marker() == "D"]
    joined = [line for line in lines if line.get_linestyle() != "None"]
    assert [line.get_linestyle() for line in joined] == ["-", "--", ":"]
    assert len({line.get_color() for line in joined}) == 1


def test_axes_have_labels_and_units(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert "fraction" in axes.get_xlabel()
    assert axes.get_ylabel() == "mIoU on validation images (%)"


def test_the_scale_is_noted_in_the_figure(runs, published):
    assert "embedded scale" in draw(compute(runs, published), runs).get_supxlabel()


def test_runs_of_other_artefacts_do_not_reach_the_note(runs, published):
    other = make_runs({"size_noise/size-mre00": 0.5}, profile="paper")
    both = pd.concat([runs, other])
    assert "paper" not in draw(compute(both, published), both).get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path, runs_of_three_seeds, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs_of_three_seeds, published), runs_of_three_seeds), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
