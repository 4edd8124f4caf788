"""One language for the claims of both papers.

The claims of a paper are a list of `Claim`: a sentence, its place, one of `KINDS`, and the quantities that are compared. A
quantity is a run (`Where`), a `Curve` of all levels that were trained, or `Made` from several of them. `verdicts` says how a
verdict comes about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from pipeline.report.artifact import Data
from pipeline.report.runs import Runs, Where
from pipeline.report.verdicts import Difference, Test, equivalent, greater, ordering, ratio_at_least, trend

KINDS: dict[str, Callable[..., Test]] = {
    "greater": greater,
    "equivalent": equivalent,
    "ratio": ratio_at_least,
    "ordering": ordering,
    "rising": trend,
    "falling": partial(trend, rising=False),
}
"""How the quantities of a claim are compared."""


@dataclass(frozen=True)
class Curve:
    """All runs of a curve that were trained.

    Attributes:
        of: what they have in common.
        level: column in which they differ.
        below: levels from here on are left out, unless that leaves none.
    """

    of: Where
    level: str
    below: float = math.inf


@dataclass(frozen=True)
class Made:
    """A quantity that is made from several runs, seed by seed.

    Attributes:
        name: for people.
        of: what it is made from.
        by: values of one seed, in the order of the runs, to the value of the quantity.
    """

    name: str
    of: tuple[Where | Curve, ...]
    by: Callable[[Sequence[float]], float]


def mean(values: Sequence[float]) -> float:
    """Return the mean; a way to make a quantity."""
    return sum(values) / len(values)


def gain(values: Sequence[float]) -> float:
    """Return the first value minus the second; a way to make a quantity."""
    return values[0] - values[1]


Quantity = Where | Curve | Made
Place = tuple[str, str, str]
"""Artifact, row and column of a number in `published.csv`."""


def each(*places: Place) -> tuple[tuple[Place, ...], ...]:
    """Return printed numbers that stand for themselves, for `Claim.printed`."""
    return tuple((place,) for place in places)


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can be tested.

    Attributes:
        id: short and unique, such as `collision`.
        sentence: what is claimed, in one's own words.
        where: its place, such as "Table 3" or "section 3.2".
        kind: one of `KINDS`.
        of: what is compared, in the order of the claim; for a trend, one curve.
        metric: column of results that it is about.
        options: further arguments of the kind, such as a margin.
        printed: what the paper prints for each quantity, or for their difference: the mean of the numbers at some places.
    """

    id: str
    sentence: str
    where: str
    kind: str
    of: tuple[Quantity, ...]
    metric: str = "mIoU_val"
    options: Mapping[str, float] | None = None
    printed: tuple[tuple[Place, ...], ...] = ()


TABULATED = ["claim", "paper", "where", "published", "ours", "difference", "n", "verdict"]
"""Columns of a table of claims."""


@dataclass(frozen=True)
class PaperClaims:
    """The claims of one paper.

    Attributes:
        paper: SIZE or SSL.
        claims: in the order of the paper.
        digits: format of printed numbers.
    """

    paper: str
    claims: tuple[Claim, ...]
    digits: str

    def tested(self, data: Data, *, made_only: bool = False) -> pd.DataFrame:
        """Return every claim with its verdict.

        Args:
            data: results and printed numbers.
            made_only: leave out claims of which a run is missing, instead of refusing.

        Returns:
            One row per claim: id, kind, claim (its sentence), paper, where, published (printed numbers in the order of the
            quantities, as text), ours (mean and standard deviation of each, as text), difference (with its two-sided 95 %
            interval, as text; of an ordering the weakest step), difference_points, low_points, high_points (NaN for one seed), n
            (seeds) and verdict.

        Raises:
            ValueError: a run, a value or a printed number is missing, or runs differ in their seeds or in profile.
        """
        found = [(claim, _resolved(claim, data.runs, made_only)) for claim in self.claims]
        if made_only:
            found = [(claim, runs) for claim, runs in found if all(of and all(map(data.runs.has, of.values())) for of in runs)]
        data.runs.require((run for _, runs in found for of in runs for run in of.values()), ["profile"])
        return pd.DataFrame([self._row(claim, runs, data) for claim, runs in found])

    def _row(self, claim: Claim, runs: Sequence[Levels], data: Data) -> dict[str, object]:
        names, values = _values(claim, runs, data.runs)
        options = claim.options or {}
        try:
            if isinstance(claim.of[0], Curve):
                outcome = KINDS[claim.kind](dict(zip(names, runs[0], strict=True)), **options)(values)
            else:
                outcome = KINDS[claim.kind](*names, **options)(values)
        except ValueError as error:
            raise ValueError(f"{data.runs.artifact}: claim {claim.id}: {error}") from error
        difference = outcome.difference
        return {
            "id": claim.id,
            "kind": claim.kind,
            "claim": claim.sentence,
            "paper": self.paper,
            "where": claim.where,
            "published": _printed(claim, data, self.digits),
            "ours": "; ".join(f"{name} {spread(values[name])}" for name in outcome.runs),
            "difference": interval(difference),
            "difference_points": 100 * difference.mean,
            "low_points": 100 * difference.low,
            "high_points": 100 * difference.high,
            "n": difference.n,
            "verdict": outcome.verdict,
        }


