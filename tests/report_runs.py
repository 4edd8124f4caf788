"""Made-up results and pictures of training runs for the tests of figures and tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pipeline.report.cells import index_runs

from pipeline.conventions import VOID

BLANK = {"dataset": "voc", "network": "resnet101", "profile": "embedded", "device": "cpu"}


def make_runs(accuracies: Mapping[str, float], seeds: int = 1, metric: str = "mIoU_val", **columns: object) -> pd.DataFrame:
    """Return results as `cells.load_results` does: each further seed has a hundredth more.

    Args:
        accuracies: "family/run" to the metric of seed 0, a fraction.
        seeds: how many.
        metric: column of the accuracies.
        columns: further columns, the same in all rows, or other values for those of `BLANK`.
    """
    rows = []
    for name, accuracy in accuracies.items():
        family, run = name.split("/")
        for seed in range(seeds):
            rows.append({**BLANK, **columns, "family": family, "run": run, "seed": seed, metric: accuracy + 0.01 * seed})
    return index_runs(pd.DataFrame(rows))


def make_panels(runs: Sequence[str], class_names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Return an archive of panels: in each image the left half is class 1 and a corner void; run r has r wrong columns.

    Args:
        runs: "family/run".
        class_names: at least two, background first.
        sizes: (height, width) of each image.
    """
    colors = [(40 * index, 255 - 40 * index, 20 * index) for index in range(len(class_names))]
    arrays = {
        "ids": np.array([f"image {index}" for index in range(len(sizes))]),
        "class_names": np.array(class_names),
        "palette": np.array(colors, np.uint8),
        "runs": np.array(runs),
        "titles": np.array(runs),
        "profile": np.array("embedded"),
        "device": np.array("cpu"),
        "seed": np.array(0),
    }
    for index, (height, width) in enumerate(sizes):
        labels = np.zeros((height, width), np.uint8)
        labels[:, : width // 2] = 1
        arrays[f"image_{index}"] = np.full((height, width, 3), 100, np.uint8)
        for place in range(len(runs)):
            prediction = np.zeros((height, width), np.uint8)
            prediction[:, : width // 2 + place] = 1
            arrays[f"prediction_{place}_{index}"] = prediction
        labels[0, 0] = VOID
        arrays[f"labels_{index}"] = labels
    return arrays


def pictures_of(figure: Figure) -> list[np.ndarray]:
    """Return the pictures a figure shows, in order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
