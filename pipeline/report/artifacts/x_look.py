"""A first look at both papers: the same validation images segmented from size targets, from scribbles, and by self-labelling.

What `make demo` makes, because three trainings are enough for it. Scribbles and self-labelling are one network before and after
its second stage.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.panels import Panels, draw_panels, load_panels, run_names, score_panels
from pipeline.report.runs import Where

ID = "x-look"
RUNS = {
    "size targets": Where(family="size_noise", run="size-crf-mre08"),
    "scribbles": Where(family="seeds", run="pce-len100"),
    "+ self-labelling": Where(family="potts", run="cd-len100"),
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
    return draw_panels(_panels(), RUNS)


ARTIFACT = Artifact(
    id=ID,
    title="Segmentations from size targets, scribbles and self-labelling",
    shows="The same validation images segmented by networks that never saw a mask, one for each kind of annotation.",
    paper="Each paper shows its own kind of annotation; nothing is printed for both on the same images.",
    look_for="Whether objects are found, and whether self-labelling moves their borders closer to the ground truth.",
    made_from=tuple(RUNS.values()),
    inputs=(paths.panels(ID),),
    scale=lambda _: _panels().scale,
    compute=compute,
    draw=draw,
)
