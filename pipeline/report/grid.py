"""Where analytic curves are evaluated."""

from __future__ import annotations

import numpy as np

_NEAR_END = np.array([1e-4, 3e-4, 1e-3])


def open_unit_interval(points: int = 199) -> np.ndarray:
    """Return numbers inside (0, 1), ascending: evenly spread ones, and a few more at the ends, where logarithms dive.

    Args:
        points: how many evenly spread ones, at least 1; 199 gives the multiples of 0.005.

    Raises:
        ValueError: `points` is below 1.

    >>> open_unit_interval(1).tolist()
    [0.0001, 0.0003, 0.001, 0.5, 0.999, 0.9997, 0.9999]
    """
    if points < 1:
        raise ValueError(f"points: expected at least 1, got {points}")
    even = np.linspace(0, 1, points + 2)[1:-1]
    return np.unique(np.concatenate([_NEAR_END, even, 1 - _NEAR_END]))
