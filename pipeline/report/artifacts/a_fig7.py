"""Figure 7 of [SIZE]: segmentations from size targets (mRE 8 %, with CRF loss), per network, on PASCAL and COCO.

Although a size target says nothing about places, the networks find the objects without a localisation method.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import blend, panel_grid
from pipeline.report.panels import Panels, add_class_legend, class_handles, load_panels, run_names, score_panels
from pipeline.report.runs import Where
from pipeline.report.style import TEXT_WIDTH_IN

NETWORKS = ("ResNet-101", "WideResNet-38", "ViT-B/16")
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
    """Return how well each prediction fits its ground truth, see `panels.score_panels`, with the data set as first column.

    Raises:
        ValueError: arrays or runs are missing or do not fit together.
    """
    frames = []
    for dataset, panels in _sets().items():
        frame = score_panels(panels, RUNS[dataset])
        frame.insert(0, "dataset", dataset)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return a row per image, PASCAL above COCO: image, a prediction per network, ground truth."""
    rows: list[list[np.ndarray | None]] = []
    names = []
    sets = _sets()
    for dataset, panels in sets.items():
        predictions = dict(zip(RUNS[dataset], panels.predictions.values(), strict=True))
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True)):
            found = [predictions[network][index] if network in predictions else None for network in NETWORKS]
            shown = [None if labels_of is None else blend(image, labels_of, panels.palette) for labels_of in found]
            rows.append([image, *shown, blend(image, labels, panels.palette)])
            names.append(dataset)
    titles = ["image", *NETWORKS, "ground truth"]
    figure = panel_grid(rows, titles, names, panel_width_in=TEXT_WIDTH_IN / len(titles))
    add_class_legend(figure, _legend(sets))
    return figure


def _legend(sets: Mapping[str, Panels]) -> list[Patch]:
    """Return an entry per class and colour; a class that another data set draws in another colour is named with its data set."""
    handles: list[Patch] = []
    for dataset, panels in sets.items():
        known = {str(handle.get_label()): handle.get_facecolor() for handle in handles}
        for handle in class_handles(panels):
            name = str(handle.get_label())
            if known.get(name) == handle.get_facecolor():
                continue
            if name in known:
                handle.set_label(f"{name} ({dataset})")
            handles.append(handle)
    return handles


ARTIFACT = Artifact(
    id="a-fig7",
    title="Segmentations from size targets per backbone",
    shows="Segmentations of validation images by every network that was trained from size targets.",
    paper="No method of localisation is needed: standard networks find the objects from sizes alone.",
    look_for="Whether objects are found where they are, for each network.",
    made_from=tuple(run for runs in RUNS.values() for run in runs.values()),
    inputs=tuple(paths.panels(name) for name in ARCHIVES.values()),
    scale=lambda _: pd.concat([panels.scale for panels in _sets().values()]),
    compute=compute,
    draw=draw,
)
