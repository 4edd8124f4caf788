import math

import pytest
import torch

from pipeline.losses.size import (
    SIZE_FLOOR,
    SIZE_LOSSES,
    barrier_bounds,
    flat_barrier,
    forward_kl,
    log_barrier,
    log_mean_probs,
    mean_probs,
    reverse_kl,
    squared_barrier,
    squared_suppression,
    suppression,
)

OF_LOGARITHMS = [*SIZE_LOSSES.values(), suppression]
ON_TAGS = [*OF_LOGARITHMS, squared_suppression]


def sizes(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def logs(*rows):
    return sizes(*rows).log()


def given(loss, *rows):
    """Predicted sizes in the form that a loss takes."""
    return logs(*rows) if loss in OF_LOGARITHMS else sizes(*rows)


def test_mean_probs_averages_each_class():
    probs = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]).view(1, 2, 1, 3)
    assert mean_probs(probs, torch.ones(1, 1, 3, dtype=torch.bool)).tolist() == [[0.5, 0.5]]


def test_mean_probs_leaves_invalid_pixels_out_of_sum_and_count():
    probs = torch.tensor([[1.0, 0.5, math.nan], [0.0, 0.5, math.nan]]).view(1, 2, 1, 3)
    assert mean_probs(probs, torch.tensor([[[True, True, False]]])).tolist() == [[0.75, 0.25]]


def test_mean_probs_gives_invalid_pixels_zero_gradient():
    probs = torch.full((1, 2, 1, 2), 0.5, requires_grad=True)
    mean_probs(probs, torch.tensor([[[True, False]]])).square().sum().backward()
    assert probs.grad[..., 0].tolist() == [[[1], [1]]]
    assert probs.grad[..., 1].tolist() == [[[0], [0]]]


def test_mean_probs_of_an_image_without_valid_pixels_is_zero():
    assert mean_probs(torch.full((1, 2, 2, 2), 0.5), torch.zeros(1, 2, 2, dtype=torch.bool)).tolist() == [[0, 0]]


def test_mean_probs_of_half_precision_is_computed_in_single():
    probs = torch.full((1, 2, 64, 64), 0.5, dtype=torch.bfloat16)
    result = mean_probs(probs, torch.ones(1, 64, 64, dtype=torch.bool))
    assert (result.dtype, result.tolist()) == (torch.float32, [[0.5, 0.5]])


def test_mean_probs_rejects_a_mask_of_another_size():
    with pytest.raises(ValueError, match="valid: expected shape"):
        mean_probs(torch.full((1, 2, 2, 3), 0.5), torch.ones(1, 3, 2, dtype=torch.bool))


def test_forward_kl_on_paper():
    expected = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    assert forward_kl(logs((0.6, 0.4)), sizes((0.9, 0.1))).item() == pytest.approx(expected)


def test_reverse_kl_on_paper():
    expected = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    assert reverse_kl(logs((0.6, 0.4)), sizes((0.9, 0.1))).item() == pytest.approx(expected)


def test_forward_kl_takes_a_class_with_target_zero_as_zero():
    assert forward_kl(logs((0.5, 0.25, 0.25)), sizes((1, 0, 0))).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("loss", [forward_kl, reverse_kl])
def test_divergences_are_smallest_at_the_size_target(loss):
    first = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    candidates = torch.stack([first, 1 - first], dim=1)
    values = loss(candidates.log(), sizes((0.3, 0.7)).expand_as(candidates))
    assert first[values.argmin()].item() == pytest.approx(0.3)
    assert values.min().item() == pytest.approx(0, abs=1e-12)


def test_forward_kl_avoids_zero_where_reverse_kl_tolerates_it():
    all_background, target = logs((1, 1e-9)), sizes((0.9, 0.1))
    assert forward_kl(all_background, target).item() > 1.5
    assert reverse_kl(all_background, target).item() == pytest.approx(-math.log(0.9), abs=1e-5)


def test_log_barrier_on_paper_ignores_absent_classes_and_the_amounts():
    expected = -math.log(0.5) - math.log(0.2)
    for target in ((0.9, 0.1, 0), (0.1, 0.9, 0)):
        assert log_barrier(logs((0.5, 0.2, 0.3)), sizes(target)).item() == pytest.approx(expected)


