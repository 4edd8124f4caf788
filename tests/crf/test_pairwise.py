import pytest
import torch
from reference import grid_edges, potts_relaxation

from pipeline.crf.affinity import adaptive_affinity, contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.crf.pairwise import pairwise_energy, pairwise_energy_and_gradient, potts_loss
from pipeline.losses.relaxations import EDGE_TERMS, RELAXATIONS

NAMES = pytest.mark.parametrize("name", RELAXATIONS)
OFFSETS = {"grid4": NEIGHBORHOODS["grid4"], "grid8": NEIGHBORHOODS["grid8"], "long": ((0, 1), (1, 0), (1, 3), (2, -2))}
GRIDS = pytest.mark.parametrize("offsets", OFFSETS.values(), ids=OFFSETS)


def problem(offsets, height=3, width=4, classes=3):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randn(2, classes, height, width, generator=generator, dtype=torch.float64).softmax(1)
    valid = torch.ones(height, width, dtype=torch.bool)
    valid[1, 1] = False
    affinity = torch.zeros(2, len(offsets), height, width, dtype=torch.float64)
    for kind, first, _ in grid_edges(valid.numpy(), offsets):
        affinity[:, kind, first[0], first[1]] = 0.2 + 0.1 * first[0] + 0.05 * first[1] + 0.01 * kind
    affinity[1] *= 2
    return labels, affinity, valid


@NAMES
@GRIDS
def test_energy_equals_the_double_loop(name, offsets):
    labels, affinity, valid = problem(offsets)
    expected = [0.0, 0.0]
    for image in range(2):
        for kind, (y, x), (ny, nx) in grid_edges(valid.numpy(), offsets):
            relaxed = potts_relaxation(name, labels[image, :, y, x].tolist(), labels[image, :, ny, nx].tolist())
            expected[image] += affinity[image, kind, y, x].item() * relaxed
    assert pairwise_energy(labels, affinity, offsets, RELAXATIONS[name]).tolist() == pytest.approx(expected)


@NAMES
@GRIDS
def test_gradient_equals_autograd(name, offsets):
    labels, affinity, _ = problem(offsets)
    labels.requires_grad_()
    (expected,) = torch.autograd.grad(pairwise_energy(labels, affinity, offsets, RELAXATIONS[name]).sum(), labels)
    energy, gradient = pairwise_energy_and_gradient(labels.detach(), affinity, offsets, EDGE_TERMS[name])
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-12)
    assert torch.allclose(energy, pairwise_energy(labels.detach(), affinity, offsets, RELAXATIONS[name]), rtol=1e-12)


@NAMES
def test_what_buffers_held_before_does_not_matter(name):
    labels, affinity, _ = problem(NEIGHBORHOODS["grid8"])
    buffers = (torch.full_like(labels, 7.0), torch.full_like(labels, 9.0))
    _, fresh = pairwise_energy_and_gradient(labels, affinity, NEIGHBORHOODS["grid8"], EDGE_TERMS[name])
    _, reused = pairwise_energy_and_gradient(labels, affinity, NEIGHBORHOODS["grid8"], EDGE_TERMS[name], buffers)
    assert torch.equal(fresh, reused)
    assert reused is buffers[0]


@NAMES
def test_gradient_fits_the_energy_by_finite_differences(name):
    offsets = NEIGHBORHOODS["grid8"]
    labels, affinity, _ = problem(offsets, 2, 2)
    assert torch.autograd.gradcheck(lambda y: pairwise_energy(y, affinity, offsets, RELAXATIONS[name]), labels.requires_grad_())


@NAMES
@GRIDS
def test_invalid_pixels_contribute_nothing(name, offsets):
    labels, affinity, valid = problem(offsets)
    changed = labels.clone()
    changed[:, :, ~valid] = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1)
    for field in (labels, changed):
        _, gradient = pairwise_energy_and_gradient(field, affinity, offsets, EDGE_TERMS[name])
        assert gradient[:, :, ~valid].abs().max() == 0
    energies = [pairwise_energy(field, affinity, offsets, RELAXATIONS[name]) for field in (labels, changed)]
    assert torch.equal(*energies)


