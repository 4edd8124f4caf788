"""Relative errors of size targets ([SIZE] Eq. 14)."""

from __future__ import annotations

import numpy as np


def relative_errors(sizes: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return RE(v_k) = |v_k - e_k| / e_k ([SIZE] Eq. 14), NaN where the exact size e_k is 0.

    Args:
        sizes: (N, C) size targets.
        exact: (N, C) exact sizes.

    Raises:
        ValueError: shapes differ or are not (N, C).

    >>> relative_errors(np.array([[0.5, 0.5, 0.0]]), np.array([[0.4, 0.6, 0.0]])).round(2).tolist()
    [[0.25, 0.17, nan]]
    """
    if sizes.ndim != 2 or sizes.shape != exact.shape:
        raise ValueError(f"sizes and exact: expected the same shape (N, C), got {sizes.shape} and {exact.shape}")
    present = exact > 0
    # 1 as divisor of an absent class, whose quotient is thrown away.
    return np.where(present, np.abs(sizes - exact) / np.where(present, exact, 1.0), np.nan)


def mean_relative_error(sizes: np.ndarray, exact: np.ndarray, foreground_only: bool = False) -> float:
    """Return mRE: the mean of `relative_errors` over all images and all classes they contain.

    Args:
        sizes: (N, C) size targets.
        exact: (N, C) exact sizes.
        foreground_only: leave class 0 out.

    Raises:
        ValueError: shapes differ, or no class is present.
    """
    errors = relative_errors(sizes, exact)[:, int(foreground_only) :]
    if np.isnan(errors).all():
        raise ValueError(f"exact: no {'foreground ' if foreground_only else ''}class is present in {len(exact)} images")
    # Over all pairs of image and class at once: an image with more classes counts more.
    return float(np.nanmean(errors))
