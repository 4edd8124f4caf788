"""Figure 4 (right) of [SIZE]: accuracy against the length of scribbles, without and with size targets.

Without: partial cross-entropy and CRF loss; with: size targets in addition (Eq. 13), exact or corrupted to a mean relative error
of 8 or 16 %. At length 0 one point per object is labelled. The paper finds that size targets help most where scribbles are
short: from 66.6 to 74 % at length 0, close to what scribbles of full length give. It does not say which of its three errors
the 74 % belong to; they stand beside our run with exact targets. The legend says which error the targets came to for objects.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Curves
from pipeline.report.points import curve_points
from pipeline.report.runs import NAN, Where
from pipeline.report.style import METHOD_STYLE

WITHOUT, FULL = "without size targets", METHOD_STYLE["full"].label
_WITH = Where(family="scribble_sizes", method="pce_size_crf")
CURVES = {
    WITHOUT: Where(family="scribble_sizes", method="pce_crf"),
    "mRE 0 %": _WITH.but(mre=0.0),
    "mRE 8 %": _WITH.but(mre=0.08),
    "mRE 16 %": _WITH.but(mre=0.16),
}
FULL_RUN = Where(family="size_noise", method="full")
_PRINTED = {WITHOUT: "seeds", "mRE 0 %": "seeds+size"}
_SIZES = METHOD_STYLE["pce_size_crf"]


def compute(data: Data) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Returns:
        One row per point: series, run, length_ratio, the columns of `COMPARISON` and mre_foreground_percent (realised by the
        objects). Full masks have the ends of the axis.
    """

    def printed(series: str, length: float) -> float:
        return data.printed(_PRINTED[series], f"{length:g}") if series in _PRINTED else NAN

    return curve_points(data.runs, CURVES, "length_ratio", printed, also={FULL: FULL_RUN})


ARTIFACT = Artifact(
    id="a-fig4b",
    title="Accuracy against scribble length, with and without size targets",
    shows="Mean IoU against the length of scribbles, without size targets and with targets of three errors.",
    paper="With one point per object, size targets raise accuracy from 66.6 to 74 %, near that of scribbles of full length.",
    look_for="The distance between the curves on the left, where scribbles are shortest.",
    runs=(*CURVES.values(), FULL_RUN),
    places=("section 3.3",),
    compute=compute,
    draw=Curves(
        x="length_ratio",
        looks={
            WITHOUT: METHOD_STYLE["pce_crf"]._replace(label=WITHOUT, line="-"),
            "mRE 0 %": _SIZES._replace(label="sizes, mRE 0 %", line="-"),
            "mRE 8 %": _SIZES._replace(label="mRE 8 %", line="--"),
            "mRE 16 %": _SIZES._replace(label="mRE 16 %", line=":"),
        },
        levels={FULL: METHOD_STYLE["full"]},
        height_in=3.2,
        legend={"ncols": 2, "columnspacing": 1.2, "handlelength": 2.6},
    ),
)
