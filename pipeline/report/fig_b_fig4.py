"""Figure 4 of [SSL]: three cross-entropies between network and pseudo-labels, against the length of scribbles (relaxation P_Q,
nearest neighbours); and from section 3.2 hard pseudo-labels, the arg max of the soft ones, at full length.

The paper finds the collision cross-entropy best at every length, and both it and the reverse one clearly above the standard
one. It prints the curves as a picture only; those of H_CCE + P_Q are a row of its Table 3 and stand here as hollow markers.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import curve_handle, draw_curve, draw_published, published_handle
from pipeline.report.points import LENGTH_LABEL, MIOU_LABEL, curve_points, length_table, table_rows
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, CROSS_ENTROPY_STYLE, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "b-fig4"
CURVES = {"H_CE": "cross_entropies/ce-len{}", "H_RCE": "cross_entropies/rce-len{}", "H_CCE": "potts/q-len{}"}
"""Series to its runs; the digits are the scribble length in hundredths."""
HARD = "H_CCE, hard pseudo-labels"
HARD_RUN = "cross_entropies/hard-len100"


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the three curves and the one of hard pseudo-labels, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per point: series, run, length_ratio and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """

    def printed(series: str, length: float) -> float | None:
        return published_value(published, "b-tab3", "P_Q", f"{length:g}") if series == "H_CCE" else None

    curves = curve_points(results, ID, CURVES, "length_ratio", printed)
    number = published_value(published, ID, "H_CCE+P_Q, hard pseudo-labels", "1")
    # The soft run of the same length is named too, so that both have the same seeds and setting.
    hard = table_rows(results, ID, {HARD: HARD_RUN, "": CURVES["H_CCE"].format("100")}, lambda series: number).iloc[:1]
    return pd.concat([curves, hard.assign(length_ratio=1.0)[list(curves.columns)]], ignore_index=True)


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per cross-entropy; per length published, ours and the difference, in percent."""
    return length_table(frame, "cross-entropy")


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.2)
    axes = figure.add_subplot()
    looks = {**{f"H_{key.upper()}": look for key, look in CROSS_ENTROPY_STYLE.items()}, HARD: METHOD_STYLE["hard_argmax"]}
    handles = []
    for series, look in looks.items():
        curve = frame[frame["series"] == series]
        draw_curve(axes, curve, "length_ratio", look)
        draw_published(axes, curve, "length_ratio", look)
        handles.append(curve_handle(look))
    if frame["published_percent"].notna().any():
        handles.append(published_handle())
    axes.margins(y=0.08)
    axes.set_xlabel(LENGTH_LABEL)
    axes.set_ylabel(MIOU_LABEL)
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
