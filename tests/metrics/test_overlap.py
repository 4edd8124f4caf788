"""Counts of one class and DSC on hand-drawn masks."""

import numpy as np
import pytest
from reference import dice_loop

from pipeline.conventions import VOID
from pipeline.metrics.overlap import OverlapCounts, dice, dice_per_group, mean_dice, overlap_counts

LABELS = np.array([[0, 3, 3, 3], [0, 0, 3, VOID]], np.uint8)
PREDICTIONS = np.array([[3, 3, 3, 0], [0, 0, 1, 3]], np.uint8)
EMPTY = OverlapCounts(true_negatives=9)


def test_counts_by_hand():
    assert overlap_counts(LABELS, PREDICTIONS, 3) == OverlapCounts(2, 1, 2, 2)


def test_every_valid_pixel_is_counted_once():
    counts = overlap_counts(LABELS, PREDICTIONS, 1)
    assert counts == OverlapCounts(0, 1, 0, 6)


def test_dice_by_hand():
    assert dice(overlap_counts(LABELS, PREDICTIONS, 3)) == pytest.approx(4 / 7)


def test_equals_the_naive_loop():
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, VOID], (9, 11))
    predictions = random.integers(0, 3, labels.shape)
    for class_index in range(3):
        assert dice(overlap_counts(labels, predictions, class_index)) == pytest.approx(
            dice_loop(labels, predictions, class_index)
        )


def test_perfect_prediction_scores_one():
    assert dice(overlap_counts(LABELS, np.where(LABELS == VOID, 0, LABELS), 3)) == 1


def test_empty_against_empty_scores_one():
    assert dice(overlap_counts(np.zeros((3, 3), int), np.zeros((3, 3), int), 3)) == 1


@pytest.mark.parametrize("counts", [OverlapCounts(false_positives=5), OverlapCounts(false_negatives=5)])
def test_empty_against_something_scores_zero(counts):
    assert dice(counts) == pytest.approx(0, abs=1e-8)


def test_dice_is_symmetric():
    given = np.where(LABELS == VOID, 0, LABELS)
    assert dice(overlap_counts(given, PREDICTIONS, 3)) == dice(overlap_counts(PREDICTIONS, given, 3))


def test_counts_add_up_over_parts():
    parts = overlap_counts(LABELS[:1], PREDICTIONS[:1], 3) + overlap_counts(LABELS[1:], PREDICTIONS[1:], 3)
    assert parts == overlap_counts(LABELS, PREDICTIONS, 3)


def test_mean_over_slices_includes_empty_ones():
    assert mean_dice([OverlapCounts(1, 1, 1, 6), EMPTY]) == pytest.approx((0.5 + 1) / 2)


def test_dice_of_a_volume_comes_from_its_added_counts():
    counts = [OverlapCounts(8, 0, 0, 1), OverlapCounts(0, 2, 2, 5), EMPTY]
    assert dice_per_group(counts, ["a", "a", "b"]) == pytest.approx({"a": 16 / 20, "b": 1})


def test_slices_of_a_volume_need_not_be_neighbours():
    counts = [OverlapCounts(8, 0, 0, 1), EMPTY, OverlapCounts(0, 2, 2, 5)]
    assert dice_per_group(counts, ["a", "b", "a"]) == pytest.approx({"a": 16 / 20, "b": 1})


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected shape \(2, 4\)"):
        overlap_counts(LABELS, PREDICTIONS[:1], 3)


def test_void_prediction_is_refused():
    with pytest.raises(ValueError, match=r"got void \(255\) in 1 pixels"):
        overlap_counts(PREDICTIONS, LABELS, 3)


@pytest.mark.parametrize("class_index", [-1, VOID])
def test_class_out_of_range_is_refused(class_index):
    with pytest.raises(ValueError, match="class_index: expected"):
        overlap_counts(LABELS, PREDICTIONS, class_index)


def test_no_slices_have_no_mean():
    with pytest.raises(ValueError, match="at least one slice"):
        mean_dice([])


def test_a_slice_without_a_volume_is_refused():
    with pytest.raises(ValueError, match="groups: expected 2"):
        dice_per_group([EMPTY, EMPTY], ["a"])
