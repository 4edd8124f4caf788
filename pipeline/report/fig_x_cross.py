"""Beyond both papers: size targets as a further term of soft self-labelling, on the same images, over the length of scribbles.

Three curves: scribbles alone, soft self-labelling with H_CCE + P_CD ([SSL]), and that with the size-target loss at a mean
relative error of 8 % ([SIZE]) in addition. Neither paper tried this, so no number is printed. All use whole images, because a
crop would invalidate a size target.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import curve_handle, draw_curve
from pipeline.report.points import LENGTH_LABEL, MIOU_LABEL, curve_points
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "x-cross"
CURVES = {
    "scribbles": "cross_seeds/pce-len{}",
    "soft self-labelling": "cross/soft-len{}",
    "soft self-labelling + size targets": "cross/soft-size-len{}",
}
"""Series to its runs; the digits are the scribble length in hundredths."""
BASE = "soft self-labelling"
STYLES = {"scribbles": "pce", BASE: "soft", "soft self-labelling + size targets": "soft_size"}


def compute(results: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the three curves, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.

    Returns:
        One row per point: series, run, length_ratio, the columns of `cells.COMPARISON` (those of printed numbers empty) and
        gain_points, the mean difference to soft self-labelling at the same length.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    frame = curve_points(results, ID, CURVES, "length_ratio", lambda series, length: None)
    base = frame[frame["series"] == BASE].set_index("length_ratio")["ours_percent"]
    return frame.assign(gain_points=frame["ours_percent"] - frame["length_ratio"].map(base))


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method; per length ours and the difference to soft self-labelling, in percent.

    Args:
        frame: from `compute`.
    """
    lines = []
    for series, points in frame.groupby("series", sort=False):
        line: dict[str, object] = {"supervision": series}
        for row in points.itertuples():
            length = f"{row.length_ratio:g}"
            line[f"{length} ours"] = row.ours_percent
            line[f"{length} ours std"] = row.ours_std_percent
            line[f"{length} difference"] = float("nan") if series == BASE else row.gain_points
        lines.append(line)
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 3.0)
    axes = figure.add_subplot()
    for series, key in STYLES.items():
        draw_curve(axes, frame[frame["series"] == series], "length_ratio", METHOD_STYLE[key])
    axes.margins(y=0.08)
    axes.set_xlabel(LENGTH_LABEL)
    axes.set_ylabel(MIOU_LABEL)
    handles = [curve_handle(METHOD_STYLE[key]) for key in STYLES.values()]
    figure.legend(handles=handles, loc="outside upper center", ncols=1)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
