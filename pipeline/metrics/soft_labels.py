"""How certain and how right soft labels of an image are, over the pixels that count."""

from __future__ import annotations

import numpy as np


def mean_entropy_bits(soft: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean entropy of the labels of an image.

    Args:
        soft: (C, H, W), >= 0, sums to 1 over C.
        counts: (H, W) bool, the pixels that count.

    Returns:
        In [0, log2 C]; NaN where no pixel counts.

    >>> mean_entropy_bits(np.array([[[0.5, 1.0]], [[0.5, 0.0]]]), np.array([[True, True]]))
    0.5
    """
    # 0 log 0 is 0, and no clip at 1e-12 is seen in the sum.
    entropy = -(soft * np.log2(np.clip(soft, 1e-12, None))).sum(0)
    return float(entropy[counts].mean()) if counts.any() else float("nan")


def mean_probability_of_truth(soft: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean probability that soft labels give to the true class.

    Args:
        soft: (C, H, W), >= 0, sums to 1 over C.
        labels: (H, W) integers, the true classes; below C wherever `counts`.
        counts: (H, W) bool, the pixels that count.

    Returns:
        In [0, 1]; NaN where no pixel counts.

    >>> mean_probability_of_truth(np.array([[[0.7, 1.0]], [[0.3, 0.0]]]), np.array([[1, 255]]), np.array([[True, False]]))
    0.3
    """
    of_truth = soft[labels[counts], counts.nonzero()[0], counts.nonzero()[1]]
    return float(of_truth.mean()) if counts.any() else float("nan")
