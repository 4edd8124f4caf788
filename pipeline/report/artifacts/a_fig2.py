"""Figure 2 of [SIZE]: segmentations of validation images from three kinds of supervision of the same network.

(a) tags, with the log barrier (Eq. 9) and the CRF loss; (b) size targets, with the forward divergence (Eq. 2) and the CRF loss;
(c) full masks. The log barrier pulls the classes of an image towards equal sizes (Eq. 10), which shows as segments that are too
large or too small.
"""

from __future__ import annotations

from pipeline.report.panels import compared
from pipeline.report.runs import Where

ARTIFACT = compared(
    "a-fig2",
    {
        "(a) tags, log barrier": Where(family="size_losses", run="log-barrier-crf"),
        "(b) size targets": Where(family="size_noise", run="size-crf-mre08"),
        "(c) full masks": Where(family="size_noise", run="full"),
    },
    title="Segmentations from tags, size targets and full masks",
    shows="The same validation images segmented by three networks: trained from tags, from size targets and from full masks.",
    paper="Tags with a log barrier give segments that are too large or too small; size targets correct that.",
    look_for="Whether the areas in column (b) fit the ground truth better than those in column (a).",
    places=("fig. 2",),
)
