"""How the solver `fast` goes about it, on every device: the coarse problem, the two descents and their steps."""

from __future__ import annotations

from typing import NamedTuple

BLOCK_PX = 4
"""Side of the blocks of the coarse problem, whose step so costs 1/16 of a fine one."""
COARSE_STEPS = 12
SEED_LOGIT = 6.0
"""Logit of a seed's class where its block lends its label to pixels nearby: nearly, but not quite, certain."""
SMALLEST_PROB = 1e-12
"""Floor under mean predictions of a block, before their logarithm."""
MOMENTUM = 0.8
SQUARE_MEMORY = 0.95
SMALLEST_SIZE = 1 / 600
"""Gradients below this part of lambda are followed in proportion: full steps would disturb pixels that are already right."""
PATIENCE = 3
"""Steps over which the energy must have come to rest; single steps with momentum can be flat by chance."""


class Pace(NamedTuple):
    """How many fine steps of which length a problem takes."""

    steps: int
    learning_rate: float


PACES: dict[str, Pace] = {
    "ce": Pace(10, 0.45),
    "rce": Pace(20, 0.2),
    "cce": Pace(10, 0.45),
    "quadratic": Pace(30, 0.2),
}
"""By cross-entropy: with H_RCE and H_Q optima are soft, and want shorter steps."""


def rate(learning_rate: float, step: int) -> float:
    """Return the length of a step, counted from 1, corrected for the start of the running means at zero."""
    return learning_rate * (1 - SQUARE_MEMORY**step) ** 0.5 / (1 - MOMENTUM**step)
