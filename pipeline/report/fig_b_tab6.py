"""Table 6 of [SSL]: half of the pixels labelled in blocks, on Cityscapes and ADE20K, with ResNet-101 DeepLabV3+ in one stage.

The row of others was reported by its authors and is not trained here. The block labels of the paper come as files from TEL, which
does not publish how they were made; ours are the core of every region. The paper finds H_CCE + P_CD best.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, cited, compare, require_ids, require_shared, rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.points import METRIC, MIOU_LABEL, in_symbols, number_columns
from pipeline.report.published import published_value
from pipeline.report.style import GREY, METHOD_STYLE, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "b-tab6"
CITED, TRAINED = "reported by its authors", "trained here"
DATASETS = {"Cityscapes": "cityscapes", "ADE20K": "ade20k"}
ROWS = {
    "Deeplab V3+": "blocks/{}-full",
    "DenseCRF loss": "blocks/{}-densecrf",
    "GridCRF loss": "blocks/{}-gridcrf",
    "TEL": "",
    "H_CCE+P_CD": "blocks/{}-cd",
}
"""Row of the table to its runs; empty for a row of others."""
_COLORS = {"Deeplab V3+": "full", "DenseCRF loss": "gd_dn", "GridCRF loss": "gd_dn", "H_CCE+P_CD": "soft"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of every row and data set.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per cell: series (row of the table), column (data set), run (empty for the row of others), the columns of
        `cells.COMPARISON` and source (`CITED` or `TRAINED`).

    Raises:
        ValueError: a run or a value is missing, the runs differ in profile or network, or those of a column in their data set.
    """
    trained = [pattern for pattern in ROWS.values() if pattern]
    require_ids(results, ID, ids := [pattern.format(key) for pattern in trained for key in DATASETS.values()])
    require_shared(results, ID, ids, ["profile", "network"])
    rows: list[dict[str, object]] = []
    for column, key in DATASETS.items():
        require_shared(results, ID, [pattern.format(key) for pattern in trained], ["dataset"])
        for series, pattern in ROWS.items():
            run, printed = pattern.format(key), published_value(published, ID, series, column)
            numbers = compare(results, run, METRIC, ID, printed) if run else cited(printed)
            source = TRAINED if run else CITED
            rows.append({"series": series, "column": column, "run": run, **numbers, "source": source})
    return pd.DataFrame(rows, columns=["series", "column", "run", *COMPARISON, "source"])


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per data set published, ours and the difference, in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for series, rows in frame.groupby("series", sort=False):
        supervision = "full masks" if series == "Deeplab V3+" else "blocks, 50 %"
        line: dict[str, object] = {"method": series, "supervision": supervision}
        for row in rows.itertuples():
            line.update(number_columns(row, tracked, str(row.column)))
        lines.append({**line, "source": rows["source"].iloc[0]})
    return pd.DataFrame(lines)


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the table as dots, a panel per data set; published hollow, ours filled; the row of others grey.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 2.2)
    panels = figure.subplots(1, len(DATASETS), sharey=True)
    for axes, column in zip(panels, DATASETS, strict=True):
        cells = frame[frame["column"] == column]
        colors = [METHOD_STYLE[_COLORS[name]].color if name in _COLORS else GREY for name in cells["series"]]
        draw_dots(axes, cells, ["full masks" if name == "Deeplab V3+" else in_symbols(name) for name in cells["series"]], colors)
        axes.set(xlabel=MIOU_LABEL, title=column)
    figure.legend(
        handles=dots_handles(), loc="outside upper center", ncols=2, title="grey: reported by its authors", title_fontsize=7
    )
    scale_note(figure, rows_of(results, {run for run in frame["run"] if run}))
    return figure
