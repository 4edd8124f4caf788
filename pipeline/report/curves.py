"""Parts of figures that several artefacts share: a curve with its band over seeds, a level line, published points, a table as
dots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline.report.style import BLACK, Line, LineStyle

BAND = 0.15
"""Opacity of a band of one standard deviation over seeds."""


def draw_curve(axes: Axes, curve: pd.DataFrame, x: str, look: LineStyle, line: Line | None = None, **options: Any) -> None:
    """Draw one series of ours with a band of one standard deviation over seeds, where there are several.

    Args:
        axes: to draw on.
        curve: rows with the columns `x`, ours_percent and ours_std_percent, in order of `x`.
        x: column of the horizontal axis.
        look: colour, marker and line of the method.
        line: another line than that of `look`; a broken line has hollow markers.
        options: passed to `Axes.plot`, for example label.
    """
    line = line or look.line
    fill = look.color if line == "-" else "white"
    style = {"color": look.color, "marker": look.marker, "markerfacecolor": fill, "clip_on": False, **options}
    axes.plot(curve[x], curve["ours_percent"], line, **style)
    if curve["ours_std_percent"].notna().any():
        low, high = curve["ours_percent"] - curve["ours_std_percent"], curve["ours_percent"] + curve["ours_std_percent"]
        axes.fill_between(curve[x], low, high, color=look.color, alpha=BAND, linewidth=0)


def draw_level(axes: Axes, row: pd.Series, look: LineStyle, line: Line | None = None) -> None:
    """Draw one number of ours as a line over the whole axis, with its band where there are several seeds.

    Args:
        axes: to draw on.
        row: has ours_percent and ours_std_percent.
        look: colour and line of the method.
        line: another line than that of `look`.
    """
    axes.axhline(row["ours_percent"], color=look.color, linestyle=line or look.line)
    if pd.notna(row["ours_std_percent"]):
        low, high = row["ours_percent"] - row["ours_std_percent"], row["ours_percent"] + row["ours_std_percent"]
        axes.axhspan(low, high, color=look.color, alpha=BAND, linewidth=0)


def draw_published(axes: Axes, points: pd.DataFrame, x: str, look: LineStyle) -> None:
    """Draw the numbers a paper printed as large hollow markers in the colour of their method.

    Args:
        axes: to draw on.
        points: rows with the columns `x` and published_percent; those without a number are left out.
        x: column of the horizontal axis.
        look: colour and marker of the method.
    """
    printed = points[points["published_percent"].notna()]
    if printed.empty:
        return  # an empty line that is not clipped would lie in the figure's corner and push the axes away from it
    style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": look.color, "clip_on": False}
    axes.plot(printed[x], printed["published_percent"], look.marker, **style)


def curve_handle(look: LineStyle, label: str | None = None, line: Line | None = None) -> Line2D:
    """Return the legend entry of a curve drawn by `draw_curve`; by default with the label and line of its method."""
    line = line or look.line
    fill = look.color if line == "-" else "white"
    return Line2D([], [], color=look.color, marker=look.marker, markerfacecolor=fill, linestyle=line, label=label or look.label)


def level_handle(look: LineStyle, label: str | None = None, line: Line | None = None) -> Line2D:
    """Return the legend entry of a line drawn by `draw_level`."""
    return Line2D([], [], color=look.color, linestyle=line or look.line, label=label or look.label)


def published_handle(marker: str = "o") -> Line2D:
    """Return the legend entry of the hollow markers of `draw_published`."""
    style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": BLACK}
    return Line2D([], [], color="white", marker=marker, label="published", **style)


def draw_dots(axes: Axes, frame: pd.DataFrame, labels: Sequence[str], colors: Sequence[str]) -> None:
    """Draw a table as dots, a line per row from above: published hollow, ours filled with one standard deviation.

    Args:
        axes: to draw on.
        frame: rows with the columns published_percent, ours_percent and ours_std_percent; NaN where there is no number.
        labels: a name per row.
        colors: a colour per row.
    """
    columns = [frame[f"{name}_percent"].astype(float).tolist() for name in ("published", "ours", "ours_std")]
    for place, (printed, ours, std, color) in enumerate(zip(*columns, colors, strict=True)):
        if not math.isnan(printed):
            axes.plot(printed, place, "o", markersize=7, markerfacecolor="none", markeredgecolor=color)
        if not math.isnan(ours):
            axes.errorbar(ours, place, xerr=None if math.isnan(std) else std, fmt="o", color=color, markersize=4, capsize=2)
    axes.set_yticks(range(len(frame)), list(labels))
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def dots_handles() -> list[Line2D]:
    """Return the legend entries of `draw_dots`."""
    return [Line2D([], [], color="white", marker="o", markerfacecolor=BLACK, label="ours"), published_handle()]
