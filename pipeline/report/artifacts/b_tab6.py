"""Table 6 of [SSL]: half of the pixels labelled in blocks, on Cityscapes and ADE20K, with ResNet-101 DeepLabV3+ in one stage.

The row of others was reported by its authors and is not trained here. The block labels of the paper come as files from TEL, which
does not publish how they were made; ours are the core of every region. The paper finds H_CCE + P_CD best.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import dots_legend, draw_dots
from pipeline.report.points import CITED, METRIC, MIOU_LABEL, in_symbols, pivoted, sources
from pipeline.report.published import LEGEND, MARKS
from pipeline.report.runs import COMPARISON, Where, wheres
from pipeline.report.style import GREY, METHOD_STYLE, TEXT_WIDTH_IN, new_figure

DATASETS = {"Cityscapes": "cityscapes", "ADE20K": "ade20k"}
_FULL = "Deeplab V3+"
_BLOCKS = Where(family="blocks")
ROWS = {
    _FULL: _BLOCKS.but(method="full"),
    "DenseCRF loss": _BLOCKS.but(method="gd_dn"),
    "GridCRF loss": _BLOCKS.but(method="gd_nn"),
    "TEL": None,
    "H_CCE+P_CD": _BLOCKS.but(method="soft"),
}
"""Row of the table to its runs, one per data set; None for a row of others."""
_COLORS = {_FULL: "full", "DenseCRF loss": "gd_dn", "GridCRF loss": "gd_dn", "H_CCE+P_CD": "soft"}


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of every row and data set.

    Returns:
        One row per cell: series (row of the table), column (data set), run (empty for the row of others), the columns of
        `COMPARISON`, source (`CITED` or `TRAINED`) and origin (of the printed number).
    """
    runs = data.runs
    cells = [
        (series, column, where.but(dataset=dataset) if where else None)
        for column, dataset in DATASETS.items()
        for series, where in ROWS.items()
    ]
    runs.require(wheres(run for _, _, run in cells), ["profile", "network"])
    rows = [
        {"series": series, "column": column, **runs.compare(run, METRIC, data.printed(series, column))}
        for series, column, run in cells
    ]
    frame = pd.DataFrame(rows, columns=["series", "column", "run", *COMPARISON])
    origins = [data.origin(series, column) for series, column in zip(frame["series"], frame["column"])]
    return frame.assign(source=sources(frame), origin=origins)


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per data set published, ours and the difference, in percent."""
    table = pivoted(frame, "series", "method", "column")
    table.insert(1, "supervision", ["full masks" if name == _FULL else "blocks, 50 %" for name in table["method"]])
    return table.assign(**{"source": frame["source"], "printed number": frame["origin"]})  # both data sets alike


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the table as dots, a panel per data set; published hollow, ours filled; the row of others grey."""
    figure = new_figure(TEXT_WIDTH_IN, 2.2)
    panels = figure.subplots(1, len(DATASETS), sharey=True)
    for axes, column in zip(panels, DATASETS, strict=True):
        cells = frame[frame["column"] == column]
        colors = [METHOD_STYLE[_COLORS[name]].color if name in _COLORS else GREY for name in cells["series"]]
        labels = ["full masks" if name == _FULL else in_symbols(name) for name in cells["series"]]
        draw_dots(axes, cells, [label + MARKS.get(origin, "") for label, origin in zip(labels, cells["origin"])], colors)
        axes.set(xlabel=MIOU_LABEL, title=column)
    dots_legend(figure, f"grey: {CITED}; {LEGEND}")
    return figure


ARTIFACT = Artifact(
    id="b-tab6",
    title="Comparison with published methods on block labels",
    shows="Half of the pixels labelled in blocks, on Cityscapes and ADE20K.",
    paper="The collision divergence is ahead of DenseCRF and GridCRF losses.",
    look_for="Whether H_CCE+P_CD leads in both columns; the row of others is quoted.",
    runs=wheres(ROWS.values()),
    places=("table 6",),
    compared=lambda table: table["method"] != _FULL,
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
