import math

import pytest
import torch
from reference import soft_cross_entropy

from pipeline.losses.cross_entropy import (
    CROSS_ENTROPIES,
    LABEL_FLOOR,
    collision_cross_entropy,
    cross_entropy,
    entropy,
    partial_cross_entropy,
    quadratic_cross_entropy,
    reverse_cross_entropy,
)

NAMES = pytest.mark.parametrize("name", CROSS_ENTROPIES)
VOID = 255


def distributions(seed, batch=2, classes=3, height=2, width=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, classes, height, width, generator=generator, dtype=torch.float64).softmax(1)


def pixel(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)


def test_partial_cross_entropy_sums_over_seeds_of_each_image():
    log_probs = torch.tensor([[0.5, 0.25], [0.5, 0.75]]).log().view(1, 2, 1, 2).repeat(2, 1, 1, 1)
    seeds = torch.tensor([[[0, 1]], [[VOID, 0]]])
    expected = [-math.log(0.5) - math.log(0.75), -math.log(0.25)]
    assert partial_cross_entropy(log_probs, seeds).tolist() == pytest.approx(expected)


def test_partial_cross_entropy_of_an_image_without_seeds_is_zero():
    assert partial_cross_entropy(distributions(0).log(), torch.full((2, 2, 4), VOID)).tolist() == [0, 0]


def test_partial_cross_entropy_gives_void_pixels_zero_gradient_even_at_minus_infinity():
    log_probs = torch.tensor([[-math.inf, -0.1], [-math.inf, -2.0]]).view(1, 2, 1, 2).requires_grad_()
    loss = partial_cross_entropy(log_probs, torch.tensor([[[VOID, 1]]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2)
    assert log_probs.grad.flatten().tolist() == [0, 0, 0, -1]


def test_partial_cross_entropy_rejects_seeds_of_another_size():
    with pytest.raises(ValueError, match="seeds: expected shape"):
        partial_cross_entropy(distributions(0).log(), torch.zeros(2, 4, 2, dtype=torch.int64))


@NAMES
def test_equals_the_naive_loop(name):
    probs, labels = distributions(1), distributions(2)
    value = CROSS_ENTROPIES[name](probs.log(), labels)
    for b, y, x in [(0, 0, 0), (0, 1, 3), (1, 0, 2)]:
        assert value[b, y, x].item() == pytest.approx(
            soft_cross_entropy(name, probs[b, :, y, x].tolist(), labels[b, :, y, x].tolist())
        )


@NAMES
def test_gradients_fit_the_values(name):
    def function(logits, label_logits):
        return CROSS_ENTROPIES[name](logits.log_softmax(1), label_logits.softmax(1))

    inputs = [distributions(seed, 1, 3, 1, 2).log().requires_grad_() for seed in (3, 4)]
    assert torch.autograd.gradcheck(function, inputs)


@NAMES
def test_value_and_gradient_stay_finite_for_extreme_logits(name):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 0.0]]).view(1, 3, 1, 3).requires_grad_()
    for labels in (pixel(1, 0, 0), pixel(0, 1, 0), pixel(0.2, 0.3, 0.5)):
        value = CROSS_ENTROPIES[name](logits.log_softmax(1), labels.float().expand(1, 3, 1, 3))
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        assert value.isfinite().all()
        assert gradient.isfinite().all()


@NAMES
def test_float32_agrees_with_float64(name):
    probs, labels = distributions(5), distributions(6)
    single = CROSS_ENTROPIES[name](probs.log().float(), labels.float())
    assert torch.allclose(single.double(), CROSS_ENTROPIES[name](probs.log(), labels), atol=1e-6)


@NAMES
def test_rejects_pseudo_labels_of_another_shape(name):
    with pytest.raises(ValueError, match="pseudo_labels: expected shape"):
        CROSS_ENTROPIES[name](distributions(0).log(), distributions(0, classes=2))


def best_prediction(function, label):
    # Two classes: a fine grid over the simplex is an independent minimiser.
    first = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    probs = torch.stack([first, 1 - first]).view(1, 2, 1, -1)
    return first[function(probs.log(), pixel(*label).expand_as(probs)).argmin()].item()


def test_standard_cross_entropy_mimics_the_uncertainty_of_labels():
    assert best_prediction(cross_entropy, (0.7, 0.3)) == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("function", [reverse_cross_entropy, collision_cross_entropy])
def test_robust_cross_entropies_prefer_a_decided_prediction(function):
    assert best_prediction(function, (0.7, 0.3)) == pytest.approx(0.999)


@pytest.mark.parametrize("function", [reverse_cross_entropy, collision_cross_entropy])
def test_robust_cross_entropies_do_not_push_at_a_uniform_label(function):
    logits = torch.tensor([1.5, -0.5]).view(1, 2, 1, 1).requires_grad_()
    function(logits.log_softmax(1), torch.full((1, 2, 1, 1), 0.5)).sum().backward()
    assert logits.grad.abs().max() < 1e-6


def test_collision_cross_entropy_is_symmetric():
    probs, labels = distributions(7), distributions(8)
    assert torch.allclose(collision_cross_entropy(probs.log(), labels), collision_cross_entropy(labels.log(), probs))


def test_standard_and_reverse_are_each_other_with_arguments_exchanged():
    probs, labels = distributions(7), distributions(8)
    assert torch.allclose(cross_entropy(probs.log(), labels), reverse_cross_entropy(labels.log(), probs))


def test_one_hot_labels_make_standard_and_collision_the_negative_log_likelihood():
    probs, labels = pixel(0.2, 0.8), pixel(0.0, 1.0)
    assert cross_entropy(probs.log(), labels).item() == pytest.approx(-math.log(0.8))
    assert collision_cross_entropy(probs.log(), labels).item() == pytest.approx(-math.log(0.8), abs=1e-5)


def test_contradicting_certainties_cost_the_floor():
    log_probs = torch.tensor([0.0, -2e4]).view(1, 2, 1, 1)
    for function in (reverse_cross_entropy, collision_cross_entropy):
        assert function(log_probs, torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)).item() == pytest.approx(-math.log(LABEL_FLOOR))


def test_quadratic_of_opposite_vertices_is_one():
    assert (
        quadratic_cross_entropy(torch.tensor([0.0, -2e4]).view(1, 2, 1, 1), torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)).item() == 1
    )


def test_entropy_of_the_uniform_distribution_is_ln_of_the_class_count():
    assert entropy(torch.full((1, 4, 1, 1), 0.25).log()).item() == pytest.approx(math.log(4))


def test_entropy_is_zero_for_a_decided_prediction():
    assert entropy(torch.tensor([1e4, -1e4]).view(1, 2, 1, 1).log_softmax(1)).item() == 0
