import pandas as pd
import pytest

from pipeline.report.points import COLUMNS, curve_points, in_symbols, number_columns, pivoted, table_rows
from pipeline.report.runs import Runs, Where

NAN = float("nan")
CURVES = {"one": Where(method="one"), "two": Where(method="two")}
ONE, TWO = CURVES["one"].but(length_ratio=1.0), CURVES["two"].but(length_ratio=1.0)


def make(**columns):
    common = {"family": "f", "seed": 0, "profile": "embedded", "dataset": "voc", "network": "small"}
    numbers = [("one", 0.0, 0.4), ("one", 1.0, 0.6), ("two", 0.0, 0.5), ("two", 1.0, 0.7)]
    rows = [
        {**common, "run": f"{method}-{length:g}", "method": method, "length_ratio": length, "mIoU_val": accuracy}
        for method, length, accuracy in reversed(numbers)
    ]
    return Runs(pd.DataFrame(rows).assign(**columns), "b-fig4")


def printed(series, level):
    return 61.5 if (series, level) == ("one", 1) else NAN


def test_a_curve_ascends_over_its_level():
    frame = curve_points(make(), CURVES, "length_ratio", printed)
    assert frame[["series", "length_ratio"]].values.tolist() == [["one", 0], ["one", 1], ["two", 0], ["two", 1]]
    assert frame["ours_percent"].tolist() == pytest.approx([40, 60, 50, 70])


def test_a_printed_number_belongs_to_its_series_and_level():
    frame = curve_points(make(), CURVES, "length_ratio", printed).dropna(subset="published_percent")
    assert frame[["run", "published_percent", "difference_points"]].values.tolist() == [["f/one-1", 61.5, pytest.approx(-1.5)]]


def test_a_run_without_a_level_has_the_ends_of_the_axis():
    frame = curve_points(make(), {"one": CURVES["one"]}, "length_ratio", also={"level": TWO})
    assert frame.query("series == 'level'")[["run", "length_ratio"]].values.tolist() == [["f/two-1", 0], ["f/two-1", 1]]


def test_curves_of_two_networks_do_not_share_a_figure():
    with pytest.raises(ValueError, match="one network"):
        curve_points(make(network=["small", "small", "vit", "vit"]), CURVES, "length_ratio")


def test_a_row_of_a_table_is_its_run_and_one_of_others_is_cited():
    frame = table_rows(make(), {"a": TWO, "b": None, "c": ONE}, lambda series: 50.0)
    assert frame["run"].tolist() == ["f/two-1", "", "f/one-1"]
    assert frame["ours_percent"].tolist() == pytest.approx([70, NAN, 60], nan_ok=True)
    assert frame["published_percent"].tolist() == [50, 50, 50]


def test_rows_of_a_table_are_of_one_data_set():
    runs = make(dataset=["voc", "voc", "coco", "coco"])
    with pytest.raises(ValueError, match="one dataset"):
        table_rows(runs, {"a": TWO, "b": ONE})


def test_numbers_stand_in_the_order_of_a_table():
    frame = table_rows(make(), {"a": ONE})
    assert list(number_columns(frame, "NN")) == ["NN published", "NN ours", "NN ours std", "NN difference"]
    assert list(number_columns(frame, tracked=True)) == list(COLUMNS)


def test_lines_of_a_table_have_their_numbers_side_by_side():
    frame = curve_points(make(), CURVES, "length_ratio", printed)
    table = pivoted(frame.iloc[[3, 1, 0]], "series", "method", "length_ratio")
    assert table["method"].tolist() == ["two", "one"]
    assert [name for name in table if name.endswith("ours")] == ["0 ours", "1 ours"]
    assert table["1 published"].tolist() == pytest.approx([NAN, 61.5], nan_ok=True)
    assert table["0 ours"].tolist() == pytest.approx([NAN, 40], nan_ok=True)


@pytest.mark.parametrize(
    ("name", "symbols"),
    [("H_CCE+P_Q", r"$H_\mathrm{CCE}$+$P_\mathrm{Q}$"), ("TEL (V3+)", "TEL (V3+)"), ("GRID_A", "GRID_A")],
)
def test_symbols_are_set_only_where_there_are_any(name, symbols):
    assert in_symbols(name) == symbols
