"""Artifacts that are computed from formulas alone."""

import math

import numpy as np
import pytest
from report_runs import make_artifact

SERIES = ["P_BL", "P_Q", "P_NQ", "P_CCE", "P_LQ", "P_CD"]


@pytest.fixture(scope="module", params=["a-fig3", "b-fig1", "b-fig2", "b-fig3abc"])
def any_formula(request, results, published):
    return make_artifact(request.param, results, published)


@pytest.fixture(scope="module")
def formula(results, published):
    found = {name: make_artifact(name, results, published) for name in ("a-fig3", "b-fig1", "b-fig2", "b-fig3abc")}
    return lambda name: found[name]


def test_numbers_are_finite(any_formula):
    assert np.isfinite(any_formula.frame[any_formula.frame.columns[-1]]).all()


class TestDivergences:
    def value(self, frame, divergence, target, mean_prob):
        rows = frame[(frame["divergence"] == divergence) & (frame["target"] == target)]
        return rows.loc[(rows["mean_prob"] - mean_prob).abs().idxmin(), "nats"]

    def test_values_by_hand(self, formula):
        frame = formula("a-fig3").frame
        assert frame["series"].nunique() == 4
        assert self.value(frame, "forward", 0.9, 0.5) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
        assert self.value(frame, "reverse", 0.9, 0.5) == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5))

    @pytest.mark.parametrize("divergence", ["forward", "reverse"])
    @pytest.mark.parametrize("target", [0.9, 0.5])
    def test_zero_at_the_target(self, formula, divergence, target):
        assert self.value(formula("a-fig3").frame, divergence, target, target) == pytest.approx(0, abs=1e-12)

    def test_only_the_forward_divergence_grows_without_bound(self, formula):
        frame = formula("a-fig3").frame
        assert self.value(frame, "forward", 0.5, 0) > 3
        assert self.value(frame, "reverse", 0.5, 0) < math.log(2)

    def test_reverse_is_dashed_and_shares_the_colour_of_its_target(self, formula):
        figure = formula("a-fig3").figure
        forward, reverse, *_ = figure.axes[0].lines
        assert (forward.get_linestyle(), reverse.get_linestyle()) == ("-", "--")
        assert forward.get_color() == reverse.get_color()
        assert len(figure.legends[0].get_texts()) == 4


class TestRelaxations:
    def test_six_relaxations_in_both_panels_each_once_above_its_logarithm(self, formula):
        frame = formula("b-fig1").frame
        assert list(dict.fromkeys(frame["series"])) == SERIES
        sizes = frame.groupby(["panel", "series"]).size()
        assert set(sizes["contour"]) == {31**2}
        assert set(sizes["surface"]) == {21**2}

    def test_logits_stand_for_the_probabilities_of_the_caption(self, formula):
        frame = formula("b-fig1").frame
        row = frame[(frame["series"] == "P_BL") & (frame["logit_i"] == 3) & np.isclose(frame["logit_j"], -1.5)].iloc[0]
        x_i, x_j = 1 / (1 + math.exp(-6)), 1 / (1 + math.exp(3))
        assert row["cost"] == pytest.approx(1 - x_i * x_j - (1 - x_i) * (1 - x_j))

    def test_the_bilinear_relaxation_by_hand(self, formula):
        frame = formula("b-fig1").frame
        row = frame[(frame["series"] == "P_BL") & np.isclose(frame["x_i"], 0.2) & np.isclose(frame["x_j"], 0.5)].iloc[0]
        assert row["cost"] == pytest.approx(0.5)

    @pytest.mark.parametrize("series", ["P_Q", "P_NQ", "P_LQ", "P_CD"])
    def test_equal_labels_are_free(self, formula, series):
        frame = formula("b-fig1").frame
        assert frame[(frame["series"] == series) & (frame["x_i"] == frame["x_j"])]["cost"].abs().max() < 1e-9

    def test_a_surface_and_a_contour_per_relaxation_and_two_colour_bars(self, formula):
        kinds = [axes.name for axes in formula("b-fig1").figure.axes]
        assert (kinds.count("3d"), len(kinds)) == (6, 14)


