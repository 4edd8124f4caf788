"""Relative errors of size targets: [SIZE] Eqs. 15 and 16."""

import numpy as np
import pytest
from reference import perturb_loop

from pipeline.metrics.size_error import mean_relative_error, relative_errors
from pipeline.targets.corruption import LOWEST_FACTOR, mre_from_sigma, perturb, sigma_from_mre

SIZES = np.random.default_rng(7).dirichlet((8, 1, 1), 4000)


def noise(seed=0):
    return np.random.default_rng(seed)


def test_equals_the_naive_loop():
    sizes = np.vstack([SIZES[:50], [[0.6, 0.0, 0.4]]])
    expected, clamped = perturb_loop(sizes, 0.6, noise().standard_normal(sizes.shape))
    corrupted = perturb(sizes, 0.6, noise())
    assert np.allclose(corrupted.sizes, expected)
    assert corrupted.clamped == clamped > 0


def test_rows_sum_to_one():
    assert np.abs(perturb(SIZES, 0.8, noise()).sizes.sum(1) - 1).max() < 1e-12


def test_zero_noise_changes_nothing():
    assert np.allclose(perturb(SIZES, 0, noise()).sizes, SIZES)


def test_same_generator_state_gives_same_targets():
    assert np.array_equal(perturb(SIZES, 0.2, noise(3)).sizes, perturb(SIZES, 0.2, noise(3)).sizes)


def test_absent_class_stays_absent():
    assert (perturb(np.array([[0.6, 0.0, 0.4]] * 20), 0.8, noise()).sizes[:, 1] == 0).all()


def test_present_class_stays_present():
    assert perturb(SIZES, 2.0, noise()).sizes.min() > 0


def test_clamped_entries_are_counted():
    sizes = np.full((5000, 2), 0.5)
    drawn = 1 + 0.5 * noise(1).standard_normal(sizes.shape)
    assert perturb(sizes, 0.5, noise(1)).clamped == (drawn < LOWEST_FACTOR).sum() > 0


def test_absent_classes_are_not_counted_as_clamped():
    assert perturb(np.array([[1.0, 0.0]] * 500), 2.0, noise()).clamped < 250


def test_images_do_not_influence_each_other():
    alone = perturb(SIZES[:1], 0.3, noise()).sizes
    assert np.allclose(perturb(SIZES[:10], 0.3, noise()).sizes[:1], alone)


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2])
def test_error_before_normalisation_is_the_analytic_one(sigma):
    factors = 1 + sigma * noise().standard_normal(SIZES.shape)
    assert relative_errors(factors * SIZES, SIZES).mean() == pytest.approx(mre_from_sigma(sigma), rel=0.02)


def test_realised_errors_of_two_class_images_are_those_of_a_simulation():
    # With normalisation the object's error stays near the analytic 8 %, the background's is far smaller.
    share = noise(1).uniform(0.02, 0.52, 20000)
    exact = np.stack([1 - share, share], 1)
    corrupted = perturb(exact, 0.1, noise()).sizes
    assert mean_relative_error(corrupted, exact, foreground_only=True) == pytest.approx(0.082, abs=0.002)
    assert mean_relative_error(corrupted, exact) == pytest.approx(0.0565, abs=0.002)


@pytest.mark.parametrize(("sigma", "mre"), [(0.0501, 0.04), (0.1003, 0.08), (0.2005, 0.16), (0.401, 0.32), (0.0, 0.0)])
def test_published_pairs_of_sigma_and_mre(sigma, mre):
    assert mre_from_sigma(sigma) == pytest.approx(mre, abs=1e-4)
    assert sigma_from_mre(mre) == pytest.approx(sigma, abs=1e-4)


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_bad_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma: expected a number >= 0"):
        perturb(SIZES, sigma, noise())


@pytest.mark.parametrize("sizes", [np.array([0.5, 0.5]), np.array([[0.5, 0.4]]), np.array([[1.5, -0.5]])])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="rows that sum to 1"):
        perturb(sizes, 0.1, noise())
