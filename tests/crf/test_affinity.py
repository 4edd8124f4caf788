import math

import numpy as np
import pytest
import torch
from reference import contrast_weight, grid_edges

from pipeline.crf.affinity import contrast_affinity, without_seed_edges
from pipeline.crf.neighborhoods import NEIGHBORHOODS

VOID = 255


def picture(height=4, width=5):
    """A soft shade with one hard vertical edge."""
    y, x = torch.meshgrid(torch.linspace(0, 0.1, height), torch.linspace(0, 0.1, width), indexing="ij")
    return torch.stack([x, y, (x > 0.05) * 0.3 + 0.2]).unsqueeze(0)


@pytest.mark.parametrize("name", NEIGHBORHOODS)
def test_equals_the_naive_loop(name):
    image, valid = picture(), torch.ones(1, 4, 5, dtype=torch.bool)
    valid[0, 1, 2] = False
    expected = np.zeros((len(NEIGHBORHOODS[name]), 4, 5))
    for kind, first, second in grid_edges(valid[0].numpy(), NEIGHBORHOODS[name]):
        expected[(kind, *first)] = contrast_weight(image[0].double().numpy(), first, second, 9.0)
    assert np.allclose(contrast_affinity(image, valid, NEIGHBORHOODS[name], 9.0)[0], expected, atol=1e-6)


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
    assert kept[0, 0].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert kept[0, 1].tolist() == [[1, 0, 1], [1, 1, 1]]


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
