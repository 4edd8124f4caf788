"""How the solver `fast` goes about it, on every device: coarser problems, the descents and their steps."""

from __future__ import annotations

from typing import NamedTuple

BLOCK_PX = 2
"""Side of the blocks that are pixels of the next coarser problem, whose step so costs 1/4."""
LARGEST_FALL = 5.0
"""A coarse solution lowers no logit of a pixel by more, against the largest: borders of blocks must still be able to move."""
SMALLEST_PROB = 1e-12
"""Floor under mean predictions of a block, before their logarithm."""
MOMENTUM = 0.6
SQUARE_MEMORY = 0.95
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
    parts = [1 - (1 - last) * step / max(1, steps - 1) for step in range(steps)]
    return [
        learning_rate * part * (1 - SQUARE_MEMORY**step) ** 0.5 / (1 - MOMENTUM**step) for step, part in enumerate(parts, start=1)
    ]
