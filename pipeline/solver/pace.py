"""How the solver `fast` goes about it, on every device: coarser problems, the descents and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

BLOCK_PX = 2
"""Side of the blocks that are pixels of the next coarser problem, whose step so costs 1/4."""
LARGEST_FALL = 2.5
"""A coarse solution lowers no logit of a pixel by more, against the largest: borders of blocks must still be able to move."""
SMALLEST_PROB = 1e-12
"""Floor under mean predictions of a block, before their logarithm."""
LARGEST_PART = 0.7
"""A coarse solution is the start only where it brings the energy of the prediction down to this part of it. Where it does not,
blocks do not follow the picture's edges, and the descent would first have to mend what they broke."""
COARSE_LENGTH = 1 / 2
"""Length of coarse steps, as a part of that of the first fine one."""
MOMENTUM = 0.7
"""Of the running mean of gradients. Lower than Adam's usual 0.9, because all there is are a dozen steps or two."""
SQUARE_MEMORY = 0.9
"""Of the running mean of their squares: a memory of some 10 steps."""
SMALLEST_SIZE = 1 / 3000
"""Gradients below this part of lambda are followed in proportion: full steps would disturb pixels that are already right."""
PATIENCE = 3
"""Steps over which the energy must have come to rest; single steps with momentum can be flat by chance."""
SMOOTHER = {"bl": "nq", "cce": "cd"}
"""The relaxation that is minimised first where the one that was asked for has many local minima. The two agree on hard labels;
the first, divided by |p| |q|, does not draw soft labels towards them, and leaves the choice of a class to the picture."""
HURRY = 2
"""How much longer steps are where one with a `SMOOTHER` gets too few of them for that: labels must become hard all the same."""
FURTHER_STEPS = 15
"""Most steps after those of `Pace`, for an image whose energy still falls."""


class Pace(NamedTuple):
    """How many fine steps of which length a problem takes; `last` is the length of the last one, the first being 1.

    An image takes further steps while its energy falls by more than the part `falling` of it per step.
    """

    steps: int
    learning_rate: float
    last: float
    falling: float


PACES: dict[str, Pace] = {
    "ce": Pace(9, 0.45, 1.0, 1e-2),
    "rce": Pace(20, 0.42, 1 / 4, 1e-3),
    "cce": Pace(9, 0.45, 1.0, 1e-2),
    "quadratic": Pace(20, 0.42, 1 / 4, 1e-3),
}
"""By cross-entropy: with H_RCE and H_Q optima are soft, and want short steps in the end."""


def coarse_steps(steps: int) -> tuple[int, ...]:
    """Return the steps of each coarser problem for so many fine ones, from fine to coarse."""
    # In fine steps they cost steps / 4 and (steps / 2) / 16, together 0.28 of them.
    return (steps, max(1, steps // 2))


def smooth_steps(steps: int, relaxation: str) -> int:
    """Return how many of the fine steps go to `SMOOTHER`; in the others labels become hard."""
    # 5 of the 9 steps of `PACES`, or 12 of the 20.
    return 3 * steps // 5 if relaxation in SMOOTHER else 0


def rates(steps: int, learning_rate: float, last: float = 1.0, further: int = 0) -> list[float]:
    """Return the lengths of steps, corrected for the start of the running means at zero.

    Args:
        steps: how many, at least 1.
        learning_rate: of the first.
        last: that of the last as a part of it; those between lie evenly.
        further: how many more, as long as the last.
    """
    # Evenly from 1 to `last`, times Adam's correction sqrt(1 - memory^t) / (1 - momentum^t).
    parts = [1 - (1 - last) * step / max(1, steps - 1) for step in range(steps)] + [last] * further
    # A mean that began at 0 falls short by the factor 1 - memory^t after t steps; that of squares stands under a root.
    return [
        learning_rate * part * (1 - SQUARE_MEMORY**step) ** 0.5 / (1 - MOMENTUM**step) for step, part in enumerate(parts, start=1)
    ]


@dataclass(frozen=True)
class Schedule:
    """One descent. By default it takes all its steps, unless nothing changes any more.

    Attributes:
        lengths: of the steps.
        smallest: size of gradients below which steps shrink with them, > 0.
        tolerance: relative decrease of the energy per step at which an image has come to rest, and stops.
        least: steps after which an image stops at a decrease of `falling` already, though not at rest.
        falling: see `least`.
    """

    lengths: list[float]
    smallest: float
    tolerance: float = 0.0
    least: int = 0
    falling: float = 0.0


@dataclass(frozen=True)
class Plan:
    """All descents on one problem, from coarse to fine.

    Attributes:
        fine: on the energy that was asked for.
        early: at full size as well, before `fine`.
        coarser: on each coarser problem, from fine to coarse.
        relaxation: P that `early` and `coarser` minimise.
        largest_part: of the prediction's energy to which the coarse solution must bring it down to be the start.
    """

    fine: Schedule
    early: Schedule
    coarser: list[Schedule]
    relaxation: str
    largest_part: float

    @classmethod
    def of(
        cls,
        names: tuple[str, str],
        smallest: float,
        tolerance: float,
        steps: int | None = None,
        learning_rate: float | None = None,
    ) -> Plan:
        """Return the descents for H and P in `names`; see `pipeline.solver.fast.solve_fast` for the numbers."""
        cross_entropy, relaxation = names
        pace = PACES[cross_entropy]
        # Who asks for a number of steps gets no more.
        further = FURTHER_STEPS if steps is None else 0
        steps = pace.steps if steps is None else steps
        # Fewer steps than the usual ones leave no time to mend a start, nor for another energy before this one.
        hurried = steps < pace.steps
        if learning_rate is None:
            learning_rate = pace.learning_rate * (HURRY if hurried and relaxation in SMOOTHER else 1)
        # Steps on the smoother energy are part of those asked for, not an addition.
        early = 0 if hurried else smooth_steps(steps, relaxation)
        least = steps - early
        lengths = rates(least, learning_rate, min(pace.last, 1 / 2) if hurried else pace.last, further)
        # Few steps must be long ones, on every level.
        coarse_rate = learning_rate if hurried else COARSE_LENGTH * learning_rate
        # Early and coarse descents have no tolerance: they end in a start, which need not be at rest.
        return cls(
            Schedule(lengths, smallest, tolerance, least, pace.falling),
            Schedule(rates(early, learning_rate), smallest),
            [Schedule(rates(count, coarse_rate), smallest) for count in coarse_steps(steps)],
            # Coarse problems too: the early descent goes on from their solution.
            SMOOTHER[relaxation] if early else relaxation,
            # 1 takes every coarse solution that is better than the prediction at all.
            1.0 if hurried else LARGEST_PART,
        )


class Descended(NamedTuple):
    """What a backend of `fast` returns.

    Attributes:
        labels: (B, C, H, W), y.
        energies: (steps taken + 1, B), before each fine step and after the last; that one has the floor under labels.
        converged: (B,) bool, whether each image's energy has come to rest.
    """

    labels: Tensor
    energies: Tensor
    converged: Tensor
