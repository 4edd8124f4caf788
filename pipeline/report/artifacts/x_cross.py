"""Beyond both papers: size targets as a further term of soft self-labelling, on the same images, over the length of scribbles.

Three curves: scribbles alone, soft self-labelling with H_CCE + P_CD ([SSL]), and that with the size-target loss at a mean
relative error of 8 % ([SIZE]) in addition. Neither paper tried this, so no number is printed. All use whole images, because a
crop would invalidate a size target.
"""

from __future__ import annotations

import pandas as pd

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import Curves
from pipeline.report.points import curve_points
from pipeline.report.runs import NAN, Where
from pipeline.report.style import METHOD_STYLE

BASE = "soft self-labelling"
CURVES = {
    "scribbles": Where(family="cross_seeds", method="pce"),
    BASE: Where(family="cross", method="soft"),
    "soft self-labelling + size targets": Where(family="cross", method="soft_size"),
}


def compute(data: Data) -> pd.DataFrame:
    """Return the points of the three curves, averaged over seeds.

    Returns:
        One row per point: series, run, length_ratio, the columns of `COMPARISON` (those of printed numbers empty),
        mre_foreground_percent (realised by the objects) and gain_points, the mean difference to soft self-labelling at the
        same length.
    """
    frame = curve_points(data.runs, CURVES, "length_ratio")
    base = frame[frame["series"] == BASE].set_index("length_ratio")["ours_percent"]
    return frame.assign(gain_points=frame["ours_percent"] - frame["length_ratio"].map(base))


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return a row per method; per length ours and the difference to soft self-labelling, in percent."""
    lines = []
    for series, points in frame.groupby("series", sort=False):
        line: dict[str, object] = {"supervision": series}
        for row in points.itertuples():
            length = f"{row.length_ratio:g}"
            line[f"{length} ours"] = row.ours_percent
            line[f"{length} ours std"] = row.ours_std_percent
            line[f"{length} difference"] = NAN if series == BASE else row.gain_points
        lines.append(line)
    return pd.DataFrame(lines)


ARTIFACT = Artifact(
    id="x-cross",
    title="Size targets added to soft self-labelling",
    shows="Scribbles alone, with soft self-labelling, and with size targets in addition, over scribble length.",
    paper="Neither paper tried the combination, so nothing is printed.",
    look_for="Whether the third curve is above the second where scribbles are short.",
    runs=tuple(CURVES.values()),
    compute=compute,
    draw=Curves(
        x="length_ratio",
        looks=dict(zip(CURVES, (METHOD_STYLE[key] for key in ("pce", "soft", "soft_size")), strict=True)),
        height_in=3.0,
        legend={"ncols": 1},
    ),
    tabulate=tabulate,
)
