"""Figure 4 (left) of [SIZE]: accuracy against the mean relative error of the size targets.

Networks are trained from size targets that were corrupted by Normal noise (Eq. 15); the horizontal axis is the error expected
from the noise, mRE = sqrt(2 / pi) sigma (Eq. 16). Red: the size-target loss alone (Eq. 2); blue: with the CRF loss (Eq. 12).
Solid lines are accuracy on validation images, dashed lines on training images, the green line is training from full masks.
The paper finds the solid lines nearly flat up to an error of 16 %, with a rise at 4 %, while the dashed blue line falls.
Diamonds are runs with the noise that params.yaml sets for all (`noise.sigma`); they are not joined, because their place moves
with it. Below each nominal error stands what it came to for the objects.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import draw_curve, draw_level, label_realised
from pipeline.report.points import ERROR_LABEL
from pipeline.report.runs import NAN, Runs, Where
from pipeline.report.style import BLACK, COLUMN_WIDTH_IN, METHOD_STYLE, Line, LineStyle, new_figure

SIZES = Where(family="size_noise")
DEFAULT = Where(family="noise")
METHODS = ("size", "size_crf")
SPLITS = {"validation": "mIoU_val", "training": "mIoU_train"}
_LINES: dict[str, Line] = {"validation": "-", "training": "--"}


class _Point(NamedTuple):
    method: str
    noise_default: bool
    mre: float
    run: Where


def compute(data: Data) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Returns:
        One row per point: series, method, split (validation or training), noise_default (the noise is `noise.sigma`), sigma,
        mre_percent (analytic; full masks get the ends of the axis), mre_all_percent and mre_foreground_percent (realised),
        mIoU_percent, mIoU_std_percent, mIoU_best_percent (best epoch; empty if not tracked), seeds and failed. A method of which
        nothing was trained is absent.

    Raises:
        ValueError: a value is missing, no size-target run is there, runs differ in data set, network or profile, or a noise level
            that one curve has is missing from the other.
    """
    runs = data.runs
    points = [*_points(runs, False), *_points(runs, True)]
    if not points:
        raise ValueError(f"{runs.artifact}: expected runs of the methods {list(METHODS)}, got {sorted(set(runs.rows['method']))}")
    full = SIZES.but(method="full")
    runs.require([point.run for point in points] + ([full] if runs.has(full) else []))
    rows = [
        _row(runs, point, split, 100 * point.mre)
        for method in METHODS
        for split in SPLITS
        for point in points
        if point.method == method
    ]
    if runs.has(full):
        ends = [100 * end(point.mre for point in points) for end in (min, max)]
        rows += [_row(runs, _Point("full", False, NAN, full), "validation", end) for end in ends]
    return pd.DataFrame(rows)


def _points(runs: Runs, default: bool) -> list[_Point]:
    """Return the runs with given noise, or those at `noise.sigma`, ascending in error."""
    family = DEFAULT if default else SIZES
    made = {method: where for method in METHODS if runs.has(where := family.but(method=method))}
    found = runs.levels(made, "mre") if made else {}
    return [_Point(method, default, mre, run) for method, curve in found.items() for mre, run in curve.items()]


def _row(runs: Runs, point: _Point, split: str, mre_percent: float) -> dict[str, object]:
    numbers = runs.compare(point.run, SPLITS[split])
    errors = {name: 100 * runs.mean(point.run, name) for name in ("mre_all", "mre_foreground")}
    return {
        "series": f"{METHOD_STYLE[point.method].label}, {split}" + (", noise.sigma" if point.noise_default else ""),
        "method": point.method,
        "split": split,
        "noise_default": point.noise_default,
        "sigma": runs.mean(point.run, "sigma"),
        "mre_percent": mre_percent,
        **{f"{name}_percent": error for name, error in errors.items()},
        "mIoU_percent": numbers["ours_percent"],
        "mIoU_std_percent": numbers["ours_std_percent"],
        "mIoU_best_percent": numbers["ours_best_percent"],
        "seeds": numbers["seeds"],
        "failed": numbers["failed"],
    }


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return two curves per method, solid and dashed, with diamonds beside; bands are one standard deviation over seeds."""
    frame = frame.rename(columns={"mIoU_percent": "ours_percent", "mIoU_std_percent": "ours_std_percent"})
    figure = new_figure(COLUMN_WIDTH_IN, 3.3)
    axes = figure.add_subplot()
    for method in METHODS:
        for split, line in _LINES.items():
            curve = frame[(frame["method"] == method) & (frame["split"] == split)]
            look = METHOD_STYLE[method]._replace(line=line)
            draw_curve(axes, curve[~curve["noise_default"]], "mre_percent", look, markerfacecolor=look.color)
            _draw_diamond(axes, curve[curve["noise_default"]], look)
    for _index, full in frame[frame["method"] == "full"].head(1).iterrows():
        draw_level(axes, full, METHOD_STYLE["full"])
    axes.margins(y=0.08)
    axes.set_xlabel(ERROR_LABEL)
    label_realised(axes, frame[~frame["noise_default"]])
    axes.set_ylabel("mIoU (%)")
    figure.legend(handles=_legend(frame), loc="outside upper center", ncols=2, columnspacing=1.2)
    return figure


def _draw_diamond(axes: Axes, single: pd.DataFrame, look: LineStyle) -> None:
    axes.errorbar(
        single["mre_percent"],
        single["ours_percent"],
        yerr=single["ours_std_percent"] if single["ours_std_percent"].notna().any() else None,
        fmt="D",
        markersize=6,
        color=look.color,
        markerfacecolor=look.color if look.line == "-" else "white",
        markeredgecolor=BLACK if look.line == "-" else look.color,
        zorder=5,
    )


def _legend(frame: pd.DataFrame) -> list[Line2D]:
    looks = [METHOD_STYLE[method] for method in METHODS if method in set(frame["method"])]
    handles = [Line2D([], [], color=look.color, marker=look.marker, label=look.label) for look in looks]
    if "full" in set(frame["method"]):
        handles.append(Line2D([], [], color=METHOD_STYLE["full"].color, label=METHOD_STYLE["full"].label))
    handles += [Line2D([], [], color=BLACK, linestyle=line, label=split) for split, line in _LINES.items()]
    if frame["noise_default"].any():
        handles.append(
            Line2D([], [], color="white", marker="D", markersize=6, markeredgecolor=BLACK, label="noise of params.yaml")
        )
    return handles


ARTIFACT = Artifact(
    id="a-fig4a",
    title="Accuracy against the error of the size targets",
    shows="Mean IoU against the mean relative error of the size targets, without and with the CRF loss.",
    paper="Accuracy on validation images hardly falls up to an error of 16 %, rises slightly at 4 %, "
    "and the CRF loss adds to it.",
    look_for="How flat the solid lines are up to 16 %, and whether the blue line is above the red one.",
    runs=(SIZES, DEFAULT),
    places=("section 3.2",),
    compute=compute,
    draw=draw,
)
