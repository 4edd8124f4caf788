import math

import pytest
import torch

from pipeline.losses.cross_entropy import partial_cross_entropy
from pipeline.losses.robust import robust_cross_entropy, trust_region_loss

VOID = 255


def prediction(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 3, 3, generator=generator, dtype=dtype).log_softmax(1)


def proposals():
    labels = torch.arange(18).view(2, 3, 3) % 4
    labels[:, 0, 0] = VOID
    return labels


def test_robust_loss_equals_the_formula_pixel_by_pixel():
    log_probs, labels, epsilon = prediction(), proposals(), 0.3
    loss = robust_cross_entropy(log_probs, labels, epsilon)
    for image in range(2):
        for y in range(3):
            for x in range(3):
                label = labels[image, y, x].item()
                if label == VOID:
                    assert loss[image, y, x].item() == 0
                    continue
                probability = log_probs[image, label, y, x].exp().item()
                expected = -math.log(epsilon / 3 + (1 - 4 * epsilon / 3) * probability)
                assert loss[image, y, x].item() == pytest.approx(expected, rel=1e-12)


def test_without_doubt_it_is_the_cross_entropy():
    log_probs, labels = prediction(), proposals()
    loss = robust_cross_entropy(log_probs, labels, 0.0).sum((1, 2))
    assert torch.allclose(loss, partial_cross_entropy(log_probs, labels))


def test_gradient_fits_by_finite_differences():
    assert torch.autograd.gradcheck(
        lambda logits: robust_cross_entropy(logits.log_softmax(1), proposals(), 0.4), prediction().requires_grad_()
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.944])
def test_extreme_logits_give_finite_values_and_gradients(epsilon):
    logits = torch.zeros(1, 21, 1, 2)
    logits[0, 0] = 1e4
    logits.requires_grad_()
    loss = robust_cross_entropy(logits.log_softmax(1), torch.tensor([[[0, 5]]]), epsilon)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_pixels_without_a_proposal_get_no_gradient():
    log_probs = prediction().requires_grad_()
    (gradient,) = torch.autograd.grad(robust_cross_entropy(log_probs, proposals(), 0.3).sum(), log_probs)
    assert gradient[:, :, 0, 0].abs().max() == 0


def test_an_outlier_costs_at_most_the_bound():
    certain = torch.tensor([0.0, -1e4, -1e4]).view(1, 3, 1, 1)
    assert robust_cross_entropy(certain, torch.tensor([[[1]]]), 0.5).item() == pytest.approx(math.log(2 / 0.5))


def test_trust_region_loss_is_divided_by_seeds_and_by_images():
    log_probs, labels = prediction(), proposals()
    seeds = torch.full_like(labels, VOID)
    seeds[0, 1] = 2
    elsewhere = labels.clone()
    elsewhere[0, 1] = VOID
    expected = robust_cross_entropy(log_probs, elsewhere, 0.3).sum() - log_probs[0, 2, 1].sum()
    assert trust_region_loss(log_probs, labels, seeds, 0.3).item() == pytest.approx(expected.item() / 3 / 2)


@pytest.mark.parametrize("epsilon", [-0.1, 0.75, 1.0])
def test_epsilon_out_of_range_is_rejected(epsilon):
    with pytest.raises(ValueError, match="epsilon: expected"):
        robust_cross_entropy(prediction(), proposals(), epsilon)


def test_shapes_that_do_not_fit_are_rejected():
    with pytest.raises(ValueError, match="proposals: expected shape"):
        robust_cross_entropy(prediction(), proposals()[:1], 0.3)
