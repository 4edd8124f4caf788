"""Figure 4 of [SSL]: three cross-entropies between network and pseudo-labels, against the length of scribbles (relaxation P_Q,
nearest neighbours); and from section 3.2 hard pseudo-labels, the arg max of the soft ones, at full length.

The paper finds the collision cross-entropy best at every length, and both it and the reverse one clearly above the standard
one. It prints the curves as a picture only; those of H_CCE + P_Q are a row of its Table 3 and stand here as hollow markers. A
second panel shows differences to the standard one, because curves may lie upon each other.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Curves
from pipeline.report.points import curve_points, pivoted, table_rows
from pipeline.report.runs import NAN, Where
from pipeline.report.style import CROSS_ENTROPY_STYLE, METHOD_STYLE

_SOFT = Where(family="cross_entropies", labels="soft")
CURVES = {
    "H_CE": _SOFT.but(cross_entropy="ce"),
    "H_RCE": _SOFT.but(cross_entropy="rce"),
    "H_CCE": Where(family="potts", cross_entropy="cce", relaxation="q"),
}
HARD = "H_CCE, hard pseudo-labels"
HARD_RUN = Where(family="cross_entropies", labels="hard", length_ratio=1.0)


def compute(data: Data) -> pd.DataFrame:
    """Return the points of the three curves and the one of hard pseudo-labels, averaged over seeds.

    Returns:
        One row per point: series, run, length_ratio and the columns of `COMPARISON`.
    """

    def printed(series: str, length: float) -> float:
        return data.printed("P_Q", f"{length:g}", "b-tab3") if series == "H_CCE" else NAN

    curves = curve_points(data.runs, CURVES, "length_ratio", printed)
    number = data.printed("H_CCE+P_Q, hard pseudo-labels", "1")
    # The soft run of the same length is named too, so that both have the same seeds and setting.
    both = {HARD: HARD_RUN, "": CURVES["H_CCE"].but(length_ratio=1.0)}
    hard = table_rows(data.runs, both, lambda series: number).iloc[:1]
    return pd.concat([curves, hard.assign(length_ratio=1.0)[list(curves.columns)]], ignore_index=True)


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return a row per cross-entropy; per length published, ours and the difference, in percent; no empty column."""
    return pivoted(frame, "series", "cross-entropy", "length_ratio").dropna(axis="columns", how="all")


ARTIFACT = Artifact(
    id="b-fig4",
    title="Cross-entropies against scribble length",
    shows="Mean IoU against scribble length for three cross-entropies between network and pseudo-labels.",
    paper="The collision cross-entropy is best at every length; hard pseudo-labels lose 1.25 points at full length.",
    look_for="Whether the collision curve is on top, and the hard labels below it.",
    runs=(*CURVES.values(), HARD_RUN),
    places=("section 3.2",),
    compute=compute,
    draw=Curves(
        x="length_ratio",
        looks={**{f"H_{key.upper()}": look for key, look in CROSS_ENTROPY_STYLE.items()}, HARD: METHOD_STYLE["hard_argmax"]},
        height_in=4.2,
        base="H_CE",
        legend={"ncols": 2, "columnspacing": 1.2},
    ),
    tabulate=tabulate,
)
