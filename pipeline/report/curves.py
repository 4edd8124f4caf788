"""Figures that several artifacts share, and their parts: a curve with its band over seeds, a level line, printed points, a table
as dots.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.points import LEVEL_LABELS, MIOU_LABEL
from pipeline.report.style import BLACK, COLUMN_WIDTH_IN, LineStyle, new_figure

BAND = 0.15
"""Opacity of a band of one standard deviation over seeds."""
REALISED = "second line: realised, of the objects"


def draw_curve(axes: Axes, curve: pd.DataFrame, x: str, look: LineStyle, **options: Any) -> None:
    """Draw one series of ours with a band of one standard deviation over seeds, where there are several.

    `curve` has the columns `x`, ours_percent and ours_std_percent, in order of `x`. A broken line has hollow markers.
    """
    fill = look.color if look.line == "-" else "white"
    style = {"color": look.color, "marker": look.marker, "markerfacecolor": fill, "clip_on": False, **options}
    axes.plot(curve[x], curve["ours_percent"], look.line, **style)
    strike(axes, curve.loc[_failed(curve), x], curve.loc[_failed(curve), "ours_percent"])
    if len(curve) == 1 and curve["ours_std_percent"].notna().all():
        axes.errorbar(curve[x], curve["ours_percent"], curve["ours_std_percent"], color=look.color, capsize=2)
    elif curve["ours_std_percent"].notna().any():
        low, high = curve["ours_percent"] - curve["ours_std_percent"], curve["ours_percent"] + curve["ours_std_percent"]
        axes.fill_between(curve[x], low, high, color=look.color, alpha=BAND, linewidth=0)


def draw_differences(axes: Axes, frame: pd.DataFrame, x: str, looks: Mapping[str, LineStyle], base: str) -> None:
    """Draw series as differences to one of them, in points, for curves that lie upon each other.

    The axis is linear up to a point and logarithmic beyond, so that hundredths are seen beside whole points.
    """
    of_base = frame[frame["series"] == base].set_index(x)["ours_percent"]
    for series, look in looks.items():
        curve = frame[frame["series"] == series]
        points = (curve["ours_percent"] - curve[x].map(of_base)).round(6)
        fill = look.color if look.line == "-" else "white"
        axes.plot(curve[x], points, look.line, color=look.color, marker=look.marker, markerfacecolor=fill, clip_on=False)
    low, high = axes.get_ylim()
    if high - low > 0.4:  # else the usual ticks of a linear axis show hundredths
        axes.set_yscale("symlog", linthresh=1, linscale=2)
        low, high = axes.get_ylim()
        steps = (0.5, 1, 5, 20, 50) if high - low > 2 else (0.2, 0.5, 1) if high - low > 0.8 else (0.1, 0.2, 0.5)
        ticks = [tick for tick in sorted((0, *steps, *(-step for step in steps))) if low <= tick <= high]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_ylabel(f"difference to\n{looks[base].label} (points)")


def label_realised(axes: Axes, frame: pd.DataFrame) -> None:
    """Write the realised mean error of the objects below each nominal error of size targets, where it is known.

    Renormalisation and small objects drive the two apart: an object of 1 % of the picture may err by half as much again.

    Args:
        axes: over nominal errors.
        frame: rows with the columns mre_percent and mre_foreground_percent, the latter NaN where there is none.
    """
    realised = frame.dropna(subset="mre_foreground_percent").groupby("mre_percent")["mre_foreground_percent"].mean()
    if len(realised):
        axes.set_xticks(realised.index, [f"{nominal:g}\n{error:.0f}" for nominal, error in realised.items()])
        axes.set_xlabel(f"{axes.get_xlabel()}\n{REALISED}")


def with_realised(looks: Mapping[str, LineStyle], frame: pd.DataFrame) -> Mapping[str, LineStyle]:
    """Return looks whose labels say the realised mean error of the objects, for series with corrupted size targets."""
    if "mre_foreground_percent" not in frame:
        return looks
    realised = frame.groupby("series")["mre_foreground_percent"].mean()
    corrupted = {series: error for series, error in realised.items() if error > 0.5}
    return {
        series: look._replace(label=f"{look.label} (objects {corrupted[series]:.0f} %)") if series in corrupted else look
        for series, look in looks.items()
    }


def draw_level(axes: Axes, row: pd.Series, look: LineStyle) -> None:
    """Draw one number of ours, with its deviation, as a line over the whole axis with a band; pale and struck if it failed."""
    failed = bool(row.get("failed", False))
    axes.axhline(row["ours_percent"], color=look.color, linestyle=look.line, alpha=0.35 if failed else 1.0)
    if failed:
        place, coordinates = (0.5, row["ours_percent"]), ("axes fraction", "data")
        said = axes.annotate(f"{look.label}: training failed", place, xycoords=coordinates, fontsize=6, ha="center")
        said.set_in_layout(False)  # it may be outside the axes, where it is not drawn
    if pd.notna(row["ours_std_percent"]):
        low, high = row["ours_percent"] - row["ours_std_percent"], row["ours_percent"] + row["ours_std_percent"]
        axes.axhspan(low, high, color=look.color, alpha=BAND, linewidth=0)


def strike(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw a cross over what came of trainings that failed."""
    if len(x):
        axes.plot(x, y, "x", color=BLACK, markersize=8, markeredgewidth=1.2, clip_on=False)


