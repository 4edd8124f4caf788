"""Verdicts, on hand-made numbers.

With three seeds the one-sided 95 % quantile of Student's t is 2.920 and the two-sided one 4.303; differences of standard
deviation 1 have a standard error of 0.5774, hence half widths of 1.686 and 2.484.
"""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.verdicts import (
    equivalent,
    greater,
    holm,
    judge,
    not_worse,
    ordering,
    ratio_at_least,
    summarize_differences,
    trend,
)

SPREAD = np.array([-1.0, 0.0, 1.0])
BASE = [10.0, 20.0, 30.0]


def above(base, mean):
    """Return values whose paired differences to `base` have this mean and standard deviation 1."""
    return [value + mean + step for value, step in zip(base, SPREAD)]


def verdict(test, **runs):
    return judge(test(runs)).verdict


def test_summary_by_hand():
    summary = summarize_differences([1.0, 2.0, 3.0])
    assert summary == pytest.approx((2, 1, 2 - 2.484, 2 + 2.484, 3), abs=1e-3)


def test_interval_is_that_of_a_paired_t_test():
    random = np.random.default_rng(0)
    first, second = random.normal(0.5, 1, 7), random.normal(0, 1, 7)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert summarize_differences(first - second)[2:4] == pytest.approx((expected.low, expected.high))


def test_a_detectable_difference_is_shown_in_four_of_five_experiments():
    random, n, deviation = np.random.default_rng(0), 5, 2.0
    detectable = summarize_differences([-deviation, 0.0, deviation])._replace(n=n, std=deviation).detectable
    repeats = random.normal(detectable, deviation, (2000, n))
    shown = stats.ttest_1samp(repeats, 0, axis=1, alternative="greater").pvalue < 0.05
    assert shown.mean() == pytest.approx(0.8, abs=0.05)


def test_two_seeds_detect_nothing():
    assert math.isnan(summarize_differences([1.0, 2.0]).detectable)


def test_one_seed_has_a_mean_but_no_interval():
    mean, *rest, n = summarize_differences([2.0])
    assert (mean, n) == (2, 1)
    assert np.isnan(rest).all()


def test_no_seed_has_nothing():
    assert math.isnan(summarize_differences([]).mean)


class TestGreater:
    @pytest.mark.parametrize(
        ("mean", "expected"),
        [(1.7, "holds"), (1.6, "not decided"), (0, "not decided"), (-1.6, "not decided"), (-1.7, "does not hold")],
    )
    def test_verdict_turns_where_the_one_sided_interval_leaves_zero(self, mean, expected):
        assert verdict(greater("a", "b"), a=above(BASE, mean), b=BASE) == expected

    def test_agrees_with_the_one_sided_t_test(self):
        random = np.random.default_rng(1)
        for _ in range(30):
            first, second = random.normal(1, 1, 5), random.normal(0, 1, 5)
            significant = stats.ttest_rel(first, second, alternative="greater").pvalue < 0.05
            assert (verdict(greater("a", "b"), a=first, b=second) == "holds") == significant

    @pytest.mark.parametrize(("n", "expected"), [(0, "(0 seeds)"), (1, "(1 seed)"), (2, "(2 seeds)")])
    def test_few_seeds_decide_nothing(self, n, expected):
        runs = {"a": [5.0] * n, "b": [1.0] * n}
        assert verdict(greater("a", "b"), **runs) == f"not decided {expected}"

    def test_few_seeds_show_the_difference(self):
        assert judge(greater("a", "b")({"a": [5.0], "b": [1.0]})).difference.mean == 4

    def test_identical_runs_decide_nothing(self):
        assert verdict(greater("a", "b"), a=BASE, b=BASE) == "not decided"

    def test_unequal_seeds_are_refused(self):
        with pytest.raises(ValueError, match=r"expected the same seeds for all, got \{'a': 3, 'b': 2\}"):
            greater("a", "b")({"a": BASE, "b": BASE[:2]})

    def test_unknown_run_is_refused(self):
        with pytest.raises(ValueError, match=r"got none called \['b'\]"):
            greater("a", "b")({"a": BASE})

    def test_value_that_is_not_finite_is_refused(self):
        with pytest.raises(ValueError, match="finite"):
            judge(greater("a", "b")({"a": [math.nan, 1, 2], "b": BASE}))

    def test_every_rival_must_be_beaten(self):
        runs = {"a": above(BASE, 3), "b": BASE, "c": above(BASE, 13)}
        assert judge(greater("a", "b")(runs)).verdict == "holds"
        assert judge(greater("a", "b", "c")(runs)).verdict == "does not hold"

    def test_names_the_rival_that_decides(self):
        runs = {"a": above(BASE, 9), "b": BASE, "c": above(BASE, 8)}
        assert judge(greater("a", "b", "c")(runs)).step.runs == ("a", "c")


class TestLevel:
    """`BASE` and `above` differ by 1 in standard deviation: the bounds of three seeds lie 1.686 beside the mean."""

    @pytest.mark.parametrize(
        ("mean", "margin", "expected"),
        [
            (0, 1.7, "level"),
            (0, 1.6, "not decided"),
            (1, 2.7, "level"),
            (1, 2.6, "not decided"),
            (-1, 2.7, "level"),
            (-1.7, 9, "does not hold"),
            (1.7, 9, "level"),  # sure, and too small to matter
            (1.7, 2, "holds"),
            (0, math.nan, "not decided"),
        ],
    )
    def test_verdict_turns_where_a_bound_crosses_the_margin(self, mean, margin, expected):
        assert judge(greater("a", "b")({"a": above(BASE, mean), "b": BASE}), margin).verdict == expected

    def test_one_rival_that_is_level_is_enough_but_more_of_them_ask_for_more(self):
        runs = {"a": above(above(BASE, 9), 0), "b": BASE, "c": above(BASE, 9)}
        assert judge(greater("a", "b", "c")(runs), 2).verdict == "not decided"
        assert judge(greater("a", "b", "c")(runs), 3).verdict == "level"

    def test_claims_with_a_margin_of_their_own_are_never_level(self):
        runs = {"a": BASE, "b": above(BASE, 1)}
        assert judge(not_worse("a", "b", margin=1)(runs), 9).verdict == "not decided"
        assert judge(equivalent("a", "b", margin=1)(runs), 9).verdict == "not decided"

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_seeds_decide_nothing(self, n):
        assert judge(greater("a", "b")({"a": [1.0] * n, "b": [1.0] * n}), 9).verdict.startswith("not decided")


