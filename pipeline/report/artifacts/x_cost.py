"""Beyond both papers: accuracy on PASCAL VOC against the seconds it takes to annotate an image, for their types of supervision.

Seconds follow the rule of Bearman et al. (`labeling_cost`): printed accuracies stand at the cost with the statistics of PASCAL
VOC 2012, ours at the cost with those of the data set that was trained on. Two kinds of annotation of one image share the seconds
for classes that are not there. Where people drew the scribbles that a run was trained on (`seeds.file`), or gave sizes
(`sizes.file`), the seconds they took stand in place of the rule's. All runs have the same network; those of [SIZE] and [SSL]
differ in schedule and input size. Block labels are left out: nobody has published what they cost, and they belong to other data
sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import cost_axis, draw_cost
from pipeline.report.labeling_cost import (
    LABEL_KINDS,
    SECONDS_PER_TAG,
    VOC_STATISTICS,
    LabelKind,
    LabelStatistics,
    labeling_seconds,
    read_statistics,
)
from pipeline.report.points import TRAINED, number_columns, sources, table_rows
from pipeline.report.runs import COMPARISON, NAN, Where, wheres
from pipeline.report.style import BLACK, GREY, METHOD_STYLE, TEXT_WIDTH_IN, new_figure

NONE = "no number printed"


class Supervision(NamedTuple):
    """One type of supervision."""

    kinds: tuple[str, ...]
    """What is annotated, of `labeling_cost.LABEL_KINDS`."""
    style: str
    """Its look, of `METHOD_STYLE`."""
    run: Where | None = None
    printed: tuple[str, str, str] | None = None
    """Row and column of the printed accuracy, and the artifact it belongs to."""


_SCRIBBLES, _SIZES = Where(family="scribble_sizes"), Where(family="size_noise")
_BOTH = _SCRIBBLES.but(method="pce_size_crf", mre=0.08)
_SSL = Where(family="scribble_resnet_potts", training="potts")
ANNOTATED = Where(family="annotated", annotation="annotated")
"""Runs on sizes that people gave; there are none before a file of their answers is named."""
SUPERVISIONS = {
    "tags": Supervision(("tag",), "tag", None, ("tag", "mIoU", "a-fig1")),
    "points": Supervision(("point",), "pce_crf", _SCRIBBLES.but(method="pce_crf", length_ratio=0.0), ("seeds", "0", "a-fig4b")),
    "scribbles, dense CRF loss": Supervision(
        ("scribble",), "gd_dn", _SSL.but(method="gd_dn"), ("DenseCRF loss (V3+, batch 12)", "mIoU", "b-tab5")
    ),
    "scribbles, soft self-labelling": Supervision(
        ("scribble",), "soft", _SSL.but(relaxation="cd"), ("H_CCE+P_CD (V3+, batch 12)", "mIoU", "b-tab5")
    ),
    "size targets": Supervision(("size",), "size_crf", _SIZES.but(method="size_crf", mre=0.08), ("size", "mIoU", "a-fig1")),
    "boxes": Supervision(("box",), "box"),
    "points and size targets": Supervision(
        ("point", "size"), "pce_size_crf", _BOTH.but(length_ratio=0.0), ("seeds+size", "0", "a-fig4b")
    ),
    "scribbles and size targets": Supervision(("scribble", "size"), "size", _BOTH.but(length_ratio=1.0)),
    "full masks": Supervision(("full mask",), "full", _SIZES.but(method="full"), ("full", "mIoU", "a-fig1")),
}
"""Types of supervision, cheapest first. Size targets have a mean relative error of 8 %."""


def compute(data: Data) -> pd.DataFrame:
    """Return cost and accuracy of every type of supervision.

    Returns:
        One row per type: series, run (empty where not trained), seconds_voc and seconds_ours (per image, by the rule with the
        statistics of PASCAL VOC and of our data set), the columns of `COMPARISON` and source (`TRAINED`, `CITED`, `NONE`).
    """

    def printed(series: str) -> float:
        place = SUPERVISIONS[series].printed
        return data.printed(*place) if place else NAN

    frame = table_rows(data.runs, {series: one.run for series, one in SUPERVISIONS.items()}, printed)
    statistics = read_statistics()
    frame["seconds_voc"] = [seconds_per_image(one, VOC_STATISTICS) for one in SUPERVISIONS.values()]
    kinds = [_taken(one, data, statistics) for one in SUPERVISIONS.values()]
    frame["seconds_ours"] = [seconds_per_image(one, statistics, known) for one, known in zip(SUPERVISIONS.values(), kinds)]
    frame["source"] = sources(frame)
    frame.loc[frame["published_percent"].isna() & (frame["source"] != TRAINED), "source"] = NONE
    return frame[["series", "run", "seconds_voc", "seconds_ours", *COMPARISON, "source"]]


def seconds_per_image(
    supervision: Supervision, statistics: LabelStatistics, kinds: Mapping[str, LabelKind] = LABEL_KINDS
) -> float:
    """Return the time of all annotations of an image, absent classes gone through once."""
    seconds = labeling_seconds(statistics, kinds)
    absent = SECONDS_PER_TAG * (statistics.num_classes - statistics.classes_per_image)
    return sum(seconds[kind] for kind in supervision.kinds) - absent * (len(supervision.kinds) - 1)


def _taken(supervision: Supervision, data: Data, statistics: LabelStatistics) -> dict[str, LabelKind]:
    """Return the kinds of supervision with the seconds that people took in place of the rule's, where they annotated."""
    given = data.runs.rows[data.runs.rows["annotation"].eq("annotated")]
    drawn = pd.DataFrame() if supervision.run is None else data.runs.select(supervision.run)
    seconds = {
        "size": given["annotated_seconds"].astype(float).mean() if len(given) else NAN,  # of one class
        "scribble": (
            # of one image, all its classes
            drawn["drawn_seconds"].astype(float).mean() / statistics.classes_per_image if "drawn_seconds" in drawn else NAN
        ),
    }
    people = {name: LabelKind(taken, "class", "annotations of ours") for name, taken in seconds.items() if pd.notna(taken)}
    return LABEL_KINDS | people


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return a row per type of supervision: seconds per image, then published, ours and the difference in percent."""
    columns = {
        "supervision": frame["series"],
        "seconds per image, PASCAL VOC": frame["seconds_voc"],
        "seconds per image, our data set": frame["seconds_ours"],
        **number_columns(frame),
        "source": frame["source"],
    }
    return pd.DataFrame(columns)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return accuracy over seconds per image (logarithmic): ours filled, printed hollow; grey where not trained here."""
    figure = new_figure(TEXT_WIDTH_IN, 3.0)
    axes = figure.add_subplot()
    shown = frame[frame[["published_percent", "ours_percent"]].notna().any(axis=1)]
    for row in shown.to_dict("records"):
        look = METHOD_STYLE[SUPERVISIONS[str(row["series"])].style]
        draw_cost(axes, row, look, edge=look.color if row["source"] == TRAINED else GREY, size=7)
    cost_axis(axes, shown, (10, 20, 50, 100, 200, 500), "annotation time per image (s)")
    figure.legend(handles=_legend(shown), loc="outside right center")
    return figure


