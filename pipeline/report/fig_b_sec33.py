"""Section 3.3 of [SSL]: soft self-labelling with H_CCE + P_Q on the four nearest neighbours and on the dense neighbourhood.

The paper finds 71.1 against 67.9 %: larger neighbourhoods bring the Potts model closer to a preference of sizes, and
pseudo-labels then follow edges less well.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.points import MIOU_LABEL, number_columns, table_rows
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "b-sec33"
RUNS = {"nearest neighbours": "potts/q-len100", "dense neighbourhood": "methods/soft-dn-len100"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of both neighbourhoods.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per neighbourhood: series, run and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    return table_rows(results, ID, RUNS, lambda series: published_value(published, ID, series, "mIoU"))


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per neighbourhood: published, ours and the difference, in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    return pd.DataFrame([{"neighbourhood": row.series, **number_columns(row, tracked)} for row in frame.itertuples()])


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return both numbers as dots, published hollow and ours filled.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 1.5)
    axes = figure.add_subplot()
    draw_dots(axes, frame, list(frame["series"]), [METHOD_STYLE["soft"].color] * len(frame))
    axes.set_xlabel(MIOU_LABEL)
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
