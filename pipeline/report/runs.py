"""The runs of one artifact, addressed by what they are and never by what they are called.

A run is found by its fields, the columns of results.csv: `Where(family="potts", relaxation="q", length_ratio=1.0)`. Its rows
differ in the seed only. A run that is missing is an error that names artifact and fields, because a figure with a silent hole
reads as a finding.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

SETTING = ("profile", "dataset", "network")
"""What all runs of one figure have in common."""
NUMBERS = ("published_percent", "ours_percent", "ours_std_percent", "ours_best_percent", "difference_points", "seeds")
COMPARISON = (*NUMBERS, "failed")
"""A number of ours beside the printed one, in the order of the columns of an artifact's frame."""
BEST = "_best"
"""A metric M of the last epoch stands beside M_best, that of the epoch that validated best, where that was tracked."""
DIGITS = 9
"""Levels are compared after rounding to so many digits after the point."""
NAN = float("nan")


@dataclass(frozen=True, init=False)
class Where:
    """Fields that say which run is meant: column of results.csv to its value.

    None stands for an empty cell, True and False for truth as CSV writes it, numbers are compared up to rounding, and everything
    else as text.
    """

    fields: tuple[tuple[str, object], ...]

    def __init__(self, **fields: object) -> None:
        object.__setattr__(self, "fields", tuple(fields.items()))

    def __str__(self) -> str:
        return ", ".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in self.fields)

    @property
    def family(self) -> str:
        """Family of runs, which says in what file they stand."""
        return str(dict(self.fields)["family"])

    def but(self, **fields: object) -> Where:
        """Return these fields with others added or in place of them."""
        return Where(**{**dict(self.fields), **fields})

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Return whether a row or a metrics file has these fields."""
        return all(_same(record.get(name), value) for name, value in self.fields)


def _same(value: object, wanted: object) -> bool:
    empty = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    if isinstance(wanted, bool):  # before numbers: True is one of them; an empty cell counts as False
        return (str(value).lower() in ("true", "1", "1.0")) == wanted
    if wanted is None or empty:
        return wanted is None and empty
    if isinstance(wanted, int | float):
        return math.isclose(float(str(value)), wanted, rel_tol=1e-6, abs_tol=1e-9)
    return str(value) == wanted


def wheres(runs: Iterable[Where | None]) -> tuple[Where, ...]:
    """Return the runs that are named, without the gaps of rows that others reported."""
    return tuple(where for where in runs if where is not None)


class Cell(NamedTuple):
    """One number of one run over its seeds, a fraction."""

    mean: float
    """Mean over seeds."""
    std: float
    """Sample standard deviation over seeds; NaN for one seed."""
    values: dict[int, float]
    """Seed to value, ascending."""


def load_results(files: Iterable[Path]) -> pd.DataFrame:
    """Return the runs of several families in one table: one row per run and seed, with all columns of the files.

    Raises:
        ValueError: a file lacks the columns run, family or seed or has no row, or the same run and seed is there twice.
    """
    # Rows instead of frames are joined: pandas would guess types of columns that are empty in one family.
    rows: list[dict[str, object]] = []
    for path in files:
        frame = pd.read_csv(path)
        missing = [column for column in ("run", "family", "seed") if column not in frame.columns]
        if missing or frame.empty:
            raise ValueError(f"{path}: expected rows with the columns run, family and seed, got {list(frame.columns)}")
        rows += frame.to_dict("records")  # type: ignore[arg-type]  # column names are text
    results = pd.DataFrame(rows)
    twice = results[results.duplicated(["family", "run", "seed"])]
    if len(twice):
        found = [f"{row.family}/{row.run}, seed {row.seed}" for row in twice.itertuples()]
        raise ValueError(f"results: expected each run once per seed, got again: {_some(found, '; ')}")
    return results


def require_columns(rows: pd.DataFrame, artifact: str, columns: Sequence[str]) -> None:
    """Raise ValueError unless `rows` has all `columns`."""
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise ValueError(f"{artifact}: expected the columns {missing}, got {list(rows.columns)}")


def is_true(column: pd.Series) -> pd.Series:
    """Return where a column read from CSV says True; empty cells count as False.

    >>> is_true(pd.Series([True, "False", None, "True"])).tolist()
    [True, False, False, True]
    """
    return pd.Series([_same(value, True) for value in column], index=column.index, dtype=bool)


class Runs:
    """Results that an artifact may use.

    Attributes:
        rows: one row per run and seed, as `load_results` returns them.
        artifact: id, for messages.
    """

    def __init__(self, rows: pd.DataFrame, artifact: str, wanted: Collection[Where] = (Where(),)) -> None:
        """Keep the rows that fit one of `wanted`."""
        self.artifact = artifact
        self._found: dict[Where, pd.DataFrame] = {}
        self._masks: dict[tuple[str, object], pd.Series] = {}
        self.rows = rows
        kept = pd.Series(False, index=rows.index)
        for where in wanted:
            kept |= self._mask(where)
        self.rows = rows[kept].reset_index(drop=True)
        self._masks.clear()

    def _mask(self, where: Where) -> pd.Series:
        """Return which rows have these fields; each field is looked up once."""
        found = pd.Series(True, index=self.rows.index)
        for name, wanted in where.fields:
            if (name, repr(wanted)) not in self._masks:
                require_columns(self.rows, self.artifact, [name])
                fits = [_same(value, wanted) for value in self.rows[name]]
                self._masks[name, repr(wanted)] = pd.Series(fits, index=self.rows.index, dtype=bool)
            found &= self._masks[name, repr(wanted)]
        return found

    def select(self, where: Where | None = None, **fields: object) -> pd.DataFrame:
        """Return the rows of one run, ascending in seed; none if it is not there.

        Raises:
            ValueError: several runs have these fields.
        """
        where = (where or Where()).but(**fields)
        if where not in self._found:
            rows = self.rows[self._mask(where)].sort_values("seed")
            names = sorted(set(_names(rows)))
            if len(names) > 1:
                raise ValueError(
                    f"{self.artifact}: expected one run with {where}, got {_some(names)}; tell them apart by more fields"
                )
            self._found[where] = rows
        return self._found[where]

    def has(self, where: Where) -> bool:
        """Return whether there is any run with these fields."""
        return bool(self._mask(where).any())

    def require(self, wanted: Iterable[Where], same: Collection[str] = SETTING) -> None:
        """Raise ValueError unless every run is there, for the same seeds as the others, and all agree in the columns `same`."""
        found = {where: self.select(where) for where in wanted}
        missing = [f"({where})" for where, rows in found.items() if rows.empty]
        if missing:
            raise ValueError(f"{self.artifact}: {len(missing)} of {len(found)} runs missing: {_some(missing)}")
        seeds = {where: set(rows["seed"].astype(int)) for where, rows in found.items()}
        every = set().union(*seeds.values())
        gaps = [f"({where}), seed {seed}" for where, have in seeds.items() for seed in sorted(every - have)]
        if gaps:
            raise ValueError(f"{self.artifact}: expected the same seeds of all runs, missing: {_some(gaps)}")
        require_columns(self.rows, self.artifact, list(same))
        for column in same:
            values = sorted({str(value) for rows in found.values() for value in rows[column]})
            if len(values) > 1:
                raise ValueError(f"{self.artifact}: expected runs of one {column}, got {values}")

    def name(self, where: Where) -> str:
        """Return the name of a run as "family/run", for people."""
        return str(_names(self._rows(where))[0])

    def value(self, where: Where, column: str) -> Any:
        """Return a column that is the same for all seeds of a run."""
        require_columns(self.rows, self.artifact, [column])
        return self._rows(where)[column].iloc[0]

    def mean(self, where: Where, column: str) -> float:
        """Return the mean over seeds of a number that need not be there; NaN where it is not."""
        return float(self._rows(where)[column].astype(float).mean()) if column in self.rows.columns else NAN

    def failed(self, where: Where) -> bool:
        """Return whether the training of any seed of a run failed, by its loss."""
        return "failed" in self.rows.columns and bool(is_true(self._rows(where)["failed"]).any())

    def levels(self, curves: Mapping[str, Where], column: str, *, made_only: bool = False) -> dict[str, dict[float, Where]]:
        """Return the runs of curves over a column.

        Which levels there are is decided by the runs that were trained; but a level that one curve has, all must have.

        Args:
            curves: series to what its runs have in common.
            column: numeric, such as length_ratio.
            made_only: a curve that lacks a run has no levels, instead of being an error.

        Raises:
            ValueError: no curve has any run, or one lacks a level that another one has.
        """
        require_columns(self.rows, self.artifact, [column])
        found: dict[str, set[float]] = {}
        for series, where in curves.items():
            numbers = self.rows.loc[self._mask(where), column].dropna().astype(float)
            found[series] = {round(float(number), DIGITS) for number in numbers}
        every = sorted(set().union(*found.values()))
        if not every and not made_only:
            raise ValueError(
                f"{self.artifact}: expected runs with {' or '.join(f'({where})' for where in curves.values())}, got none"
            )
        wanted = {series: {level: where.but(**{column: level}) for level in every} for series, where in curves.items()}
        if made_only:
            wanted = {series: runs if len(found[series]) == len(every) else {} for series, runs in wanted.items()}
        else:
            self.require([run for runs in wanted.values() for run in runs.values()], ())
        return wanted

    def cell(self, where: Where, metric: str) -> Cell:
        """Return one metric of one run over its seeds.

        Raises:
            ValueError: the run is missing, or has no value of the metric for one of its seeds.
        """
        rows = self._rows(where)
        values = rows[metric].astype(float) if metric in rows.columns else pd.Series(NAN, index=rows.index)
        empty = rows.loc[values.isna(), "seed"].astype(int).tolist()
        if empty:
            seeds = _some([str(seed) for seed in empty])
            raise ValueError(f"{self.artifact}: expected a value of {metric} of the run with {where}, got none for seed {seeds}")
        by_seed = dict(zip(rows["seed"].astype(int).tolist(), values.tolist(), strict=True))
        return Cell(float(values.mean()), float(values.std(ddof=1)), by_seed)

    def compare(self, where: Where | None, metric: str, printed: float = NAN) -> dict[str, object]:
        """Return a number of ours beside the printed one, as columns of an artifact's frame.

        Args:
            where: the run; None for a number that others reported and that is not trained here.
            metric: column of a fraction, for example `mIoU_val`.
            printed: in percent; NaN where the paper prints no number.

        Returns:
            run (its name, empty for None), published_percent, ours_percent, ours_std_percent (NaN for one seed),
            ours_best_percent (best epoch; NaN where not tracked), difference_points (ours - published), seeds, and failed
            (whether the loss of a training says that it failed).

        Raises:
            ValueError: as `cell`.
        """
        if where is None:
            return {"run": "", **dict.fromkeys(NUMBERS, NAN), "published_percent": printed, "seeds": 0, "failed": False}
        ours, best = self.cell(where, metric), metric + BEST
        tracked = best in self.rows.columns and self._rows(where)[best].notna().any()
        return {
            "run": self.name(where),
            "published_percent": printed,
            "ours_percent": 100 * ours.mean,
            "ours_std_percent": 100 * ours.std,
            "ours_best_percent": 100 * self.cell(where, best).mean if tracked else NAN,
            "difference_points": 100 * ours.mean - printed,
            "seeds": len(ours.values),
            "failed": self.failed(where),
        }

    def _rows(self, where: Where) -> pd.DataFrame:
        rows = self.select(where)
        if rows.empty:
            raise ValueError(f"{self.artifact}: 1 of 1 runs missing: ({where})")
        return rows


def _names(rows: pd.DataFrame) -> list[str]:
    return [f"{family}/{run}" for family, run in zip(rows["family"], rows["run"], strict=True)]


def generated_seeds(kinds: Iterable[str]) -> str:
    """Return that seeds of these kinds were generated from masks, in words.

    >>> generated_seeds(["erosion", "blocks", "erosion"])
    'eroded seeds and blocks generated from masks'
    """
    words = {"erosion": "eroded seeds", "blocks": "blocks"}
    return " and ".join(dict.fromkeys(words.get(kind, "scribbles") for kind in kinds)) + " generated from masks"


def _some(names: Sequence[str], between: str = ", ") -> str:
    return between.join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
