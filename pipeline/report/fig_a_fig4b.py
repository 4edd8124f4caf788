"""Figure 4 (right) of [SIZE]: accuracy against the length of scribbles, without and with size targets.

Without: partial cross-entropy and CRF loss; with: size targets in addition (Eq. 13), exact or corrupted to a mean relative error
of 8 or 16 %. At length 0 one point per object is labelled. The paper finds that size targets help most where scribbles are
short: from 66.6 to 74 % at length 0, close to what scribbles of full length give. It does not say which of its three errors
the 74 % belong to; they stand beside our run with exact targets.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, compare, levels, require_ids, require_shared, rows_of
from pipeline.report.curves import curve_handle, draw_curve, draw_level, draw_published, level_handle, published_handle
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, Line, journal_style, new_figure, scale_note

ID = "a-fig4b"
WITHOUT = "without size targets"
CURVES = {
    WITHOUT: "scribble_sizes/pce-crf-len{}",
    "mRE 0 %": "scribble_sizes/size-mre00-len{}",
    "mRE 8 %": "scribble_sizes/size-mre08-len{}",
    "mRE 16 %": "scribble_sizes/size-mre16-len{}",
}
"""Series to its runs; the digits are the scribble length in hundredths."""
FULL = "size_noise/full"
METRIC = "mIoU_val"
_PRINTED = {WITHOUT: "seeds", "mRE 0 %": "seeds+size"}
_LINES: dict[str, Line] = {WITHOUT: "-", "mRE 0 %": "-", "mRE 8 %": "--", "mRE 16 %": ":"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per point: series, run, length_ratio and the columns of `cells.COMPARISON`. Full masks have the ends of the axis.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    curves = levels(results, ID, CURVES)
    require_ids(results, ID, ids := [FULL, *(run for curve in curves.values() for run in curve.values())])
    require_shared(results, ID, ids)
    rows: list[dict[str, object]] = []
    for series, curve in curves.items():
        for length, run in curve.items():
            printed = published_value(published, ID, _PRINTED[series], f"{length:g}") if series in _PRINTED else None
            rows.append({"series": series, "run": run, "length_ratio": length, **compare(results, run, METRIC, ID, printed)})
    ends = (min(curves[WITHOUT]), max(curves[WITHOUT]))
    full = compare(results, FULL, METRIC, ID, None)
    rows += [{"series": METHOD_STYLE["full"].label, "run": FULL, "length_ratio": end, **full} for end in ends]
    return pd.DataFrame(rows, columns=["series", "run", "length_ratio", *COMPARISON])


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    handles = []
    for series, line in _LINES.items():
        look = METHOD_STYLE["pce_crf" if series == WITHOUT else "size_pce_crf"]
        curve = frame[frame["series"] == series]
        draw_curve(axes, curve, "length_ratio", look, line)
        draw_published(axes, curve, "length_ratio", look)
        handles.append(curve_handle(look, series if series == WITHOUT else f"with, {series}", line))
    draw_level(axes, frame[frame["run"] == FULL].iloc[0], METHOD_STYLE["full"])
    handles.append(level_handle(METHOD_STYLE["full"]))
    if frame["published_percent"].notna().any():
        handles.append(published_handle())
    axes.margins(y=0.08)
    axes.set_xlabel("scribble length (fraction of the full length)")
    axes.set_ylabel("mIoU on validation images (%)")
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2, handlelength=2.6)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