class TestMoves:
    def cost(self, frame, relaxation, move, progress):
        row = frame[(frame["relaxation"] == relaxation) & (frame["move"] == move) & (frame["progress"] == progress)]
        return row["cost"].item()

    @pytest.mark.parametrize("relaxation", ["P_BL", "P_Q"])
    @pytest.mark.parametrize("move", ["a", "b"])
    @pytest.mark.parametrize(("place", "progress"), [("start", 0.0), ("middle", 0.5), ("end", 1.0)])
    def test_the_values_of_the_text_come_out(self, formula, relaxation, move, place, progress):
        drawing = formula("b-fig2")
        printed = drawing.data.printed(relaxation, f"move ({move}), {place}")
        assert self.cost(drawing.frame, relaxation, move, progress) == pytest.approx(printed)

    def test_the_normalised_quadratic_has_neither_flaw(self, formula):
        costs = formula("b-fig2").frame.query("relaxation == 'P_NQ'")
        assert costs.query("move == 'a'")["cost"].abs().max() < 1e-12
        assert costs.query("move == 'b'")["cost"].to_numpy() == pytest.approx(1)

    def test_logarithmic_costs_by_hand(self, formula):
        frame = formula("b-fig2").frame
        assert self.cost(frame, "P_CCE", "a", 0.5) == pytest.approx(math.log(2))
        assert self.cost(frame, "P_LQ", "b", 0.5) == pytest.approx(math.log(4))

    def test_infinite_costs_are_left_out_and_the_figure_says_so(self, formula):
        drawing = formula("b-fig2")
        assert set(drawing.frame.query("move == 'b'")["relaxation"]) == set(SERIES) - {"P_CCE", "P_CD"}
        assert any("infinite" in text.get_text() for text in drawing.figure.axes[5].texts)
        assert not any("infinite" in text.get_text() for axes in drawing.figure.axes[:5] for text in axes.texts)

    def test_each_move_has_a_sketch_and_both_families(self, formula):
        families = ["second-order relaxations", "logarithmic relaxations"]
        assert [axes.get_title() for axes in formula("b-fig2").figure.axes] == ["(a)", *families, "(b)", "", ""]


class TestCrossEntropies:
    def curve(self, formula, key, label):
        frame = formula("b-fig3abc").frame
        return frame[(frame["cross_entropy"] == key) & (frame["label"] == label)]

    @pytest.mark.parametrize("label", [0.5, 0.7, 0.9, 0.99])
    def test_the_standard_one_mimics_the_uncertainty_of_the_label(self, formula, label):
        rows = self.curve(formula, "ce", label)
        assert rows.loc[rows["nats"].idxmin(), "prediction"] == pytest.approx(label)

    @pytest.mark.parametrize("key", ["rce", "cce"])
    @pytest.mark.parametrize("label", [0.7, 0.9, 0.99])
    def test_reverse_and_collision_are_lowest_at_a_decision(self, formula, key, label):
        rows = self.curve(formula, key, label)
        assert rows.loc[rows["nats"].idxmin(), "prediction"] > 0.999

    @pytest.mark.parametrize("key", ["rce", "cce"])
    def test_an_uncertain_label_does_not_supervise(self, formula, key):
        assert self.curve(formula, key, 0.5)["nats"].to_numpy() == pytest.approx(math.log(2))

    REVERSE = -(math.log(0.9) + math.log(0.1)) / 2

    @pytest.mark.parametrize(("key", "nats"), [("ce", math.log(2)), ("rce", REVERSE), ("cce", math.log(2))])
    def test_values_by_hand_for_an_undecided_prediction(self, formula, key, nats):
        rows = self.curve(formula, key, 0.9)
        assert rows.loc[rows["prediction"] == 0.5, "nats"].item() == pytest.approx(nats)

    def test_three_panels_with_a_line_per_label_and_no_dot_on_flat_ones(self, formula):
        figure = formula("b-fig3abc").figure
        assert [panel.get_title()[:3] for panel in figure.axes] == ["(a)", "(b)", "(c)"]
        assert len(figure.legends[0].get_texts()) == 5  # four curves and what the dots mean
        dots = [[line for line in panel.lines if line.get_marker() == "o" and len(line.get_xdata())] for panel in figure.axes]
        assert list(map(len, dots)) == [4, 3, 3]
