"""Table 1 of [SIZE]: one class against the rest, trained from masks, from exact sizes and from annotated sizes.

The paper finds annotated sizes as good as exact ones. Its annotators needed 9 to 15 seconds per image and erred by 12 to 20 %;
beside that stand the seconds and the error of whoever annotated here, and whether that was a person or a model of one.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, cell, compare, require_ids, require_shared, rows_of
from pipeline.report.curves import dots_handles, draw_dots
from pipeline.report.published import published_value
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, journal_style, new_figure, scale_note

ID = "a-tab1"
CLASSES = ("cat", "dog", "bird")
SUPERVISIONS = {"mask": "annotated/{}-full", "exact size": "annotated/{}-size", "annotated size": "annotated/{}-annotated"}
"""Column of the table to its runs."""
METRIC = "mIoU_val"
_PRINTED = {"mask": "gt mask mIoU", "exact size": "gt size mIoU", "annotated size": "human-annotated size mIoU"}
_STYLES = {"mask": "full", "exact size": "size_crf", "annotated size": "size_annotated"}


def compute(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return published and own accuracy of every class and supervision.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.
        published: from `load_published`.

    Returns:
        One row per supervision and class of which anything was trained: series (class), supervision, run, the columns of
        `cells.COMPARISON`; and for annotated sizes, else NaN: mre_published_percent, mre_percent, seconds_published,
        seconds_ours (per image), annotation (who annotated: "simulated" or "annotated").

    Raises:
        ValueError: nothing was trained, a run of a class or a value is missing, or the runs differ in profile or network.
    """
    wanted = {name: [pattern.format(name) for pattern in SUPERVISIONS.values()] for name in CLASSES}
    trained = [name for name, ids in wanted.items() if results.index.isin(ids).any()] or list(CLASSES)
    ids = [run for name in trained for run in wanted[name]]
    require_ids(results, ID, ids)
    require_shared(results, ID, ids, ["profile", "network"])
    rows: list[dict[str, object]] = []
    for name in trained:
        for supervision, pattern in SUPERVISIONS.items():
            run, printed = pattern.format(name), published_value(published, ID, name, _PRINTED[supervision])
            row: dict[str, object] = {"series": name, "supervision": supervision, "run": run}
            row.update(compare(results, run, METRIC, ID, printed))
            if supervision == "annotated size":
                row["mre_published_percent"] = published_value(published, ID, name, "mRE")
                row["mre_percent"] = 100 * cell(results, run, "annotated_mre", ID).mean
                row["seconds_published"] = published_value(published, ID, name, "speed")
                row["seconds_ours"] = cell(results, run, "annotated_seconds", ID).mean
                row["annotation"] = str(rows_of(results, [run])["annotation"].iloc[0])
            rows.append(row)
    annotated = ("mre_published_percent", "mre_percent", "seconds_published", "seconds_ours", "annotation")
    return pd.DataFrame(rows, columns=["series", "supervision", "run", *COMPARISON, *annotated])


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per class; accuracies in percent, then the annotators' time and error.

    Args:
        frame: from `compute`. The best epoch gets a column of its own where it was tracked.
    """
    tracked = frame["ours_best_percent"].notna().any()
    lines = []
    for name, rows in frame.groupby("series", sort=False):
        line: dict[str, object] = {"class": name}
        for row in rows.itertuples():
            line[f"{row.supervision} published"] = row.published_percent
            line[f"{row.supervision} ours"] = row.ours_percent
            line[f"{row.supervision} ours std"] = row.ours_std_percent
            if tracked:
                line[f"{row.supervision} ours, best epoch"] = row.ours_best_percent
            line[f"{row.supervision} difference"] = row.difference_points
        annotated = rows[rows["supervision"] == "annotated size"].iloc[0]
        line["seconds per image published"] = annotated["seconds_published"]
        line["seconds per image ours"] = annotated["seconds_ours"]
        line["mRE published"] = annotated["mre_published_percent"]
        line["mRE ours"] = annotated["mre_percent"]
        line["annotator of ours"] = annotator(annotated["annotation"])
        lines.append(line)
    return pd.DataFrame(lines)


def annotator(annotation: str) -> str:
    """Return who made annotated sizes, in words.

    >>> annotator("simulated")
    'simulated annotator'
    """
    return "simulated annotator" if annotation == "simulated" else "people"


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the accuracies as dots, three lines per class, published hollow and ours filled.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 2.9)
    axes = figure.add_subplot()
    made_by = annotator(str(frame["annotation"].dropna().iloc[0]))
    labels = [f"{row.series}, {row.supervision}" for row in frame.itertuples()]
    draw_dots(axes, frame, labels, [METHOD_STYLE[_STYLES[name]].color for name in frame["supervision"]])
    axes.set_xlabel("mIoU of class and rest (%)")
    title = "annotated sizes of ours: " + made_by
    figure.legend(handles=dots_handles(), loc="outside upper center", ncols=2, title=title, title_fontsize=7)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
