"""Table 3 of [SSL]: mIoU on validation images for six Potts relaxations and five scribble lengths, with collision cross-entropy
and the four nearest neighbours; and from section 3.1 the pair H_Q + P_Q, whose pseudo-labels have a closed form, without and
with an entropy term while the network is trained.

The paper finds the logarithmic relaxations above the others, and the normalised ones above those that are not.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import curve_handle, draw_differences, draw_series
from pipeline.report.points import LENGTH_LABEL, METRIC, MIOU_LABEL, pivoted
from pipeline.report.runs import COMPARISON, NAN, Where
from pipeline.report.style import BLACK, GREY, RELAXATION_STYLE, TEXT_WIDTH_IN, LineStyle, new_figure

_POTTS = Where(family="potts", neighborhood="grid4")
RELAXATIONS = {f"P_{key.upper()}": _POTTS.but(cross_entropy="cce", relaxation=key) for key in RELAXATION_STYLE}
_QUADRATIC = _POTTS.but(cross_entropy="quadratic", relaxation="q")
QUADRATIC = {"H_Q+P_Q": _QUADRATIC.but(entropy_term=False), "H_Q+P_Q+entropy": _QUADRATIC.but(entropy_term=True)}

LOOKS = {f"P_{key.upper()}": look for key, look in RELAXATION_STYLE.items()}
_CLOSED = r"$H_\mathrm{Q}$+$P_\mathrm{Q}$"
POINTS = {
    "H_Q+P_Q": LineStyle(_CLOSED, GREY, "P", "-"),
    "H_Q+P_Q+entropy": LineStyle(f"{_CLOSED}\n+ entropy", BLACK, "X", "-"),
}


def compute(data: Data) -> pd.DataFrame:
    """Return published and own accuracy of every row and scribble length.

    Returns:
        One row per cell: series (P_BL ..., H_Q+P_Q, H_Q+P_Q+entropy), length_ratio and the columns of `COMPARISON`. The six
        relaxations are absent if none of their runs is there, and so is each quadratic row.

    Raises:
        ValueError: a value is missing, no run is there at all, runs differ in data set, network or profile, or a relaxation lacks
            a length that another one has.
    """
    runs = data.runs
    found = [runs.levels(rows, "length_ratio") for rows in _rows() if any(map(runs.has, rows.values()))]
    cells = [(series, length, run) for rows in found for series, of in rows.items() for length, run in of.items()]
    if not cells:
        raise ValueError(f"{runs.artifact}: expected runs with ({_POTTS}), got none")
    runs.require(run for _, _, run in cells)
    numbers = [
        {"series": series, "length_ratio": length, **runs.compare(run, METRIC, data.printed(series, f"{length:g}"))}
        for series, length, run in cells
    ]
    return pd.DataFrame(numbers, columns=["series", "length_ratio", *COMPARISON])


def _rows() -> list[dict[str, Where]]:
    """Return rows that have the same lengths."""
    return [RELAXATIONS, *({series: where} for series, where in QUADRATIC.items())]


def tabulate(frame: pd.DataFrame, _: Data) -> pd.DataFrame:
    """Return the table as the paper prints it: a row per relaxation; per length published, ours and the difference."""
    return pivoted(frame, "series", "relaxation", "length_ratio")


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the table as curves over scribble length, published and ours side by side, and below their differences to P_Q."""
    figure = new_figure(TEXT_WIDTH_IN, 4.4)
    panels = figure.subplots(2, 2, sharex=True, height_ratios=[2, 1])
    published = frame.assign(ours_percent=frame["published_percent"], ours_std_percent=NAN, failed=False)
    for (axes, below), shown, title in zip(panels.T, (published, frame), ("published", "ours"), strict=True):
        draw_series(axes, shown.assign(published_percent=NAN), "length_ratio", {**LOOKS, **POINTS})
        draw_differences(below, shown, "length_ratio", LOOKS, "P_Q")
        axes.set(ylabel=MIOU_LABEL, title=title)
        below.set(xlabel=LENGTH_LABEL)
    handles = [curve_handle(look) for look in (*LOOKS.values(), *POINTS.values())]
    figure.legend(handles=handles, loc="outside right center", handlelength=3.0)
    return figure


ARTIFACT = Artifact(
    id="b-tab3",
    title="Potts relaxations against scribble length",
    shows="Mean IoU of the six relaxations at five scribble lengths, and of the quadratic pair with its closed form.",
    paper="Relaxations with a logarithm are above those without, and normalised ones above those that are not.",
    look_for="The row of P_CD against that of P_BL.",
    runs=tuple(where for rows in _rows() for where in rows.values()),
    places=("section 3.1", "table 3"),
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