@NAMES
def test_labels_of_void_pixels_may_be_all_zero(name):
    labels, affinity, valid = problem(NEIGHBORHOODS["grid4"])
    labels[:, :, ~valid] = 0
    assert pairwise_energy(labels, affinity, NEIGHBORHOODS["grid4"], RELAXATIONS[name]).isfinite().all()
    energy, gradient = pairwise_energy_and_gradient(labels, affinity, NEIGHBORHOODS["grid4"], EDGE_TERMS[name])
    assert energy.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["bl", "nq", "q"])
def test_one_hot_labels_cost_the_weight_of_the_boundary(name):
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).view(1, 2, 1, 3)
    affinity = torch.tensor([0.3, 0.7, 0.0, 0, 0, 0]).view(1, 2, 1, 3)
    assert pairwise_energy(labels, affinity, NEIGHBORHOODS["grid4"], RELAXATIONS[name]).item() == pytest.approx(0.7)


def test_rejects_affinities_of_another_neighbourhood():
    labels, affinity, _ = problem(NEIGHBORHOODS["grid4"])
    with pytest.raises(ValueError, match="affinity: expected shape"):
        pairwise_energy(labels, affinity, NEIGHBORHOODS["grid8"], RELAXATIONS["q"])


def prediction(dtype=torch.float64):
    """Predictions, a shaded picture and a mask with a hole, for two images."""
    labels, _, valid = problem(NEIGHBORHOODS["grid4"])
    y, x = torch.meshgrid(torch.linspace(0, 0.2, 3), torch.linspace(0, 0.2, 4), indexing="ij")
    image = torch.stack([torch.stack([x, y, 0.3 * (x > 0.1) + 0 * y]), torch.stack([y, x, x * y])])
    return labels.to(dtype), image.to(dtype), valid.expand(2, -1, -1)


@NAMES
@GRIDS
@pytest.mark.parametrize("sigma_rgb", [None, 9.0])
def test_potts_loss_is_the_mean_over_edges(name, offsets, sigma_rgb):
    probs, image, valid = prediction()
    weights = adaptive_affinity(image, valid, offsets) if sigma_rgb is None else contrast_affinity(image, valid, offsets, 9.0)
    edges = grid_edges(valid[0].numpy(), offsets)
    loss = potts_loss(probs, image, valid, offsets=offsets, relaxation=name, sigma_rgb=sigma_rgb)
    for index in range(2):
        total = sum(
            weights[index, kind, y, x].item()
            * potts_relaxation(name, probs[index, :, y, x].tolist(), probs[index, :, v, u].tolist())
            for kind, (y, x), (v, u) in edges
        )
        assert loss[index].item() == pytest.approx(total / len(edges))


@NAMES
def test_potts_loss_has_the_gradient_of_its_value(name):
    probs, image, valid = prediction()
    logits = probs.log().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda free: potts_loss(free.softmax(1), image, valid, offsets=OFFSETS["long"], relaxation=name), logits
    )


def test_potts_loss_of_an_image_without_edges_is_zero():
    probs, image, valid = prediction()
    assert potts_loss(probs, image, torch.zeros_like(valid), offsets=OFFSETS["grid8"]).tolist() == [0, 0]


def test_potts_loss_computes_half_precision_in_float32():
    probs, image, valid = prediction(torch.float32)
    loss = potts_loss(probs.half(), image, valid, offsets=OFFSETS["grid8"])
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, potts_loss(probs, image, valid, offsets=OFFSETS["grid8"]), atol=1e-3)


def test_potts_loss_rejects_an_unknown_relaxation():
    probs, image, valid = prediction()
    with pytest.raises(ValueError, match="relaxation: expected one of bl"):
        potts_loss(probs, image, valid, offsets=OFFSETS["grid4"], relaxation="tv")
