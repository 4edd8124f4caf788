"""Numbers of the page of results."""

import math

import pytest

from pipeline.annotate.results import BINS, histogram, normal_shares, summarise
from pipeline.targets.annotated_sizes import Calibration
from pipeline.targets.annotation_errors import AnnotationError


def error(size, exact, name="cat", seconds=10.0, grid="none"):
    relative = (size - exact) / exact if exact else math.inf
    return AnnotationError("a", name, "Ada", size, exact, relative, seconds, False, grid)


def test_relative_errors_are_averaged_per_class_and_over_all_answers():
    results = summarise([error(0.3, 0.2), error(0.2, 0.2), error(0.1, 0.2, "dog")], ["cat", "dog", "bird"])
    assert [(one.name, one.mre) for one in results.classes] == [("cat", pytest.approx(0.25)), ("dog", pytest.approx(0.5))]
    assert results.overall.mre == pytest.approx(1 / 3)


def test_bias_keeps_its_sign():
    assert summarise([error(0.1, 0.2), error(0.15, 0.2), error(0.21, 0.2)], ["cat"]).overall.bias == pytest.approx(-0.25)


def test_answers_on_absent_classes_are_counted_apart():
    results = summarise([error(0.2, 0.2), error(0.1, 0.0)], ["cat"])
    assert (results.absent, results.overall.answers) == (1, 1)


def test_overlooked_classes_do_not_enter_the_time():
    assert summarise([error(0.2, 0.2), error(0.0, 0.2, seconds=0.0)], ["cat"]).overall.seconds == 10


def test_nothing_to_compare_gives_no_numbers():
    results = summarise([], ["cat"])
    assert results.overall.answers == 0
    assert math.isnan(results.overall.mre)


def test_objects_are_grouped_by_exact_size():
    results = summarise([error(0.02, 0.01), error(0.02, 0.02), error(0.6, 0.5)], ["cat"])
    assert [group.answers for group in results.by_size] == [2, 0, 0, 0, 0, 1]
    assert results.by_size[0].mre == pytest.approx(0.5)


def test_histogram_is_centred_and_its_tails_are_in_the_outermost_bins():
    shares = histogram([-1.0, -0.95, -0.05, 0.0, 0.1, 0.3, 0.99, 1.0, 3.0, 50.0])
    assert sum(shares) == pytest.approx(1)
    counts = [round(10 * share) for share in shares]
    assert (counts[0], counts[9], counts[10], counts[11], counts[13], counts[19]) == (2, 1, 1, 1, 1, 4)


def test_normal_curve_is_symmetric_and_has_the_asked_spread():
    shares = normal_shares(0.2)
    assert shares == pytest.approx(shares[::-1])
    assert sum(shares[BINS // 2 - 2 : BINS // 2 + 2]) == pytest.approx(math.erf(1 / math.sqrt(2)))


def test_noise_of_equal_mean_error_is_named():
    assert summarise([error(0.2 * 1.159, 0.2)], ["cat"]).sigma == pytest.approx(0.199, abs=1e-3)


def test_calibration_lowers_a_systematic_error():
    results = summarise([error(1.2 * size, size) for size in (0.02, 0.05, 0.1, 0.2, 0.4) * 2], ["cat"])
    assert results.calibration == pytest.approx((1 / 1.2, 1.0))
    assert results.calibrated_mre == pytest.approx(0, abs=1e-9)


def test_few_answers_are_not_calibrated():
    assert summarise([error(0.3, 0.2)] * 5, ["cat"]).calibration == Calibration()


def test_errors_with_and_without_a_grid_are_compared_class_by_class():
    answers = [error(0.28, 0.2), error(0.22, 0.2, grid="5x4"), error(0.4, 0.2, "dog"), error(0.1, 0.2, "bird", grid="3x3")]
    results = summarise([*answers, error(0.0, 0.2, grid="")], ["cat", "dog", "bird"])
    assert [(one.name, one.answers) for one in results.by_grid] == [("without a grid", 2), ("with a grid", 2)]
    assert results.grid_gain == pytest.approx(4)  # cats only: dogs and birds were answered in one way


def test_a_grid_without_a_counterpart_is_compared_with_nothing():
    assert math.isnan(summarise([error(0.28, 0.2, grid="5x4")], ["cat"]).grid_gain)


def test_small_errors_and_those_in_the_tail_are_shares_of_all():
    overall = summarise([error(0.21, 0.2)] * 9 + [error(0.8, 0.2)], ["cat"]).overall
    assert (overall.small, overall.tail) == (0.9, 0.1)
