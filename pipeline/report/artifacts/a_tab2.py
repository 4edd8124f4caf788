"""Table 2 of [SIZE]: standard networks trained from size targets (mRE 8 %, with CRF loss) beside the methods of others.

The rows of others were reported by their authors and are not trained here. Labels of PASCAL's test images are secret: the
evaluation server scores an archive that is uploaded by hand, and the score comes back into `reports/voc_test_scores.csv`.
The paper finds that size targets reach 92 % (ResNet-101) and 96 % (ViT-B) of full supervision without any change of the network.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import dots_legend, draw_dots
from pipeline.report.points import CITED, METRIC, TRAINED, pivoted
from pipeline.report.runs import COMPARISON, Where
from pipeline.report.style import BLUE, GREEN, GREY, TEXT_WIDTH_IN, new_figure

ID = "a-tab2"
VAL, TEST, COCO = "PASCAL val mIoU", "PASCAL test mIoU", "COCO val mIoU"
COLUMNS = (VAL, TEST, COCO)
_RESNET, _OTHERS, _COCO = (
    Where(family="size_noise"),
    Where(family="backbones", dataset="voc"),
    Where(family="backbones", dataset="coco"),
)
RUNS = {
    "R101-DeepLabV3+ size (8%)": {
        VAL: _RESNET.but(method="size_crf", supervision="voc-sizes-mre08"),
        COCO: _COCO.but(network="resnet101", method="size_crf"),
    },
    "R101-DeepLabV3+ full": {VAL: _RESNET.but(method="full"), COCO: _COCO.but(network="resnet101", method="full")},
    "WR38-DeepLabV3+ size (8%)": {VAL: _OTHERS.but(network="wideresnet38")},
    "ViT-B-Linear size (8%)": {VAL: _OTHERS.but(network="vit", method="size_crf"), COCO: _COCO.but(network="vit")},
    "ViT-B-Linear full": {VAL: _OTHERS.but(network="vit", method="full")},
}
"""Row of the table to its runs, by what params.yaml says of them; those of the column `VAL` are scored on the test images too."""
REALISED = "realised mRE of objects"
SCORE_COLUMNS = ["run", "score", "url", "date"]
OPEN = "score not entered"


def load_scores(path: Path) -> pd.DataFrame:
    """Return the scores of the evaluation server, as entered by hand.

    Args:
        path: CSV file with the columns run ("family/run"), score (percent, as the server prints it), url and date.

    Returns:
        One line per run, indexed by run; `score` is float64.

    Raises:
        ValueError: other columns, a score that is no percentage, or a run twice.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != SCORE_COLUMNS:
        raise ValueError(f"{path}: expected columns {SCORE_COLUMNS}, got {list(frame.columns)}")
    values = pd.to_numeric(frame["score"], errors="coerce").astype(float)
    wrong = frame.loc[~values.between(0, 100) | frame["run"].duplicated(), ["run", "score"]]
    if len(wrong):
        raise ValueError(f"{path}: expected one score of 0 to 100 per run, got {wrong.to_dict('records')}")
    return frame.assign(score=values).set_index("run")


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of every row and column.

    Returns:
        One row per cell: series (row of the table), stages ("multi-stage" or "single-stage"), column (of `COLUMNS`), run (empty
        for rows of others), the columns of `COMPARISON`, mre_foreground_percent (the error that size targets came to for objects)
        and source: `CITED`, `TRAINED`, `OPEN`, or address and date of a score of the server. Cells that nobody fills are absent.
    """
    data.runs.require([run for runs in RUNS.values() for run in runs.values()], ["profile"])
    scores = load_scores(paths.TEST_SCORES)
    printed = data.published[(data.published["artifact"] == ID) & data.published["column"].isin(COLUMNS)]
    rows: list[dict[str, object]] = []
    for series, cells in printed.groupby("row", sort=False):
        stages = "multi-stage" if cells["note"].str.contains("multi-stage").any() else "single-stage"
        runs = RUNS.get(str(series), {})
        for column in COLUMNS:
            number = data.printed(str(series), column)
            row: dict[str, object] = {"series": series, "stages": stages, "column": column}
            if column == TEST and runs:
                row.update(_scored(data, runs[VAL], number, scores))
            elif column in runs or not pd.isna(number):
                source = TRAINED if column in runs else CITED
                row.update(data.runs.compare(runs.get(column), METRIC, number), source=source)
                if column in runs:
                    row["mre_foreground_percent"] = 100 * data.runs.mean(runs[column], "mre_foreground")
            else:
                continue
            rows.append(row)
    return pd.DataFrame(rows, columns=["series", "stages", "column", "run", *COMPARISON, "mre_foreground_percent", "source"])


def _scored(data: Data, run: Where, printed: float, scores: pd.DataFrame) -> dict[str, object]:
    """Return a cell of the test column."""
    name = data.runs.name(run)
    cell = {**data.runs.compare(None, METRIC, printed), "run": name, "source": OPEN}
    if name in scores.index:
        score, url, date = scores.loc[[name], ["score", "url", "date"]].to_numpy().tolist()[0]
        cell.update(ours_percent=score, difference_points=score - printed, seeds=1, source=f"{url} ({date})")
    return cell


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per column published, ours and the difference, in percent."""
    table = pivoted(frame, "series", "method", "column").drop(columns=f"{TEST} ours, best epoch", errors="ignore")
    cells = frame.groupby("series", sort=False)
    table.insert(1, "stages", cells["stages"].first().to_numpy())
    servers = frame[frame["column"] == TEST].set_index("series")["source"]
    errors = frame.dropna(subset="mre_foreground_percent")
    realised = {
        name: ", ".join(f"{row['column'].split()[0]} {row['mre_foreground_percent']:.1f} %" for row in rows.to_dict("records"))
        for name, rows in errors.groupby("series")
    }
    table[REALISED] = [realised.get(name, "") for name in table["method"]]
    table["test server"] = [servers[name] if name in RUNS else "" for name in table["method"]]
    table["source"] = [TRAINED if name in RUNS else CITED for name in table["method"]]
    return table


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the table as dots, a panel per column; published hollow, ours filled; rows of others grey."""
    figure = new_figure(TEXT_WIDTH_IN, 3.7)
    panels = figure.subplots(1, len(COLUMNS), sharey=True)
    names = list(dict.fromkeys(frame["series"]))
    colors = [GREY if name not in RUNS else GREEN if name.endswith("full") else BLUE for name in names]
    for axes, column in zip(panels, COLUMNS, strict=True):
        cells = frame[frame["column"] == column].set_index("series").reindex(names)
        draw_dots(axes, cells, names, colors)
        axes.set(xlabel="mIoU (%)", title=column.removesuffix(" mIoU"))
    if frame.loc[frame["source"] == OPEN, "run"].any():
        panels[COLUMNS.index(TEST)].set_title("PASCAL test\n(scores not entered are absent)", fontsize=7)
    dots_legend(figure, f"grey: {CITED}")
    return figure


ARTIFACT = Artifact(
    id=ID,
    title="Comparison with published methods on PASCAL and COCO",
    shows="Standard networks trained from size targets with an error of 8 % beside published methods.",
    paper="92 % (ResNet-101) and 96 % (ViT-B) of full supervision are reached without a special architecture.",
    look_for="The ratio of each row of sizes to the row of full masks below it. Rows of others are quoted, not trained.",
    runs=tuple(run for runs in RUNS.values() for run in runs.values()),
    inputs=(paths.TEST_SCORES,),
    places=("section 3.5",),
    compared=lambda table: ~table["method"].str.contains("full"),
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
