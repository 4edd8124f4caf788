import pytest
import torch

from pipeline.crf.dense import bilateral_features
from pipeline.crf.nystrom import exponent_factors, gaussian, nystrom_filter


def picture(height=32, width=40, dtype=torch.float64):
    """Shaded stripes that bend: smooth in colour and place."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height, dtype=dtype), torch.linspace(0, 1, width, dtype=dtype), indexing="ij")
    stripe = torch.sigmoid(8 * torch.sin(6 * x + 3 * y * y))
    return torch.stack([0.2 + 0.5 * stripe, 0.3 + 0.3 * y, 0.6 - 0.3 * stripe * x]).unsqueeze(0)


def problem(sigma_rgb=15.0):
    features = bilateral_features(picture(), sigma_rgb, 20.0)
    values = torch.stack([features[0, :, 0].sin(), features[0, :, 4].cos() ** 2]).unsqueeze(0)
    return features, torch.ones(1, features.shape[1], dtype=torch.bool), values


def exact_matrix(features):
    return (-0.5 * torch.cdist(features, features).square()).exp()


def test_kernel_from_factors_is_the_gaussian_of_distances():
    features = problem()[0][:, ::37]
    assert torch.allclose(gaussian(*exponent_factors(features)), exact_matrix(features).clamp(min=1e-26), rtol=1e-9, atol=1e-12)


def test_all_pixels_as_landmarks_give_all_pairs():
    features, valid, _ = problem()
    features, valid = features[:, ::40], valid[:, ::40]
    values = torch.eye(features.shape[1], dtype=torch.float64).unsqueeze(0)
    apply, missed = nystrom_filter(features, valid, features.shape[1])
    assert (apply(values) - exact_matrix(features)).abs().max() < 0.01
    assert missed.item() < 0.02


def test_error_falls_with_more_landmarks():
    features, valid, values = problem()
    exact = values @ exact_matrix(features)
    errors = [((nystrom_filter(features, valid, m)[0](values) - exact).norm() / exact.norm()).item() for m in (4, 16, 64)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_missed_diagonal_is_what_the_matrix_lacks():
    features, valid, _ = problem()
    features, valid = features[:, ::2], valid[:, ::2]
    apply, missed = nystrom_filter(features, valid, 16)
    diagonal = apply(torch.eye(features.shape[1], dtype=torch.float64).unsqueeze(0))[0].diagonal()
    assert missed.item() == pytest.approx(1 - diagonal.mean().item(), abs=0.02)


def test_missed_diagonal_grows_as_colours_count_more():
    shares = [nystrom_filter(*problem(sigma)[:2], 16)[1].item() for sigma in (60.0, 15.0, 2.0)]
    assert 0 <= shares[0] < shares[1] < shares[2] <= 1


def test_blocks_of_pixels_do_not_change_the_result(monkeypatch):
    features, valid, values = problem()
    whole = nystrom_filter(features, valid, 16)[0](values)
    monkeypatch.setattr("pipeline.crf.nystrom.CACHED_ELEMENTS", 16 * 100)
    assert torch.allclose(nystrom_filter(features, valid, 16)[0](values), whole, rtol=1e-9)


def test_landmarks_ignore_invalid_pixels():
    features, valid, values = problem()
    valid[:, 200:500] = False
    other = features.clone()
    other[:, 200:500] += 30
    first, second = (nystrom_filter(f, valid, 16)[0](values) for f in (features, other))
    assert torch.allclose(first, second, rtol=1e-9)


def test_single_precision_agrees_with_double():
    features, valid, values = problem()
    double = nystrom_filter(features, valid, 64)[0](values)
    single = nystrom_filter(features.float(), valid, 64)[0](values.float())
    assert ((single - double).norm() / double.norm()).item() < 2e-4


def test_identical_pixels_need_no_structure():
    features, valid = torch.zeros(1, 50, 5), torch.ones(1, 50, dtype=torch.bool)
    apply, missed = nystrom_filter(features, valid, 8)
    assert apply(torch.ones(1, 1, 50)).mean().item() == pytest.approx(50, rel=1e-3)
    assert missed.item() < 1e-2
