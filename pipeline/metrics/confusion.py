"""Confusion counts and intersection over union.

Matrices of several images, batches or workers are added; scores are computed once at the end, over all pixels of the set.
"""

from __future__ import annotations

import numpy as np

from pipeline.conventions import VOID


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true and predicted class, void left out.

    Args:
        labels: integers of any shape, 0..num_classes-1 or `VOID`.
        predictions: integers of the same shape, 0..num_classes-1, also where labels are void.
        num_classes: C.

    Returns:
        (C, C) int64, rows are true classes, columns predicted ones.

    Raises:
        ValueError: shapes differ or a value is out of range.

    >>> confusion_matrix(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 0]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"predictions: expected shape {labels.shape} as the labels have, got {predictions.shape}")
    valid = labels != VOID
    # int64 before the product below: labels may come as bytes, which end at 255.
    truth = labels[valid].astype(np.int64)
    for name, values in (("labels", truth), ("predictions", predictions)):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            raise ValueError(f"{name}: expected classes 0..{num_classes - 1}, got {int(values.min())}..{int(values.max())}")
    # The place of (true, predicted) in the matrix read row by row: one count of integers makes all of it.
    pairs = truth * num_classes + predictions[valid].astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou_per_class(matrix: np.ndarray) -> np.ndarray:
    """Return true positives / (true + predicted - true positives) per class.

    Args:
        matrix: (C, C) counts of `confusion_matrix`.

    Returns:
        (C,) in [0, 1]; NaN for a class that neither occurs nor is ever predicted, 0 for one that is only predicted.
    """
    hits = np.diagonal(matrix).astype(np.float64)
    # |A or B| = |A| + |B| - |A and B|; columns are predicted, rows true.
    union = matrix.sum(0) + matrix.sum(1) - hits
    # np.where computes both branches: the inner one keeps 0 out of the divisor.
    return np.where(union > 0, hits / np.where(union > 0, union, 1), np.nan)


def mean_iou(matrix: np.ndarray) -> float:
    """Return mIoU: the mean of `iou_per_class` over the classes that occur or are predicted, background included.

    A class that occurs nowhere, neither in truth nor prediction, has no IoU and is left out; one that is predicted although
    it never occurs counts as 0.

    Raises:
        ValueError: the matrix is empty.
    """
    if matrix.sum() == 0:
        raise ValueError("matrix: holds no pixel, so there is no mIoU; were all labels void?")
    return float(np.nanmean(iou_per_class(matrix)))
