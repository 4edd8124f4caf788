"""One language for the claims of both papers.

The claims of a paper are a list of `Claim`: a sentence, its place, one of `KINDS`, and the quantities that are compared. A
quantity is a run (`Where`), a `Curve` of all levels that were trained, something `Made` from several of them, `Measured` without
a run, or `Reported` by others. `verdicts` says how a verdict comes about.

A sentence is tested on all that it names: a claim has every rival among its quantities, holds at every level of its curves, and
its further cases (`Claim.also`) hold as well. What these results cannot test is said to be so, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.report.artifact import Data
from pipeline.report.runs import Runs, Where
from pipeline.report.verdicts import (
    CONFIDENCE,
    HOLDS,
    OPEN,
    RULE,
    Difference,
    Step,
    Test,
    equivalent,
    greater,
    holm,
    judge,
    not_worse,
    ordering,
    ratio_at_least,
    trend,
    verdict_of,
)

KINDS: dict[str, Callable[..., Test]] = {
    "greater": greater,
    "not worse": not_worse,
    "equivalent": equivalent,
    "ratio": ratio_at_least,
    "ordering": ordering,
    "climbing": lambda places: ordering(*reversed(places)),
    "rising": trend,
    "falling": partial(trend, rising=False),
}
"""How the quantities of a claim are compared."""
OF_A_CURVE = ("climbing", "rising", "falling")
"""Kinds about the levels of one curve; all others compare quantities, at each level."""
OF_RANKS = ("greater", "ordering", "climbing")
"""Kinds that say that something is better than something else."""
ACCURACIES = ("mIoU", "DSC", "accuracy")
NEAR = 0.005
"""Accuracies of runs nearer than half a point are level, whatever the papers say of them."""
NOT_TESTED = "not tested here"
"""Verdict on what these results cannot test."""


@dataclass(frozen=True)
class Curve:
    """All runs of a curve that were trained.

    Attributes:
        of: what they have in common.
        level: column in which they differ.
        above: levels up to here are left out.
        up_to: levels beyond this one are left out.
        fewest: with fewer levels the claim is not tested.
    """

    of: Where
    level: str
    above: float = -math.inf
    up_to: float = math.inf
    fewest: int = 2


@dataclass(frozen=True)
class Made:
    """A quantity that is made from several runs, seed by seed.

    Attributes:
        name: for people.
        of: what it is made from.
        by: values of one seed, in the order of the runs, to the value of the quantity.
        at_each_level: make it at every level of its curves instead of from all of them.
    """

    name: str
    of: tuple[Where | Curve, ...]
    by: Callable[[Sequence[float]], float]
    at_each_level: bool = False


@dataclass(frozen=True)
class Measured:
    """A quantity without runs, such as the errors of annotators.

    Attributes:
        name: for people.
        of: from the plotted numbers of `plot` to its values, one per thing that was measured; None where there is nothing.
        on: the runs that it was measured on; records without them leave the claim out, and so do all if it is None.
        plot: artifact that plots what was measured.
    """

    name: str
    of: Callable[[Path], Sequence[float] | None]
    on: Where | None = None
    plot: str = ""

    def values(self, plots: Path) -> Sequence[float] | None:
        """Return its values from a folder of plotted numbers."""
        return self.of(plots / f"{self.plot}.csv")


@dataclass(frozen=True)
class Fixed:
    """A number to compare with, in the unit of the metric."""

    name: str
    value: float


@dataclass(frozen=True)
class Reported:
    """A number that the paper prints for a method that is not trained here; comparable with runs of the paper's scale only."""

    place: Place


def mean(values: Sequence[float]) -> float:
    """Return the mean; a way to make a quantity."""
    return sum(values) / len(values)


def gain(values: Sequence[float]) -> float:
    """Return the first value minus the second; a way to make a quantity."""
    return values[0] - values[1]


