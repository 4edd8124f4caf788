import pytest
from pipeline.report.fig_x_cross import BASE, CURVES, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {
    pattern.format(digits): 0.4 + place * (0.1 if digits == "000" else 0.02) + int(digits) / 500
    for place, pattern in enumerate(CURVES.values())
    for digits in ("000", "050", "100")
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_points_equal_the_runs_given(runs):
    frame = compute(runs).query("length_ratio == 0").set_index("series")
    assert frame["ours_percent"].tolist() == pytest.approx([40, 50, 60])
    assert frame["run"].to_dict() == {series: pattern.format("000") for series, pattern in CURVES.items()}


def test_a_gain_is_against_soft_labels_of_the_same_length(runs):
    gains = compute(runs).query("series == 'soft self-labelling + size targets'")["gain_points"]
    assert gains.tolist() == pytest.approx([10, 2, 2])


def test_nothing_is_printed_beside(runs):
    assert compute(runs)["published_percent"].isna().all()


def test_the_table_has_no_gain_of_the_base_over_itself(runs):
    table = tabulate(compute(runs)).set_index("supervision")
    assert table.loc[BASE, "0 difference"] != table.loc[BASE, "0 difference"]
    assert table["0 difference"].dropna().tolist() == pytest.approx([-10, 10])


def test_a_missing_run_is_named(runs):
    with pytest.raises(ValueError, match="x-cross: 1 of 9 runs missing: cross_seeds/pce-len050"):
        compute(runs.drop("cross_seeds/pce-len050"))


def test_three_curves_with_units_are_drawn(runs):
    figure = draw(compute(runs), runs)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [3, 3, 3]
    assert len({line.get_color() for line in figure.axes[0].lines}) == 3
    assert "fraction" in figure.axes[0].get_xlabel()
    assert "embedded scale" in figure.get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path):
    runs = make_runs(ACCURACIES, seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
