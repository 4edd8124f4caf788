"""Figure 3 (d) of [SSL]: accuracy on test images against the share of training images whose label was replaced by a random one.

A ResNet-18 classifies natural scenes; its targets are eta u + (1 - eta) y, with y the possibly wrong label, u the uniform
distribution and eta the share. The paper finds the collision cross-entropy most robust, the reverse one nearly so, and the
standard one to fall early. It prints the curves as a picture only, so ours stand alone.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Curves
from pipeline.report.points import curve_points
from pipeline.report.runs import Where
from pipeline.report.style import CROSS_ENTROPY_STYLE

CURVES = {f"H_{key.upper()}": Where(family="label_noise", cross_entropy=key) for key in CROSS_ENTROPY_STYLE}


def compute(data: Data) -> pd.DataFrame:
    """Return the points of the three curves, averaged over seeds.

    Returns:
        One row per point: series, run, label_noise (fraction), corrupted_percent and the columns of `COMPARISON`, those of
        printed numbers empty.
    """
    frame = curve_points(data.runs, CURVES, "label_noise", metric="accuracy_val")
    frame.insert(3, "corrupted_percent", 100 * frame["label_noise"])
    return frame


ARTIFACT = Artifact(
    id="b-fig3d",
    title="Robustness of the three cross-entropies to label noise",
    shows="Accuracy of a classifier against the share of training labels that were replaced by random ones.",
    paper="The collision cross-entropy is the most robust, the reverse one nearly so, the standard one falls early.",
    look_for="The order of the curves in the middle, where there is much noise but also some signal.",
    runs=tuple(CURVES.values()),
    places=("fig. 3 (d)",),
    compute=compute,
    draw=Curves(
        x="corrupted_percent",
        looks={f"H_{key.upper()}": look for key, look in CROSS_ENTROPY_STYLE.items()},
        y_label="accuracy on test images (%)",
        height_in=2.9,
        legend={"ncols": 3, "columnspacing": 1.0, "handlelength": 1.6},
    ),
)
