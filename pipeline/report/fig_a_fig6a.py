"""Figure 6 (left) of [SIZE]: the left ventricle in magnetic resonance slices (ACDC), size targets against size barriers.

Seeds in the ventricle and partial cross-entropy, plus: size targets (Eq. 2) of growing error; lower bounds on the sizes
(Eq. 17) with suppression where the ventricle is absent; one mean size target for all slices that show it. The metric is the
mean Dice similarity coefficient (DSC) over slices. The paper prints a curve but no number: it finds size targets above barriers
at every error, above full masks at 8 %, and the mean target about as good as barriers.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.cells import COMPARISON, compare, levels, require_ids, require_shared, rows_of
from pipeline.report.curves import curve_handle, draw_curve, draw_level, level_handle
from pipeline.report.style import COLUMN_WIDTH_IN, METHOD_STYLE, Line, LineStyle, journal_style, new_figure, scale_note

ID = "a-fig6a"
CURVE = "acdc/size-mre{}"
LEVELS = {"full": "acdc/full", "mean_size": "acdc/mean-size", "size_barrier": "acdc/barrier", "pce": "acdc/pce"}
"""Method (of METHOD_STYLE) to its run: those without a size error of their own."""
METRIC = "DSC_val"
_NAMES = {"size": "size targets", "full": "full masks", "mean_size": "mean size target", "size_barrier": "size barrier"}
_LINES: dict[str, Line] = {"full": "-", "mean_size": "--", "size_barrier": "-.", "pce": ":"}


def compute(results: pd.DataFrame) -> pd.DataFrame:
    """Return curve and level lines, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.

    Returns:
        One row per point: series, method (of METHOD_STYLE), run, mre_percent (level lines have the ends of the axis) and the
        columns of `cells.COMPARISON`; the paper prints no number.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    curve = levels(results, ID, {"size": CURVE})["size"]
    require_ids(results, ID, ids := [*LEVELS.values(), *curve.values()])
    require_shared(results, ID, ids)
    points = [("size", 100 * mre, run) for mre, run in curve.items()]
    points += [(method, 100 * end, run) for method, run in LEVELS.items() for end in (min(curve), max(curve))]
    rows = [
        {"series": _name(method), "method": method, "run": run, "mre_percent": mre, **compare(results, run, METRIC, ID, None)}
        for method, mre, run in points
    ]
    return pd.DataFrame(rows, columns=["series", "method", "run", "mre_percent", *COMPARISON])


def _name(method: str) -> str:
    return _NAMES.get(method, "seeds only")


def _look(method: str) -> LineStyle:
    return METHOD_STYLE[method]


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return the figure of the numbers from `compute`; bands are one standard deviation over seeds.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(COLUMN_WIDTH_IN, 2.9)
    axes = figure.add_subplot()
    draw_curve(axes, frame[frame["method"] == "size"], "mre_percent", _look("size"))
    handles = [curve_handle(_look("size"), _name("size"))]
    for method, line in _LINES.items():
        draw_level(axes, frame[frame["method"] == method].iloc[0], _look(method), line)
        handles.append(level_handle(_look(method), _name(method), line))
    axes.margins(y=0.08)
    axes.set_xlabel("mean relative error of the size targets, mRE (%)")
    axes.set_ylabel("DSC on validation slices (%)")
    figure.legend(handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2, handlelength=2.6)
    scale_note(figure, rows_of(results, set(frame["run"])))
    return figure
