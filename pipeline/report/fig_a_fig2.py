"""Figure 2 of [SIZE]: segmentations of validation images from three kinds of supervision of the same network.

(a) tags, with the log barrier (Eq. 9) and the CRF loss; (b) size targets, with the forward divergence (Eq. 2) and the CRF loss;
(c) full masks. The log barrier pulls the classes of an image towards equal sizes (Eq. 10), which shows as segments that are too
large or too small.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.overlay import blend, panel_grid
from pipeline.report.panels import add_class_legend, class_handles, read_panels, score_panels
from pipeline.report.style import TEXT_WIDTH_IN, journal_style, scale_note

ID = "a-fig2"
RUNS = {
    "size_losses/log-barrier-crf": "(a) tags, log barrier",
    "size_noise/size-crf-mre08": "(b) size targets",
    "size_noise/full": "(c) full masks",
}
"""Run to the title of its column."""


def compute(arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return how well each prediction fits its ground truth, see `panels.score_panels`.

    Args:
        arrays: an opened archive of panels.

    Raises:
        ValueError: arrays or runs are missing or do not fit together.
    """
    return score_panels(read_panels(arrays, ID, RUNS), RUNS)


@journal_style()
def draw(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Return a row per image: image, the three predictions, ground truth.

    Args:
        arrays: as in `compute`.
    """
    panels = read_panels(arrays, ID, RUNS)
    rows = [
        [
            image,
            *(blend(image, panels.predictions[run][index], panels.palette) for run in RUNS),
            blend(image, labels, panels.palette),
        ]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True))
    ]
    titles = ["image", *RUNS.values(), "ground truth"]
    figure = panel_grid(rows, titles, panel_width_in=TEXT_WIDTH_IN / len(titles))
    add_class_legend(figure, class_handles(panels))
    scale_note(figure, panels.scale)
    return figure