def test_log_barrier_is_forward_kl_to_equal_sizes_up_to_a_constant():
    predicted = logs((0.5, 0.2, 0.3), (0.1, 0.6, 0.3))
    uniform = sizes((0.5, 0.5, 0)).expand(2, 3)
    assert torch.allclose(log_barrier(predicted, uniform) / 2 - math.log(2), forward_kl(predicted, uniform))


def test_flat_barrier_is_flat_where_present_classes_are_large_enough():
    predicted = sizes((0.5, 0.5), (0.9, 0.1), (0.02, 0.98)).requires_grad_()
    values = flat_barrier(predicted.log(), sizes((0.5, 0.5)).expand(3, 2), epsilon=0.02)
    values.sum().backward()
    assert values.tolist() == pytest.approx([-2 * math.log(0.02)] * 3)
    assert predicted.grad[:2].abs().max() == 0


def test_flat_barrier_pushes_a_missing_class():
    predicted = sizes((0.999, 0.001)).requires_grad_()
    flat_barrier(predicted.log(), sizes((0.5, 0.5)), epsilon=0.01).sum().backward()
    assert predicted.grad.tolist() == [[0, pytest.approx(-1000)]]


def test_flat_barrier_as_printed_takes_the_maximum():
    value = flat_barrier(logs((0.999, 0.001)), sizes((0.5, 0.5)), epsilon=0.01, as_printed=True)
    assert value.item() == pytest.approx(-math.log(0.999) - math.log(0.01))


