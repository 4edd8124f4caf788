"""Frames and tables that artifacts share: curves over a level and rows of a table, each number of ours beside the printed one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pandas as pd

from pipeline.report.runs import COMPARISON, NAN, Runs, Where, is_true, wheres

METRIC = "mIoU_val"
LENGTH_LABEL = "scribble length (fraction of the full length)"
ERROR_LABEL = "mean relative error of the size targets, mRE (%)"
MIOU_LABEL = "mIoU on validation images (%)"
LEVEL_LABELS = {
    "mre_percent": ERROR_LABEL,
    "length_ratio": LENGTH_LABEL,
    "corrupted_percent": "corrupted training labels (%)",
}
"""Column of a frame that curves are over to the label of its axis."""
TRAINED, CITED = "trained here", "reported by its authors"
ANNOTATORS = {"simulated": "simulated annotator", "annotated": "people"}
"""Who made annotated sizes, in words."""
COLUMNS = {
    "published": "published_percent",
    "ours": "ours_percent",
    "ours std": "ours_std_percent",
    "ours, best epoch": "ours_best_percent",
    "difference": "difference_points",
}
"""Column of a table to that of `COMPARISON`."""


def curve_points(
    runs: Runs,
    curves: Mapping[str, Where],
    level: str,
    printed: Callable[[str, float], float] = lambda series, at: NAN,
    metric: str = METRIC,
    also: Mapping[str, Where] | None = None,
) -> pd.DataFrame:
    """Return the points of curves over a level, averaged over seeds.

    Args:
        runs: of the artifact.
        curves: series to what its runs have in common.
        level: column of results that the curves are over.
        printed: series and level to the printed number in percent, NaN where there is none.
        metric: column of a fraction.
        also: series to a run without a level, which has a point at either end of the axis.

    Returns:
        One row per point, levels ascending: series, run, `level` (fraction), the columns of `COMPARISON` and, over mre or where a
        run has size targets, mre_foreground_percent (the error they came to for objects; NaN where there is none).

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    found = runs.levels(curves, level)
    ends = {series: dict.fromkeys(_ends(found), run) for series, run in (also or {}).items()}
    points = [(series, at, run) for series, of in {**found, **ends}.items() for at, run in of.items()]
    runs.require(run for _, _, run in points)
    rows = [{"series": series, level: at, **runs.compare(run, metric, printed(series, at))} for series, at, run in points]
    frame = pd.DataFrame(rows, columns=["series", "run", level, *COMPARISON])
    realised = pd.Series([100 * runs.mean(run, "mre_foreground") for _, _, run in points], frame.index)
    if level == "mre" or realised.notna().any():
        frame["mre_foreground_percent"] = realised
    return frame


def _ends(found: Mapping[str, Mapping[float, Where]]) -> tuple[float, float]:
    levels = [level for of_series in found.values() for level in of_series]
    return min(levels), max(levels)


def table_rows(
    runs: Runs,
    rows: Mapping[str, Where | None],
    printed: Callable[[str], float] = lambda series: NAN,
) -> pd.DataFrame:
    """Return the rows of a table, averaged over seeds.

    `rows` leads from series to run, None for one that others reported; `printed` to the number in percent, or NaN.

    Returns:
        One row per series: series, run (its name, empty for None) and the columns of `COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    runs.require(wheres(rows.values()))
    numbers = [{"series": series, **runs.compare(run, METRIC, printed(series))} for series, run in rows.items()]
    return pd.DataFrame(numbers, columns=["series", "run", *COMPARISON])


def sources(frame: pd.DataFrame) -> list[str]:
    """Return whose number each row is, by whether it has a run."""
    return [TRAINED if run else CITED for run in frame["run"]]


def number_columns(frame: pd.DataFrame, prefix: str = "", *, tracked: bool | None = None) -> dict[str, pd.Series]:
    """Return the numbers of a frame as columns of a table.

    Args:
        frame: has the columns of `COMPARISON`.
        prefix: put before each name.
        tracked: whether the best epoch has a column; None: if there is any number of it.
    """
    if tracked is None:
        tracked = bool(frame["ours_best_percent"].notna().any())
    shown = {name: column for name, column in COLUMNS.items() if tracked or column != "ours_best_percent"}
    columns = {f"{prefix} {name}".strip(): frame[column] for name, column in shown.items()}
    failed = is_true(frame["failed"])
    return columns | ({f"{prefix} ours failed".strip(): failed} if failed.any() else {})


def pivoted(frame: pd.DataFrame, row: str, first: str, across: str) -> pd.DataFrame:
    """Return a table with a line per `row` and, for each value of `across`, published, ours and the difference.

    Args:
        frame: one row per cell with the columns of `COMPARISON`.
        row: column that names the lines.
        first: name of the first column of the table.
        across: column whose values, numbers ascending, stand side by side.
    """
    values = list(dict.fromkeys(frame[across]))
    if pd.api.types.is_numeric_dtype(frame[across]):
        values.sort()
    names = list(dict.fromkeys(frame[row]))
    table: dict[str, object] = {first: names}
    tracked = bool(frame["ours_best_percent"].notna().any())
    for value in values:
        cells = frame[frame[across] == value].set_index(row).reindex(names)
        prefix = f"{value:g}" if isinstance(value, float) else str(value)
        numbers = number_columns(cells, prefix, tracked=tracked)
        table.update({name: column.to_numpy() for name, column in numbers.items()})
    return pd.DataFrame(table)


def in_symbols(name: str) -> str:
    """Return a name for a figure, with the papers' symbols set as such.

    >>> in_symbols("H_CCE+P_Q (V3+)")
    '$H_\\\\mathrm{CCE}$+$P_\\\\mathrm{Q}$ (V3+)'
    """
    return re.sub(r"\b([HP])_([A-Z]+)", r"$\1_\\mathrm{\2}$", name)
