"""How the solver `fast` goes about it, on every device: coarser problems, the descents and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

BLOCK_PX = 2
"""Side of the blocks that are pixels of the next coarser problem, whose step so costs 1/4."""
LARGEST_FALL = 5.0
"""A coarse solution lowers no logit of a pixel by more, against the largest: borders of blocks must still be able to move."""
SMALLEST_PROB = 1e-12
"""Floor under mean predictions of a block, before their logarithm."""
MOMENTUM = 0.6
"""Of the running mean of gradients. Lower than Adam's usual 0.9, because all there is are a dozen steps."""
SQUARE_MEMORY = 0.95
"""Of the running mean of their squares: a memory of some 20 steps."""
SMALLEST_SIZE = 1 / 3000
"""Gradients below this part of lambda are followed in proportion: full steps would disturb pixels that are already right."""
PATIENCE = 3
"""Steps over which the energy must have come to rest; single steps with momentum can be flat by chance."""


class Pace(NamedTuple):
    """How many fine steps of which length a problem takes; `last` is the length of the last one, the first being 1."""

    steps: int
    learning_rate: float
    last: float


PACES: dict[str, Pace] = {
    "ce": Pace(9, 0.5, 1 / 2),
    "rce": Pace(20, 0.3, 1 / 15),
    "cce": Pace(9, 0.5, 1 / 2),
    "quadratic": Pace(20, 0.3, 1 / 15),
}
"""By cross-entropy: with H_RCE and H_Q optima are soft, and want short steps in the end."""


def coarse_steps(steps: int) -> tuple[int, ...]:
    """Return the steps of each coarser problem for so many fine ones, from fine to coarse."""
    return (steps, max(1, steps // 2))


def rates(steps: int, learning_rate: float, last: float = 1.0) -> list[float]:
    """Return the lengths of steps, corrected for the start of the running means at zero.

    Args:
        steps: how many, at least 1.
        learning_rate: of the first.
        last: that of the last as a part of it; those between lie evenly.
    """
    # Evenly from 1 to `last`, times Adam's correction sqrt(1 - memory^t) / (1 - momentum^t).
    parts = [1 - (1 - last) * step / max(1, steps - 1) for step in range(steps)]
    return [
        learning_rate * part * (1 - SQUARE_MEMORY**step) ** 0.5 / (1 - MOMENTUM**step) for step, part in enumerate(parts, start=1)
    ]


@dataclass(frozen=True)
class Schedule:
    """All descents on one problem.

    Attributes:
        lengths: of the steps.
        coarser: of the steps on each coarser problem, from fine to coarse.
        smallest: size of gradients below which steps shrink with them, > 0.
        tolerance: relative decrease of the energy per step at which an image stops.
    """

    lengths: list[float]
    coarser: list[list[float]]
    smallest: float
    tolerance: float

    @classmethod
    def of(cls, pace: Pace, smallest: float, tolerance: float) -> Schedule:
        """Return the descents of a pace."""
        lengths = rates(pace.steps, pace.learning_rate, pace.last)
        return cls(lengths, [rates(count, pace.learning_rate) for count in coarse_steps(pace.steps)], smallest, tolerance)

    @property
    def next(self) -> Schedule | None:
        """The descents on the next coarser problem, where there are any; all their steps are taken."""
        return Schedule(self.coarser[0], self.coarser[1:], self.smallest, tolerance=0.0) if self.coarser else None


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
