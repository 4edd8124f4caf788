"""Synthetic errors of size targets ([SIZE] section 3.1, Eqs. 15 and 16)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

LOWEST_FACTOR = 0.01
"""1 + epsilon is never smaller than this, so that a present class keeps a positive size."""


class Corrupted(NamedTuple):
    """Size targets with errors, and how many of them hit the lower limit."""

    sizes: np.ndarray
    clamped: int


def perturb(sizes: np.ndarray, sigma: float, generator: np.random.Generator) -> Corrupted:
    """Return v_k <- (1 + eps) v_k with eps ~ N(0, sigma), normalised to sum 1 ([SIZE] Eq. 15).

    Args:
        sizes: (N, C) exact sizes >= 0, rows sum to 1.
        sigma: standard deviation of the relative error, >= 0; 0.1 is 10 %.
        generator: source of the errors, one per image and class.

    Returns:
        `sizes` (N, C), rows sum to 1, 0 where the exact size is 0; `clamped`, the number of positive sizes whose factor
        1 + eps was raised to 0.01.

    Raises:
        ValueError: negative or not finite sigma, or sizes of another form.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma: expected a number >= 0, got {sigma}")
    if sizes.ndim != 2 or sizes.min() < 0 or np.abs(sizes.sum(1) - 1).max() > 1e-4:
        raise ValueError(f"sizes: expected (N, C) >= 0 with rows that sum to 1, got shape {sizes.shape}")
    factors = 1 + sigma * generator.standard_normal(sizes.shape)
    clamped = int(np.count_nonzero((factors < LOWEST_FACTOR) & (sizes > 0)))
    scaled = np.maximum(factors, LOWEST_FACTOR) * sizes
    return Corrupted(scaled / scaled.sum(1, keepdims=True), clamped)


def mre_from_sigma(sigma: float) -> float:
    """Return the analytic mean relative error, sigma * sqrt(2 / pi) ([SIZE] Eq. 16; normalisation ignored).

    >>> round(mre_from_sigma(0.2), 3)
    0.16
    """
    return sigma * math.sqrt(2 / math.pi)


def sigma_from_mre(mre: float) -> float:
    """Return the standard deviation that gives an analytic mean relative error, the inverse of `mre_from_sigma`.

    >>> round(sigma_from_mre(0.08), 4)
    0.1003
    """
    return mre * math.sqrt(math.pi / 2)
