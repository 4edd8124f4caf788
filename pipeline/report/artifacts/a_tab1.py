"""Table 1 of [SIZE]: one class against the rest, trained from masks, from exact sizes and from annotated sizes.

The paper finds annotated sizes as good as exact ones. Its annotators needed 9 to 15 seconds per image and erred by 12 to 20 %;
beside that stand the seconds and the error of whoever annotated here, and whether that was a person or a model of one.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Dots
from pipeline.report.points import ANNOTATORS, METRIC, pivoted
from pipeline.report.runs import COMPARISON, Where
from pipeline.report.style import METHOD_STYLE

ONE_CLASS = Where(family="annotated")
CLASSES = ("cat", "dog", "bird")
ANNOTATED = "annotated size"
METHODS = {"mask": "full", "exact size": "size_crf", ANNOTATED: "annotated"}
"""Column of the table to the method of its runs."""
_PRINTED = {"mask": "gt mask mIoU", "exact size": "gt size mIoU", ANNOTATED: "human-annotated size mIoU"}
_STYLES = {"mask": "full", "exact size": "size_crf", ANNOTATED: "annotated"}
_ANNOTATION = ("mre_published_percent", "mre_percent", "seconds_published", "seconds_ours", "annotation")


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of every class and supervision.

    Returns:
        One row per supervision and class of which anything was trained: series (class), supervision, run, the columns of
        `COMPARISON`; and for annotated sizes, else NaN: mre_published_percent, mre_percent, seconds_published,
        seconds_ours (per image), annotation (who annotated: "simulated" or "annotated").
    """
    runs = data.runs
    trained = [name for name in CLASSES if runs.has(ONE_CLASS.but(classes=name))] or CLASSES
    cells = {(name, column): ONE_CLASS.but(classes=name, method=METHODS[column]) for name in trained for column in METHODS}
    runs.require(cells.values(), ["profile", "network"])
    rows: list[dict[str, object]] = []
    for (name, column), run in cells.items():
        row = {"series": name, "supervision": column, **runs.compare(run, METRIC, data.printed(name, _PRINTED[column]))}
        if column == ANNOTATED:
            row["mre_published_percent"] = data.printed(name, "mRE")
            row["mre_percent"] = 100 * runs.cell(run, "annotated_mre").mean
            row["seconds_published"] = data.printed(name, "speed")
            row["seconds_ours"] = runs.cell(run, "annotated_seconds").mean
            row["annotation"] = str(runs.value(run, "annotation"))
        rows.append(row)
    return pd.DataFrame(rows, columns=["series", "supervision", "run", *COMPARISON, *_ANNOTATION])


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per class; accuracies in percent, then the annotators' time and error."""
    table = pivoted(frame, "series", "class", "supervision")
    annotated = frame[frame["supervision"] == ANNOTATED].set_index("series").reindex(table["class"])
    columns = {
        "seconds per image published": annotated["seconds_published"],
        "seconds per image ours": annotated["seconds_ours"],
        "mRE published": annotated["mre_published_percent"],
        "mRE ours": annotated["mre_percent"],
        "annotator of ours": annotated["annotation"].map(ANNOTATORS),
    }
    return table.assign(**{name: column.to_numpy() for name, column in columns.items()})


ARTIFACT = Artifact(
    id="a-tab1",
    title="Binary segmentation with exact and annotated sizes",
    shows="One class against the rest, trained from masks, from exact sizes and from annotated sizes.",
    paper="Annotated sizes are as good as exact ones, at 9 to 15 seconds per image.",
    look_for="The two columns of sizes side by side; seconds of a simulated annotator are those of its model.",
    runs=tuple(ONE_CLASS.but(classes=name) for name in CLASSES),
    places=("table 1",),
    mark_best=False,  # the rows are different tasks
    compute=compute,
    draw=Dots(
        label=lambda row: f"{row['series']}, {row['supervision']}",
        color=lambda row: METHOD_STYLE[_STYLES[row["supervision"]]].color,
        height_in=2.9,
        x_label="mIoU of class and rest (%)",
        title=lambda frame: f"annotated sizes of ours: {ANNOTATORS[frame['annotation'].dropna().iloc[0]]}",
    ),
    tabulate=tabulate,
)
