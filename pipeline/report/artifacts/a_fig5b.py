"""Figure 5 (right) of [SIZE]: cat, dog, bird and background from size targets of growing error, and from annotated ones.

The star is training from sizes that an annotator gave, at the mean relative error of that annotator; the curve is training from
sizes with Normal noise (Eq. 15), at the error expected from the noise (Eq. 16). The paper finds that annotated sizes, whose
errors have heavy tails, do as well as its curve: 89.6 %, which is 97.2 % of what full masks give.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import (
    curve_handle,
    draw_curve,
    draw_level,
    draw_published,
    label_realised,
    level_handle,
    published_handle,
)
from pipeline.report.points import ANNOTATORS, ERROR_LABEL, METRIC, curve_points
from pipeline.report.runs import COMPARISON, NAN, Where
from pipeline.report.style import BLACK, COLUMN_WIDTH_IN, METHOD_STYLE, new_figure

SIZES, STAR, FULL = "size targets", "annotated", METHOD_STYLE["full"].label
_ANIMALS = Where(family="annotated", several_classes=True)
CURVES = {SIZES: _ANIMALS.but(method="size_crf")}
STAR_RUN = _ANIMALS.but(method="annotated")
FULL_RUN = _ANIMALS.but(method="full")
_PRINTED = "human-annotated size"


def compute(data: Data) -> pd.DataFrame:
    """Return curve, star and level line, averaged over seeds.

    Returns:
        One row per point: series ("size targets", "annotated", "full masks"), run, mre_percent (ours; full masks have the ends of
        the axis), mre_foreground_percent (realised by the objects), mre_published_percent (of the star), the columns of
        `COMPARISON`, share_of_full_percent, its share_of_full_published_percent (of the star), and annotation ("simulated" or
        "annotated"; of the star).
    """
    runs = data.runs
    runs.require([STAR_RUN, FULL_RUN])
    printed = data.printed("full", "mIoU")
    curves = curve_points(runs, CURVES, "mre", lambda series, _: printed if series == FULL else NAN, also={FULL: FULL_RUN})
    curves["mre_percent"] = 100 * curves.pop("mre")
    star = {
        "series": STAR,
        "mre_percent": 100 * runs.cell(STAR_RUN, "annotated_mre").mean,
        "mre_published_percent": data.printed(_PRINTED, "mRE"),
        **runs.compare(STAR_RUN, METRIC, data.printed(_PRINTED, "mIoU")),
        "share_of_full_published_percent": data.printed(_PRINTED, "share of full"),
        "annotation": str(runs.value(STAR_RUN, "annotation")),
    }
    full = curves["series"] == FULL
    rows = [part.to_dict("records") for part in (curves[~full], curves[full])]
    frame = pd.DataFrame([*rows[0], star, *rows[1]])
    frame["share_of_full_percent"] = 100 * frame["ours_percent"] / curves.loc[full, "ours_percent"].iloc[0]
    extra = ["share_of_full_percent", "share_of_full_published_percent", "annotation"]
    return frame[["series", "run", "mre_percent", "mre_foreground_percent", "mre_published_percent", *COMPARISON, *extra]]


def draw(frame: pd.DataFrame, data: Data) -> Figure:
    """Return curve, star and level line; bands and bars are one standard deviation over seeds."""
    figure = new_figure(COLUMN_WIDTH_IN, 3.1)
    axes = figure.add_subplot()
    curve_look, star_look, full_look = (METHOD_STYLE[name] for name in ("size_crf", "annotated", "full"))
    draw_curve(axes, frame[frame["series"] == SIZES], "mre_percent", curve_look)
    stars = frame[frame["series"] == STAR]
    star = stars.iloc[0]
    spread = star["ours_std_percent"] if pd.notna(star["ours_std_percent"]) else None
    edge: dict[str, Any] = {"markeredgecolor": BLACK, "markeredgewidth": 0.5}
    style = {"fmt": star_look.marker, "color": star_look.color, "markersize": 11, "capsize": 2, **edge}
    axes.errorbar(star["mre_percent"], star["ours_percent"], yerr=spread, zorder=5, **style)
    draw_published(axes, stars, "mre_published_percent", star_look)
    full = frame[frame["series"] == FULL].iloc[0]
    draw_level(axes, full, full_look)
    axes.axhline(full["published_percent"], color=full_look.color, linestyle=":", linewidth=1)
    axes.margins(y=0.08)
    axes.set_xlabel(ERROR_LABEL)
    label_realised(axes, frame[frame["series"] == SIZES])
    names = str(data.runs.value(FULL_RUN, "classes")).split()
    axes.set_ylabel(f"mIoU, {', '.join(names)} and background (%)", fontsize=7)
    made_by = ANNOTATORS[star["annotation"]]
    handles = [
        curve_handle(curve_look._replace(label="synthetic size targets")),
        Line2D([], [], color="white", marker="*", markersize=9, markerfacecolor=star_look.color, label=f"sizes by {made_by}"),
        level_handle(full_look),
        published_handle("*"),
        level_handle(full_look._replace(label="full masks, published", line=":")),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2)
    return figure


ARTIFACT = Artifact(
    id="a-fig5b",
    title="Four-way accuracy against the error of the size targets",
    shows="Four-way accuracy (cat, dog, bird, background) against the error of size targets, with annotated sizes as a star.",
    paper="Annotated sizes reach 89.6 %, about 97 % of what full masks give, and lie on the curve of synthetic errors.",
    look_for="Whether the star lies on or above the curve at its error.",
    runs=(*CURVES.values(), STAR_RUN, FULL_RUN),
    places=("section 3.4",),
    compute=compute,
    draw=draw,
)