Quantity = Where | Curve | Made | Measured | Fixed | Reported
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
        of: what is compared, in the order of the claim; for a kind `OF_A_CURVE`, one curve.
        metric: column of results that it is about.
        options: further arguments of the kind, such as a margin.
        printed: what the paper prints for each quantity, or for their difference: the mean of the numbers at some places.
        also: further cases that the sentence covers, each as `of`.
    """

    id: str
    sentence: str
    where: str
    kind: str
    of: tuple[Quantity, ...]
    metric: str = "mIoU_val"
    options: Mapping[str, float] | None = None
    printed: tuple[tuple[Place, ...], ...] = ()
    also: tuple[tuple[Quantity, ...], ...] = ()

    @property
    def cases(self) -> tuple[tuple[Quantity, ...], ...]:
        """All that is compared."""
        return (self.of, *self.also)

    @property
    def ranks_accuracies(self) -> bool:
        """Whether it says that runs are more accurate than others, so that they may be level."""
        return self.kind in OF_RANKS and self.metric.startswith(ACCURACIES) and any(True for _ in self.parts())

    def parts(self) -> Iterator[Where | Curve]:
        """Yield the runs and curves that it is about."""
        for quantity in (quantity for case in self.cases for quantity in case):
            if isinstance(quantity, Made):
                yield from quantity.of
            elif isinstance(quantity, Where | Curve):
                yield quantity


TABULATED = ["claim", "paper", "where", "published", "ours", "difference", "detectable"]
TABULATED += ["n", "comparisons", "verdict", "corrected"]
"""Columns of a table of claims."""
CHANCES = ("p_for", "p_against", "p_level")
"""Numbers of an `Outcome` that are corrected for the number of claims."""


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
            quantities, as text), ours (mean and standard deviation of what is compared, as text; of several comparisons that
            which decides; why it is not tested, if so), difference (with its two-sided 95 % interval, as text), detectable (as
            text, in points; where not decided), difference_points, low_points, high_points (NaN for one seed), from_points,
            to_points (between these it must lie), n (seeds), comparisons (how many must hold), verdict, p_for, p_against, p_level
            and corrected (the verdict by Holm's method).

        Raises:
            ValueError: a run, a value or a printed number is missing, or runs differ in their seeds or in profile.
        """
        asked = [(claim, _levels(claim, data.runs, made_only)) for claim in self.claims]
        if made_only:
            asked = [(claim, levels) for claim, levels in asked if _is_made(claim, levels, data)]
        for claim, levels in asked:
            data.runs.require([run for part in claim.parts() for run in _runs(part, levels)], ["profile"])
        frame = pd.DataFrame([self._row(claim, levels, data) for claim, levels in asked])
        if len(frame):
            seen = zip(frame["verdict"], frame["n"], *(holm(frame[name].tolist()) for name in CHANCES), strict=True)
            frame["corrected"] = [verdict if math.isnan(p[0]) else verdict_of(n, *p) for verdict, n, *p in seen]
        return frame

    def _row(self, claim: Claim, levels: Levels, data: Data) -> dict[str, object]:
        row: dict[str, object] = {
            "id": claim.id,
            "kind": claim.kind,
            "claim": claim.sentence,
            "paper": self.paper,
            "where": claim.where,
            "published": _printed(claim, data, self.digits),
            "detectable": "",
        }
        try:
            _expect_testable(claim, levels, data)
            steps, shown = _steps(claim, levels, data)
            found = judge(steps, NEAR if claim.ranks_accuracies else math.nan)
        except NotTested as reason:
            number = dict.fromkeys(["difference_points", "low_points", "high_points", "from_points", "to_points"], math.nan)
            p = dict.fromkeys(CHANCES, math.nan)
            row.update({"ours": str(reason), "difference": "-", **number, "n": 0, "comparisons": 0, "verdict": NOT_TESTED, **p})
            return row
        except ValueError as error:
            raise ValueError(f"{data.runs.artifact}: claim {claim.id}: {error}") from error
        step, difference = found.step, found.difference
        return {
            **row,
            "ours": "; ".join(f"{name} {spread(shown[name])}" for name in step.runs),
            "difference": interval(difference),
            "detectable": f"{100 * difference.detectable:.1f}" if found.verdict == OPEN else "",
            "difference_points": 100 * difference.mean,
            "low_points": 100 * difference.low,
            "high_points": 100 * difference.high,
            "from_points": 100 * step.low,
            "to_points": 100 * step.high,
            "n": difference.n,
            "comparisons": len(steps),
            "verdict": found.verdict,
            **{name: getattr(found, name) for name in CHANCES},
        }


class NotTested(Exception):
    """Why these results cannot test a claim."""


Levels = Mapping[Curve, Mapping[float, Where]]
"""Level to run of every curve of a claim; none where it was not trained."""


def note_on_chance(frame: pd.DataFrame) -> str:
    """Return how many verdicts chance would give, for the note below a table of claims."""
    tested = int(frame["p_for"].notna().sum())
    if not tested:
        return f"{RULE} No claim has the seeds for a verdict."
    held = int((frame.loc[frame["p_for"].notna(), "verdict"] == HOLDS).sum())
    return (
        f"{RULE} Of {tested} tested claims about {(1 - CONFIDENCE) * tested:.1f} would hold by chance if none were true; "
        f"{held} hold. The column corrected has the verdicts of Holm's method, which keeps the risk of any false one at "
        f"{1 - CONFIDENCE:.0%}."
    )


def _levels(claim: Claim, runs: Runs, made_only: bool) -> Levels:
    """Return the levels of the curves of a claim.

    Curves over the same column that are compared have the same levels: what differs in them would be no fair comparison.
    """
    levels: dict[Curve, Mapping[float, Where]] = {}
    for column in dict.fromkeys(part.level for part in claim.parts() if isinstance(part, Curve)):
        curves = [part for part in dict.fromkeys(claim.parts()) if isinstance(part, Curve) and part.level == column]
        found = runs.levels({str(number): curve.of for number, curve in enumerate(curves)}, column, made_only=made_only)
        for curve, trained in zip(curves, found.values(), strict=True):
            levels[curve] = {level: run for level, run in trained.items() if curve.above < level <= curve.up_to}
            if made_only and not trained:
                levels[curve] = {math.nan: curve.of}
    return levels


