"""Figure 7 of [SIZE]: segmentations from size targets (mRE 8 %, with CRF loss), per network, on PASCAL and COCO.

Although a size target says nothing about places, the networks find the objects without a localisation method.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.report.overlay import blend, panel_grid
from pipeline.report.panels import Panels, add_class_legend, class_handles, read_panels, score_panels
from pipeline.report.style import TEXT_WIDTH_IN, journal_style, scale_note

ID = "a-fig7"
NETWORKS = ("ResNet-101", "WideResNet-38", "ViT-B/16")
RUNS = {
    "PASCAL": {
        "ResNet-101": "size_noise/size-crf-mre08",
        "WideResNet-38": "backbones/wideresnet38-size",
        "ViT-B/16": "backbones/vit-size",
    },
    "COCO": {"ResNet-101": "backbones/coco-resnet101-size", "ViT-B/16": "backbones/coco-vit-size"},
}
"""Data set to network to run; the paper has no WideResNet-38 on COCO."""


def _read(arrays: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Panels]:
    missing = [name for name in RUNS if name not in arrays]
    if missing:
        raise ValueError(f"{ID}: expected panels of {list(RUNS)}, missing {missing}")
    return {name: read_panels(arrays[name], ID, list(runs.values())) for name, runs in RUNS.items()}


def compute(arrays: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Return how well each prediction fits its ground truth, see `panels.score_panels`, with the data set as first column.

    Args:
        arrays: "PASCAL" and "COCO" to an opened archive of panels each.

    Raises:
        ValueError: a data set, arrays or runs are missing or do not fit together.
    """
    frames = []
    for dataset, panels in _read(arrays).items():
        titles = {run: network for network, run in RUNS[dataset].items()}
        frame = score_panels(panels, titles)
        frame.insert(0, "dataset", dataset)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


@journal_style()
def draw(arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Return a row per image, PASCAL above COCO: image, a prediction per network, ground truth.

    Args:
        arrays: as in `compute`.
    """
    rows: list[list[np.ndarray | None]] = []
    names = []
    sets = _read(arrays)
    for dataset, panels in sets.items():
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True)):
            runs = [RUNS[dataset].get(network) for network in NETWORKS]
            shown = [blend(image, panels.predictions[run][index], panels.palette) if run else None for run in runs]
            rows.append([image, *shown, blend(image, labels, panels.palette)])
            names.append(dataset)
    titles = ["image", *NETWORKS, "ground truth"]
    figure = panel_grid(rows, titles, names, panel_width_in=TEXT_WIDTH_IN / len(titles))
    add_class_legend(figure, _legend(sets))
    scale_note(figure, pd.concat([panels.scale for panels in sets.values()]))
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
