"""When a claim holds, when it does not, and what the seeds cannot decide.

A claim compares runs that were repeated with the same seeds. It is made of steps, each of them one number per seed that has to
lie between two limits: a - b above 0 for "a is better than b", above -margin for "a is hardly worse than b", between -margin and
margin for "a equals b", the slope above 0 for a trend. A sentence about several rivals or several levels has a step for each of
them. Over the n seeds the mean m and the sample standard deviation s of a step give one-sided 95 % bounds m -+ t s / sqrt(n), t
the 95 % quantile of Student's distribution with n - 1 degrees of freedom.

Verdicts
    not decided (n seeds)   fewer than 3 seeds; the difference is shown nevertheless
    holds                   every step has both bounds between its limits
    does not hold           some step has both bounds beyond a limit
    level                   some step of "a is better than b" has both bounds nearer to 0 than a margin
    not decided             else
All steps must hold, so that their number does not make a false "holds" more likely. For "does not hold" and "level" one of m
is enough: the bounds are those at 1 - 5 % / m there, so that more steps do not make that more likely either. Level goes before
"holds", as a difference that is sure and too small to matter is no gain; it is asked for where a margin is given (two one-sided
tests, [Schuirmann 1987]).

Of many claims some hold by chance, 5 % of those that are wrong. `holm` corrects for that: of the p-values of k claims, in
ascending order, the i-th is multiplied by k - i + 1 ([Holm 1979], valid whatever the claims have in common).

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

CONFIDENCE = 0.95
POWER = 0.8
FEWEST_SEEDS = 3

RULE = (
    "Differences are paired over seeds and carry a two-sided 95 % interval; a verdict asks for a one-sided 95 % bound on the "
    "claimed side, so that a claim may hold whose interval touches 0. Where a sentence has several rivals or levels, each must "
    "hold, and the row shows the one that decides. Level: what the sentence calls better is so by less than half a point, if at "
    "all. Detectable: the difference that four of five experiments like this would have shown. Seeds differ in initialisation, "
    "order and what the annotator gave."
)
"""Note below tables of claims."""

HOLDS, FAILS, LEVEL, OPEN = "holds", "does not hold", "level", "not decided"


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

    @property
    def detectable(self) -> float:
        """How far a mean must lie beyond its limit for a one-sided bound to pass it in four of five experiments like this one."""
        from scipy import stats

        if self.n < FEWEST_SEEDS:
            return math.nan
        quantiles = stats.t.ppf([CONFIDENCE, POWER], self.n - 1)
        return float(quantiles.sum()) * self.std / math.sqrt(self.n)


class Step(NamedTuple):
    """One comparison: "the mean over seeds lies between two limits".

    Attributes:
        runs: what is compared, in the order of the claim.
        values: one number per seed, such as a paired difference.
        low: lower limit.
        high: upper limit; infinite for a one-sided claim.
    """

    runs: tuple[str, ...]
    values: Sequence[float]
    low: float = 0.0
    high: float = math.inf


class Outcome(NamedTuple):
    """What a test says.

    Attributes:
        step: the one that decides: closest to a limit, or farthest beyond it.
        difference: summary of this step.
        verdict: see the module's docstring.
        p_for: how likely so much or more speaks for a claim that is wrong; NaN for fewer than `FEWEST_SEEDS` seeds.
        p_against: how likely so much or more speaks against a claim that is true; likewise.
        p_level: how likely runs seem so level that are a margin apart; NaN without a margin, likewise.
    """

    step: Step
    difference: Difference
    verdict: str
    p_for: float
    p_against: float
    p_level: float


Test = Callable[[Values], list[Step]]
"""From the values of runs to the steps of a claim."""


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
    half_width = _half_width(std, n, (1 + CONFIDENCE) / 2)
    return Difference(centre, std, centre - half_width, centre + half_width, n)


def greater(*names: str, by: float = 0.0) -> Test:
    """Return the test of "the first run scores higher, by more than `by`, than each of the others"."""

    def test(runs: Values) -> list[Step]:
        first, *rivals = _paired(runs, names)
        return [Step((names[0], rival), _minus(first, of), low=by) for rival, of in zip(names[1:], rivals)]

    return test


def not_worse(*names: str, margin: float) -> Test:
    """Return the test of "the first run scores less than a margin below each of the others, or above them" (non-inferiority)."""
    return greater(*names, by=-margin)


def equivalent(*names: str, margin: float) -> Test:
    """Return the test of "the first run scores as high as each of the others", up to a margin in the unit of the metric."""
    test = greater(*names)
    return lambda runs: [step._replace(low=-margin, high=margin) for step in test(runs)]


def ratio_at_least(a: str, b: str, ratio: float) -> Test:
    """Return the test of "run a reaches `ratio` times the score of run b", by the differences a - ratio b."""

    def test(runs: Values) -> list[Step]:
        first, second = _paired(runs, (a, b))
        return [Step((a, b), _minus(first, [ratio * value for value in second]))]

    return test


def ordering(*names: str) -> Test:
    """Return the test of "these runs score in this order, the highest first"."""

    def test(runs: Values) -> list[Step]:
        values = _paired(runs, names)
        return [Step(pair, _minus(a, b)) for pair, (a, b) in zip(pairwise(names), pairwise(values))]

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
    return lambda runs: [Step(tuple(places), (weights @ np.array(_paired(runs, tuple(places)))).tolist())]


def judge(steps: Sequence[Step], margin: float = math.nan) -> Outcome:
    """Return the verdict on a claim from its steps.

    Args:
        steps: all that must hold.
        margin: differences below it are none, in the unit of the metric; NaN for claims to which "level" does not apply.

    Raises:
        ValueError: there is no step, or a value is not finite.
    """
    if not steps:
        raise ValueError("steps: expected at least one comparison, got none")
    found = [(step, summarize_differences(step.values)) for step in steps]
    p_for = max(_p_inside(step, difference) for step, difference in found)
    p_against = min(1.0, len(steps) * min(_p_outside(step, difference) for step, difference in found))
    weakest, difference = min(found, key=lambda of: min(of[1].mean - of[0].low, of[0].high - of[1].mean))
    better = [(Step(step.runs, step.values, -margin, margin), of) for step, of in found if (step.low, step.high) == (0, math.inf)]
    nearest = min((_p_inside(step, of) for step, of in better), default=math.nan)
    p_level = math.nan if math.isnan(margin) else min(1.0, len(steps) * nearest)
    return Outcome(weakest, difference, verdict_of(difference.n, p_for, p_against, p_level), p_for, p_against, p_level)


def verdict_of(n: int, p_for: float, p_against: float, p_level: float = math.nan) -> str:
    """Return what is said of a claim, from the number of seeds and three p-values."""
    if n < FEWEST_SEEDS:
        return f"{OPEN} ({n} {'seed' if n == 1 else 'seeds'})"
    said = {FAILS: p_against, LEVEL: p_level, HOLDS: p_for}
    return next((verdict for verdict, p in said.items() if p < 1 - CONFIDENCE), OPEN)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number; NaN is no test and stays.

    >>> holm([0.04, 0.01, float("nan"), 0.03])
    [0.06, 0.03, nan, 0.06]
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    corrected, least = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(tested):
        corrected[place] = least = min(1.0, max(least, p * (len(tested) - rank)))
    return corrected


def _p_inside(step: Step, difference: Difference) -> float:
    """Return the p-value of the hypothesis that the mean lies on or beyond a limit."""
    return max(_tail(difference.mean - step.low, difference), _tail(step.high - difference.mean, difference))


def _p_outside(step: Step, difference: Difference) -> float:
    """Return the p-value of the hypothesis that the mean lies between the limits."""
    return min(_tail(step.low - difference.mean, difference), _tail(difference.mean - step.high, difference))


def _tail(excess: float, difference: Difference) -> float:
    """Return the probability that a mean is in excess of a limit by so much though the true one lies at it."""
    from scipy import stats

    if difference.n < FEWEST_SEEDS:
        return math.nan
    error = difference.std / math.sqrt(difference.n)
    if error == 0 or math.isinf(excess):
        return 0.0 if excess > 0 else 1.0
    return float(stats.t.sf(excess / error, difference.n - 1))


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


def _half_width(std: float, n: int, quantile: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(quantile, n - 1)) * std / math.sqrt(n) if n > 1 else math.nan
