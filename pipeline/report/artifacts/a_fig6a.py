"""Figure 6 (left) of [SIZE]: the left ventricle in magnetic resonance slices (ACDC), size targets against size barriers.

Seeds in the ventricle and partial cross-entropy, plus: size targets (Eq. 2) of growing error; lower bounds on the sizes
(Eq. 17) with suppression where the ventricle is absent; one mean size target for all slices that show it. The metric is the
mean Dice similarity coefficient (DSC) over slices. The paper prints a curve but no number: it finds size targets above barriers
at every error, above full masks at 8 %, and the mean target about as good as barriers.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Curves
from pipeline.report.points import curve_points
from pipeline.report.runs import COMPARISON, Where
from pipeline.report.style import METHOD_STYLE

_ACDC = Where(family="acdc")
CURVES = {"size targets": _ACDC.but(method="pce_size")}
LEVELS = {
    "full masks": _ACDC.but(method="full"),
    "mean size target": _ACDC.but(method="mean_size"),
    "size barrier": _ACDC.but(method="barrier"),
    "seeds only": _ACDC.but(method="pce"),
}
"""Those without a size error of their own."""
STYLES = {
    "size targets": ("size", "-"),
    "full masks": ("full", "-"),
    "mean size target": ("mean_size", "--"),
    "size barrier": ("barrier", "-."),
    "seeds only": ("pce", ":"),
}
"""Series to its method of METHOD_STYLE and its line."""
LOOKS = {series: METHOD_STYLE[method]._replace(label=series, line=line) for series, (method, line) in STYLES.items()}  # type: ignore[arg-type]


def compute(data: Data) -> pd.DataFrame:
    """Return curve and level lines, averaged over seeds.

    Returns:
        One row per point: series, method (of METHOD_STYLE), run, mre_percent (level lines have the ends of the axis),
        mre_foreground_percent (realised by the objects) and the columns of `COMPARISON`; the paper prints no number.
    """
    frame = curve_points(data.runs, CURVES, "mre", metric="DSC_val", also=LEVELS)
    frame["method"] = [STYLES[series][0] for series in frame["series"]]
    frame["mre_percent"] = 100 * frame["mre"]
    return frame[["series", "method", "run", "mre_percent", "mre_foreground_percent", *COMPARISON]]


ARTIFACT = Artifact(
    id="a-fig6a",
    title="Size targets against size barriers on ACDC",
    shows="Dice coefficient of the left ventricle against the error of size targets, beside size barriers, mean sizes and masks.",
    paper="Size targets are above barriers at every error and even above full masks at 8 %; the paper prints no numbers.",
    look_for="Whether the curve stays above the line of the barriers.",
    runs=(*CURVES.values(), *LEVELS.values()),
    places=("section 3.6",),
    compute=compute,
    draw=Curves(
        x="mre_percent",
        looks={series: LOOKS[series] for series in CURVES},
        levels={series: LOOKS[series] for series in LEVELS},
        y_label="DSC on validation slices (%)",
        height_in=3.4,
        aside="seeds only",
        legend={"ncols": 2, "columnspacing": 1.2, "handlelength": 2.6},
    ),
)
