"""Table 4 of [SSL]: gradient descent, hard and soft self-labelling, each with nearest and with dense neighbourhood.

Gradient descent puts the network's own predictions into the Potts term; hard self-labelling is trust region with graph cuts on
the nearest neighbours, and the arg max of dense pseudo-labels; soft self-labelling is H_CCE + P_Q. The paper finds that gradient
descent needs the dense neighbourhood, self-labelling the nearest one with soft labels. Its number of hard, dense self-labelling
is that of another network, as ScribbleSup reported it, and no difference to ours is taken.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Dots
from pipeline.report.points import pivoted, table_rows
from pipeline.report.published import LEGEND, MARKS, OTHER
from pipeline.report.runs import NAN, Where
from pipeline.report.style import METHOD_STYLE

NEIGHBORHOODS = {"NN": "nearest", "DN": "dense"}
_METHODS = Where(family="methods", length_ratio=1.0)
RUNS = {
    ("gradient descent", "NN"): _METHODS.but(method="gd_nn"),
    ("gradient descent", "DN"): _METHODS.but(method="gd_dn"),
    ("hard self-labelling", "NN"): _METHODS.but(method="hard_nn"),
    ("hard self-labelling", "DN"): _METHODS.but(method="hard_dn"),
    ("soft self-labelling", "NN"): Where(family="potts", cross_entropy="cce", relaxation="q", length_ratio=1.0),
    ("soft self-labelling", "DN"): _METHODS.but(method="soft_dn"),
}
"""Row and column of the table to its run."""
_COLORS = {"gradient descent": "gd_nn", "hard self-labelling": "hard_nn", "soft self-labelling": "soft"}


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of the six cells.

    Returns:
        One row per cell: series, method (row), neighborhood (column: NN or DN), run, the columns of `COMPARISON` and origin (of
        the printed number).
    """
    cells = {", ".join(cell): run for cell, run in RUNS.items()}
    frame = table_rows(data.runs, cells, lambda series: data.printed(*series.split(", ")))
    for place, name in enumerate(("method", "neighborhood")):
        frame.insert(1 + place, name, [cell[place] for cell in RUNS])
    frame["origin"] = [data.origin(*cell) for cell in RUNS]
    frame.loc[frame["origin"] == OTHER, "difference_points"] = NAN
    return frame


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per neighbourhood published, ours and the difference."""
    origins = frame.pivot(index="method", columns="neighborhood", values="origin")
    table = pivoted(frame, "method", "method", "neighborhood")
    for name in NEIGHBORHOODS:
        table[f"{name} printed number"] = origins.loc[table["method"], name].to_numpy()
    return table


ARTIFACT = Artifact(
    id="b-tab4",
    title="Gradient descent, hard and soft self-labelling",
    shows="Gradient descent, hard and soft self-labelling, each on nearest and on dense neighbourhoods.",
    paper="Soft self-labelling on nearest neighbours is best, with 71.05 %.",
    look_for="Which neighbourhood suits which method.",
    runs=tuple(RUNS.values()),
    places=("section 3.4", "table 4"),
    compute=compute,
    draw=Dots(
        label=lambda row: f"{row['method']}, {NEIGHBORHOODS[row['neighborhood']]}{MARKS.get(row['origin'], '')}",
        color=lambda row: METHOD_STYLE[_COLORS[row["method"]]].color,
        height_in=2.4,
        title=lambda _: f"{LEGEND}; {MARKS[OTHER]} {OTHER}",
    ),
    tabulate=tabulate,
)
