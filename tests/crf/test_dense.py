import warnings

import pytest
import torch
from reference import dense_potts
from torch.nn.functional import interpolate

from pipeline.crf.dense import (
    DENSE_FILTERS,
    DenseKernel,
    bilateral_features,
    dense_crf_loss,
    exact_filter,
    nystrom_or_exact_filter,
)


def dense_filter(values, image, valid, sigma_rgb=15.0, sigma_xy_px=100.0, **how):
    """A `values` for one use of the kernel."""
    return DenseKernel.build(image, valid, sigma_rgb, sigma_xy_px, **how).filter(values)


MODES = pytest.mark.parametrize("mode", DENSE_FILTERS)
SYMMETRIC_MODES = pytest.mark.parametrize("mode", ["exact", "nystrom"])
FULL = {"sigma_rgb": 15.0, "sigma_xy_px": 100.0, "scale_factor": 1.0}


def scene(height=24, width=32, dtype=torch.float32):
    """Two shaded discs on a shaded ground, and soft predictions that follow them: like a photograph, and no noise."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height, dtype=dtype), torch.linspace(0, 1, width, dtype=dtype), indexing="ij")
    discs = [((x - cx) ** 2 + (y - cy) ** 2).sqrt() - r for cx, cy, r in [(0.3, 0.4, 0.2), (0.75, 0.6, 0.18)]]
    inside = [torch.sigmoid(-distance * 60) for distance in discs]
    ground = torch.stack([0.3 + 0.2 * y, 0.5 + 0.1 * x, 0.3 + 0.1 * y])
    red = torch.stack([0.8 - 0.1 * y, 0.25 + 0.1 * x, 0.2 + 0.05 * x])
    blue = torch.stack([0.2 + 0.1 * x, 0.3 + 0.1 * y, 0.8 - 0.15 * y])
    image = ground * (1 - inside[0] - inside[1]) + red * inside[0] + blue * inside[1]
    logits = torch.stack([0.5 + 0 * x, -20 * discs[0], -20 * discs[1]])
    return logits.softmax(0).unsqueeze(0), image.unsqueeze(0).clamp(0, 1), torch.ones(1, height, width, dtype=torch.bool)


def structureless(height=24, width=24):
    """Colours that fill the cube evenly, in an order without spatial structure."""
    index = torch.arange(height * width, dtype=torch.float64)
    steps = torch.tensor([0.8191725, 0.6710436, 0.5497005], dtype=torch.float64)
    return (index * steps.view(3, 1)).frac().view(1, 3, height, width).float()


def two_images():
    probs, image, valid = scene()
    mask = valid.clone()
    mask[:, :6] = False
    return torch.cat([probs, probs.flip(1)]), torch.cat([image, image.flip(3)]), torch.cat([valid, mask])


def test_exact_loss_plus_constant_equals_the_double_loop():
    probs, image, valid = scene(5, 6, torch.float64)
    valid[0, 2, 1:3] = False
    expected = dense_potts(probs[0].numpy(), image[0].numpy(), valid[0].numpy(), 15.0, 4.0)
    settings = {"sigma_rgb": 15.0, "sigma_xy_px": 4.0, "scale_factor": 1.0, "mode": "exact"}
    constant = DenseKernel.build(image, valid, 15.0, 4.0, "exact").degrees.sum()
    total = dense_crf_loss(probs, image, valid, **settings) + constant
    assert total.item() == pytest.approx(expected, rel=1e-9)


def test_self_interaction_is_included():
    loss = dense_crf_loss(
        torch.full((1, 2, 1, 1), 0.5), torch.zeros(1, 3, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), **FULL, mode="exact"
    )
    assert loss.item() == pytest.approx(-0.5)


def test_one_colour_at_one_place_makes_all_weights_one():
    # 4 pixels, all of class 0, no distance in colour and hardly one in space: sum of 16 weights.
    probs = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    ones = torch.ones(1, 2, 2, dtype=torch.bool)
    loss = dense_crf_loss(
        probs, torch.full((1, 3, 2, 2), 0.5), ones, sigma_rgb=15.0, sigma_xy_px=1e6, scale_factor=1.0, mode="exact"
    )
    assert loss.item() == pytest.approx(-16)


@SYMMETRIC_MODES
def test_gradient_fits_the_value(mode):
    probs, image, valid = scene(6, 6, torch.float64)
    valid[0, :2, 0] = False
    settings = {"sigma_rgb": 15.0, "sigma_xy_px": 8.0, "scale_factor": 0.5, "mode": mode, "landmarks": 5}
    assert torch.autograd.gradcheck(lambda s: dense_crf_loss(s, image, valid, **settings), probs.requires_grad_())


@MODES
def test_gradient_is_minus_two_a_s_and_zero_on_invalid_pixels(mode):
    probs, image, valid = (part[1:] for part in two_images())
    probs.requires_grad_()
    dense_crf_loss(probs, image, valid, **FULL, mode=mode).sum().backward()
    expected = -2 * DenseKernel.build(image, valid, 15.0, 100.0, mode).filter(probs.detach())
    assert torch.allclose(probs.grad, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    assert probs.grad[:, :, ~valid[0]].abs().max() == 0


@MODES
def test_images_receive_no_gradient(mode):
    probs, image, valid = scene(8, 8)
    dense_crf_loss(probs.requires_grad_(), image.requires_grad_(), valid, mode=mode).sum().backward()
    assert image.grad is None


@MODES
def test_invalid_pixels_contribute_nothing(mode):
    probs, image, valid = (part[1:] for part in two_images())
    other = probs.clone()
    other[:, :, ~valid[0]] = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1)
    recolored = image.clone()
    recolored[:, :, ~valid[0]] = 1.0
    values = [
        dense_crf_loss(p, i, valid, **FULL, mode=mode).item() for p, i in ((probs, image), (other, image), (probs, recolored))
    ]
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)


@MODES
def test_a_batch_of_two_equals_two_images(mode):
    probs, image, valid = two_images()
    together = dense_crf_loss(probs, image, valid, mode=mode)
    alone = [dense_crf_loss(probs[i : i + 1], image[i : i + 1], valid[i : i + 1], mode=mode).item() for i in range(2)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


@SYMMETRIC_MODES
def test_kernel_is_symmetric_and_positive(mode):
    _, image, valid = (part[1:] for part in two_images())
    image, valid = image[..., ::2, ::2].double(), valid[..., ::2, ::2]
    count = valid[0].numel()
    kernel = DenseKernel.build(image, valid, 15.0, 100.0, mode, landmarks=40)
    matrix = kernel.filter(torch.eye(count, dtype=torch.float64).view(1, count, *valid.shape[1:])).flatten(2)[0]
    assert torch.allclose(matrix, matrix.T, atol=1e-12)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-9


@MODES
def test_loss_plus_constant_is_not_negative(mode):
    probs, image, valid = two_images()
    constant = DenseKernel.build(image, valid, 15.0, 100.0, mode).degrees.sum((1, 2, 3))
    potts = dense_crf_loss(probs, image, valid, mode=mode, scale_factor=1.0) + constant
    assert (potts >= 0).all()


@MODES
def test_a_labelling_along_colours_costs_less_than_one_across(mode):
    probs, image, valid = scene()
    across = probs.flip(3)
    assert dense_crf_loss(probs, image, valid, mode=mode) < dense_crf_loss(across, image, valid, mode=mode)


@MODES
def test_an_image_without_valid_pixels_costs_nothing(mode):
    probs, image, valid = scene(8, 8)
    assert dense_crf_loss(probs, image, ~valid, mode=mode).item() == 0


@MODES
def test_half_precision_gradients_come_back_in_half_precision(mode):
    probs, image, valid = scene(8, 8)
    half = probs.bfloat16().requires_grad_()
    dense_crf_loss(half, image, valid, mode=mode).sum().backward()
    assert half.grad.dtype == torch.bfloat16
    assert half.grad.isfinite().all()


@MODES
def test_the_same_call_gives_the_same_bits(mode):
    assert torch.equal(*(dense_crf_loss(*scene(), mode=mode) for _ in range(2)))


def relative_error(approximate, exact):
    return ((approximate - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize(("landmarks", "bound"), [(32, 0.02), (64, 0.005), (128, 0.002)])
def test_nystrom_is_within_its_stated_bound_of_the_exact_sum(landmarks, bound):
    probs, image, valid = scene(48, 64)
    settings = {"sigma_rgb": 15.0, "sigma_xy_px": 50.0, "landmarks": landmarks}
    filtered = [dense_filter(probs, image, valid, mode=mode, **settings) for mode in ("nystrom", "exact")]
    assert relative_error(*filtered) < bound


@pytest.mark.parametrize(
    ("mode", "scales", "bound"), [("exact", (1, 1), 1e-9), ("nystrom", (0.999, 1.001), 2e-3), ("lattice", (1.47, 2.0), 0.1)]
)
def test_filter_is_the_sum_over_pairs_up_to_its_stated_scale_and_error(mode, scales, bound):
    probs, image, valid = scene(16, 20, torch.float64)
    valid[:, 3:5, 2:9] = False
    features, kept = bilateral_features(image, 15.0, 50.0), valid.flatten(1)
    pairs = (-0.5 * torch.cdist(features, features).square()).exp() * (kept.unsqueeze(1) & kept.unsqueeze(2))
    expected = (probs.flatten(2) @ pairs).view_as(probs)
    filtered = dense_filter(probs, image, valid, sigma_rgb=15.0, sigma_xy_px=50.0, mode=mode)
    scale = ((filtered * expected).sum() / filtered.square().sum()).item()
    assert scales[0] - 1e-9 <= scale <= scales[1] + 1e-9
    assert relative_error(scale * filtered, expected) < bound


@MODES
def test_loss_is_the_quadratic_form_of_the_filter(mode):
    probs, image, valid = two_images()
    kernel = DenseKernel.build(image, valid, 15.0, 100.0, mode)
    expected = -(probs * kernel.filter(probs)).sum((1, 2, 3))
    assert torch.allclose(dense_crf_loss(probs, image, valid, **FULL, mode=mode), expected, rtol=1e-5)


@MODES
def test_degrees_are_row_sums_over_valid_pixels(mode):
    _, image, valid = two_images()
    kernel = DenseKernel.build(image, valid, 15.0, 100.0, mode)
    assert torch.equal(kernel.degrees, kernel.filter(torch.ones(2, 1, *valid.shape[1:])))
    assert kernel.degrees[~valid.unsqueeze(1)].abs().max() == 0
    assert kernel.degrees[valid.unsqueeze(1)].min() > 0


@MODES
def test_one_kernel_serves_any_number_of_classes(mode):
    probs, image, valid = two_images()
    kernel = DenseKernel.build(image, valid, 15.0, 100.0, mode)
    together = kernel.filter(probs)
    one_by_one = torch.cat([kernel.filter(probs[:, k : k + 1]) for k in range(3)], dim=1)
    assert relative_error(one_by_one, together) < 1e-5


def test_degrees_and_filter_give_the_gradient_of_the_dense_quadratic_relaxation():
    probs, image, valid = scene(6, 7, torch.float64)
    kernel = DenseKernel.build(image, valid, 15.0, 4.0, "exact")
    labels = probs.flatten(2)[0].requires_grad_()
    weights = kernel.filter(torch.eye(42, dtype=torch.float64).view(1, 42, 6, 7)).view(42, 42)
    (0.25 * weights * (labels.unsqueeze(2) - labels.unsqueeze(1)).square().sum(0)).sum().backward()
    assert torch.allclose((kernel.degrees * probs - kernel.filter(probs)).flatten(2)[0], labels.grad, rtol=1e-9)


def test_exact_filter_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    probs, image, valid = two_images()
    features = bilateral_features(image, 15.0, 50.0)
    whole = exact_filter(features, valid.flatten(1))(probs.flatten(2))
    monkeypatch.setattr("pipeline.crf.dense.ELEMENTS_AT_ONCE", 2 * 768 * 100)
    in_blocks = exact_filter(features, valid.flatten(1))(probs.flatten(2))
    assert torch.allclose(whole, in_blocks, rtol=1e-5)


def test_exact_filter_in_float32_agrees_with_float64():
    probs, image, valid = scene()
    single = exact_filter(bilateral_features(image, 15.0, 50.0), valid.flatten(1))(probs.flatten(2))
    double = exact_filter(bilateral_features(image.double(), 15.0, 50.0), valid.flatten(1))(probs.double().flatten(2))
    assert relative_error(single.double(), double) < 1e-4


def test_an_image_without_colour_structure_is_filtered_exactly_with_a_warning():
    probs, image, valid = two_images()
    image = torch.cat([image[:1, :, :24, :24], structureless()])
    probs, valid = probs[..., :24], torch.ones(2, 24, 24, dtype=torch.bool)
    features, mask = bilateral_features(image, 15.0, 50.0), valid.flatten(1)
    with pytest.warns(UserWarning, match="colour structure"):
        operator = nystrom_or_exact_filter(features, mask, 64)
    mixed = operator(probs.flatten(2))
    exact = exact_filter(features, mask)(probs.flatten(2))
    assert torch.allclose(mixed[1], exact[1], rtol=1e-5)
    assert 1e-6 < relative_error(mixed[0], exact[0]) < 0.1


def test_a_picture_is_filtered_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dense_crf_loss(*scene())


def test_images_without_valid_pixels_are_passed_over_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dense_filter(torch.ones(1, 1, 24, 24), structureless(), torch.zeros(1, 24, 24, dtype=torch.bool)).max() == 0


@MODES
def test_half_precision_images_are_filtered_in_single(mode):
    probs, image, valid = scene(12, 16)
    filtered = dense_filter(probs, image.bfloat16(), valid, mode=mode)
    assert torch.equal(filtered, dense_filter(probs, image.bfloat16().float(), valid, mode=mode))


def test_more_landmarks_than_pixels_are_not_needed():
    probs, image, valid = scene(4, 4)
    approximate = dense_crf_loss(probs, image, valid, **FULL, landmarks=128)
    assert approximate.item() == pytest.approx(dense_crf_loss(probs, image, valid, **FULL, mode="exact").item(), rel=0.01)


def test_the_scale_factor_equals_reducing_by_hand():
    probs, image, valid = (part[1:] for part in two_images())
    small = (
        interpolate(probs, scale_factor=0.5, mode="bilinear", align_corners=False),
        image[..., ::2, ::2],
        valid[:, ::2, ::2],
    )
    by_hand = dense_crf_loss(*small, sigma_rgb=15.0, sigma_xy_px=50.0, scale_factor=1.0, mode="exact")
    assert dense_crf_loss(probs, image, valid, scale_factor=0.5, mode="exact").item() == pytest.approx(by_hand.item())


def test_odd_sizes_can_be_reduced():
    probs, image, valid = scene(7, 9)
    assert dense_crf_loss(probs, image, valid, mode="exact").isfinite().all()


def test_half_precision_probabilities_are_filtered_in_single():
    probs, image, valid = scene()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = dense_crf_loss(probs.bfloat16(), image, valid)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(dense_crf_loss(probs, image, valid).item(), rel=1e-2)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("mode", "grid"), ("sigma_rgb", 0.0), ("sigma_xy_px", -1.0), ("scale_factor", 1.5), ("landmarks", 0)],
)
def test_rejects_settings_out_of_range(argument, value):
    with pytest.raises(ValueError, match=argument):
        dense_crf_loss(*scene(8, 8), **{argument: value})


def test_the_fallback_is_reported_once_per_process():
    values = torch.ones(1, 1, 24, 24)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            dense_filter(values, structureless(), values[0] > 0)
    assert len(caught) == 1


def test_rejects_values_of_another_size():
    probs, image, valid = scene(8, 8)
    with pytest.raises(ValueError, match="values: expected shape"):
        dense_filter(probs[..., :4], image, valid)


def test_rejects_an_image_of_another_size():
    probs, image, valid = scene(8, 8)
    with pytest.raises(ValueError, match="image: expected shape"):
        dense_crf_loss(probs, image[..., :4], valid)
