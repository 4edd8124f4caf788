"""When a claim holds, when it does not, and what the seeds cannot decide.

A claim compares runs that were repeated with the same seeds. Everything is computed from paired differences, one number per seed
that is above 0 where the claim is true: a - b for "a is better than b", the slope for a trend. Over the n seeds their mean m and
sample standard deviation s give one-sided 95 % bounds m -+ t s / sqrt(n), t the 95 % quantile of Student's distribution with
n - 1 degrees of freedom.

Verdicts
    not decided (n seeds)   fewer than 3 seeds; the difference is shown nevertheless
    holds                   the lower bound is above 0: the one-sided interval is wholly on the claimed side
    does not hold           the upper bound is below 0: wholly on the other side
    not decided             else
For "a equals b" there are two one-sided tests with a margin, 1 point if none is stated: it holds if both bounds are within the
margin, and does not hold if both are beyond it on the same side. An ordering holds if every step of it does. It does not hold
if one of its m steps lies on the other side with a bound at 1 - 5 % / m instead of 95 %, so that more steps do not make a false
"does not hold" more likely.

Values are fractions or whatever unit the metric has, higher is better; swap a and b for a metric where lower is better. In
tables fractions are points (times 100), and differences carry the usual two-sided 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Values = Mapping[str, Sequence[float]]
"""Values of a metric by name, one per seed, in the same order of seeds for all names; empty for a run not made."""

LEVEL = 0.95
EQUIVALENCE_MARGIN = 0.01
"""One point, the margin of `equivalent` if none is stated."""
FEWEST_SEEDS = 3

RULE = (
    "Differences are paired over seeds and carry a two-sided 95 % interval; a verdict asks for a one-sided 95 % bound on the "
    "claimed side, so that a claim may hold whose interval touches 0. Seeds differ in initialisation and order, not in what the "
    "annotator gave."
)
"""Note below tables of claims."""

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"


class Difference(NamedTuple):
    """Paired differences over seeds.

    Attributes:
        mean: NaN without seeds.
        std: sample standard deviation; NaN for fewer than two seeds.
        low: lower end of the two-sided 95 % interval of the mean; NaN for fewer than two seeds.
        high: upper end.
        n: number of seeds.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


class Outcome(NamedTuple):
    """What a test says.

    Attributes:
        runs: the runs compared, in the order of the claim.
        difference: that which decides; for an ordering, of its closest or most wrong step.
        verdict: see the module's docstring.
    """

    runs: tuple[str, ...]
    difference: Difference
    verdict: str


Test = Callable[[Values], Outcome]


def summarize_differences(differences: Sequence[float]) -> Difference:
    """Return mean, sample standard deviation and two-sided 95 % t-interval of the mean.

    Raises:
        ValueError: a difference is not finite.

    >>> [round(value, 3) for value in summarize_differences([1.0, 2.0, 3.0])]
    [2.0, 1.0, -0.484, 4.484, 3]
    """
    values = np.asarray(differences, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"differences: expected finite numbers, got {values.tolist()}")
    n = len(values)
    centre = float(values.mean()) if n else math.nan
    std = float(values.std(ddof=1)) if n > 1 else math.nan
    half_width = _half_width(std, n, (1 + LEVEL) / 2)
    return Difference(centre, std, centre - half_width, centre + half_width, n)


