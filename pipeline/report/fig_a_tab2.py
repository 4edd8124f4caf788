"""Table 2 of [SIZE]: standard networks trained from size targets (mRE 8 %, with CRF loss) beside the methods of others.

The rows of others were reported by their authors and are not trained here. Labels of PASCAL's test images are secret: the
evaluation server scores an archive that is uploaded by hand, and the score comes back into `reports/voc_test_scores.csv`.
The paper finds that size targets reach 92 % (ResNet-101) and 96 % (ViT-B) of full supervision without any change of the network.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, cited, compare, require_ids, require_shared, rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.published import published_value
from pipeline.report.style import BLUE, GREEN, GREY, TEXT_WIDTH_IN, journal_style, new_figure, scale_note

ID = "a-tab2"
VAL, TEST, COCO = "PASCAL val mIoU", "PASCAL test mIoU", "COCO val mIoU"
COLUMNS = (VAL, TEST, COCO)
RUNS = {
    "R101-DeepLabV3+ size (8%)": {VAL: "size_noise/size-crf-mre08", COCO: "backbones/coco-resnet101-size"},
    "R101-DeepLabV3+ full": {VAL: "size_noise/full", COCO: "backbones/coco-resnet101-full"},
    "WR38-DeepLabV3+ size (8%)": {VAL: "backbones/wideresnet38-size"},
    "ViT-B-Linear size (8%)": {VAL: "backbones/vit-size", COCO: "backbones/coco-vit-size"},
    "ViT-B-Linear full": {VAL: "backbones/vit-full"},
}
"""Row of the table to its runs; the test images are scored with the run of the validation images."""
SCORE_COLUMNS = ["run", "score", "url", "date"]
METRIC = "mIoU_val"
CITED, TRAINED, OPEN = "reported by its authors", "trained here", "score not entered"


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


def compute(results: pd.DataFrame, published: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of every row and column.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.
        scores: from `load_scores`.

    Returns:
        One row per cell: series (row of the table), stages ("multi-stage" or "single-stage"), column (of `COLUMNS`), run (empty
        for rows of others), the columns of `cells.COMPARISON`, and source: `CITED`, `TRAINED`, `OPEN`, or address and date of a
        score of the server. Cells that neither the paper nor this project fills are absent.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile.
    """
    require_ids(results, ID, ids := [run for runs in RUNS.values() for run in runs.values()])
    require_shared(results, ID, ids, ["profile"])
    printed = published[(published["artefact"] == ID) & published["column"].isin(COLUMNS)]
    rows: list[dict[str, object]] = []
    for series, cells in printed.groupby("row", sort=False):
        stages = "multi-stage" if cells["note"].str.contains("multi-stage").any() else "single-stage"
        runs = RUNS.get(str(series), {})
        for column in COLUMNS:
            number = published_value(published, ID, str(series), column)
            row: dict[str, object] = {"series": series, "stages": stages, "column": column, "run": runs.get(column, "")}
            if column in runs:
                row.update(compare(results, runs[column], METRIC, ID, number), source=TRAINED)
            elif column == TEST and runs:
                row.update(_scored(runs[VAL], number, scores))
            elif number is None:
                continue
            else:
                row.update(cited(number), source=CITED)
            rows.append(row)
    return pd.DataFrame(rows, columns=["series", "stages", "column", "run", *COMPARISON, "source"])


def _scored(run: str, published: float | None, scores: pd.DataFrame) -> dict[str, object]:
    """Return a cell of the test column."""
    cell: dict[str, object] = {**cited(published), "run": run, "source": OPEN}
    if run in scores.index:
        score, url, date = scores.loc[[run], ["score", "url", "date"]].to_numpy().tolist()[0]
        difference = score - (float("nan") if published is None else published)
        cell.update(ours_percent=score, difference_points=difference, seeds=1, source=f"{url} ({date})")
    return cell


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per method; per column published, ours and the difference, in percent.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = frame["ours_best_percent"].notna().any()
    lines = []
    for series, cells in frame.groupby("series", sort=False):
        trained = series in RUNS
        line: dict[str, object] = {"method": series, "stages": cells["stages"].iloc[0]}
        for column in COLUMNS:
            found = cells[cells["column"] == column]
            numbers = found.iloc[0] if len(found) else pd.Series(float("nan"), index=COMPARISON)
            line[f"{column} published"] = numbers["published_percent"]
            line[f"{column} ours"] = numbers["ours_percent"]
            line[f"{column} ours std"] = numbers["ours_std_percent"]
            if tracked and column != TEST:
                line[f"{column} ours, best epoch"] = numbers["ours_best_percent"]
            line[f"{column} difference"] = numbers["difference_points"]
        line["test server"] = cells.loc[cells["column"] == TEST, "source"].iloc[0] if trained else ""
        line["ours"] = TRAINED if trained else CITED
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.rename(columns={"ours": "source"})


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the table as dots, a panel per column; published hollow, ours filled; rows of others grey.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
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
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2)
    scale_note(figure, rows_of(results, [run for runs in RUNS.values() for run in runs.values()]))
    return figure
