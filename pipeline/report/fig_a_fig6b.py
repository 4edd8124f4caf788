"""Figure 6 (right) of [SIZE]: where size barriers and size targets (mRE 8 %) are right and wrong on slices of ACDC.

Yellow: ventricle that was found (true positive); green: predicted, but not ventricle (false positive); red: ventricle that was
missed (false negative).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.conventions import VOID
from pipeline.metrics.overlap import dice, overlap_counts
from pipeline.report.overlay import panel_grid
from pipeline.report.panels import add_class_legend, hex_color, read_panels
from pipeline.report.style import COLUMN_WIDTH_IN, journal_style, scale_note

ID = "a-fig6b"
RUNS = {"acdc/barrier": "size barrier", "acdc/size-mre08": "size targets (8 %)"}
"""Run to the title of its column."""
OBJECT = 1
"""Class index of the ventricle."""
COLORS = {"true positive": (255, 224, 0), "false positive": (0, 200, 0), "false negative": (230, 0, 0)}


def compute(arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return what the overlays show, in numbers.

    Args:
        arrays: an opened archive of panels.

    Returns:
        One row per run and slice: series, run, image_id, DSC_percent (100 where the ventricle is neither there nor predicted),
        true_positive_px, false_positive_px and false_negative_px.

    Raises:
        ValueError: arrays or runs are missing or do not fit together.
    """
    panels = read_panels(arrays, ID, RUNS)
    rows = []
    for run, title in RUNS.items():
        for image_id, labels, prediction in zip(panels.ids, panels.labels, panels.predictions[run], strict=True):
            counts = overlap_counts(labels, prediction, OBJECT)
            numbers = {
                "DSC_percent": 100 * dice(counts),
                "true_positive_px": counts.true_positives,
                "false_positive_px": counts.false_positives,
                "false_negative_px": counts.false_negatives,
            }
            rows.append({"series": title, "run": run, "image_id": image_id, **numbers})
    return pd.DataFrame(rows)


def error_colors(image: np.ndarray, labels: np.ndarray, prediction: np.ndarray, alpha: float = 0.6) -> np.ndarray:
    """Return a picture tinted where the object is found, invented or missed.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) class index or `VOID`, which is not tinted.
        prediction: (H, W) class index.
        alpha: share of the tint, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    truth, found, valid = labels == OBJECT, prediction == OBJECT, labels != VOID
    tinted = image.astype(np.float64)
    masks = {"true positive": truth & found, "false positive": ~truth & found & valid, "false negative": truth & ~found}
    for name, mask in masks.items():
        tinted[mask] = (1 - alpha) * tinted[mask] + alpha * np.array(COLORS[name])
    return np.round(tinted).astype(np.uint8)


@journal_style()
def draw(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Return a row per slice: the slice, then the overlay of each run.

    Args:
        arrays: as in `compute`.
    """
    panels = read_panels(arrays, ID, RUNS)
    rows = [
        [image, *(error_colors(image, labels, panels.predictions[run][index]) for run in RUNS)]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True))
    ]
    titles = ["slice", *RUNS.values()]
    figure = panel_grid(rows, titles, panel_width_in=COLUMN_WIDTH_IN / len(titles))
    handles = [Patch(color=hex_color(color), label=name) for name, color in COLORS.items()]
    add_class_legend(figure, handles, columns=3)
    scale_note(figure, panels.scale)
    return figure