@pytest.mark.parametrize("epsilon", [0, 1, -0.1])
def test_flat_barrier_rejects_a_threshold_outside_the_open_interval(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        flat_barrier(logs((0.5, 0.5)), sizes((0.5, 0.5)), epsilon=epsilon)


def test_suppression_on_paper_ignores_present_classes():
    assert suppression(logs((0.5, 0.2, 0.3)), sizes((1, 0, 0))).item() == pytest.approx(-math.log(0.8) - math.log(0.7))


def test_squared_suppression_on_paper():
    assert squared_suppression(sizes((0.5, 0.2, 0.3)), sizes((1, 0, 0))).item() == pytest.approx(0.04 + 0.09)


def test_squared_barrier_on_paper():
    assert squared_barrier(sizes((0.5, 0.2, 0.3)), torch.tensor([0.4, 0.4, 0.4])).item() == pytest.approx(0.04 + 0.01)


def test_squared_barrier_takes_bounds_per_image():
    bounds = torch.tensor([[0.6, 0.0], [0.0, 0.0]])
    assert squared_barrier(sizes((0.5, 0.5), (0.5, 0.5)), bounds).tolist() == pytest.approx([0.01, 0])


def test_barrier_bounds_on_the_published_pixel_counts():
    area = 256 * 256
    bounds = barrier_bounds(torch.tensor([[True, True]]), 60 / area, 2000 / area)
    assert bounds.tolist() == [[pytest.approx(0.96948, abs=1e-5), pytest.approx(9.155e-4, abs=1e-7)]]


def test_barrier_bounds_leave_images_without_an_object_free():
    assert barrier_bounds(torch.tensor([[1.0, 0.0, 0.0]]), 0.1, 0.4).tolist() == [[0, 0, 0]]


def test_barrier_bounds_leave_absent_classes_free():
    expected = [[pytest.approx(0.6), 0, pytest.approx(0.1)], [0, 0, pytest.approx(0.1)]]
    assert barrier_bounds(torch.tensor([[0.7, 0.0, 0.3], [0.0, 0.0, 1.0]]), 0.1, 0.4).tolist() == expected


def test_barrier_bounds_make_the_penalty_of_the_pixel_bounds():
    # On 100 pixels between 10 and 40 px: 7 px are 3 too few, 50 px are 10 too many.
    bounds = barrier_bounds(torch.ones(3, 2), 0.1, 0.4)
    values = 100**2 * squared_barrier(sizes((0.93, 0.07), (0.5, 0.5), (0.75, 0.25)), bounds)
    assert values.tolist() == pytest.approx([9, 100, 0], abs=1e-3)


@pytest.mark.parametrize("limits", [(-0.1, 0.5), (0.5, 0.4), (0.5, 1.1)])
def test_barrier_bounds_out_of_order_are_refused(limits):
    with pytest.raises(ValueError, match="expected 0 <= min <= max <= 1"):
        barrier_bounds(torch.ones(1, 2), *limits)


@pytest.mark.parametrize("loss", [log_barrier, flat_barrier, suppression, squared_suppression])
def test_losses_on_tags_take_booleans(loss):
    predicted, target = given(loss, (0.5, 0.2, 0.3)), sizes((0.4, 0.6, 0))
    assert torch.equal(loss(predicted, target > 0), loss(predicted, target))


@pytest.mark.parametrize("loss", ON_TAGS)
def test_gradients_fit_the_values(loss):
    predicted = given(loss, (0.5, 0.2, 0.295, 0.005), (0.1, 0.6, 0.2, 0.1)).requires_grad_()
    target = sizes((0.6, 0.2, 0, 0.2), (0, 0.5, 0.5, 0))
    assert torch.autograd.gradcheck(lambda mean: loss(mean, target), predicted)


def test_squared_barrier_gradient_fits_the_value():
    assert torch.autograd.gradcheck(lambda mean: squared_barrier(mean, sizes((0.4, 0.4))[0]), sizes((0.7, 0.3)).requires_grad_())


@pytest.mark.parametrize("loss", ON_TAGS)
def test_value_and_gradient_stay_finite_for_extreme_logits(loss):
    logits = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1).expand(2, 2, 3, 3).clone().requires_grad_()
    valid = torch.ones(2, 3, 3, dtype=torch.bool)
    log_probs = logits.log_softmax(1)
    predicted = log_mean_probs(log_probs, valid) if loss in OF_LOGARITHMS else mean_probs(log_probs.exp(), valid)
    value = loss(predicted, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()


PULLS = {  # the loss, the classes present and the limit of d loss / d logit gap for a gap that grows, of classes 0 and 1
    "forward_kl": (forward_kl, (0.7, 0.3), 0.3),
    "log_barrier": (log_barrier, (0.5, 0.5), 1.0),
    "flat_barrier": (flat_barrier, (0.5, 0.5), 1.0),
    "suppression": (suppression, (0.0, 1.0), 1.0),
}


@pytest.mark.parametrize("gap", [10.0, 18.5, 40.0, 80.0])
@pytest.mark.parametrize("name", PULLS)
def test_a_lost_class_is_pulled_back_however_lost_it_is(name, gap):
    loss, size_targets, slope = PULLS[name]
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = gap  # the image is all class 0
    logits.requires_grad_()
    predicted = log_mean_probs(logits.log_softmax(1), torch.ones(1, 4, 4, dtype=torch.bool))
    loss(predicted, sizes(size_targets).float()).sum().backward()
    assert logits.grad[:, 0].sum().item() == pytest.approx(slope, rel=1e-3)
    assert logits.grad[:, 1].sum().item() == pytest.approx(-slope, rel=1e-3)


def test_log_mean_probs_is_the_logarithm_of_mean_probs():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    valid = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.4
    log_probs = logits.log_softmax(1)
    assert torch.allclose(log_mean_probs(log_probs, valid), mean_probs(log_probs.exp(), valid).log(), rtol=1e-12)


def test_log_mean_probs_gives_invalid_pixels_zero_gradient():
    log_probs = torch.full((1, 2, 1, 2), -math.log(2), requires_grad=True)
    log_mean_probs(log_probs, torch.tensor([[[True, False]]])).sum().backward()
    assert log_probs.grad.tolist() == [[[[1, 0]], [[1, 0]]]]


def test_log_mean_probs_of_an_image_without_valid_pixels_is_the_floor_without_gradient():
    log_probs = torch.full((1, 2, 2, 2), -math.log(2), requires_grad=True)
    found = log_mean_probs(log_probs, torch.zeros(1, 2, 2, dtype=torch.bool))
    found.sum().backward()
    assert found.tolist() == [[pytest.approx(math.log(SIZE_FLOOR))] * 2]
    assert log_probs.grad.abs().max() == 0


@pytest.mark.parametrize("loss", ON_TAGS)
def test_half_precision_sizes_are_lifted_to_single(loss):
    assert loss(sizes((0.5, 0.5)).half(), sizes((1, 0)).half()).dtype == torch.float32


@pytest.mark.parametrize("loss", ON_TAGS)
def test_rejects_size_targets_of_another_class_count(loss):
    with pytest.raises(ValueError, match="size_targets: expected shape"):
        loss(sizes((0.5, 0.5)), sizes((0.5, 0.3, 0.2)))


def test_a_class_that_should_not_be_there_costs_reverse_kl_the_floor():
    assert reverse_kl(logs((1e-300, 1)), sizes((1, 0))).item() == pytest.approx(-math.log(SIZE_FLOOR))
