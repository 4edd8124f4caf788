"""Figure 1 of [SIZE]: what kinds of supervision cost in seconds per image, and what accuracy they buy on PASCAL VOC.

Seconds follow the rule of Bearman et al. (appendix A.1, `labeling_cost`), once with the statistics of PASCAL VOC 2012 and once
with those of the data set that was trained on. Accuracies of points, sizes and masks are runs; those of tags and boxes the paper
took from others: the one for tags is printed in its Table 2, the one for boxes only inside the picture, so that boxes have a
mark on the axis of seconds alone. Above stands what each kind looks like on one procedural picture, with its seconds by the rule.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline import paths
from pipeline.datasets.base import Scene
from pipeline.datasets.synthetic import make_coco_scenes
from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import cost_axis, dots_handles, draw_cost
from pipeline.report.labeling_cost import LABEL_KINDS, VOC_STATISTICS, LabelStatistics, labeling_seconds, read_statistics
from pipeline.report.overlay import show, tint_objects
from pipeline.report.panels import hex_color
from pipeline.report.points import TRAINED, number_columns, sources, table_rows
from pipeline.report.runs import COMPARISON, Where, wheres
from pipeline.report.style import METHOD_STYLE, TEXT_WIDTH_IN, new_figure

NONE = "printed in the picture only"


class Kind(NamedTuple):
    """One kind of supervision."""

    id: str
    """Row of the printed accuracy."""
    cost: str
    """Of `LABEL_KINDS`."""
    style: str
    """Of `METHOD_STYLE`."""
    run: Where | None = None


KINDS = {
    "tags": Kind("tag", "tag", "tag"),
    "points": Kind("point", "point", "pce_crf", Where(family="scribble_sizes", method="pce_crf", length_ratio=0.0)),
    "size targets": Kind("size", "size", "size_crf", Where(family="size_noise", method="size_crf", mre=0.08)),
    "boxes": Kind("box", "box", "box"),
    "full masks": Kind("full", "full mask", "full", Where(family="size_noise", method="full")),
}
"""Cheapest first, as in the paper's table."""
EXAMPLE = {17: ("cat", (213, 94, 0)), 18: ("dog", (0, 114, 178))}
"""Classes of the example picture: index to name and colour."""


