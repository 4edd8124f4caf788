import pytest
from report_runs import make_runs

from pipeline.report.points import curve_points, in_symbols, length_table, number_columns, table_rows

CURVES = {"one": "family/one-len{}", "two": "family/two-len{}"}


@pytest.fixture
def runs():
    return make_runs({"family/one-len000": 0.4, "family/one-len100": 0.6, "family/two-len000": 0.5, "family/two-len100": 0.7})


def printed(series, level):
    return 61.5 if (series, level) == ("one", 1) else None


def test_a_curve_ascends_over_its_level(runs):
    frame = curve_points(runs.iloc[::-1], "b-fig4", CURVES, "length_ratio", printed)
    assert frame[["series", "length_ratio"]].values.tolist() == [["one", 0], ["one", 1], ["two", 0], ["two", 1]]
    assert frame["ours_percent"].tolist() == pytest.approx([40, 60, 50, 70])


def test_a_printed_number_belongs_to_its_series_and_level(runs):
    frame = curve_points(runs, "b-fig4", CURVES, "length_ratio", printed).dropna(subset="published_percent")
    assert frame[["run", "published_percent", "difference_points"]].values.tolist() == [
        ["family/one-len100", 61.5, pytest.approx(-1.5)]
    ]


def test_curves_of_two_networks_do_not_share_a_figure(runs):
    runs.loc["family/two-len000", "network"] = "vit"
    with pytest.raises(ValueError, match="one network"):
        curve_points(runs, "b-fig4", CURVES, "length_ratio", printed)


def test_a_row_of_a_table_is_its_run(runs):
    frame = table_rows(runs, "b-sec33", {"a": "family/two-len100", "b": "family/one-len000"}, lambda series: 50.0)
    assert frame["ours_percent"].tolist() == pytest.approx([70, 40])
    assert frame["difference_points"].tolist() == pytest.approx([20, -10])


def test_columns_in_which_rows_may_differ_are_the_callers_choice(runs):
    runs.loc["family/two-len000", "dataset"] = "coco"
    rows = {"a": "family/two-len000", "b": "family/one-len000"}
    assert len(table_rows(runs, "b-sec33", rows, lambda series: None, ("profile",))) == 2
    with pytest.raises(ValueError, match="one dataset"):
        table_rows(runs, "b-sec33", rows, lambda series: None)


def test_the_spread_has_the_name_of_its_column(runs):
    row = next(table_rows(runs, "b-sec33", {"a": "family/one-len000"}, lambda series: None).itertuples())
    assert list(number_columns(row, tracked=False, prefix="NN")) == ["NN published", "NN ours", "NN ours std", "NN difference"]
    assert "ours, best epoch" in number_columns(row, tracked=True)


def test_a_table_over_lengths_has_no_empty_column(runs):
    table = length_table(curve_points(runs, "b-fig4", CURVES, "length_ratio", printed), "method")
    assert list(table) == ["method", "0 ours", "1 published", "1 ours", "1 difference"]


@pytest.mark.parametrize(
    ("name", "symbols"),
    [("H_CCE+P_Q", r"$H_\mathrm{CCE}$+$P_\mathrm{Q}$"), ("TEL (V3+)", "TEL (V3+)"), ("GRID_A", "GRID_A")],
)
def test_symbols_are_set_only_where_there_are_any(name, symbols):
    assert in_symbols(name) == symbols
