import math

import numpy as np
import pytest
from pipeline.report.fig_b_fig1 import compute, draw

from pipeline.report.style import save_figure

SERIES = ["P_BL", "P_Q", "P_NQ", "P_CCE", "P_LQ", "P_CD"]


@pytest.fixture(scope="module")
def frame():
    return compute(5, 5)


def test_six_relaxations_each_once_above_its_logarithm(frame):
    assert list(dict.fromkeys(frame["series"])) == SERIES


def test_each_relaxation_has_both_panels(frame):
    assert (frame.groupby(["series", "panel"]).size() == 25).all()


def test_numbers_are_finite(frame):
    assert np.isfinite(frame["cost"]).all()


def test_logits_stand_for_the_probabilities_of_the_caption(frame):
    row = frame[(frame["series"] == "P_BL") & (frame["logit_i"] == 3) & (frame["logit_j"] == -1.5)].iloc[0]
    x_i, x_j = 1 / (1 + math.exp(-6)), 1 / (1 + math.exp(3))
    assert row["cost"] == pytest.approx(1 - x_i * x_j - (1 - x_i) * (1 - x_j))


def test_the_bilinear_relaxation_by_hand(frame):
    row = frame[(frame["series"] == "P_BL") & (frame["x_i"] == 0.25) & (frame["x_j"] == 0.5)].iloc[0]
    assert row["cost"] == pytest.approx(0.5)


@pytest.mark.parametrize("series", ["P_Q", "P_NQ", "P_LQ", "P_CD"])
def test_equal_labels_are_free(frame, series):
    equal = frame[(frame["series"] == series) & (frame["x_i"] == frame["x_j"])]
    assert equal["cost"].abs().max() < 1e-9


def test_a_surface_and_a_contour_per_relaxation_and_two_colour_bars(frame):
    figure = draw(frame)
    kinds = [axes.name for axes in figure.axes]
    assert kinds.count("3d") == 6
    assert len(kinds) == 14


def test_axes_are_labelled(frame):
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in draw(frame).axes]
    assert labels.count(("$x_i$", "$x_j$")) == 6
    assert labels.count(("$l_i$", "$l_j$")) == 6
    assert labels.count(("", "cost P")) == 2


def test_drawing_again_gives_the_same_bytes(tmp_path, frame):
    for stem in ("one", "two"):
        save_figure(draw(frame), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
