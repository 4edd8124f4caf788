"""Confusion counts and IoU on hand-drawn masks."""

import numpy as np
import pytest
from reference import confusion_loop

from pipeline.conventions import VOID
from pipeline.metrics.confusion import confusion_matrix, iou_per_class, mean_iou

LABELS = np.array([[0, 0, 1, 1], [0, 2, 2, VOID]])
PREDICTIONS = np.array([[0, 1, 1, 1], [0, 2, 0, 2]])


def test_rows_are_truth_and_columns_predictions():
    assert confusion_matrix(LABELS, PREDICTIONS, 3).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 1]]


def test_equals_the_naive_loop():
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, 3, VOID], (2, 9, 11))
    predictions = random.integers(0, 4, labels.shape)
    assert np.array_equal(confusion_matrix(labels, predictions, 4), confusion_loop(labels, predictions, 4))


def test_void_pixels_do_not_count():
    assert confusion_matrix(LABELS, PREDICTIONS, 3).sum() == 7


def test_counts_are_64_bit():
    assert confusion_matrix(LABELS.astype(np.uint8), PREDICTIONS.astype(np.uint8), 3).dtype == np.int64


def test_many_classes_do_not_overflow_8_bit_labels():
    labels = np.full((2, 2), 200, np.uint8)
    assert confusion_matrix(labels, labels, 201)[200, 200] == 4


def test_matrices_of_batches_add_up():
    parts = confusion_matrix(LABELS[:1], PREDICTIONS[:1], 3) + confusion_matrix(LABELS[1:], PREDICTIONS[1:], 3)
    assert np.array_equal(parts, confusion_matrix(LABELS, PREDICTIONS, 3))


def test_iou_by_hand():
    assert iou_per_class(confusion_matrix(LABELS, PREDICTIONS, 3)) == pytest.approx([2 / 4, 2 / 3, 1 / 2])


def test_mean_iou_by_hand():
    assert mean_iou(confusion_matrix(LABELS, PREDICTIONS, 3)) == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)


def test_perfect_prediction_scores_one():
    given = np.where(LABELS == VOID, 0, LABELS)
    assert mean_iou(confusion_matrix(LABELS, given, 3)) == 1


def test_class_that_neither_occurs_nor_is_predicted_is_left_out():
    matrix = confusion_matrix(LABELS, PREDICTIONS, 5)
    assert np.isnan(iou_per_class(matrix)[3:]).all()
    assert mean_iou(matrix) == pytest.approx(mean_iou(matrix[:3, :3]))


def test_class_that_is_only_predicted_scores_zero_and_counts():
    matrix = confusion_matrix(np.array([0, 0, 0]), np.array([0, 0, 1]), 2)
    assert iou_per_class(matrix) == pytest.approx([2 / 3, 0])
    assert mean_iou(matrix) == pytest.approx(1 / 3)


def test_class_that_is_never_found_scores_zero_and_counts():
    assert mean_iou(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2)) == pytest.approx(0.25)


def test_all_background_scores_its_share_over_the_number_of_classes():
    labels = np.array([0, 0, 0, 1])
    assert mean_iou(confusion_matrix(labels, np.zeros(4, int), 2)) == pytest.approx(0.75 / 2)


@pytest.mark.parametrize("wrong", [-1, 3, VOID])
def test_prediction_out_of_range_is_refused(wrong):
    predictions = PREDICTIONS.copy()
    predictions[0, 0] = wrong
    with pytest.raises(ValueError, match=r"predictions: expected classes 0\.\.2"):
        confusion_matrix(LABELS, predictions, 3)


def test_label_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"labels: expected classes 0\.\.1, got 0\.\.2"):
        confusion_matrix(LABELS, np.zeros_like(LABELS), 2)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected shape \(2, 4\)"):
        confusion_matrix(LABELS, PREDICTIONS[:1], 3)


def test_empty_matrix_has_no_mean():
    with pytest.raises(ValueError, match="holds no pixel"):
        mean_iou(confusion_matrix(np.full((2, 2), VOID), np.zeros((2, 2), int), 3))