def _failed(frame: pd.DataFrame) -> pd.Series:
    return frame["failed"].astype(bool) if "failed" in frame else pd.Series(False, index=frame.index)


def draw_published(axes: Axes, points: pd.DataFrame, x: str, look: LineStyle) -> None:
    """Draw the numbers a paper printed as large hollow markers in the colour of their method."""
    printed = points[points["published_percent"].notna()]
    if printed.empty:
        return  # an empty line that is not clipped would lie in the figure's corner and push the axes away from it
    style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": look.color, "clip_on": False}
    axes.plot(printed[x], printed["published_percent"], look.marker, **style)


def curve_handle(look: LineStyle) -> Line2D:
    """Return the legend entry of a curve drawn by `draw_curve`."""
    fill = look.color if look.line == "-" else "white"
    return Line2D([], [], color=look.color, marker=look.marker, markerfacecolor=fill, linestyle=look.line, label=look.label)


def level_handle(look: LineStyle) -> Line2D:
    """Return the legend entry of a line drawn by `draw_level`."""
    return Line2D([], [], color=look.color, linestyle=look.line, label=look.label)


def published_handle(marker: str = "o") -> Line2D:
    """Return the legend entry of the hollow markers of `draw_published`."""
    style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgecolor": BLACK}
    return Line2D([], [], color="white", marker=marker, label="published", **style)


def draw_dots(axes: Axes, frame: pd.DataFrame, labels: Sequence[str], colors: Sequence[str]) -> None:
    """Draw a table as dots, a line per row from above: published hollow, ours filled with one standard deviation.

    `frame` has the columns published_percent, ours_percent and ours_std_percent, NaN where there is no number.
    """
    columns = [frame[f"{name}_percent"].astype(float).tolist() for name in ("published", "ours", "ours_std")]
    struck = _failed(frame).tolist()
    for place, (printed, ours, std, color, failed) in enumerate(zip(*columns, colors, struck, strict=True)):
        if not math.isnan(printed):
            axes.plot(printed, place, "o", markersize=7, markerfacecolor="none", markeredgecolor=color)
        if not math.isnan(ours):
            fill = "white" if failed else color
            axes.errorbar(
                ours, place, xerr=None if math.isnan(std) else std, fmt="o", color=color, mfc=fill, markersize=4, capsize=2
            )
            strike(axes, [ours] if failed else [], [place] if failed else [])
    axes.set_yticks(range(len(frame)), list(labels))
    axes.set_ylim(len(frame) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def dots_handles() -> list[Line2D]:
    """Return the legend entries of `draw_dots`."""
    return [Line2D([], [], color="white", marker="o", markerfacecolor=BLACK, label="ours"), published_handle()]


def dots_legend(figure: Figure, title: str | None = None) -> None:
    """Put the legend of `draw_dots` above the panels."""
    titled = {"title": title, "title_fontsize": 7} if title else {}
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2, **titled)


@dataclass(frozen=True)
class Curves:
    """A figure of curves over one level: ours with bands over seeds, printed numbers as hollow markers.

    Attributes:
        x: column of the frame for the horizontal axis, of `LEVEL_LABELS`.
        looks: series to its look, in the order of the legend.
        height_in: height in inches; the width is that of one column.
        y_label: with its unit.
        levels: series that are lines over the whole axis.
        aside: level that does not stretch the vertical axis; nor does one whose training failed. Where it is below, that is said.
        base: series to which a second panel shows the differences of the others; empty: there is none.
        legend: arguments of the legend.
    """

    x: str
    looks: Mapping[str, LineStyle]
    height_in: float
    y_label: str = MIOU_LABEL
    levels: Mapping[str, LineStyle] = field(default_factory=dict)
    legend: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    aside: str = ""

    def __call__(self, frame: pd.DataFrame, _: object = None) -> Figure:
        """Return the figure of a frame of `points.curve_points`."""
        figure = new_figure(COLUMN_WIDTH_IN, self.height_in)
        axes, *below = figure.subplots(
            2 if self.base else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 1][: 1 + bool(self.base)]
        )[:, 0]
        looks = self.looks if self.x == "mre_percent" else with_realised(self.looks, frame)
        draw_series(axes, frame, self.x, looks)
        rows = {series: frame[frame["series"] == series].iloc[0] for series in self.levels}
        far = {series for series in rows if series == self.aside or rows[series].get("failed", False)}
        for series, look in self.levels.items():
            draw_level(axes, rows[series], look)
        if far:
            low, high = _extent(frame[~frame["series"].isin(far)])
            axes.set_ylim(low, high)
            below_axis = [series for series in far if rows[series]["ours_percent"] < low]
            for line, series in enumerate(sorted(below_axis)):
                note = ": training failed" if rows[series].get("failed", False) else ""
                text = f"below: {self.levels[series].label}, {rows[series]['ours_percent']:.1f}{note}"
                axes.text(0.98, 0.03 + 0.08 * line, text, transform=axes.transAxes, fontsize=6, ha="right")
        else:
            axes.margins(y=0.08)
        (below or [axes])[-1].set_xlabel(LEVEL_LABELS[self.x])
        axes.set_ylabel(self.y_label)
        if self.x == "mre_percent":
            label_realised(axes, frame[frame["series"].isin(self.looks)])
        for panel in below:
            draw_differences(panel, frame, self.x, self.looks, self.base)
        handles = [*map(curve_handle, looks.values()), *map(level_handle, self.levels.values()), *published_handles(frame)]
        figure.legend(handles=handles, loc="outside upper center", **self.legend)
        return figure


