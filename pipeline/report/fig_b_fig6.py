"""Figure 6 of [SSL]: gradient descent, hard and soft self-labelling against the length of scribbles.

One panel per neighbourhood. The paper prints curves as a picture only; the numbers at full length are those of its Table 4 and
stand here as hollow markers.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import curve_handle, draw_curve, draw_published, published_handle
from pipeline.report.points import LENGTH_LABEL, MIOU_LABEL, curve_points, length_table
from pipeline.report.published import published_value
from pipeline.report.style import METHOD_STYLE, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "b-fig6"
CURVES = {
    "gradient descent, NN": "methods/gd-nn-len{}",
    "gradient descent, DN": "methods/gd-dn-len{}",
    "hard self-labelling, NN": "methods/hard-nn-len{}",
    "hard self-labelling, DN": "methods/hard-dn-len{}",
    "soft self-labelling, NN": "potts/q-len{}",
    "soft self-labelling, DN": "methods/soft-dn-len{}",
}
"""Series to its runs; the digits are the scribble length in hundredths."""
PANELS = {
    "nearest neighbours": {
        "gradient descent, NN": "gd_nn",
        "hard self-labelling, NN": "hard_nn",
        "soft self-labelling, NN": "soft",
    },
    "dense neighbourhood": {
        "gradient descent, DN": "gd_dn",
        "hard self-labelling, DN": "hard_dn",
        "soft self-labelling, DN": "soft_dn",
    },
}
"""Title of a panel to its series and their looks."""


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per point: series, run, length_ratio and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """

    def printed(series: str, length: float) -> float | None:
        method, neighborhood = series.split(", ")
        return published_value(published, "b-tab4", method, neighborhood) if length == 1 else None

    return curve_points(results, ID, CURVES, "length_ratio", printed)


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method; per length published, ours and the difference, in percent."""
    return length_table(frame, "method")


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 2.9)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, styles) in zip(panels, PANELS.items(), strict=True):
        for series, key in styles.items():
            curve = frame[frame["series"] == series]
            draw_curve(axes, curve, "length_ratio", METHOD_STYLE[key], "-")
            draw_published(axes, curve, "length_ratio", METHOD_STYLE[key])
        axes.margins(y=0.08)
        axes.set(xlabel=LENGTH_LABEL, title=title)
    panels[0].set_ylabel(MIOU_LABEL)
    handles = [curve_handle(METHOD_STYLE[key]) for key in PANELS["nearest neighbours"].values()]
    if frame["published_percent"].notna().any():
        handles.append(published_handle())
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
