"""Frames of artefacts of [SSL]: curves over a level and rows of a table, each number of ours beside the printed one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from pipeline.report.cells import COMPARISON, compare, levels, require_ids, require_shared
from pipeline.report.runs import SETTING

METRIC = "mIoU_val"
LENGTH_LABEL = "scribble length (fraction of the full length)"
MIOU_LABEL = "mIoU on validation images (%)"


def curve_points(
    results: pd.DataFrame,
    artefact: str,
    curves: Mapping[str, str],
    x: str,
    printed: Callable[[str, float], float | None],
    metric: str = METRIC,
) -> pd.DataFrame:
    """Return the points of curves over a level that is written into the names of runs, averaged over seeds.

    Args:
        results: from `cells.load_results`; other runs are ignored.
        artefact: id, for messages.
        curves: series to "family/run" with `{}` in place of the level in hundredths.
        x: name of the level's column.
        printed: series and level to the printed number in percent, None where there is none.
        metric: column of a fraction.

    Returns:
        One row per point, levels ascending: series, run, `x` (fraction) and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    found = levels(results, artefact, curves)
    require_shared(results, artefact, [run for runs in found.values() for run in runs.values()])
    rows = [
        {"series": series, "run": run, x: level, **compare(results, run, metric, artefact, printed(series, level))}
        for series, runs in found.items()
        for level, run in runs.items()
    ]
    return pd.DataFrame(rows, columns=["series", "run", x, *COMPARISON])


def table_rows(
    results: pd.DataFrame,
    artefact: str,
    runs: Mapping[str, str],
    printed: Callable[[str], float | None],
    shared: tuple[str, ...] = SETTING,
    metric: str = METRIC,
) -> pd.DataFrame:
    """Return one row per run of a table, averaged over seeds.

    Args:
        results: from `cells.load_results`; other runs are ignored.
        artefact: id, for messages.
        runs: series to "family/run".
        printed: series to the printed number in percent, None where there is none.
        shared: columns in which the runs must agree.
        metric: column of a fraction.

    Returns:
        One row per entry of `runs`: series, run and the columns of `cells.COMPARISON`.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in one of `shared`.
    """
    require_ids(results, artefact, list(runs.values()))
    require_shared(results, artefact, list(runs.values()), shared)
    rows = [
        {"series": series, "run": run, **compare(results, run, metric, artefact, printed(series))} for series, run in runs.items()
    ]
    return pd.DataFrame(rows, columns=["series", "run", *COMPARISON])


def number_columns(row: Any, tracked: bool, prefix: str = "") -> dict[str, object]:
    """Return a row of an artefact's frame as the columns of a table: published, ours, ours std, difference.

    Args:
        row: a named tuple of `DataFrame.itertuples` with the columns of `cells.COMPARISON`.
        tracked: whether the best epoch gets a column.
        prefix: put before each name, for tables with several groups of numbers.
    """
    start = f"{prefix} " if prefix else ""
    best = {f"{start}ours, best epoch": row.ours_best_percent} if tracked else {}
    return {
        f"{start}published": row.published_percent,
        f"{start}ours": row.ours_percent,
        f"{start}ours std": row.ours_std_percent,
        **best,
        f"{start}difference": row.difference_points,
    }


def in_symbols(name: str) -> str:
    """Return a name for a figure, with the papers' symbols set as such.

    >>> in_symbols("H_CCE+P_Q (V3+)")
    '$H_\\\\mathrm{CCE}$+$P_\\\\mathrm{Q}$ (V3+)'
    """
    return re.sub(r"\b([HP])_([A-Z]+)", r"$\1_\\mathrm{\2}$", name)


def length_table(frame: pd.DataFrame, first: str) -> pd.DataFrame:
    """Return a table with a row per series and, per scribble length, published, ours and the difference, in percent.

    Columns without any number are left out.

    Args:
        frame: from `curve_points` over the level length_ratio.
        first: name of the first column.
    """
    tracked = bool(frame["ours_best_percent"].notna().any())
    lines = []
    for series, points in frame.groupby("series", sort=False):
        line: dict[str, object] = {first: series}
        for row in points.itertuples():
            line.update(number_columns(row, tracked, f"{row.length_ratio:g}"))
        lines.append(line)
    return pd.DataFrame(lines).dropna(axis="columns", how="all")
