"""Section 3.3 of [SSL]: soft self-labelling with H_CCE + P_Q on the four nearest neighbours and on the dense neighbourhood.

The paper finds 71.1 against 67.9 %: larger neighbourhoods bring the Potts model closer to a preference of sizes, and
pseudo-labels then follow edges less well.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Dots
from pipeline.report.points import number_columns, table_rows
from pipeline.report.runs import Where
from pipeline.report.style import METHOD_STYLE

RUNS = {
    "nearest neighbours": Where(family="potts", cross_entropy="cce", relaxation="q", length_ratio=1.0),
    "dense neighbourhood": Where(family="methods", method="soft_dn", length_ratio=1.0),
}


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of both neighbourhoods.

    Returns:
        One row per neighbourhood: series, run and the columns of `COMPARISON`.
    """
    return table_rows(data.runs, RUNS, lambda series: data.printed(series, "mIoU"))


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return a row per neighbourhood: published, ours and the difference, in percent."""
    return pd.DataFrame({"neighbourhood": frame["series"], **number_columns(frame)})


ARTIFACT = Artifact(
    id="b-sec33",
    title="Nearest against dense neighbourhood",
    shows="Soft self-labelling on the four nearest neighbours and on the dense neighbourhood.",
    paper="71.1 against 67.9 %: the larger neighbourhood is worse.",
    look_for="The sign of the difference between the two rows.",
    runs=tuple(RUNS.values()),
    places=("section 3.3",),
    compute=compute,
    draw=Dots(
        label=lambda row: str(row["series"]),
        color=lambda row: METHOD_STYLE["soft"].color,
        height_in=1.5,
    ),
    tabulate=tabulate,
)
