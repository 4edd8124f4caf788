"""Block labels: the inner part of every region."""

import numpy as np
import pytest
from reference import erosion_depth_loop
from scipy import ndimage

from pipeline.conventions import VOID
from pipeline.targets.blocks import block_labels

RATIOS = (0.5, 0.2, 0.1)


def scene():
    """Two regions of class 1, one of class 2, a thin pole of class 3, a single pixel of class 4, void borders; 60x80 pixels."""
    labels = np.zeros((60, 80), np.uint8)
    labels[5:30, 5:30] = 1
    labels[40:55, 50:75] = 1
    labels[35:55, 8:30] = 2
    labels[3:33, 60:62] = 3
    labels[20, 45] = 4
    labels[33:35, 8:30] = VOID
    return labels


def regions_of(labels):
    """Yield the mask of every 8-connected region of every class."""
    for value in sorted(set(labels.ravel().tolist()) - {VOID}):
        numbers, count = ndimage.label(labels == value, np.ones((3, 3)))
        for number in range(1, count + 1):
            yield numbers == number


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_region_keeps_its_share_rounded_down_but_one_pixel_at_least(ratio):
    kept = block_labels(scene(), ratio) != VOID
    for region in regions_of(scene()):
        assert kept[region].sum() == max(1, int(ratio * region.sum() + 1e-9))


@pytest.mark.parametrize("ratio", RATIOS)
def test_image_keeps_no_more_than_the_ratio_and_one_pixel_per_tiny_region(ratio):
    valid = scene() != VOID
    tiny = sum(region.sum() * ratio < 1 for region in regions_of(scene()))
    assert (block_labels(scene(), ratio) != VOID).sum() <= ratio * valid.sum() + tiny


def test_kept_pixels_have_their_own_class():
    seeds = block_labels(scene(), 0.5)
    assert np.array_equal(seeds[seeds != VOID], scene()[seeds != VOID])


@pytest.mark.parametrize("ratio", RATIOS)
def test_erosion_goes_ring_by_ring(ratio):
    kept = block_labels(scene(), ratio) != VOID
    for region in regions_of(scene()):
        depth = erosion_depth_loop(region)
        removed = region & ~kept
        assert depth[region & kept].min() >= depth[removed].max(initial=0)


@pytest.mark.parametrize(("larger", "smaller"), [(0.5, 0.2), (0.2, 0.1)])
def test_smaller_ratio_keeps_a_part_of_the_larger(larger, smaller):
    assert (block_labels(scene(), larger)[block_labels(scene(), smaller) != VOID] != VOID).all()


def test_square_keeps_its_middle():
    labels = np.full((20, 20), VOID)
    labels[5:15, 5:15] = 7
    assert np.argwhere(block_labels(labels, 0.16) == 7).tolist() == [[y, x] for y in range(8, 12) for x in range(8, 12)]


def test_thin_region_keeps_the_part_around_its_middle():
    assert np.flatnonzero(block_labels(np.full((2, 40), 3), 0.5)[0] == 3).tolist() == list(range(10, 30))


def test_regions_that_touch_at_a_corner_are_one():
    labels = np.full((4, 4), VOID)
    labels[:2, :2] = labels[2:, 2:] = 1
    assert (block_labels(labels, 0.125) == 1).sum() == 1


def test_shares_that_are_whole_numbers_are_not_rounded_down():
    assert (block_labels(np.zeros((10, 10), int), 0.29) == 0).sum() == 29


def test_ratio_one_keeps_everything():
    assert np.array_equal(block_labels(scene(), 1.0), scene())


def test_void_stays_void():
    assert (block_labels(scene(), 0.5)[scene() == VOID] == VOID).all()


def test_image_without_a_class_stays_empty():
    assert (block_labels(np.full((4, 5), VOID), 0.5) == VOID).all()


@pytest.mark.parametrize("ratio", [0, -0.1, 1.1, float("nan")])
def test_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match="ratio: expected a share"):
        block_labels(scene(), ratio)


@pytest.mark.parametrize("labels", [np.full((2, 2), -1), np.full((2, 2), 256)])
def test_label_out_of_range_is_refused(labels):
    with pytest.raises(ValueError, match=r"labels: expected 0\.\.254 or 255"):
        block_labels(labels, 0.5)


def test_batch_is_refused():
    with pytest.raises(ValueError, match=r"expected shape \(H, W\)"):
        block_labels(scene()[None], 0.5)
