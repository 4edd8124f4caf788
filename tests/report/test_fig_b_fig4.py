import pytest
from pipeline.report.fig_b_fig4 import HARD, HARD_RUN, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

LENGTHS = ("000", "050", "100")
ACCURACIES = {
    HARD_RUN: 0.61,
    **{f"cross_entropies/ce-len{digits}": 0.4 + int(digits) / 1000 for digits in LENGTHS},
    **{f"cross_entropies/rce-len{digits}": 0.45 + int(digits) / 1000 for digits in LENGTHS},
    **{f"potts/q-len{digits}": 0.5 + int(digits) / 1000 for digits in LENGTHS},
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_every_cross_entropy_has_its_own_runs(runs, published):
    full = compute(runs, published).query("length_ratio == 1").set_index("series")
    assert full["ours_percent"].to_dict() == pytest.approx({"H_CE": 50, "H_RCE": 55, "H_CCE": 60, HARD: 61})


def test_the_collision_curve_is_printed_in_table_3(runs, published):
    frame = compute(runs, published)
    assert frame.query("series == 'H_CCE'")["published_percent"].tolist() == [58.92, 67.81, 71.05]
    assert frame.query("series == 'H_CE' or series == 'H_RCE'")["published_percent"].isna().all()


def test_hard_labels_stand_beside_their_printed_number(runs, published):
    row = compute(runs, published).query("series == @HARD").iloc[0]
    assert (row["run"], row["length_ratio"], row["published_percent"]) == (HARD_RUN, 1, 69.8)
    assert row["difference_points"] == pytest.approx(61 - 69.8)


@pytest.mark.parametrize("run", [HARD_RUN, "cross_entropies/rce-len050", "potts/q-len000"])
def test_a_missing_run_is_named(runs, published, run):
    with pytest.raises(ValueError, match=f"b-fig4.*{run}"):
        compute(runs.drop(run), published)


def test_the_table_has_a_row_per_curve(runs, published):
    table = tabulate(compute(runs, published))
    assert table["cross-entropy"].tolist() == ["H_CE", "H_RCE", "H_CCE", HARD]
    assert table["1 ours"].tolist() == pytest.approx([50, 55, 60, 61])


def test_three_curves_and_a_point_are_drawn(runs, published):
    lines = [line for line in draw(compute(runs, published), runs).axes[0].lines if line.get_linestyle() != "None"]
    assert [len(line.get_xdata()) for line in lines] == [3, 3, 3, 1]


def test_printed_numbers_are_hollow(runs, published):
    hollow = [line for line in draw(compute(runs, published), runs).axes[0].lines if line.get_markerfacecolor() == "none"]
    assert [line.get_ydata().tolist() for line in hollow] == [[58.92, 67.81, 71.05], [69.8]]


def test_axes_have_labels_and_the_scale_is_noted(runs, published):
    figure = draw(compute(runs, published), runs)
    assert "fraction" in figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel() == "mIoU on validation images (%)"
    assert "embedded scale" in figure.get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path, published):
    runs = make_runs(ACCURACIES, seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