def paired_differences(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the summary of first - second, seed by seed.

    Raises:
        ValueError: the lengths differ or a value is not finite.
    """
    return summarize_differences(_minus(first, second))


def greater(a: str, b: str) -> Test:
    """Return the test of "run a scores higher than run b"."""
    return lambda runs: _one_sided((a, b), _minus(*_paired(runs, (a, b))))


def ratio_at_least(a: str, b: str, ratio: float) -> Test:
    """Return the test of "run a reaches `ratio` times the score of run b", by the differences a - ratio b.

    Raises:
        ValueError: the ratio is not above 0.
    """
    if not ratio > 0:
        raise ValueError(f"ratio: expected a number above 0, got {ratio}")

    def test(runs: Values) -> Outcome:
        first, second = _paired(runs, (a, b))
        return _one_sided((a, b), _minus(first, [ratio * value for value in second]))

    return test


def equivalent(a: str, b: str, margin: float = EQUIVALENCE_MARGIN) -> Test:
    """Return the test of "run a scores as high as run b", up to a margin in the unit of the metric.

    Raises:
        ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"margin: expected a number above 0, got {margin}")

    def test(runs: Values) -> Outcome:
        difference = paired_differences(*_paired(runs, (a, b)))
        low, high = _one_sided_bounds(difference, LEVEL)
        return Outcome(
            (a, b), difference, _verdict(difference.n, -margin < low and high < margin, low > margin or high < -margin)
        )

    return test


def ordering(*names: str) -> Test:
    """Return the test of "these runs score in this order, the highest first".

    Raises:
        ValueError: fewer than two runs.
    """
    if len(names) < 2:
        raise ValueError(f"names: expected at least two runs, got {list(names)}")

    def test(runs: Values) -> Outcome:
        steps = [paired_differences(a, b) for a, b in pairwise(_paired(runs, names))]
        holds = all(_one_sided_bounds(step, LEVEL)[0] > 0 for step in steps)
        fails = any(_one_sided_bounds(step, 1 - (1 - LEVEL) / len(steps))[1] < 0 for step in steps)
        weakest = min(steps, key=lambda step: step.mean)
        return Outcome(names, weakest, _verdict(weakest.n, holds, fails))

    return test


def trend(places: Mapping[str, float], rising: bool = True) -> Test:
    """Return the test of "the score rises (or falls) with x", by the slope of the least-squares line of each seed.

    Args:
        places: x of each run.
        rising: False for a falling trend, for which the slope shown is that of the falling score.

    Raises:
        ValueError: fewer than two different x, or one that is not finite.
    """
    x = np.array(list(places.values()), np.float64)
    if len(set(places.values())) < 2 or not np.isfinite(x).all():
        raise ValueError(f"places: expected two or more different finite x, got {dict(places)}")
    weights = (x - x.mean()) / np.square(x - x.mean()).sum() * (1 if rising else -1)

    def test(runs: Values) -> Outcome:
        return _one_sided(tuple(places), (weights @ np.array(_paired(runs, tuple(places)))).tolist())

    return test


def _paired(runs: Values, names: Sequence[str]) -> list[Sequence[float]]:
    """Return the values of the named runs, equally many of each."""
    missing = [name for name in names if name not in runs]
    if missing:
        raise ValueError(f"runs: expected {list(names)}, got none called {missing}")
    values = [runs[name] for name in names]
    if len({len(value) for value in values}) > 1:
        counts = {name: len(runs[name]) for name in names}
        raise ValueError(f"runs: expected the same seeds for all, got {counts} values; keep the seeds that all runs have")
    return values


def _minus(first: Sequence[float], second: Sequence[float]) -> list[float]:
    if len(first) != len(second):
        raise ValueError(f"differences: expected one pair per seed, got {len(first)} and {len(second)} values")
    return [a - b for a, b in zip(first, second)]


def _one_sided(names: tuple[str, ...], differences: Sequence[float]) -> Outcome:
    difference = summarize_differences(differences)
    low, high = _one_sided_bounds(difference, LEVEL)
    return Outcome(names, difference, _verdict(difference.n, low > 0, high < 0))


def _one_sided_bounds(difference: Difference, level: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the mean, each of which is right with probability `level`."""
    half_width = _half_width(difference.std, difference.n, level)
    return difference.mean - half_width, difference.mean + half_width


def _half_width(std: float, n: int, quantile: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(quantile, n - 1)) * std / math.sqrt(n) if n > 1 else math.nan


def _verdict(n: int, holds: bool, fails: bool) -> str:
    if n < FEWEST_SEEDS:
        return f"{OPEN} ({n} {'seed' if n == 1 else 'seeds'})"
    return HOLDS if holds else FAILS if fails else OPEN
