"""Figure 7 of [SIZE]: segmentations from size targets (mRE 8 %, with CRF loss), per network, on PASCAL and COCO.

Although a size target says nothing about places, the networks find the objects without a localisation method.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import OBJECT_COLORS, panel_grid, tint_objects
from pipeline.report.panels import Panels, add_class_legend, load_panels, object_handles, run_names, score_panels
from pipeline.report.runs import Where
from pipeline.report.style import TEXT_WIDTH_IN

RUNS = {
    "PASCAL": {
        "ResNet-101": Where(family="size_noise", run="size-crf-mre08"),
        "WideResNet-38": Where(family="backbones", run="wideresnet38-size"),
        "ViT-B/16": Where(family="backbones", run="vit-size"),
    },
    "COCO": {
        "ResNet-101": Where(family="backbones", run="coco-resnet101-size"),
        "ViT-B/16": Where(family="backbones", run="coco-vit-size"),
    },
}
"""Data set to network to run; the paper has no WideResNet-38 on COCO."""
ARCHIVES = {"PASCAL": "a-fig7-voc", "COCO": "a-fig7-coco"}


def _sets() -> dict[str, Panels]:
    return {name: load_panels(ARCHIVES[name], run_names(runs.values())) for name, runs in RUNS.items()}


def compute(_: Data) -> pd.DataFrame:
    """Return how well each prediction fits its ground truth, see `panels.score_panels`, with the data set as first column."""
    frames = []
    for dataset, panels in _sets().items():
        frame = score_panels(panels, RUNS[dataset])
        frame.insert(0, "dataset", dataset)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return a row per image, PASCAL above COCO: image, a prediction per network, ground truth.

    A class has the colour that the first data set with a class of this name gives it, or one that no other class has.
    """
    sets, colors = _sets(), dict[str, tuple[int, int, int]]()
    rows: list[list[np.ndarray | None]] = []
    names: list[str] = []
    titles: dict[int, list[str]] = {}
    handles: dict[str, Patch] = {}
    for dataset, panels in sets.items():
        for name, color in zip(panels.class_names, panels.palette, strict=True):
            free = (other for other in (color, *OBJECT_COLORS) if other not in colors.values())
            colors[name] = colors.get(name) or next(free, color)
        palette = [colors[name] for name in panels.class_names]
        titles[len(rows)] = ["image", *RUNS[dataset], "ground truth"]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True)):
            shown = [*(of_run[index] for of_run in panels.predictions.values()), labels]
            rows.append([image, *(tint_objects(image, labels_of, palette) for labels_of in shown)])
            names.append(dataset)
        handles |= {str(handle.get_label()): handle for handle in object_handles(panels._replace(palette=palette))}
    width = max(map(len, rows))
    rows = [[*row, *[None] * (width - len(row))] for row in rows]
    figure = panel_grid(rows, [""] * width, names, panel_width_in=TEXT_WIDTH_IN / width)
    grid = np.reshape(np.array(figure.axes), (len(rows), width))
    for place, of_row in titles.items():
        for axes, title in zip(grid[place], of_row):
            axes.set_title(title, fontsize=8, pad=3)
    add_class_legend(figure, list(handles.values()))
    return figure


ARTIFACT = Artifact(
    id="a-fig7",
    title="Segmentations from size targets per backbone",
    shows="Segmentations of validation images by every network that was trained from size targets.",
    paper="No method of localisation is needed: standard networks find the objects from sizes alone.",
    look_for="Whether objects are found where they are, for each network.",
    panels={ARCHIVES[dataset]: tuple(runs.values()) for dataset, runs in RUNS.items()},
    scale=lambda _: pd.concat([panels.scale for panels in _sets().values()]),
    compute=compute,
    draw=draw,
)
