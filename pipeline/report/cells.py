"""Numbers of one artefact, found by the name of the run that made them.

A run is addressed as "family/run", for example `size_noise/size-mre08`; its rows differ in the seed only. Every artefact names
the runs of its cells itself, so that a number in a table can be traced to a trained network by reading one file. A run that is
missing is an error that names artefact and run, never a hole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.report.runs import SETTING

ID_COLUMN = "id"
"""Name of the index of all frames here: "family/run"."""
COMPARISON = ("published_percent", "ours_percent", "ours_std_percent", "ours_best_percent", "difference_points", "seeds")
"""What `compare` returns, in the order of the columns of an artefact's frame."""
BEST = "_best"
"""A metric M of the last epoch stands beside M_best, that of the epoch that validated best, where that was tracked."""


class Cell(NamedTuple):
    """One number of one run over its seeds, a fraction."""

    mean: float
    """Mean over seeds."""
    std: float
    """Sample standard deviation over seeds; NaN for one seed."""
    values: dict[int, float]
    """Seed to value, ascending."""


def load_results(files: Iterable[Path]) -> pd.DataFrame:
    """Return the runs of several families in one table.

    Args:
        files: `reports/FAMILY/results.csv` of each family an artefact reads.

    Returns:
        One row per run and seed, indexed by "family/run" (index name `id`), with all columns of the files.

    Raises:
        ValueError: a file lacks the columns run, family or seed, or the same run and seed is there twice.
    """
    # Rows instead of frames are joined: pandas would guess types of columns that are empty in one family.
    rows: list[dict[str, object]] = []
    for path in files:
        frame = pd.read_csv(path)
        _require_keys(frame, str(path))
        rows += frame.to_dict("records")  # type: ignore[arg-type]  # column names are text
    return index_runs(pd.DataFrame(rows))