class TestNotWorse:
    @pytest.mark.parametrize(
        ("mean", "expected"),
        [(50, "holds"), (-0.31, "holds"), (-0.32, "not decided"), (-3.6, "not decided"), (-3.7, "does not hold")],
    )
    def test_only_being_worse_by_the_margin_speaks_against_it(self, mean, expected):
        assert verdict(not_worse("a", "b", margin=2), a=above(BASE, mean), b=BASE) == expected


class TestHolm:
    def test_agrees_with_the_definition(self):
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_single_claims_are_left_as_they_are(self):
        assert holm([0.04]) == [0.04]

    def test_what_was_not_tested_does_not_count(self):
        assert holm([0.02, math.nan, 0.9]) == pytest.approx([0.04, math.nan, 0.9], nan_ok=True)

    def test_p_values_turn_with_the_verdicts(self):
        outcome = judge(greater("a", "b")({"a": above(BASE, 1.686), "b": BASE}))
        assert outcome.p_for == pytest.approx(0.05, abs=1e-3)
        assert outcome.p_against == pytest.approx(0.95, abs=1e-3)


class TestEquivalent:
    @pytest.mark.parametrize(
        ("mean", "expected"),
        [
            (0, "holds"),
            (0.31, "holds"),
            (-0.31, "holds"),
            (0.32, "not decided"),
            (-0.32, "not decided"),
            (3.6, "not decided"),
            (3.7, "does not hold"),
            (-3.6, "not decided"),
            (-3.7, "does not hold"),
        ],
    )
    def test_verdict_turns_where_a_bound_crosses_the_margin(self, mean, expected):
        assert verdict(equivalent("a", "b", margin=2), a=above(BASE, mean), b=BASE) == expected


class TestOrdering:
    def test_holds_if_every_step_does(self):
        runs = {"a": above(above(BASE, 3), 3), "b": above(BASE, 3), "c": BASE}
        assert judge(ordering("a", "b", "c")(runs)).verdict == "holds"

    def test_one_open_step_leaves_it_open(self):
        runs = {"a": above(above(BASE, 3), 1), "b": above(BASE, 3), "c": BASE}
        assert judge(ordering("a", "b", "c")(runs)).verdict == "not decided"

    def test_one_wrong_step_refutes_it(self):
        runs = {"a": above(above(BASE, 3), -9), "b": above(BASE, 3), "c": BASE}
        assert judge(ordering("a", "b", "c")(runs)).verdict == "does not hold"

    def test_more_steps_ask_for_more_evidence_against_each(self):
        # A step of -2 refutes alone (bound 1.686) but not as one of two steps (bound at 97.5 %: 2.484).
        runs = {"a": above(above(BASE, 3), -2), "b": above(BASE, 3), "c": BASE}
        assert judge(ordering("a", "b")(runs)).verdict == "does not hold"
        assert judge(ordering("a", "b", "c")(runs)).verdict == "not decided"

    def test_shows_its_weakest_step(self):
        runs = {"a": above(above(BASE, 3), 1), "b": above(BASE, 3), "c": BASE}
        assert judge(ordering("a", "b", "c")(runs)).difference.mean == pytest.approx(1)


class TestTrend:
    def test_slope_by_hand(self):
        runs = {"x0": [1.0, 2.0, 3.0], "x1": [3.0, 3.0, 3.0], "x3": [5.0, 7.0, 9.0]}
        # Per seed: least squares through (0, .), (1, .), (3, .).
        slopes = [np.polyfit([0, 1, 3], values, 1)[0] for values in zip(*runs.values())]
        outcome = judge(trend({"x0": 0, "x1": 1, "x3": 3})(runs))
        assert outcome.difference.mean == pytest.approx(np.mean(slopes))
        assert outcome.difference.std == pytest.approx(np.std(slopes, ddof=1))

    @pytest.mark.parametrize(("rising", "expected"), [(True, "does not hold"), (False, "holds")])
    def test_direction(self, rising, expected):
        runs = {"short": above(BASE, 5), "long": BASE}
        assert judge(trend({"short": 0.0, "long": 1.0}, rising=rising)(runs)).verdict == expected

    def test_flat_scores_decide_nothing(self):
        assert judge(trend({"a": 0, "b": 1})({"a": BASE, "b": above(BASE, 0)})).verdict == "not decided"

    @pytest.mark.parametrize("places", [{}, {"a": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": float("inf")}])
    def test_fewer_than_two_places_are_refused(self, places):
        with pytest.raises(ValueError, match="places: expected"):
            trend(places)


class TestRatio:
    @pytest.mark.parametrize(("mean", "expected"), [(1.7, "holds"), (0, "not decided"), (-1.7, "does not hold")])
    def test_verdict_turns_around_the_ratio(self, mean, expected):
        runs = {"full": BASE, "weak": above([0.9 * value for value in BASE], mean)}
        assert judge(ratio_at_least("weak", "full", 0.9)(runs)).verdict == expected
