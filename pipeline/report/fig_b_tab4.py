"""Table 4 of [SSL]: gradient descent, hard and soft self-labelling, each with nearest and with dense neighbourhood.

Gradient descent puts the network's own predictions into the Potts term; hard self-labelling is trust region with graph cuts on
the nearest neighbours, and the arg max of dense pseudo-labels; soft self-labelling is H_CCE + P_Q. The paper finds that gradient
descent needs the dense neighbourhood, self-labelling the nearest one with soft labels. Its number of hard, dense self-labelling
is that of another network, as ScribbleSup reported it.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.points import MIOU_LABEL, number_columns, table_rows
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "b-tab4"
NEIGHBORHOODS = {"NN": "nearest", "DN": "dense"}
RUNS = {
    ("gradient descent", "NN"): "methods/gd-nn-len100",
    ("gradient descent", "DN"): "methods/gd-dn-len100",
    ("hard self-labelling", "NN"): "methods/hard-nn-len100",
    ("hard self-labelling", "DN"): "methods/hard-dn-len100",
    ("soft self-labelling", "NN"): "potts/q-len100",
    ("soft self-labelling", "DN"): "methods/soft-dn-len100",
}
"""Row and column of the table to its run."""
_COLORS = {"gradient descent": "gd_nn", "hard self-labelling": "hard_nn", "soft self-labelling": "soft"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of the six cells.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per cell: series, method (row), neighborhood (column: NN or DN), run and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    cells = {f"{method}, {neighborhood}": (method, neighborhood) for method, neighborhood in RUNS}
    runs = {series: RUNS[key] for series, key in cells.items()}
    frame = table_rows(results, ID, runs, lambda series: published_value(published, ID, *cells[series]))
    frame.insert(1, "method", [cells[series][0] for series in frame["series"]])
    frame.insert(2, "neighborhood", [cells[series][1] for series in frame["series"]])
    return frame


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per neighbourhood published, ours and the difference.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for method, rows in frame.groupby("method", sort=False):
        line: dict[str, object] = {"method": method}
        for row in rows.itertuples():
            line.update(number_columns(row, tracked, str(row.neighborhood)))
        lines.append(line)
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the six cells as dots, published hollow and ours filled.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 2.4)
    axes = figure.add_subplot()
    labels = [f"{row.method}, {NEIGHBORHOODS[str(row.neighborhood)]}" for row in frame.itertuples()]
    draw_dots(axes, frame, labels, [METHOD_STYLE[_COLORS[method]].color for method in frame["method"]])
    axes.set_xlabel(MIOU_LABEL)
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
