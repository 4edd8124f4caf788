"""Relative errors of size targets ([SIZE] Eqs. 15 and 16) and random image labels ([SSL] Fig. 3(d))."""

import numpy as np
import pytest
from reference import perturb_loop

from pipeline.metrics.size_error import mean_relative_error, relative_errors
from pipeline.targets.corruption import LOWEST_FACTOR, corrupt_labels, mre_from_sigma, perturb, sigma_from_mre

SIZES = np.random.default_rng(7).dirichlet((8, 1, 1), 4000)
IMAGE_LABELS = np.random.default_rng(8).integers(6, size=6000)


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


def changed(share, seed=0):
    """Which of the image labels differ after corruption."""
    return corrupt_labels(IMAGE_LABELS, 6, share, noise(seed)) != IMAGE_LABELS


def test_new_labels_are_uniform_over_all_classes():
    drawn = corrupt_labels(np.zeros(6000, int), 6, 1.0, noise())
    assert np.bincount(drawn) == pytest.approx([1000] * 6, abs=120)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_drawn_label_may_be_the_true_one(share):
    assert changed(share).mean() == pytest.approx(share * 5 / 6, abs=0.02)


def test_exactly_the_given_share_is_replaced():
    # With very many classes a drawn label practically never equals the true one.
    assert (corrupt_labels(np.zeros(200, int), 10**9, 0.3, noise()) != 0).sum() == 60


@pytest.mark.parametrize(("smaller", "larger"), [(0.1, 0.2), (0.2, 0.9), (0.9, 1.0)])
def test_larger_share_keeps_the_replacements_of_the_smaller(smaller, larger):
    few, many = (corrupt_labels(IMAGE_LABELS, 6, share, noise()) for share in (smaller, larger))
    assert np.array_equal(few[changed(smaller)], many[changed(smaller)])


def test_replaced_images_are_spread_over_the_set():
    assert np.flatnonzero(changed(0.1)).mean() == pytest.approx(3000, abs=300)


def test_share_zero_replaces_nothing():
    assert np.array_equal(corrupt_labels(IMAGE_LABELS, 6, 0, noise()), IMAGE_LABELS)


def test_given_labels_are_not_written_to():
    labels = np.zeros(50, int)
    corrupt_labels(labels, 6, 1.0, noise())
    assert not labels.any()


def test_same_generator_state_gives_same_labels():
    assert np.array_equal(changed(0.5, seed=3), changed(0.5, seed=3))


def test_other_generator_state_gives_other_labels():
    assert not np.array_equal(changed(0.5, seed=3), changed(0.5, seed=4))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_share_is_refused(share):
    with pytest.raises(ValueError, match=r"share: expected 0\.\.1"):
        corrupt_labels(IMAGE_LABELS, 6, share, noise())


@pytest.mark.parametrize("labels", [np.array([6]), np.array([-1]), np.array([[0]]), np.array([0.5])])
def test_bad_labels_are_refused(labels):
    with pytest.raises(ValueError, match="labels: expected"):
        corrupt_labels(labels, 6, 0.5, noise())