def _runs(part: Where | Curve, levels: Levels) -> list[Where]:
    return [part] if isinstance(part, Where) else list(levels[part].values())


def _is_made(claim: Claim, levels: Levels, data: Data) -> bool:
    """Return whether all runs of a claim are there, those among them that something was measured on."""
    if any(math.isnan(level) for of in levels.values() for level in of):
        return False
    measured = [quantity for case in claim.cases for quantity in case if isinstance(quantity, Measured)]
    if any(quantity.on is None or quantity.values(data.plots) is None for quantity in measured):
        return False
    asked = [run for part in claim.parts() for run in _runs(part, levels)]
    return all(map(data.runs.has, [*asked, *(quantity.on for quantity in measured if quantity.on is not None)]))


def _expect_testable(claim: Claim, levels: Levels, data: Data) -> None:
    """Raise `NotTested` where these results cannot test a claim."""
    for curve, of in levels.items():
        if len(of) < curve.fewest:
            raise NotTested(f"{len(of)} of at least {curve.fewest} levels of {curve.level} were trained")
    runs = dict.fromkeys(run for part in claim.parts() for run in _runs(part, levels))
    failed = [data.runs.name(run) for run in runs if data.runs.failed(run)]
    if failed:
        raise NotTested(f"training failed: {', '.join(failed)}")
    unmeasured = [data.runs.name(run) for run in runs if math.isnan(data.runs.mean(run, claim.metric))]
    if unmeasured:
        raise NotTested(f"{claim.metric} was not measured: {', '.join(unmeasured[:3])}")
    if any(isinstance(quantity, Reported) for case in claim.cases for quantity in case):
        profile = data.runs.value(next(iter(runs)), "profile")
        if profile != "paper":
            raise NotTested(f"numbers of others need runs at the paper's scale, these are {profile}")


def _steps(claim: Claim, levels: Levels, data: Data) -> tuple[list[Step], dict[str, list[float]]]:
    """Return all comparisons of a claim, and the values of what they compare by name."""
    steps: list[Step] = []
    shown: dict[str, list[float]] = {}
    options = claim.options or {}
    for case in claim.cases:
        if claim.kind in OF_A_CURVE:
            of = levels[case[0]]  # type: ignore[index]  # one curve
            values = {data.runs.name(run): _seeds(run, claim, data.runs) for run in of.values()}
            steps += KINDS[claim.kind](dict(zip(values, of, strict=True)), **options)(values)
            shown |= values
            continue
        curves = [curve for quantity in case for curve in _level_wise(quantity)]
        for level in levels[curves[0]] if curves else [math.nan]:
            found = dict(_at(quantity, level, claim, levels, data) for quantity in case)
            count = max(len(of) for of in found.values() if isinstance(of, list))
            values = {name: of if isinstance(of, list) else [of] * count for name, of in found.items()}
            steps += KINDS[claim.kind](*values, **options)(values)
            shown |= values
    return steps, shown


def _level_wise(quantity: Quantity) -> list[Curve]:
    """Return the curves of a quantity that has a value at each level."""
    parts = quantity.of if isinstance(quantity, Made) and quantity.at_each_level else (quantity,)
    return [part for part in parts if isinstance(part, Curve)]


def _at(quantity: Quantity, level: float, claim: Claim, levels: Levels, data: Data) -> tuple[str, list[float] | float]:
    """Return the name of a quantity at a level, and its values over seeds or, if it has none, its value."""
    match quantity:
        case Fixed():
            return quantity.name, quantity.value
        case Reported():
            artifact, row, column = quantity.place
            return row, data.printed(row, column, artifact) / 100
        case Measured():
            values = quantity.values(data.plots)
            if values is None:
                raise NotTested(f"{quantity.name}: none here")
            return quantity.name, list(values)
        case Made(at_each_level=True):
            runs = [levels[part][level] if isinstance(part, Curve) else part for part in quantity.of]
            return f"{quantity.name} {level:g}", _made(quantity, runs, claim, data.runs)
        case Made():
            return quantity.name, _made(quantity, [run for part in quantity.of for run in _runs(part, levels)], claim, data.runs)
    run = levels[quantity][level] if isinstance(quantity, Curve) else quantity
    return data.runs.name(run), _seeds(run, claim, data.runs)


def _made(quantity: Made, runs: Sequence[Where], claim: Claim, made: Runs) -> list[float]:
    return [quantity.by(of_seed) for of_seed in zip(*(_seeds(run, claim, made) for run in runs), strict=True)]


def _seeds(run: Where, claim: Claim, runs: Runs) -> list[float]:
    return list(runs.cell(run, claim.metric).values.values())


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
