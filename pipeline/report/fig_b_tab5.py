"""Table 5 of [SSL]: ResNet-101 DeepLabV3+ trained from scribbles of full length, beside the methods of others.

Rows that the paper copied from other publications are shown as reported there and not trained here. Its own rows are, and so are
the three CRF losses it ran again: gradient descent on the dense CRF loss, trust region with graph cuts on the grid, and gradient
descent on a sparse non-local CRF, which was never described in full, so that ours is an interpretation. The paper finds that soft
self-labelling exceeds full supervision at batch size 12.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import cited, compare, require_ids, require_shared, rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.points import METRIC, MIOU_LABEL, in_symbols, number_columns
from pipeline.report.published import published_value
from pipeline.report.style import GREEN, GREY, METHOD_STYLE, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "b-tab5"
CITED, TRAINED = "reported by its authors", "trained here"
FULL, CHANGED, POTTS = "full supervision", "scribbles, other architectures", "scribbles, Potts relaxations"


class Row(NamedTuple):
    """What the table says about one row besides its number; empty where the paper has a dash."""

    group: str
    method: str
    architecture: str
    batch: str
    optimization: str
    neighborhood: str
    run: str = ""
    """ "family/run", empty for a row of others."""


ROWS = {
    "Deeplab V3+, batch 16": Row(FULL, "Deeplab", "V3+", "16", "GD", "", "scribble_resnet/full-16"),
    "Deeplab V3+, batch 12": Row(FULL, "Deeplab", "V3+", "12", "GD", "", "scribble_resnet/full-12"),
    "Deeplab V2, batch 12": Row(FULL, "Deeplab", "V2", "12", "GD", ""),
    "BPG (V2, batch 10)": Row(CHANGED, "BPG", "V2", "10", "GD", ""),
    "URSS (V2, batch 16)": Row(CHANGED, "URSS", "V2", "16", "GD", ""),
    "SPML (V2, batch 16)": Row(CHANGED, "SPML", "V2", "16", "GD", ""),
    "PSI (V3+)": Row(CHANGED, "PSI", "V3+", "", "SL soft", ""),
    "SEMINAR (V3+, batch 12)": Row(CHANGED, "SEMINAR", "V3+", "12", "GD", ""),
    "TEL (V3+, batch 16)": Row(CHANGED, "TEL", "V3+", "16", "SL soft", ""),
    "ScribbleSup (VGG16-V2, batch 8)": Row(POTTS, "ScribbleSup", "VGG16-V2", "8", "SL hard", "DN"),
    "DenseCRF loss (V3+, batch 12)": Row(POTTS, "DenseCRF loss", "V3+", "12", "GD", "DN", "scribble_resnet_potts/densecrf-12"),
    "GridCRF loss (V3+, batch 12)": Row(POTTS, "GridCRF loss", "V3+", "12", "SL hard", "NN", "scribble_resnet_potts/gridcrf-12"),
    "NonlocalCRF loss (V3+, batch 12)": Row(
        POTTS, "NonlocalCRF loss", "V3+", "12", "GD", "SN", "scribble_resnet_potts/nonlocalcrf-12"
    ),
    "H_CCE+P_Q (V3+, batch 12)": Row(POTTS, "H_CCE+P_Q", "V3+", "12", "SL soft", "NN", "scribble_resnet_potts/q-12"),
    "H_CCE+P_CD (V3+, batch 12)": Row(POTTS, "H_CCE+P_CD", "V3+", "12", "SL soft", "NN", "scribble_resnet_potts/cd-12"),
    "H_CCE+P_CD (V3+, batch 12, no pretrain)": Row(
        POTTS, "H_CCE+P_CD, no pretrain", "V3+", "12", "SL soft", "NN", "scribble_resnet/cd-12-single"
    ),
    "H_CCE+P_CD (V3+, batch 16)": Row(POTTS, "H_CCE+P_CD", "V3+", "16", "SL soft", "NN", "scribble_resnet_potts/cd-16"),
    "H_CCE+P_CD (V3+, batch 16, no pretrain)": Row(
        POTTS, "H_CCE+P_CD, no pretrain", "V3+", "16", "SL soft", "NN", "scribble_resnet/cd-16-single"
    ),
}
"""Row of `published.csv` to its description, in the paper's order. Batch sizes are those of the paper."""


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of every row.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per row of the table: series, the fields of `Row` (run is empty for rows of others), the columns of
        `cells.COMPARISON` and source (`CITED` or `TRAINED`).

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """

    require_ids(results, ID, ids := [row.run for row in ROWS.values() if row.run])
    require_shared(results, ID, ids)
    rows: list[dict[str, object]] = []
    for series, row in ROWS.items():
        printed = published_value(published, ID, series, "mIoU")
        numbers = compare(results, row.run, METRIC, ID, printed) if row.run else cited(printed)
        rows.append({"series": series, **row._asdict(), **numbers, "source": TRAINED if row.run else CITED})
    return pd.DataFrame(rows)


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it, with published, ours and the difference in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for row in frame.itertuples():
        described = {
            "group": row.group,
            "method": row.method,
            "architecture": row.architecture,
            "batch size (paper)": row.batch or "-",
            "optimisation": row.optimization,
            "neighbourhood": row.neighborhood or "-",
        }
        lines.append({**described, **number_columns(row, tracked), "source": row.source})
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the table as dots, published hollow and ours filled; rows of others grey, full masks green.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 3.9)
    axes = figure.add_subplot()
    colors = [
        GREY if row.source == CITED else GREEN if row.group == FULL else METHOD_STYLE[_style(str(row.optimization))].color
        for row in frame.itertuples()
    ]
    labels = [
        f"{name}, full masks" if group == FULL else in_symbols(name) for name, group in zip(frame["series"], frame["group"])
    ]
    draw_dots(axes, frame, labels, colors)
    axes.set_xlabel(MIOU_LABEL)
    figure.legend(
        handles=dots_handles(), loc="outside upper center", ncols=2, title="grey: reported by its authors", title_fontsize=7
    )
    scale_note(figure, rows_of(results, {run for run in frame["run"] if run}))
    return figure


def _style(optimization: str) -> str:
    return {"GD": "gd_dn", "SL hard": "hard_nn", "SL soft": "soft"}[optimization]
