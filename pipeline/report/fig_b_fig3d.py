"""Figure 3 (d) of [SSL]: accuracy on test images against the share of training images whose label was replaced by a random one.

A ResNet-18 classifies natural scenes; its targets are eta u + (1 - eta) y, with y the possibly wrong label, u the uniform
distribution and eta the share. The paper finds the collision cross-entropy most robust, the reverse one nearly so, and the
standard one to fall early. It prints the curves as a picture only, so ours stand alone.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import curve_handle, draw_curve
from pipeline.report.points import curve_points
from pipeline.report.style import COLUMN_WIDTH_IN, CROSS_ENTROPY_STYLE, journal_style, new_figure, scale_note

ID = "b-fig3d"
CURVES = {"H_CE": "label_noise/ce-eta{}", "H_RCE": "label_noise/rce-eta{}", "H_CCE": "label_noise/cce-eta{}"}
"""Series to its runs; the digits are the share of corrupted labels in hundredths."""
METRIC = "accuracy_val"


def compute(results: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the three curves, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.

    Returns:
        One row per point: series, run, label_noise (fraction), corrupted_percent and the columns of `cells.COMPARISON`, those of
        printed numbers empty.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    frame = curve_points(results, ID, CURVES, "label_noise", lambda series, share: None, METRIC)
    frame.insert(3, "corrupted_percent", 100 * frame["label_noise"])
    return frame


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 2.9)
    axes = figure.add_subplot()
    for key, look in CROSS_ENTROPY_STYLE.items():
        draw_curve(axes, frame[frame["series"] == f"H_{key.upper()}"], "corrupted_percent", look)
    axes.margins(y=0.08)
    axes.set_xlabel("corrupted training labels (%)")
    axes.set_ylabel("accuracy on test images (%)")
    handles = [curve_handle(look) for look in CROSS_ENTROPY_STYLE.values()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1.0, handlelength=1.6)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
