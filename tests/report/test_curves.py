import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.report.curves import (
    curve_handle,
    dots_handles,
    draw_curve,
    draw_differences,
    draw_dots,
    draw_level,
    draw_published,
    with_realised,
)
from pipeline.report.style import METHOD_STYLE

NAN = float("nan")
LOOK = METHOD_STYLE["size"]


@pytest.fixture
def axes():
    return Figure().add_subplot()


def points(std=NAN):
    columns = {"x": [0.0, 1.0], "ours_percent": [40.0, 50.0], "ours_std_percent": std, "published_percent": [NAN, 60.0]}
    return pd.DataFrame(columns)


def test_a_curve_joins_our_points(axes):
    draw_curve(axes, points(), "x", LOOK)
    assert axes.lines[0].get_xydata().tolist() == [[0, 40], [1, 50]]
    assert (axes.lines[0].get_color(), axes.lines[0].get_marker()) == (LOOK.color, LOOK.marker)


def test_differences_are_taken_level_by_level_from_the_named_series(axes):
    frame = pd.concat([points().assign(series="a"), points().assign(series="b", ours_percent=[41.0, 53.0])])
    draw_differences(axes, frame, "x", {"a": LOOK, "b": LOOK}, "a")
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0, 0], [1, 3]]


def test_a_broken_line_has_hollow_markers_in_the_legend_too(axes):
    broken = LOOK._replace(line="--")
    draw_curve(axes, points(), "x", broken)
    for line in (axes.lines[0], curve_handle(broken)):
        assert (line.get_linestyle(), line.get_markerfacecolor()) == ("--", "white")


def test_a_band_is_one_deviation_to_either_side(axes):
    draw_curve(axes, points(std=2.0), "x", LOOK)
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (38, 52)


def test_one_seed_has_no_band(axes):
    draw_curve(axes, points(), "x", LOOK)
    draw_level(axes, points().iloc[0], LOOK)
    assert not axes.collections
    assert not axes.patches


def test_a_level_takes_the_line_asked_for(axes):
    draw_level(axes, points(std=2.0).iloc[0], LOOK._replace(line="-."))
    assert axes.lines[0].get_linestyle() == "-."
    assert axes.patches[0].get_extents().height > 0


def test_published_points_are_hollow_and_only_where_printed(axes):
    draw_published(axes, points(), "x", LOOK)
    assert axes.lines[0].get_xydata().tolist() == [[1, 60]]
    assert axes.lines[0].get_markerfacecolor() == "none"


def test_nothing_printed_draws_nothing(axes):
    draw_published(axes, points().iloc[:1], "x", LOOK)
    assert not axes.lines


def test_a_table_as_dots_has_its_first_row_on_top(axes):
    draw_dots(axes, points(), ["one", "two"], ["red", "blue"])
    low, high = axes.get_ylim()
    assert low > high
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]


def test_dots_are_hollow_for_published_and_filled_for_ours(axes):
    draw_dots(axes, points(), ["one", "two"], ["red", "blue"])
    hollow = [line.get_xdata()[0] for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert hollow == [60]
    assert [container.lines[0].get_xdata()[0] for container in axes.containers] == [40, 50]


def test_the_legend_of_dots_names_both():
    assert [handle.get_label() for handle in dots_handles()] == ["ours", "published"]


def test_corrupted_sizes_are_named_with_the_error_they_came_to():
    frame = pd.DataFrame({"series": ["exact", "wrong", "none"], "mre_foreground_percent": [0.0, 11.4, NAN]})
    looks = with_realised({name: LOOK._replace(label=name) for name in frame["series"]}, frame)
    assert [look.label for look in looks.values()] == ["exact", "wrong (objects 11 %)", "none"]
