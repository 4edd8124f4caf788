"""Pixel counts of one class against the rest, and the Dice similarity coefficient (DSC) of [SIZE] section 3.6.

Counts are taken per image (for ACDC: per slice). The mean over slices of their DSC is the published number; the counts of the
slices of a volume are added before its DSC is taken ("batch Dice"). Where a class is neither there nor predicted, DSC is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.conventions import VOID

SMOOTHING = 1e-8
"""Added to numerator and denominator of DSC, which makes it 1 where both areas are empty."""


@dataclass(frozen=True)
class OverlapCounts:
    """Numbers of pixels of an image or, added up, of several.

    Attributes:
        true_positives: of the class and predicted so.
        false_positives: predicted as the class, but of another.
        false_negatives: of the class, but predicted as another.
        true_negatives: neither.
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0

    def __add__(self, other: OverlapCounts) -> OverlapCounts:
        return OverlapCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )


def overlap_counts(labels: np.ndarray, predictions: np.ndarray, class_index: int) -> OverlapCounts:
    """Count the pixels of one class against all others, void left out.

    Args:
        labels: integers of any shape, class index or `VOID`.
        predictions: integers of the same shape, a class everywhere.
        class_index: the class counted as positive, 0..254.

    Raises:
        ValueError: shapes differ, the class is out of range, or a prediction is void.

    >>> overlap_counts(np.array([1, 1, 0, 0, 255]), np.array([1, 0, 1, 0, 1]), 1)
    OverlapCounts(true_positives=1, false_positives=1, false_negatives=1, true_negatives=1)
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"predictions: expected shape {labels.shape} as the labels have, got {predictions.shape}")
    if not 0 <= class_index < VOID:
        raise ValueError(f"class_index: expected 0..{VOID - 1}, got {class_index}")
    if (predictions == VOID).any():
        raise ValueError(
            f"predictions: expected a class everywhere, got void ({VOID}) in {int((predictions == VOID).sum())} pixels"
        )
    valid = labels != VOID
    # A prediction counts for nothing where the label is void, not even as a false positive.
    truth, found = (labels == class_index)[valid], (predictions == class_index)[valid]
    hits = int(np.count_nonzero(truth & found))
    # With A true and B found: FP = |B| - |A and B|, FN = |A| - |A and B|.
    false_positives, false_negatives = int(np.count_nonzero(found)) - hits, int(np.count_nonzero(truth)) - hits
    return OverlapCounts(hits, false_positives, false_negatives, truth.size - hits - false_positives - false_negatives)


def dice(counts: OverlapCounts) -> float:
    """Return DSC = (2 |A and B| + 1e-8) / (|A| + |B| + 1e-8) of the true area A and the predicted area B, in [0, 1].

    1 where both areas are empty, practically 0 where one of them is.

    >>> round(dice(OverlapCounts(true_positives=3, false_positives=1, false_negatives=1)), 4), dice(OverlapCounts())
    (0.75, 1.0)
    """
    # |A| + |B| = 2 TP + FP + FN
    twice = 2 * counts.true_positives
    return (twice + SMOOTHING) / (twice + counts.false_positives + counts.false_negatives + SMOOTHING)


def mean_dice(counts: Sequence[OverlapCounts]) -> float:
    """Return the mean DSC over slices, those without the class included.

    Raises:
        ValueError: no slice is given.
    """
    if not counts:
        raise ValueError("counts: expected at least one slice, got none")
    return sum(map(dice, counts)) / len(counts)


def dice_per_group(counts: Sequence[OverlapCounts], groups: Sequence[str]) -> dict[str, float]:
    """Return the DSC of each group of slices, taken from their added counts.

    Args:
        counts: one per slice.
        groups: the name of each slice's volume.

    Returns:
        volume -> DSC, in order of first appearance.

    Raises:
        ValueError: the lengths differ.
    """
    if len(counts) != len(groups):
        raise ValueError(f"groups: expected {len(counts)}, one per slice, got {len(groups)}")
    # Counts, not scores, are added: an empty slice, whose DSC is 1, then lifts no volume.
    totals: dict[str, OverlapCounts] = {}
    for group, count in zip(groups, counts):
        totals[group] = totals.get(group, OverlapCounts()) + count
    return {group: dice(total) for group, total in totals.items()}
