"""Seeds by erosion of one class."""

import numpy as np
import pytest
from reference import erode_loop

from pipeline.conventions import VOID
from pipeline.targets.erosion import erode_to_seeds


def scene():
    """A large notched and a small object of class 3, one of class 1, and a void border, in 40x50 pixels."""
    labels = np.zeros((40, 50), np.uint8)
    labels[5:30, 4:30] = 3
    labels[22:30, 24:30] = 0
    labels[10:14, 40:44] = 3
    labels[32:38, 10:20] = 1
    labels[4, 4:30] = VOID
    return labels


@pytest.mark.parametrize("iterations", [0, 1, 4, 10, 30])
def test_equals_repeated_erosion(iterations):
    assert np.array_equal(erode_to_seeds(scene(), 3, iterations), erode_loop(scene(), 3, iterations))


def test_square_loses_one_ring_per_iteration():
    labels = np.zeros((40, 40), int)
    labels[5:35, 5:35] = 2
    seeds = erode_to_seeds(labels, 2, 10)
    assert (seeds[15:25, 15:25] == 2).all()
    assert (seeds == 2).sum() == 100


def test_count_is_lowered_until_something_survives():
    labels = np.zeros((20, 20), int)
    labels[4:9, 4:9] = 3
    assert np.argwhere(erode_to_seeds(labels, 3, 10) == 3).tolist() == [[6, 6]]


def test_object_too_thin_to_erode_is_kept():
    labels = np.zeros((8, 8), int)
    labels[2:4, 1:7] = 3
    assert np.array_equal(erode_to_seeds(labels, 3) == 3, labels == 3)


def test_frame_of_the_image_is_a_border():
    assert np.argwhere(erode_to_seeds(np.full((5, 5), 1), 1) == 1).tolist() == [[2, 2]]


def test_void_border_is_eroded_from():
    labels = np.full((9, 9), 1)
    labels[:, 4] = VOID
    assert (erode_to_seeds(labels, 1)[:, 3:6] == VOID).all()


def test_only_the_chosen_class_gets_seeds():
    assert set(np.unique(erode_to_seeds(scene(), 3, 2)).tolist()) == {3, VOID}


def test_absent_class_gives_no_seeds():
    assert (erode_to_seeds(scene(), 2) == VOID).all()


def test_background_can_be_eroded_too():
    assert (erode_to_seeds(np.zeros((7, 7), np.uint8), 0, 1) == 0).sum() == 25


@pytest.mark.parametrize(("class_index", "iterations"), [(VOID, 1), (-1, 1), (1, -1)])
def test_values_out_of_range_are_refused(class_index, iterations):
    with pytest.raises(ValueError, match=r"expected 0\.\.254 and at least 0"):
        erode_to_seeds(scene(), class_index, iterations)


def test_batch_is_refused():
    with pytest.raises(ValueError, match=r"expected shape \(H, W\)"):
        erode_to_seeds(scene()[None], 3)
