"""Certainty and rightness of soft labels, against counts by hand."""

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.metrics.soft_labels import mean_entropy_bits, mean_probability_of_truth

SOFT = np.array([[[1.0, 0.5], [0.25, 0.0]], [[0.0, 0.5], [0.75, 1.0]]])
LABELS = np.array([[0, 1], [1, VOID]], np.uint8)


def test_certain_labels_have_no_entropy_and_even_ones_one_bit():
    assert mean_entropy_bits(SOFT, np.array([[True, False], [False, True]])) == 0
    assert mean_entropy_bits(SOFT, np.array([[True, True], [False, False]])) == 0.5


def test_the_true_class_is_looked_up_where_pixels_count():
    assert mean_probability_of_truth(SOFT, LABELS, LABELS != VOID) == pytest.approx((1 + 0.5 + 0.75) / 3)
    assert mean_probability_of_truth(SOFT, 1 - np.minimum(LABELS, 1), LABELS != VOID) == pytest.approx((0 + 0.5 + 0.25) / 3)


@pytest.mark.parametrize("of", [mean_entropy_bits, lambda soft, counts: mean_probability_of_truth(soft, LABELS, counts)])
def test_no_pixel_that_counts_has_no_mean(of):
    assert np.isnan(of(SOFT, np.zeros((2, 2), bool)))