def _legend(shown: pd.DataFrame) -> list[Line2D]:
    handles = []
    for row in shown.itertuples():
        look, trained = METHOD_STYLE[SUPERVISIONS[str(row.series)].style], row.source == TRAINED
        color = look.color if trained else GREY
        fill = color if trained else "none"
        label = f"{row.series}, {row.seconds_voc:.0f} s" + ("" if trained else "\n(reported by its authors)")
        handles.append(Line2D([], [], linestyle="", marker=look.marker, color=color, markerfacecolor=fill, label=label))
    handles.append(Line2D([], [], linestyle="", marker="o", color=BLACK, label="ours"))
    handles.append(Line2D([], [], linestyle="", marker="o", color=BLACK, markerfacecolor="none", markersize=7, label="published"))
    return handles


ARTIFACT = Artifact(
    id="x-cost",
    title="Accuracy against annotation time, all types of supervision",
    shows="Accuracy against the seconds of annotation per image for the supervision of both papers.",
    paper="The papers print the accuracies; seconds follow the rule of Bearman et al. for both.",
    look_for="Which kind of annotation lies highest at its cost.",
    runs=(*wheres(one.run for one in SUPERVISIONS.values()), ANNOTATED),
    inputs=(paths.DATA_STATISTICS,),
    mark_best=False,  # more supervision costs more
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