Levels = Mapping[float, Where]
"""Runs of a quantity: by level for a curve, else numbered."""


def _resolved(claim: Claim, runs: Runs, made_only: bool) -> list[Levels]:
    """Return the runs of each quantity of a claim; none where one of its curves was not trained.

    All curves of a claim have the same levels: what differs in them would be no fair comparison.
    """
    parts = [quantity.of if isinstance(quantity, Made) else (quantity,) for quantity in claim.of]
    curves = {part: part.of for of in parts for part in of if isinstance(part, Curve)}
    levels: dict[Where | Curve, dict[float, Where]] = {
        part: {0.0: part} for of in parts for part in of if isinstance(part, Where)
    }
    if curves:
        named = {str(number): where for number, where in enumerate(curves.values())}
        found = runs.levels(named, next(iter(curves)).level, made_only=made_only)
        for curve, trained in zip(curves, found.values(), strict=True):
            below = {level: run for level, run in trained.items() if level < curve.below}
            levels[curve] = below or ({} if made_only else trained)  # equal runs differ by nothing
    return [levels[of[0]] if len(of) == 1 else _numbered([levels[part] for part in of]) for of in parts]


def _numbered(parts: Sequence[Levels]) -> Levels:
    complete = [run for of in parts for run in of.values()] if all(parts) else []
    return {float(number): run for number, run in enumerate(complete)}


def _values(claim: Claim, resolved: Sequence[Levels], runs: Runs) -> tuple[list[str], dict[str, list[float]]]:
    """Return the names of all that a claim compares, in its order, and their values over seeds."""
    names: list[str] = []
    values: dict[str, list[float]] = {}
    for quantity, of in zip(claim.of, resolved, strict=True):
        by_run = {run: list(runs.cell(run, claim.metric).values.values()) for run in of.values()}
        if isinstance(quantity, Made):
            found = {quantity.name: [quantity.by(of_seed) for of_seed in zip(*by_run.values(), strict=True)]}
        else:
            found = {runs.name(run): of_run for run, of_run in by_run.items()}
        names += found
        values.update(found)
    return names, values


def _printed(claim: Claim, data: Data, digits: str) -> str:
    """Return the printed numbers of a claim as text, empty where the paper prints none."""
    numbers = [[data.printed(row, column, artifact) for artifact, row, column in places] for places in claim.printed]
    if any(math.isnan(number) for values in numbers for number in values):
        raise ValueError(f"{data.runs.artifact}: claim {claim.id}: expected printed numbers at {claim.printed}, got {numbers}")
    return " against ".join(f"{mean(values):{digits}}" for values in numbers)


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation of fractions as text, in points."""
    if not len(values):
        return "-"
    centre = f"{100 * float(np.mean(values)):.2f}"
    return f"{centre} ± {100 * float(np.std(values, ddof=1)):.2f}" if len(values) > 1 else centre


def interval(difference: Difference) -> str:
    """Return a difference of fractions with its two-sided 95 % interval as text, in points."""
    if difference.n == 0:
        return "-"
    centre = f"{100 * difference.mean:+.2f}"
    return f"{centre} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]" if difference.n > 1 else centre
