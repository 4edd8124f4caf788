"""Figure 6 (right) of [SIZE]: where size barriers and size targets (mRE 8 %) are right and wrong on slices of ACDC.

Yellow: ventricle that was found (true positive); green: predicted, but not ventricle (false positive); red: ventricle that was
missed (false negative).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.conventions import VOID
from pipeline.metrics.overlap import dice, overlap_counts
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import panel_grid
from pipeline.report.panels import Panels, add_class_legend, hex_color, load_panels, run_names
from pipeline.report.runs import Where
from pipeline.report.style import COLUMN_WIDTH_IN

ID = "a-fig6b"
RUNS = {"size barrier": Where(family="acdc", run="barrier"), "size targets (8 %)": Where(family="acdc", run="size-mre08")}
"""Title of a column to its run."""
OBJECT = 1
"""Class index of the ventricle."""
COLORS = {"true positive": (255, 224, 0), "false positive": (0, 200, 0), "false negative": (230, 0, 0)}
TINT = 0.6
"""Share of the colour where a picture is tinted."""


def _panels() -> Panels:
    return load_panels(ID, run_names(RUNS.values()))


def compute(_: Data) -> pd.DataFrame:
    """Return what the overlays show, in numbers.

    Returns:
        One row per run and slice: series, run, image_id, DSC_percent (100 where the ventricle is neither there nor predicted),
        true_positive_px, false_positive_px and false_negative_px.
    """
    panels = _panels()
    rows = []
    for title, run in zip(RUNS, run_names(RUNS.values()), strict=True):
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


def error_colors(image: np.ndarray, labels: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return a picture tinted where the object is found, invented or missed.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) class index or `VOID`, which is not tinted.
        prediction: (H, W) class index.

    Returns:
        (H, W, 3) uint8.
    """
    truth, found, valid = labels == OBJECT, prediction == OBJECT, labels != VOID
    tinted = image.astype(np.float64)
    masks = {"true positive": truth & found, "false positive": ~truth & found & valid, "false negative": truth & ~found}
    for name, mask in masks.items():
        tinted[mask] = (1 - TINT) * tinted[mask] + TINT * np.array(COLORS[name])
    return np.round(tinted).astype(np.uint8)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return a row per slice: the slice, then the overlay of each run."""
    panels = _panels()
    rows = [
        [image, *(error_colors(image, labels, of_run[index]) for of_run in panels.predictions.values())]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True))
    ]
    titles = ["slice", *RUNS]
    figure = panel_grid(rows, titles, panel_width_in=COLUMN_WIDTH_IN / len(titles))
    handles = [Patch(color=hex_color(color), label=name) for name, color in COLORS.items()]
    add_class_legend(figure, handles, columns=3)
    return figure


ARTIFACT = Artifact(
    id=ID,
    title="Overlays of size target and size barrier on ACDC",
    shows="Where two networks are right (yellow), predict too much (green) or miss the ventricle (red).",
    paper="Size targets segment the ventricle better than barriers, which only bound its size from below.",
    look_for="Less green and less red with size targets than with barriers.",
    panels={ID: tuple(RUNS.values())},
    places=("section 3.6",),
    scale=lambda _: _panels().scale,
    compute=compute,
    draw=draw,
)
