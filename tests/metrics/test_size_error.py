"""Relative size errors: [SIZE] Eq. 14."""

import numpy as np
import pytest

from pipeline.metrics.size_error import mean_relative_error, relative_errors

EXACT = np.array([[0.5, 0.5, 0.0], [0.8, 0.0, 0.2]])
SIZES = np.array([[0.6, 0.4, 0.0], [0.8, 0.1, 0.1]])


def test_errors_by_hand():
    expected = [[0.2, 0.2, np.nan], [0.0, np.nan, 0.5]]
    assert np.allclose(relative_errors(SIZES, EXACT), expected, equal_nan=True)


def test_mean_is_over_the_classes_that_images_contain():
    assert mean_relative_error(SIZES, EXACT) == pytest.approx((0.2 + 0.2 + 0 + 0.5) / 4)


def test_foreground_mean_leaves_class_zero_out():
    assert mean_relative_error(SIZES, EXACT, foreground_only=True) == pytest.approx((0.2 + 0.5) / 2)


def test_exact_sizes_have_no_error():
    assert mean_relative_error(EXACT, EXACT) == 0


def test_error_may_exceed_one():
    assert relative_errors(np.array([[0.1, 0.9]]), np.array([[0.9, 0.1]]))[0, 1] == pytest.approx(8)


def test_no_present_class_is_refused():
    with pytest.raises(ValueError, match="no foreground class is present in 1 images"):
        mean_relative_error(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]), foreground_only=True)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"same shape \(N, C\)"):
        relative_errors(SIZES, EXACT[:1])
