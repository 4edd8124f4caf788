"""Figure 4 (left) of [SIZE]: accuracy against the mean relative error of the size targets.

Networks are trained from size targets that were corrupted by Normal noise (Eq. 15); the horizontal axis is the error expected
from the noise, mRE = sqrt(2 / pi) sigma (Eq. 16). Red: the size-target loss alone (Eq. 2); blue: with the CRF loss (Eq. 12).
Solid lines are accuracy on validation images, dashed lines on training images, the green line is training from full masks.
The paper finds the solid lines nearly flat up to an error of 16 %, with a rise at 4 %, while the dashed blue line falls.
Diamonds are runs whose noise is the parameter `noise.sigma`; they are not joined, because their place moves with it.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.runs import is_true, mean_over_seeds, require_columns, require_one_setting, require_runs, require_values
from pipeline.report.style import BLACK, COLUMN_WIDTH_IN, METHOD_STYLE, Line, journal_style, new_figure, scale_note

ID = "a-fig4a"
METHODS = ("size", "size_crf")
SPLITS = {"validation": "mIoU_val", "training": "mIoU_train"}
_LINES: dict[str, Line] = {"validation": "-", "training": "--"}
_METRICS = (*SPLITS.values(), "mIoU_val_best", "mre_all", "mre_foreground")
_POINT = (
    "series",
    "method",
    "split",
    "noise_default",
    "sigma",
    "mre_percent",
    "mre_all_percent",
    "mre_foreground_percent",
    "mIoU_percent",
    "mIoU_std_percent",
    "mIoU_best_percent",
    "seeds",
)
_NEEDED = ("run", "method", "dataset", "network", "profile", "device", "seed", "sigma", "mre", "noise_default", *_METRICS)


def compute(results: pd.DataFrame) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Args:
        results: one run per row, metrics and errors as fractions; rows of other methods are ignored.

    Returns:
        One row per point: series, method, split (validation or training), noise_default (the noise is `noise.sigma`), sigma,
        mre_percent (analytic; full masks get the ends of the axis), mre_all_percent and mre_foreground_percent (realised),
        mIoU_percent, mIoU_std_percent, mIoU_best_percent (best epoch; empty if not tracked) and seeds.

    Raises:
        ValueError: a column or a value is missing, no size-target run is there, runs differ in data set, network or profile, or a
            noise level that one curve has is missing from the other.
    """
    rows = _checked(results)
    means = mean_over_seeds(rows, ["method", "noise_default", "sigma", "mre"], _METRICS)
    means["mre_percent"] = 100 * means["mre"]
    frames = []
    for method in [method for method in (*METHODS, "full") if method in set(rows["method"])]:
        of_method = means[means["method"] == method].sort_values(["noise_default", "mre"])
        for split, metric in SPLITS.items():
            if method == "full" and split == "training":
                continue
            points = of_method.assign(
                series=[_name(method, split, default) for default in of_method["noise_default"]],
                split=split,
                mIoU_percent=of_method[f"{metric}_percent"],
                mIoU_std_percent=of_method[f"{metric}_std_percent"],
                mIoU_best_percent=of_method["mIoU_val_best_percent"] if split == "validation" else float("nan"),
            )
            if method == "full":  # without a noise level of its own: a level line over the whole axis
                ends = (means["mre_percent"].min(), means["mre_percent"].max())
                points = pd.concat([points.assign(mre_percent=end) for end in ends])
            frames.append(points[list(_POINT)])
    return pd.concat(frames, ignore_index=True)


def _checked(results: pd.DataFrame) -> pd.DataFrame:
    require_columns(results, ID, _NEEDED)
    rows = results[results["method"].isin([*METHODS, "full"])].copy()
    rows["noise_default"] = is_true(rows["noise_default"])
    rows["mre"] = rows["mre"].astype(float).round(9)
    if not set(METHODS) & set(rows["method"]):
        raise ValueError(f"{ID}: expected runs of the methods {list(METHODS)}, got {sorted(set(results['method']))}")
    require_one_setting(rows, ID)
    for default in (False, True):
        curves = rows[(rows["method"] != "full") & (rows["noise_default"] == default)]
        if len(curves):
            require_runs(curves, ID, {"method": sorted(set(curves["method"])), "mre": sorted(set(curves["mre"]))})
    full = rows[rows["method"] == "full"]
    if len(full):
        require_runs(full, ID, {"method": ["full"]})
    require_values(rows, ID, tuple(SPLITS.values()))
    return rows


def _name(method: str, split: str, default: bool) -> str:
    return f"{METHOD_STYLE[method].label}, {split}" + (", noise.sigma" if default else "")


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.3)
    axes = figure.add_subplot()
    for method in METHODS:
        for split, line in _LINES.items():
            curve = frame[(frame["method"] == method) & (frame["split"] == split)]
            _draw_curve(axes, curve, METHOD_STYLE[method].color, METHOD_STYLE[method].marker, line)
    for _, full in frame[frame["method"] == "full"].head(1).iterrows():
        axes.axhline(full["mIoU_percent"], color=METHOD_STYLE["full"].color)
        if pd.notna(full["mIoU_std_percent"]):
            low, high = full["mIoU_percent"] - full["mIoU_std_percent"], full["mIoU_percent"] + full["mIoU_std_percent"]
            axes.axhspan(low, high, color=METHOD_STYLE["full"].color, alpha=0.15, linewidth=0)
    axes.margins(y=0.08)
    axes.set_xlabel("mean relative error of the size targets, mRE (%)")
    axes.set_ylabel("mIoU (%)")
    figure.legend(handles=_legend(frame), loc="outside upper center", ncols=2, columnspacing=1.2)
    scale_note(figure, results[results["method"].isin([*METHODS, "full"])])
    return figure


def _draw_curve(axes: Axes, curve: pd.DataFrame, color: str, marker: str, line: Line) -> None:
    joined = curve[~curve["noise_default"]]
    axes.plot(joined["mre_percent"], joined["mIoU_percent"], line, marker=marker, color=color, clip_on=False)
    if joined["mIoU_std_percent"].notna().any():
        low, high = joined["mIoU_percent"] - joined["mIoU_std_percent"], joined["mIoU_percent"] + joined["mIoU_std_percent"]
        axes.fill_between(joined["mre_percent"], low, high, color=color, alpha=0.15, linewidth=0)
    single = curve[curve["noise_default"]]
    fill = color if line == "-" else "white"
    axes.errorbar(
        single["mre_percent"],
        single["mIoU_percent"],
        yerr=single["mIoU_std_percent"] if single["mIoU_std_percent"].notna().any() else None,
        fmt="D",
        markersize=6,
        color=color,
        markerfacecolor=fill,
        markeredgecolor=BLACK if line == "-" else color,
        zorder=5,
    )


def _legend(frame: pd.DataFrame) -> list[Line2D]:
    methods = [method for method in METHODS if method in set(frame["method"])]
    looks = [METHOD_STYLE[method] for method in methods]
    handles = [Line2D([], [], color=look.color, marker=look.marker, label=look.label) for look in looks]
    if "full" in set(frame["method"]):
        handles.append(Line2D([], [], color=METHOD_STYLE["full"].color, label=METHOD_STYLE["full"].label))
    handles += [Line2D([], [], color=BLACK, linestyle=line, label=split) for split, line in _LINES.items()]
    if frame["noise_default"].any():
        handles.append(Line2D([], [], color="white", marker="D", markersize=6, markeredgecolor=BLACK, label="noise.sigma"))
    return handles
