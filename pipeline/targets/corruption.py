"""Synthetic errors: of size targets ([SIZE] section 3.1, Eqs. 15 and 16) and of image labels ([SSL] Fig. 3(d))."""

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


def corrupt_labels(labels: np.ndarray, num_classes: int, share: float, generator: np.random.Generator) -> np.ndarray:
    """Return image labels of which a share is replaced by labels drawn uniformly from all classes ([SSL] Fig. 3(d)).

    A drawn label may equal the true one, so about share (1 - 1/K) of the labels are wrong. For generators in the same state the
    labels replaced at a smaller share are replaced at a larger one too, and by the same classes.

    Args:
        labels: (N,) integers in 0..num_classes-1.
        num_classes: K.
        share: eta, the share of labels replaced, 0 to 1; round(share N) of them are.
        generator: source of the choice and of the new labels.

    Returns:
        (N,) of the type of `labels`.

    Raises:
        ValueError: a share or label out of range, or labels of another shape.
    """
    _check_labels(labels, num_classes, share)
    # Both draws have full length whatever the share: this is what makes the corruptions nested.
    order, drawn = generator.permutation(len(labels)), generator.integers(num_classes, size=len(labels))
    replaced = order[: round(share * len(labels))]
    corrupted = labels.copy()
    corrupted[replaced] = drawn[replaced]
    return corrupted


def _check_labels(labels: np.ndarray, num_classes: int, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0..1, got {share}")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels: expected (N,) integers, got shape {labels.shape} of {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(f"labels: expected 0..{num_classes - 1}, got {int(labels.min())}..{int(labels.max())}")
