"""Figure 6 of [SSL]: gradient descent, hard and soft self-labelling against the length of scribbles.

One panel per neighbourhood. The paper prints curves as a picture only; the numbers at full length are those of its Table 4 and
stand here as hollow markers; that of hard, dense self-labelling is of another network and absent.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import curve_handle, draw_series, published_handles
from pipeline.report.points import LENGTH_LABEL, MIOU_LABEL, curve_points, pivoted
from pipeline.report.published import LEGEND, MARKS, OTHER
from pipeline.report.runs import NAN, Where
from pipeline.report.style import METHOD_STYLE, TEXT_WIDTH_IN, new_figure

_METHODS = Where(family="methods")
CURVES = {
    "gradient descent, NN": _METHODS.but(method="gd_nn"),
    "gradient descent, DN": _METHODS.but(method="gd_dn"),
    "hard self-labelling, NN": _METHODS.but(method="hard_nn"),
    "hard self-labelling, DN": _METHODS.but(method="hard_dn"),
    "soft self-labelling, NN": Where(family="potts", cross_entropy="cce", relaxation="q"),
    "soft self-labelling, DN": _METHODS.but(method="soft_dn"),
}
PANELS = {
    "nearest neighbours": {
        "gradient descent, NN": "gd_nn",
        "hard self-labelling, NN": "hard_nn",
        "soft self-labelling, NN": "soft",
    },
    "dense neighbourhood": {
        "gradient descent, DN": "gd_dn",
        "hard self-labelling, DN": "hard_dn",
        "soft self-labelling, DN": "soft_dn",
    },
}
"""Title of a panel to its series and their looks."""


def compute(data: Data) -> pd.DataFrame:
    """Return the points of all curves, averaged over seeds.

    Returns:
        One row per point: series, run, length_ratio and the columns of `COMPARISON`.
    """

    def printed(series: str, length: float) -> float:
        method, neighborhood = series.split(", ")
        return NAN if length != 1 or _origin(data, series) == OTHER else data.printed(method, neighborhood, "b-tab4")

    return curve_points(data.runs, CURVES, "length_ratio", printed)


def _origin(data: Data, series: str) -> str:
    method, neighborhood = series.split(", ")
    return data.origin(method, neighborhood, "b-tab4")


def tabulate(frame: pd.DataFrame, data: Data) -> pd.DataFrame:
    """Return a row per method; per length published, ours and the difference, in percent; no empty column."""
    table = pivoted(frame, "series", "method", "length_ratio").dropna(axis="columns", how="all")
    return table.assign(**{"printed number": [_origin(data, series) for series in table["method"]]})


def draw(frame: pd.DataFrame, data: Data) -> Figure:
    """Return a panel of curves per neighbourhood; bands are one standard deviation over seeds."""
    figure = new_figure(TEXT_WIDTH_IN, 2.9)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, styles) in zip(panels, PANELS.items(), strict=True):
        draw_series(axes, frame, "length_ratio", {series: METHOD_STYLE[key]._replace(line="-") for series, key in styles.items()})
        axes.margins(y=0.08)
        axes.set(xlabel=LENGTH_LABEL, title=title)
        for row in frame[frame["series"].isin(styles) & frame["published_percent"].notna()].to_dict("records"):
            mark = MARKS.get(_origin(data, row["series"]), "")
            axes.annotate(mark, (row["length_ratio"], row["published_percent"]), (4, 1), textcoords="offset points")
    panels[0].set_ylabel(MIOU_LABEL)
    handles = [curve_handle(METHOD_STYLE[key]) for key in PANELS["nearest neighbours"].values()]
    figure.legend(
        handles=[*handles, *published_handles(frame)], loc="outside upper center", ncols=4, title=LEGEND, title_fontsize=7
    )
    return figure


ARTIFACT = Artifact(
    id="b-fig6",
    title="Optimisation methods against scribble length",
    shows="Gradient descent, hard and soft self-labelling against scribble length, per neighbourhood.",
    paper="Soft self-labelling on nearest neighbours is best; gradient descent needs the dense neighbourhood.",
    look_for="The purple curve in the panel of nearest neighbours against all others.",
    runs=tuple(CURVES.values()),
    places=("section 3.4", "table 4", "fig. 6"),
    compute=compute,
    draw=draw,
    tabulate=tabulate,
)
