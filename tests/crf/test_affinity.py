import math

import numpy as np
import pytest
import torch
from reference import contrast_weight, grid_edges

from pipeline.crf.affinity import (
    adaptive_affinity,
    contrast_affinity,
    edge_count,
    trust_region_affinity,
    without_seed_edges,
)
from pipeline.crf.neighborhoods import NEIGHBORHOODS

VOID = 255
LONG = ((0, 1), (1, 0), (2, -3))


def picture(height=4, width=5):
    """A soft shade with one hard vertical edge."""
    y, x = torch.meshgrid(torch.linspace(0, 0.1, height), torch.linspace(0, 0.1, width), indexing="ij")
    return torch.stack([x, y, (x > 0.05) * 0.3 + 0.2]).unsqueeze(0)


def with_a_hole():
    valid = torch.ones(1, 4, 5, dtype=torch.bool)
    valid[0, 1, 2] = False
    return valid


def naive_affinity(image, valid, offsets, sigma_rgb):
    expected = np.zeros((len(offsets), 4, 5))
    for kind, first, second in grid_edges(valid[0].numpy(), offsets):
        expected[(kind, *first)] = contrast_weight(image[0].double().numpy(), first, second, sigma_rgb)
    return expected


@pytest.mark.parametrize("offsets", [NEIGHBORHOODS["grid4"], NEIGHBORHOODS["grid8"], LONG])
def test_equals_the_naive_loop(offsets):
    image, valid = picture(), with_a_hole()
    expected = naive_affinity(image, valid, offsets, 9.0)
    assert np.allclose(contrast_affinity(image, valid, offsets, 9.0)[0], expected, atol=1e-6)


@pytest.mark.parametrize("offsets", [NEIGHBORHOODS["grid4"], NEIGHBORHOODS["grid8"], LONG, ((0, -1), (-1, 2)), ((5, 0), (0, 7))])
def test_compiled_code_gives_the_same_weights(offsets):
    image, valid = picture().repeat(2, 1, 1, 1), with_a_hole().repeat(2, 1, 1)
    image[1] = image[1].flip(-1)
    image[1, :, 1, 2] = math.nan
    expected = contrast_affinity(image, valid, offsets, 9.0)
    assert torch.equal(contrast_affinity(image, valid, offsets, 9.0, compiled=True), expected)
    assert expected.any() or offsets == ((5, 0), (0, 7))
    strided = image.contiguous(memory_format=torch.channels_last)
    assert torch.equal(contrast_affinity(strided, valid, offsets, 9.0, compiled=True), expected)


@pytest.mark.parametrize("offsets", [NEIGHBORHOODS["grid4"], NEIGHBORHOODS["grid8"], LONG])
def test_adaptive_bandwidth_is_the_root_mean_square_contrast_of_edges(offsets):
    image, valid = picture(), with_a_hole()
    squares = [
        sum((255 * (image[0, c][first] - image[0, c][second])).item() ** 2 for c in range(3))
        for _, first, second in grid_edges(valid[0].numpy(), offsets)
    ]
    expected = naive_affinity(image, valid, offsets, math.sqrt(sum(squares) / len(squares)))
    assert np.allclose(adaptive_affinity(image, valid, offsets)[0], expected, atol=1e-5)


def test_adaptive_weights_do_not_depend_on_the_scale_of_colours():
    image, valid = picture(), with_a_hole()
    weights = [adaptive_affinity(scale * image, valid, LONG) for scale in (1, 7)]
    assert torch.allclose(*weights, atol=1e-6)


def test_adaptive_weights_of_each_image_stand_alone():
    images = torch.cat([picture(), 0.2 * picture().square()])
    valid = with_a_hole().expand(2, -1, -1)
    together = adaptive_affinity(images, valid, LONG)
    assert torch.equal(together[1:], adaptive_affinity(images[1:], valid[1:], LONG))


def test_adaptive_weights_of_one_colour_are_one():
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    assert adaptive_affinity(torch.full((1, 3, 2, 2), 0.4), valid, ((0, 1),)).tolist() == [[[[1, 0], [1, 0]]]]


