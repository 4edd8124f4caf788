import pytest
from pipeline.report.fig_b_fig6 import CURVES, PANELS, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report import fig_b_tab4
from pipeline.report.style import save_figure

ACCURACIES = {
    pattern.format(digits): 0.4 + place / 100 + int(digits) / 1000
    for place, pattern in enumerate(CURVES.values())
    for digits in ("000", "100")
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_points_equal_the_runs_given(runs, published):
    frame = compute(runs, published)
    assert frame.query("length_ratio == 1")["ours_percent"].tolist() == pytest.approx([50, 51, 52, 53, 54, 55])


def test_printed_numbers_are_those_of_table_4_at_full_length(runs, published):
    frame = compute(runs, published)
    assert frame.query("length_ratio == 0")["published_percent"].isna().all()
    assert frame.query("length_ratio == 1")["published_percent"].tolist() == [67.0, 69.5, 69.6, 63.1, 71.1, 67.9]


def test_ends_of_the_curves_are_the_runs_of_table_4():
    assert [pattern.format("100") for pattern in CURVES.values()] == list(fig_b_tab4.RUNS.values())


def test_every_series_has_a_place_in_one_panel():
    assert sorted(series for styles in PANELS.values() for series in styles) == sorted(CURVES)


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-fig6: 1 of 12 runs missing: methods/soft-dn-len000"):
        compute(runs.drop("methods/soft-dn-len000"), published)


def test_the_table_has_a_row_per_curve(runs, published):
    table = tabulate(compute(runs, published))
    assert table["method"].tolist() == list(CURVES)
    assert "0 published" not in table


def test_three_curves_per_neighbourhood_are_drawn(runs, published):
    figure = draw(compute(runs, published), runs)
    assert [axes.get_title() for axes in figure.axes] == ["nearest neighbours", "dense neighbourhood"]
    for axes in figure.axes:
        joined = [line for line in axes.lines if line.get_linestyle() != "None"]
        assert [len(line.get_xdata()) for line in joined] == [2, 2, 2]


def test_a_curve_is_in_the_panel_of_its_neighbourhood(runs, published):
    nearest = draw(compute(runs, published), runs).axes[0]
    joined = [line for line in nearest.lines if line.get_linestyle() != "None"]
    assert [line.get_ydata()[-1] for line in joined] == pytest.approx([50, 52, 54])


def test_drawing_again_gives_the_same_bytes(tmp_path, published):
    runs = make_runs(ACCURACIES, seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
