import numpy as np
import pytest
import torch
from reference import permutohedral_filter

from pipeline.crf.dense import DenseKernel, bilateral_features
from pipeline.crf.lattice import compiled_lattice, lattice_filter, torch_lattice

pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture(params=["compiled", "torch"])
def built(request, monkeypatch):
    """By which code lattices are built; torch's serves GPUs."""
    if request.param == "torch":
        monkeypatch.setattr("pipeline.crf.lattice.compiled_lattice", torch_lattice)


def picture(height=12, width=14, dtype=torch.float64):
    """A ground with a slanted edge, shading and a disc, and one soft mask for each."""
    y, x = torch.meshgrid(torch.arange(height, dtype=dtype), torch.arange(width, dtype=dtype), indexing="ij")
    edge = torch.sigmoid(x - 0.6 * y - 3)
    disc = torch.sigmoid(3 - ((x - 9) ** 2 + (y - 4) ** 2).sqrt())
    image = torch.stack([0.3 + 0.4 * edge + 0.01 * y, 0.5 - 0.3 * disc + 0.005 * x, 0.2 + 0.2 * edge * disc + 0.011 * x])
    return image.unsqueeze(0), torch.stack([edge, disc, 1 - edge]).unsqueeze(0)


def points(image):
    """Features moved off the corner of the lattice where the first pixel would lie on the border of several simplices."""
    return bilateral_features(image, 15.0, 6.0) + torch.tensor([0.13, 0.29, 0.41, 0.07, 0.19], dtype=image.dtype)


def everywhere(image):
    return torch.ones(image.shape[0], *image.shape[2:], dtype=torch.bool)


def test_equals_the_naive_loop():
    image, values = picture()
    features = points(image)
    expected = permutohedral_filter(features[0].numpy(), values.flatten(2)[0].T.numpy())
    filtered = lattice_filter(features, everywhere(image).flatten(1))(values.flatten(2))
    assert np.allclose(filtered[0].T.numpy(), expected, rtol=1e-9)


def test_equals_recorded_values_of_the_published_implementation():
    image, values = picture(dtype=torch.float32)
    filtered = DenseKernel.build(image, everywhere(image), 15.0, 6.0, "lattice").filter(values)
    # Computed once by the C++ lattice that pydensecrf 1.0rc3 wraps.
    recorded = torch.tensor(
        [
            [0.46581, 3.91199, 6.40396, 0.67896, 1.72973, 8.88596, 0.51276, 1.07587, 6.08745],
            [0.10477, 0.88365, 1.24715, 0.31067, 1.17339, 3.76706, 0.27944, 0.63802, 0.55928],
            [8.75828, 0.45982, 0.2188, 16.0658, 1.70902, 0.22681, 15.88232, 14.8766, 0.34651],
        ]
    )
    assert torch.allclose(filtered[0, :, ::5, ::6].flatten(1), recorded, atol=2e-5)


def test_all_classes_at_once_equal_one_at_a_time():
    image, values = picture()
    kernel = DenseKernel.build(image, everywhere(image), 15.0, 6.0, "lattice")
    one_by_one = torch.cat([kernel.filter(values[:, k : k + 1]) for k in range(3)], dim=1)
    assert torch.allclose(kernel.filter(values), one_by_one, rtol=1e-12)


def test_invalid_pixels_make_no_vertices():
    image, values = picture()
    valid = everywhere(image)
    valid[:, 4:8, 2:11] = False
    features, kept = points(image), valid.flatten()
    expected = permutohedral_filter(features[0, kept].numpy(), values.flatten(2)[0, :, kept].T.numpy())
    filtered = lattice_filter(features, valid.flatten(1))(values.flatten(2))[0]
    assert np.allclose(filtered[:, kept].T.numpy(), expected, rtol=1e-9)
    assert filtered[:, ~kept].abs().max() == 0


def test_one_pixel_keeps_its_published_share():
    # All weight is at the corner of its simplex. Six steps of weight 1/2 lead around the simplex and back, and slicing has 32/33.
    filtered = lattice_filter(torch.zeros(1, 1, 5), torch.ones(1, 1, dtype=torch.bool))(torch.ones(1, 1, 1))
    assert filtered.item() == pytest.approx((1 + 1 / 64) * 32 / 33)


def test_far_images_of_a_batch_do_not_meet():
    image, values = picture()
    pair = torch.cat([image, image])
    both = DenseKernel.build(pair, everywhere(pair), 15.0, 6.0, "lattice").filter(torch.cat([values, torch.zeros_like(values)]))
    assert both[1].abs().max() == 0
    assert torch.allclose(both[:1], DenseKernel.build(image, everywhere(image), 15.0, 6.0, "lattice").filter(values))


def test_negative_coordinates_are_as_good_as_positive_ones():
    # A multiple of the lattice's own period in all features moves every vertex and changes nothing.
    features = torch.tensor([[[0.3, -0.2, 0.5, 0.1, 0.7], [0.1, 0.2, -0.4, 0.3, 0.6]]], dtype=torch.float64)
    axis = torch.arange(1, 6, dtype=torch.float64)
    period = (axis * (axis + 1)).sqrt() / (2 / 3) ** 0.5
    valid, values = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[[1.0, 2.0]]], dtype=torch.float64)
    moved = [lattice_filter(features + shift * period, valid)(values) for shift in (0, -7, 5)]
    assert torch.allclose(moved[0], moved[1])
    assert torch.allclose(moved[0], moved[2])


def test_the_table_of_vertices_grows_with_the_picture():
    # Points so far apart that hardly any two share a vertex.
    generator = torch.Generator().manual_seed(0)
    features = 100 * torch.rand(2, 4000, 5, generator=generator, dtype=torch.float64)
    values = torch.rand(2, 2, 4000, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 4000, generator=generator) > 0.1
    lattices = [
        build(features.flatten(0, 1).t().contiguous(), valid.flatten(), 4000) for build in (compiled_lattice, torch_lattice)
    ]
    assert lattices[0].neighbors.shape == lattices[1].neighbors.shape
    assert lattices[0].neighbors.shape[1] > 30_000
    expected = lattice_filter(features, valid)(values)
    together = torch.cat([lattice_filter(features[i : i + 1], valid[i : i + 1])(values[i : i + 1]) for i in range(2)])
    assert torch.allclose(together, expected, rtol=1e-12)
