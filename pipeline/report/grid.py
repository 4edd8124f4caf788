"""Where analytic curves are evaluated."""

from __future__ import annotations

import numpy as np

_NEAR_END = np.array([1e-4, 3e-4, 1e-3])


def open_unit_interval() -> np.ndarray:
    """Return numbers inside (0, 1), ascending: multiples of 0.005, and a few more at the ends, where logarithms dive."""
    return np.unique(np.concatenate([_NEAR_END, np.linspace(0, 1, 201)[1:-1], 1 - _NEAR_END]))