def compute(data: Data) -> pd.DataFrame:
    """Return cost and accuracy of every kind of supervision.

    Returns:
        One row per kind: series (name), kind, run (empty where not trained), seconds_voc and seconds_ours (per image, by the rule
        with the statistics of PASCAL VOC and of our data set), the columns of `COMPARISON`, source (of the accuracy) and
        seconds_source (of the time per item).
    """
    by_rule, here = labeling_seconds(VOC_STATISTICS), labeling_seconds(read_statistics())
    kinds = list(KINDS.values())
    rows = {series: kind.run for series, kind in KINDS.items()}
    frame = table_rows(data.runs, rows, lambda series: data.printed(KINDS[series].id, "mIoU"))
    frame["kind"] = [kind.id for kind in kinds]
    frame["seconds_voc"] = [by_rule[kind.cost] for kind in kinds]
    frame["seconds_ours"] = [here[kind.cost] for kind in kinds]
    frame["source"] = sources(frame)
    frame.loc[frame["published_percent"].isna() & (frame["source"] != TRAINED), "source"] = NONE
    frame["seconds_source"] = [LABEL_KINDS[kind.cost].source for kind in kinds]
    return frame[["series", "kind", "run", "seconds_voc", "seconds_ours", *COMPARISON, "source", "seconds_source"]]


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table below the paper's figure: a row per kind of supervision; seconds per image, then mIoU in percent."""
    columns = {
        "supervision": frame["series"],
        "seconds per image, PASCAL VOC": frame["seconds_voc"],
        "seconds per image, our data set": frame["seconds_ours"],
        **number_columns(frame, "mIoU"),
        "accuracy": frame["source"],
        "time per item": frame["seconds_source"],
    }
    return pd.DataFrame(columns)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the kinds on one picture, and below accuracy over seconds per image (logarithmic).

    Published numbers are hollow at PASCAL's cost, ours filled at our data set's.
    """
    figure = new_figure(TEXT_WIDTH_IN, 4.2)
    grid = figure.add_gridspec(2, len(KINDS), height_ratios=[1.0, 2.2])
    axes = figure.add_subplot(grid[1, :])
    _draw_examples([figure.add_subplot(grid[0, place]) for place in range(len(KINDS))])
    handles = []
    for row in frame.to_dict("records"):
        look = METHOD_STYLE[KINDS[str(row["series"])].style]
        draw_cost(axes, row, look, edge=look.color, size=8)
        seconds = f"{row['series']}, {row['seconds_voc']:.0f} s"
        if pd.isna(row["published_percent"]) and pd.isna(row["ours_percent"]):
            seconds += f"\n(accuracy {row['source']})"
        handles += axes.plot([], [], look.marker, color=look.color, label=seconds)
    cost_axis(axes, frame, (5, 10, 20, 50, 100, 200, 500), "labelling time per image (s)")
    figure.legend(handles=[*handles, *dots_handles()], loc="outside upper center", ncols=4)
    return figure


def _draw_examples(panels: list[Axes]) -> None:
    """Draw each kind of supervision on one picture, with the seconds that the rule gives for it among PASCAL's classes."""
    scene = make_coco_scenes(1, seed=8, class_indices=list(EXAMPLE), size_px=(160, 120))[0]
    assert scene.instances is not None  # this maker tells objects apart
    present = [index for index in EXAMPLE if (scene.labels == index).any()]
    objects = [index for index in np.unique(scene.instances) if index]
    seconds = labeling_seconds(LabelStatistics(VOC_STATISTICS.num_classes, len(present), len(objects)))
    for axes, (name, kind) in zip(panels, KINDS.items(), strict=True):
        picture = _masked(scene) if kind.id == "full" else scene.image
        show(axes, picture)
        axes.set_title(f"{name}, {seconds[kind.cost]:.0f} s")
        if kind.id == "box":
            for index in objects:
                y, x = np.nonzero(scene.instances == index)
                color = _hex(int(scene.labels[y[0], x[0]]))
                corner, width, height = (x.min() - 0.5, y.min() - 0.5), float(np.ptp(x)) + 1, float(np.ptp(y)) + 1
                axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=1.2))
        elif kind.id == "point":
            for index in present:
                y, x = np.nonzero(scene.labels == index)
                middle = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
                axes.plot(x[middle], y[middle], "o", color=_hex(index), markeredgecolor="white", markersize=6)
        elif kind.id in ("tag", "size"):
            shares = {index: f" {100 * (scene.labels == index).mean():.0f} %" * (kind.id == "size") for index in present}
            for line, (index, share) in enumerate(shares.items()):
                style = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
                text = f"{EXAMPLE[index][0]}{share}"
                axes.text(5, 6 + 19 * line, text, color=_hex(index), fontsize=7, va="top", bbox=style)


def _masked(scene: Scene) -> np.ndarray:
    palette = [(0, 0, 0)] * (max(EXAMPLE) + 1)
    for index, (_, color) in EXAMPLE.items():
        palette[index] = color
    return tint_objects(scene.image, scene.labels, palette)


def _hex(class_index: int) -> str:
    return hex_color(EXAMPLE[class_index][1])


ARTIFACT = Artifact(
    id="a-fig1",
    title="Labelling time against accuracy by type of supervision",
    shows="Kinds of supervision on a procedural picture, and mean IoU over the seconds that one image takes to annotate.",
    paper="Size targets take a fraction of the time of full masks and reach most of their accuracy.",
    look_for="Whether size targets lie clearly above points for the little that they cost more.",
    runs=wheres(kind.run for kind in KINDS.values()),
    inputs=(paths.DATA_STATISTICS,),
    places=("fig. 1",),
    mark_best=False,  # more supervision costs more
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