def _extent(frame: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis that holds all numbers, ours with their deviation, with a margin."""
    ours, std = frame["ours_percent"], frame["ours_std_percent"].fillna(0)
    numbers = pd.concat([ours - std, ours + std, frame["published_percent"]])
    margin = 0.08 * max(numbers.max() - numbers.min(), 1.0)
    return numbers.min() - margin, numbers.max() + margin


def draw_series(axes: Axes, frame: pd.DataFrame, x: str, looks: Mapping[str, LineStyle]) -> None:
    """Draw several series with the printed numbers of each."""
    for series, look in looks.items():
        curve = frame[frame["series"] == series]
        draw_curve(axes, curve, x, look)
        draw_published(axes, curve, x, look)


def published_handles(frame: pd.DataFrame) -> list[Line2D]:
    """Return the legend entry of printed numbers, if there are any."""
    return [published_handle()] if frame["published_percent"].notna().any() else []


@dataclass(frozen=True)
class Dots:
    """A table as dots, a line per row: published hollow, ours filled.

    Attributes:
        label: a row to its name.
        color: a row to its colour.
        height_in: in inches.
        x_label: with its unit.
        width_in: in inches.
        title: of the legend, from the frame.
    """

    label: Callable[[pd.Series], str]
    color: Callable[[pd.Series], str]
    height_in: float
    x_label: str = MIOU_LABEL
    width_in: float = COLUMN_WIDTH_IN
    title: Callable[[pd.DataFrame], str] | None = None

    def __call__(self, frame: pd.DataFrame, _: object = None) -> Figure:
        """Return the figure of a frame of `points.table_rows`."""
        figure = new_figure(self.width_in, self.height_in)
        axes = figure.add_subplot()
        rows = [row for _, row in frame.iterrows()]
        draw_dots(axes, frame, [self.label(row) for row in rows], [self.color(row) for row in rows])
        axes.set_xlabel(self.x_label)
        dots_legend(figure, self.title(frame) if self.title else None)
        return figure


def draw_cost(axes: Axes, row: Mapping[Any, Any], look: LineStyle, *, edge: str, size: float) -> None:
    """Draw accuracy over seconds of annotation per image: printed hollow, ours filled; on the axis if there is neither.

    Args:
        axes: to draw on, with `cost_axis`.
        row: seconds_voc, seconds_ours and the columns of `COMPARISON`; NaN where there is no number.
        look: of the kind of annotation.
        edge: colour of the hollow marker.
        size: of the hollow marker.
    """
    if pd.notna(row["published_percent"]):
        style: dict[str, Any] = {"markersize": size, "markerfacecolor": "none", "markeredgecolor": edge}
        axes.plot(row["seconds_voc"], row["published_percent"], look.marker, **style)
    if pd.notna(row["ours_percent"]):
        spread = row["ours_std_percent"] if pd.notna(row["ours_std_percent"]) else None
        place = (row["seconds_ours"], row["ours_percent"])
        axes.errorbar(*place, yerr=spread, fmt=look.marker, color=look.color, markersize=5, capsize=2)
        if row["failed"]:
            strike(axes, [place[0]], [place[1]])
    elif pd.isna(row["published_percent"]):
        on_axis: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "markerfacecolor": "none"}
        axes.plot(row["seconds_voc"], 0, look.marker, color=look.color, **on_axis)


def cost_axis(axes: Axes, frame: pd.DataFrame, ticks: Sequence[int], label: str) -> None:
    """Make the horizontal axis one of seconds, logarithmic: of at least one decade, which has enough ticks to be read."""
    seconds = frame[["seconds_voc", "seconds_ours"]].to_numpy()
    low, high = float(seconds.min()), float(seconds.max())
    axes.set_xscale("log")
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.set_xlim(low / 1.3, max(high, 10 * low) * 1.3)
    axes.margins(y=0.1)
    axes.set_xlabel(label)
    axes.set_ylabel(MIOU_LABEL)