def test_edges_are_counted_as_in_the_naive_loop():
    valid = with_a_hole()
    assert edge_count(valid, LONG).tolist() == [len(grid_edges(valid[0].numpy(), LONG))]


def test_trust_region_weights_are_scaled_by_pixels_per_edge():
    image, valid = picture(), with_a_hole()
    count = len(grid_edges(valid[0].numpy(), NEIGHBORHOODS["grid8"]))
    expected = adaptive_affinity(image, valid, NEIGHBORHOODS["grid8"]) * 19 / count
    assert torch.allclose(trust_region_affinity(image, valid, NEIGHBORHOODS["grid8"]), expected)


def test_an_image_without_valid_pixels_has_no_weights():
    valid = torch.zeros(1, 4, 5, dtype=torch.bool)
    assert trust_region_affinity(picture(), valid, LONG).abs().max() == 0


def test_colours_one_bandwidth_apart_weigh_exp_of_minus_one_half():
    image = torch.zeros(1, 3, 1, 2)
    image[0, 1, 0, 1] = 9 / 255
    weight = contrast_affinity(image, torch.ones(1, 1, 2, dtype=torch.bool), ((0, 1),), 9.0)
    assert weight.tolist() == [[[[pytest.approx(math.exp(-0.5)), 0]]]]


def test_equal_colours_weigh_one_and_diagonals_one_over_their_length():
    affinity = contrast_affinity(
        torch.full((1, 3, 3, 3), 0.4), torch.ones(1, 3, 3, dtype=torch.bool), NEIGHBORHOODS["grid8"], 9.0
    )
    assert affinity[0, :, 1, 1].tolist() == pytest.approx([1, 1, 1 / math.sqrt(2), 1 / math.sqrt(2)])


def test_an_invalid_pixel_has_no_edges_whatever_its_colour():
    image, valid = picture(), torch.ones(1, 4, 5, dtype=torch.bool)
    image[0, :, 1, 2] = math.nan
    valid[0, 1, 2] = False
    affinity = contrast_affinity(image, valid, NEIGHBORHOODS["grid4"], 9.0)
    assert affinity[0, :, 1, 2].tolist() == [0, 0]
    assert affinity[0, 0, 1, 1] == affinity[0, 1, 0, 2] == 0
    assert affinity.isfinite().all()


def test_edges_leaving_the_image_weigh_nothing():
    affinity = contrast_affinity(picture(), torch.ones(1, 4, 5, dtype=torch.bool), NEIGHBORHOODS["grid8"], 9.0)
    assert (
        affinity[0, 0, :, -1].sum() == affinity[0, 1:, -1].sum() == affinity[0, 2, :, -1].sum() == affinity[0, 3, :, 0].sum() == 0
    )


def test_only_edges_between_two_seeds_are_removed():
    seeds = torch.tensor([[[0, 1, VOID], [VOID, 1, VOID]]])
    kept = without_seed_edges(torch.ones(1, 2, 2, 3), seeds, NEIGHBORHOODS["grid4"])
    assert kept[0, 0].tolist() == [[0, 1, 0], [1, 1, 0]]  # nothing leaves the picture
    assert kept[0, 1].tolist() == [[1, 0, 1], [0, 0, 0]]


def test_removing_seed_edges_leaves_the_argument_as_it_was():
    affinity = torch.ones(1, 2, 2, 2)
    without_seed_edges(affinity, torch.zeros(1, 2, 2, dtype=torch.int64), NEIGHBORHOODS["grid4"])
    assert affinity.min() == 1


@pytest.mark.parametrize("sigma_rgb", [0, -1])
def test_rejects_a_bandwidth_that_is_not_positive(sigma_rgb):
    with pytest.raises(ValueError, match="sigma_rgb"):
        contrast_affinity(picture(), torch.ones(1, 4, 5, dtype=torch.bool), ((0, 1),), sigma_rgb)


def test_rejects_a_mask_of_another_size():
    with pytest.raises(ValueError, match="valid: expected shape"):
        contrast_affinity(picture(), torch.ones(1, 5, 4, dtype=torch.bool), ((0, 1),), 9.0)
