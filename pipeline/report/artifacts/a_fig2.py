"""Figure 2 of [SIZE]: segmentations of validation images from three kinds of supervision of the same network.

(a) tags, with the log barrier (Eq. 9) and the CRF loss; (b) size targets, with the forward divergence (Eq. 2) and the CRF loss;
(c) full masks. The log barrier pulls the classes of an image towards equal sizes (Eq. 10), which shows as segments that are too
large or too small.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import panel_grid, tint_objects
from pipeline.report.panels import Panels, add_class_legend, load_panels, object_handles, run_names, score_panels
from pipeline.report.runs import Where
from pipeline.report.style import TEXT_WIDTH_IN

ID = "a-fig2"
RUNS = {
    "(a) tags, log barrier": Where(family="size_losses", run="log-barrier-crf"),
    "(b) size targets": Where(family="size_noise", run="size-crf-mre08"),
    "(c) full masks": Where(family="size_noise", run="full"),
}
"""Title of a column to its run."""


def _panels() -> Panels:
    return load_panels(ID, run_names(RUNS.values()))


def compute(_: Data) -> pd.DataFrame:
    """Return how well each prediction fits its ground truth, see `panels.score_panels`.

    Raises:
        ValueError: arrays or runs are missing or do not fit together.
    """
    return score_panels(_panels(), RUNS)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return a row per image: image, the three predictions, ground truth."""
    panels = _panels()
    rows = [
        [
            image,
            *(tint_objects(image, panels.predictions[run][index], panels.palette) for run in run_names(RUNS.values())),
            tint_objects(image, labels, panels.palette),
        ]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True))
    ]
    titles = ["image", *RUNS, "ground truth"]
    figure = panel_grid(rows, titles, panel_width_in=TEXT_WIDTH_IN / len(titles))
    add_class_legend(figure, object_handles(panels))
    return figure


ARTIFACT = Artifact(
    id=ID,
    title="Segmentations from tags, size targets and full masks",
    shows="The same validation images segmented by three networks: trained from tags, from size targets and from full masks.",
    paper="Tags with a log barrier give segments that are too large or too small; size targets correct that.",
    look_for="Whether the areas in column (b) fit the ground truth better than those in column (a).",
    made_from=tuple(RUNS.values()),
    inputs=(paths.panels(ID),),
    places=("fig. 2",),
    scale=lambda _: _panels().scale,
    compute=compute,
    draw=draw,
)