def index_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Return `results` indexed by "family/run".

    Args:
        results: one row per run and seed with the columns run, family and seed.

    Raises:
        ValueError: one of these columns is missing, or the same run and seed is there twice.
    """
    _require_keys(results, "results")
    indexed = results.assign(**{ID_COLUMN: results["family"].astype(str) + "/" + results["run"].astype(str)}).set_index(ID_COLUMN)
    twice = results.duplicated(["family", "run", "seed"]).to_numpy()
    if twice.any():
        found = [f"{name}, seed {seed}" for name, seed in zip(indexed.index[twice], indexed["seed"][twice], strict=True)]
        raise ValueError(f"results: expected each run once per seed, got again: {'; '.join(found[:5])}")
    return indexed


def _require_keys(results: pd.DataFrame, where: str) -> None:
    missing = [column for column in ("run", "family", "seed") if column not in results.columns]
    if missing or results.empty:
        raise ValueError(f"{where}: expected rows with the columns run, family and seed, got {list(results.columns)}")


def require_ids(results: pd.DataFrame, artefact: str, ids: Collection[str]) -> None:
    """Raise ValueError unless every run is there, and for the same seeds as the others.

    Args:
        results: from `load_results`.
        artefact: id, for the message.
        ids: "family/run" of every run the artefact shows.
    """
    missing = [name for name in dict.fromkeys(ids) if name not in results.index]
    if missing:
        raise ValueError(f"{artefact}: {len(missing)} of {len(set(ids))} runs missing: {_some(missing)}")
    seeds = {name: set(results.loc[[name], "seed"].astype(int)) for name in ids}
    every = set().union(*seeds.values())
    gaps = [f"{name}, seed {seed}" for name, have in seeds.items() for seed in sorted(every - have)]
    if gaps:
        raise ValueError(f"{artefact}: expected the same seeds of all runs, missing: {_some(gaps)}")


def require_shared(results: pd.DataFrame, artefact: str, ids: Collection[str], columns: Collection[str] = SETTING) -> None:
    """Raise ValueError if the runs differ in one of `columns`, whose numbers must not share a figure.

    Args:
        results: from `load_results`.
        artefact: id, for the message.
        ids: "family/run" of runs that are there.
        columns: by default profile, data set and network.
    """
    rows = rows_of(results, ids)
    for column in columns:
        if column not in rows.columns:
            raise ValueError(f"{artefact}: expected the column {column!r} in the results, got {list(rows.columns)}")
        values = sorted(set(rows[column].astype(str)))
        if len(values) > 1:
            raise ValueError(f"{artefact}: expected runs of one {column}, got {values}")


def rows_of(results: pd.DataFrame, ids: Collection[str]) -> pd.DataFrame:
    """Return the rows of these runs, for the note below a figure."""
    return results[results.index.isin(list(ids))]


def levels(
    results: pd.DataFrame, artefact: str, curves: Mapping[str, str], *, made_only: bool = False
) -> dict[str, dict[float, str]]:
    """Return the runs of curves over a level that is written into the run's name in hundredths.

    Which levels there are is decided by the runs that were trained; but a level that one curve has, all must have.

    Args:
        results: from `load_results`.
        artefact: id, for the message.
        curves: series to "family/run" with `{}` in place of the digits, for example "scribble_sizes/pce-crf-len{}".
        made_only: a curve that lacks a run has no levels, instead of being an error.

    Returns:
        Series to (level as a fraction to "family/run"), levels ascending.

    Raises:
        ValueError: no curve has any run, or one lacks a level that another one has.
    """
    found: dict[str, dict[str, str]] = {}
    for series, pattern in curves.items():
        before, after = pattern.split("{}")
        matches = [re.fullmatch(f"{re.escape(before)}([0-9]+){re.escape(after)}", name) for name in results.index.unique()]
        found[series] = {match[1]: match[0] for match in matches if match}
    every = sorted(set().union(*found.values()), key=int)
    if not every and not made_only:
        raise ValueError(f"{artefact}: expected runs named {list(curves.values())}, got none")
    wanted = {series: {digits: pattern.format(digits) for digits in every} for series, pattern in curves.items()}
    if made_only:
        wanted = {series: of_series if len(found[series]) == len(every) else {} for series, of_series in wanted.items()}
    require_ids(results, artefact, [name for of_series in wanted.values() for name in of_series.values()])
    return {series: {int(digits) / 100: name for digits, name in of.items()} for series, of in wanted.items()}


def cell(results: pd.DataFrame, run_id: str, metric: str, artefact: str) -> Cell:
    """Return one metric of one run over its seeds.

    Args:
        results: from `load_results`.
        run_id: "family/run".
        metric: column, for example `mIoU_val`.
        artefact: id, for the message.

    Raises:
        ValueError: the run is missing, or has no value of the metric for one of its seeds.
    """
    require_ids(results, artefact, [run_id])
    rows = results.loc[[run_id]].sort_values("seed")
    values = rows[metric].astype(float) if metric in rows.columns else pd.Series(float("nan"), index=rows.index)
    empty = rows.loc[values.isna(), "seed"].astype(int).tolist()
    if empty:
        raise ValueError(f"{artefact}: expected a value of {metric} for {run_id}, got none for seed {_some(map(str, empty))}")
    by_seed = dict(zip(rows["seed"].astype(int).tolist(), values.tolist(), strict=True))
    return Cell(float(values.mean()), float(values.std(ddof=1)), by_seed)


def best_cell(results: pd.DataFrame, run_id: str, metric: str, artefact: str) -> Cell | None:
    """Return `cell` of the epoch that validated best, or None where that was not tracked."""
    require_ids(results, artefact, [run_id])
    column = metric + BEST
    if column not in results.columns or results.loc[[run_id], column].isna().all():
        return None
    return cell(results, run_id, column, artefact)


def compare(results: pd.DataFrame, run_id: str, metric: str, artefact: str, published: float | None) -> dict[str, float | int]:
    """Return a published number beside ours, as the columns of an artefact's frame.

    Args:
        results: from `load_results`.
        run_id: "family/run".
        metric: column of a fraction, for example `mIoU_val`.
        artefact: id, for the message.
        published: in percent; None where the paper prints no number.

    Returns:
        published_percent, ours_percent, ours_std_percent (NaN for one seed), ours_best_percent (best epoch; NaN where not
        tracked), difference_points (ours - published) and seeds.

    Raises:
        ValueError: as `cell`.
    """
    ours, best = cell(results, run_id, metric, artefact), best_cell(results, run_id, metric, artefact)
    printed = float("nan") if published is None else published
    return {
        "published_percent": printed,
        "ours_percent": 100 * ours.mean,
        "ours_std_percent": 100 * ours.std,
        "ours_best_percent": float("nan") if best is None else 100 * best.mean,
        "difference_points": 100 * ours.mean - printed,
        "seeds": len(ours.values),
    }


def cited(published: float | None) -> dict[str, float | int]:
    """Return the columns of `compare` for a number that was reported by others and not trained here."""
    nan = float("nan")
    return {**dict.fromkeys(COMPARISON, nan), "published_percent": nan if published is None else published, "seeds": 0}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
