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

from pipeline.report.cells import COMPARISON, cell, compare, levels, require_ids, require_shared, rows_of
from pipeline.report.curves import curve_handle, draw_curve, draw_level, draw_published, level_handle, published_handle
from pipeline.report.fig_a_tab1 import annotator
from pipeline.report.published import published_value
from pipeline.report.style import BLACK, COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "a-fig5b"
CURVE = "annotated/animals-size-mre{}"
ANNOTATED = "annotated/animals-annotated"
FULL = "annotated/animals-full"
METRIC = "mIoU_val"
_PRINTED = "human-annotated size"


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return curve, star and level line, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per point: series ("size targets", "annotated", "full masks"), run, mre_percent (ours; full masks have the ends of
        the axis), mre_published_percent (of the star), the columns of `cells.COMPARISON`, share_of_full_percent, its
        share_of_full_published_percent (of the star), and annotation ("simulated" or "annotated"; of the star).

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    curve = levels(results, ID, {"size": CURVE})["size"]
    require_ids(results, ID, ids := [FULL, ANNOTATED, *curve.values()])
    require_shared(results, ID, ids)
    rows: list[dict[str, object]] = [
        {"series": "size targets", "run": run, "mre_percent": 100 * mre, **compare(results, run, METRIC, ID, None)}
        for mre, run in curve.items()
    ]
    star = {
        "series": "annotated",
        "run": ANNOTATED,
        "mre_percent": 100 * cell(results, ANNOTATED, "annotated_mre", ID).mean,
        "mre_published_percent": published_value(published, ID, _PRINTED, "mRE"),
        "share_of_full_published_percent": published_value(published, ID, _PRINTED, "share of full"),
        "annotation": str(rows_of(results, [ANNOTATED])["annotation"].iloc[0]),
    }
    rows.append({**star, **compare(results, ANNOTATED, METRIC, ID, published_value(published, ID, _PRINTED, "mIoU"))})
    full = compare(results, FULL, METRIC, ID, published_value(published, ID, "full", "mIoU"))
    ends = (100 * min(curve), 100 * max(curve))
    rows += [{"series": METHOD_STYLE["full"].label, "run": FULL, "mre_percent": end, **full} for end in ends]
    frame = pd.DataFrame(rows)
    frame["share_of_full_percent"] = 100 * frame["ours_percent"] / full["ours_percent"]
    extra = ["share_of_full_percent", "share_of_full_published_percent", "annotation"]
    return frame[["series", "run", "mre_percent", "mre_published_percent", *COMPARISON, *extra]]


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands and bars are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.1)
    axes = figure.add_subplot()
    curve_look, star_look, full_look = (METHOD_STYLE[name] for name in ("size_crf", "size_annotated", "full"))
    draw_curve(axes, frame[frame["series"] == "size targets"], "mre_percent", curve_look)
    star = frame[frame["series"] == "annotated"].iloc[0]
    spread = star["ours_std_percent"] if pd.notna(star["ours_std_percent"]) else None
    style: dict[str, Any] = {
        "color": star_look.color,
        "markersize": 11,
        "markeredgecolor": BLACK,
        "markeredgewidth": 0.5,
        "capsize": 2,
    }
    axes.errorbar(star["mre_percent"], star["ours_percent"], yerr=spread, fmt=star_look.marker, zorder=5, **style)
    printed = frame[frame["series"] == "annotated"]
    draw_published(axes, printed, "mre_published_percent", star_look)
    full = frame[frame["run"] == FULL]
    draw_level(axes, full.iloc[0], full_look)
    axes.axhline(full["published_percent"].iloc[0], color=full_look.color, linestyle=":", linewidth=1)
    axes.margins(y=0.08)
    axes.set_xlabel("mean relative error of the size targets, mRE (%)")
    names = str(rows_of(results, [FULL])["classes"].iloc[0]).split()
    axes.set_ylabel(f"mIoU, {', '.join(names)} and background (%)", fontsize=7)
    made_by = annotator(star["annotation"])
    handles = [
        curve_handle(curve_look, "synthetic size targets"),
        Line2D([], [], color="white", marker="*", markersize=9, markerfacecolor=star_look.color, label=f"sizes by {made_by}"),
        level_handle(full_look),
        published_handle("*"),
        level_handle(full_look, "full masks, published", ":"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
