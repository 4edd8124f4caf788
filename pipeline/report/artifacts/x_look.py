"""A first look at both papers: the same validation images segmented from size targets, from scribbles, and by self-labelling.

What `make demo` makes, because three trainings are enough for it. Scribbles and self-labelling are one network before and after
its second stage.
"""

from __future__ import annotations

from pipeline.report.panels import compared
from pipeline.report.runs import Where

ARTIFACT = compared(
    "x-look",
    {
        "size targets": Where(family="size_noise", run="size-crf-mre08"),
        "scribbles": Where(family="seeds", run="pce-len100"),
        "+ self-labelling": Where(family="potts", run="cd-len100"),
    },
    title="Segmentations from size targets, scribbles and self-labelling",
    shows="The same validation images segmented by networks that never saw a mask, one for each kind of annotation.",
    paper="Each paper shows its own kind of annotation; nothing is printed for both on the same images.",
    look_for="Whether objects are found, and whether self-labelling moves their borders closer to the ground truth.",
)
