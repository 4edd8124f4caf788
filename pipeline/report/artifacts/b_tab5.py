"""Table 5 of [SSL]: ResNet-101 DeepLabV3+ trained from scribbles of full length, beside the methods of others.

Rows that the paper copied from other publications are shown as reported there and not trained here. Its own rows are, and so are
the three CRF losses it ran again: gradient descent on the dense CRF loss, trust region with graph cuts on the grid, and gradient
descent on a sparse non-local CRF, which was never described in full, so that ours is an interpretation. The paper finds that soft
self-labelling exceeds full supervision at batch size 12.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Dots
from pipeline.report.points import CITED, in_symbols, number_columns, sources, table_rows
from pipeline.report.published import LEGEND, MARKS
from pipeline.report.runs import COMPARISON, Where, wheres
from pipeline.report.style import GREEN, GREY, METHOD_STYLE, TEXT_WIDTH_IN

FULL, CHANGED, POTTS = "full supervision", "scribbles, other architectures", "scribbles, Potts relaxations"
_ONE_STAGE, _TWO_STAGES = Where(family="scribble_resnet"), Where(family="scribble_resnet_potts")
FIRST_STAGE = _ONE_STAGE.but(method="pce")
"""Runs that those of two stages start from."""


class Row(NamedTuple):
    """What the table says about one row besides its number; empty where the paper has a dash."""

    group: str
    method: str
    architecture: str
    batch: str
    optimization: str
    neighborhood: str
    where: Where | None = None
    """Its run; None for a row of others."""


ROWS = {
    "Deeplab V3+, batch 16": Row(FULL, "Deeplab", "V3+", "16", "GD", "", _ONE_STAGE.but(method="full", training="seeds-16")),
    "Deeplab V3+, batch 12": Row(FULL, "Deeplab", "V3+", "12", "GD", "", _ONE_STAGE.but(method="full", training="seeds")),
    "Deeplab V2, batch 12": Row(FULL, "Deeplab", "V2", "12", "GD", ""),
    "BPG (V2, batch 10)": Row(CHANGED, "BPG", "V2", "10", "GD", ""),
    "URSS (V2, batch 16)": Row(CHANGED, "URSS", "V2", "16", "GD", ""),
    "SPML (V2, batch 16)": Row(CHANGED, "SPML", "V2", "16", "GD", ""),
    "PSI (V3+)": Row(CHANGED, "PSI", "V3+", "", "SL soft", ""),
    "SEMINAR (V3+, batch 12)": Row(CHANGED, "SEMINAR", "V3+", "12", "GD", ""),
    "TEL (V3+, batch 16)": Row(CHANGED, "TEL", "V3+", "16", "SL soft", ""),
    "ScribbleSup (VGG16-V2, batch 8)": Row(POTTS, "ScribbleSup", "VGG16-V2", "8", "SL hard", "DN"),
    "DenseCRF loss (V3+, batch 12)": Row(
        POTTS, "DenseCRF loss", "V3+", "12", "GD", "DN", _TWO_STAGES.but(method="gd_dn", training="potts")
    ),
    "GridCRF loss (V3+, batch 12)": Row(
        POTTS, "GridCRF loss", "V3+", "12", "SL hard", "NN", _TWO_STAGES.but(method="hard_nn", training="potts")
    ),
    "NonlocalCRF loss (V3+, batch 12)": Row(
        POTTS, "NonlocalCRF loss", "V3+", "12", "GD", "SN", _TWO_STAGES.but(method="gd_sn", training="potts-gd")
    ),
    "H_CCE+P_Q (V3+, batch 12)": Row(
        POTTS, "H_CCE+P_Q", "V3+", "12", "SL soft", "NN", _TWO_STAGES.but(relaxation="q", training="potts")
    ),
    "H_CCE+P_CD (V3+, batch 12)": Row(
        POTTS, "H_CCE+P_CD", "V3+", "12", "SL soft", "NN", _TWO_STAGES.but(relaxation="cd", training="potts")
    ),
    "H_CCE+P_CD (V3+, batch 12, no pretrain)": Row(
        POTTS, "H_CCE+P_CD, no pretrain", "V3+", "12", "SL soft", "NN", _ONE_STAGE.but(relaxation="cd", training="seeds")
    ),
    "H_CCE+P_CD (V3+, batch 16)": Row(
        POTTS, "H_CCE+P_CD", "V3+", "16", "SL soft", "NN", _TWO_STAGES.but(relaxation="cd", training="potts-16")
    ),
    "H_CCE+P_CD (V3+, batch 16, no pretrain)": Row(
        POTTS, "H_CCE+P_CD, no pretrain", "V3+", "16", "SL soft", "NN", _ONE_STAGE.but(relaxation="cd", training="seeds-16")
    ),
}
"""Row of `published.csv` to its description, in the paper's order. Batch sizes are those of the paper; smaller scales keep apart
a smaller batch and a larger one by the training that a run names."""
_DESCRIBED = Row._fields[:-1]


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of every row.

    Returns:
        One row per row of the table: series, the fields of `Row`, run (empty for rows of others), the columns of `COMPARISON`,
        source (`CITED` or `TRAINED`) and origin (of the printed number).
    """
    frame = table_rows(
        data.runs, {series: row.where for series, row in ROWS.items()}, lambda series: data.printed(series, "mIoU")
    )
    described = pd.DataFrame([row[:-1] for row in ROWS.values()], columns=list(_DESCRIBED))
    origins = [data.origin(series, "mIoU") for series in ROWS]
    return pd.concat([frame, described], axis=1).assign(source=sources(frame), origin=origins)[
        ["series", *_DESCRIBED, "run", *COMPARISON, "source", "origin"]
    ]


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it, with published, ours and the difference in percent."""
    described = {
        "group": frame["group"],
        "method": frame["method"],
        "architecture": frame["architecture"],
        "batch size (paper)": frame["batch"].replace("", "-"),
        "optimisation": frame["optimization"],
        "neighbourhood": frame["neighborhood"].replace("", "-"),
    }
    return pd.DataFrame({**described, **number_columns(frame), "source": frame["source"], "printed number": frame["origin"]})


def _color(row: pd.Series) -> str:
    """Return grey for rows of others, green for full masks, and else the colour of the optimisation."""
    if row["source"] == CITED:
        return GREY
    return GREEN if row["group"] == FULL else METHOD_STYLE[_STYLES[row["optimization"]]].color


_STYLES = {"GD": "gd_dn", "SL hard": "hard_nn", "SL soft": "soft"}


ARTIFACT = Artifact(
    id="b-tab5",
    title="Comparison with published methods on scribbles",
    shows="ResNet-101 DeepLabV3+ trained from scribbles of full length beside published methods.",
    paper="Soft self-labelling exceeds full supervision at batch size 12.",
    look_for="The rows trained here; all others are quoted as reported by their authors.",
    runs=(*wheres(row.where for row in ROWS.values()), FIRST_STAGE),
    places=("section 4", "table 5"),
    compared=lambda table: table["group"] != FULL,
    compute=compute,
    draw=Dots(
        label=lambda row: in_symbols(row["series"]) + ", full masks" * (row["group"] == FULL) + MARKS.get(row["origin"], ""),
        color=_color,
        height_in=3.9,
        width_in=TEXT_WIDTH_IN,
        title=lambda _: f"grey: {CITED}; {LEGEND}",
    ),
    tabulate=tabulate,
)
