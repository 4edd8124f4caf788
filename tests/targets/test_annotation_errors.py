"""Errors of annotated sizes, the correction of a bias, and agreement."""

import math

import numpy as np
import pytest
from annotation_rows import CAT, HEART, NAMES, row, tag

from pipeline.targets.annotated_sizes import Calibration
from pipeline.targets.annotation_errors import AnnotationError, agreement, annotation_errors, fit_calibration

EXACT = {"a": np.array([0.7, 0.2, 0.1])}


def test_error_is_signed_and_relative_to_the_exact_size():
    (error, overlooked) = annotation_errors([row(size=0.25)], EXACT, NAMES)
    assert error.error == pytest.approx(0.25)
    assert (overlooked.class_name, overlooked.error) == (HEART, -1)


def test_class_that_is_absent_has_an_infinite_error():
    errors = annotation_errors([row(size=0.25)], {"a": np.array([1.0, 0, 0])}, NAMES)
    assert [error.error for error in errors] == [math.inf]


def test_answer_after_the_exact_size_was_shown_is_ignored():
    rows = [row(size=0.25, seconds=5, flags=("feedback",)), row(size=0.2, seconds=3, flags=("informed",))]
    error = annotation_errors(rows, EXACT, NAMES)[0]
    assert (error.size, error.seconds) == (0.25, 5)


def test_time_of_tags_is_not_part_of_an_answers_time():
    assert annotation_errors([tag(seconds=2), row(seconds=9)], EXACT, NAMES)[0].seconds == 9


def answered(pairs):
    return [AnnotationError("a", CAT, "Ada", size, exact, (size - exact) / exact, 1.0, False, "none") for size, exact in pairs]


def test_calibration_recovers_a_systematic_bias_despite_slips():
    exact = np.geomspace(0.02, 0.6, 30)
    given = (exact / 0.9) ** (1 / 1.1)
    given[::7] *= 3
    calibration = fit_calibration(answered(zip(given, exact)))
    assert calibration == pytest.approx((0.9, 1.1), rel=0.02)


def test_few_answers_give_no_calibration():
    assert fit_calibration(answered([(0.2, 0.1)] * 9)) == Calibration(1.0, 1.0)


def test_answers_of_one_size_give_a_factor_only():
    assert fit_calibration(answered([(0.2, 0.1)] * 12)) == pytest.approx((0.5, 1.0))


def test_agreement_of_two_annotators():
    rows = [row(size=0.1), row(size=0.3, who="Bo"), row("b"), tag("b", who="Bo"), row("c"), row("c", HEART, who="Bo")]
    (pair,) = agreement(rows)
    assert (pair.first, pair.second, pair.images, pair.tagged) == ("Ada", "Bo", 2, 3)
    assert pair.same_tags == pytest.approx(1 / 3)
    assert pair.difference == pytest.approx(1.0)


def test_one_annotator_has_nobody_to_agree_with():
    assert agreement([row()]) == []
