"""Rows of a results table on their way into a figure: find the gaps, then average over seeds.

One row is one run. A gap is an error that names the run, because a figure with a silent hole reads as a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd

SETTING = ("profile", "dataset", "network")
"""What all rows of one figure have in common."""


def require_columns(results: pd.DataFrame, artefact: str, columns: Sequence[str]) -> None:
    """Raise ValueError unless `results` has all `columns`."""
    missing = [column for column in columns if column not in results.columns]
    if missing:
        raise ValueError(f"{artefact}: expected the columns {missing} in the results, got {list(results.columns)}")


def require_one_setting(rows: pd.DataFrame, artefact: str) -> None:
    """Raise ValueError if `rows` mix profiles, data sets or networks, whose numbers must not share a figure."""
    for column in SETTING:
        values = sorted(set(rows[column].astype(str)))
        if len(values) > 1:
            raise ValueError(f"{artefact}: expected runs of one {column}, got {values}; select one before drawing")


def require_runs(rows: pd.DataFrame, artefact: str, axes: Mapping[str, Sequence[object]]) -> None:
    """Raise ValueError unless each combination of `axes` and of the seeds in `rows` is there exactly once.

    Args:
        rows: the runs of one artefact.
        artefact: id, for the message.
        axes: column name to the values it must take.

    Raises:
        ValueError: runs are missing or there twice; the message names up to five of them.
    """
    full = {**axes, "seed": sorted(set(rows["seed"]))}
    names = list(full)
    found = list(rows[names].itertuples(index=False, name=None))
    wanted = list(product(*full.values()))
    for what, bad in (
        ("missing", [combination for combination in wanted if combination not in found]),
        ("present more than once", [combination for combination in wanted if found.count(combination) > 1]),
    ):
        if bad:
            listed = "; ".join(", ".join(f"{name}={value}" for name, value in zip(names, run, strict=True)) for run in bad[:5])
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise ValueError(f"{artefact}: {len(bad)} of {len(wanted)} runs {what}: {listed}{more}")


def require_values(rows: pd.DataFrame, artefact: str, metrics: Sequence[str]) -> None:
    """Raise ValueError if a run has no value for one of `metrics`."""
    for metric in metrics:
        empty = rows.loc[rows[metric].isna(), "run"].tolist()
        if empty:
            raise ValueError(f"{artefact}: expected a value of {metric} for every run, got none for {empty[:5]}")


def is_true(column: pd.Series) -> pd.Series:
    """Return where a column read from CSV says True; empty cells count as False.

    >>> is_true(pd.Series([True, "False", None, "True"])).tolist()
    [True, False, False, True]
    """
    return column.astype(str).str.lower().isin(["true", "1", "1.0"])


def mean_over_seeds(rows: pd.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation of `metrics` over the runs that agree in the columns `by`, in order of appearance.

    Args:
        rows: one run per row, metrics as fractions.
        by: columns that make a point of a figure.
        metrics: columns to average.

    Returns:
        The columns `by`; for each metric M `M_percent` (mean times 100) and `M_std_percent` (sample standard deviation times
        100, NaN for one seed); and `seeds`, how many runs the point rests on.
    """
    points = []
    for _, group in rows.groupby(list(by), sort=False, dropna=False):
        point = {name: group[name].iloc[0] for name in by}
        for metric in metrics:
            values = group[metric].astype(float)
            point[f"{metric}_percent"] = 100 * values.mean()
            point[f"{metric}_std_percent"] = 100 * values.std(ddof=1)
        points.append({**point, "seeds": len(group)})
    return pd.DataFrame(points)
