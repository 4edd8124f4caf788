import math

import pytest
from pipeline.report.fig_b_fig2 import compute, draw

from pipeline.report.published import published_value
from pipeline.report.style import save_figure

PLACES = {"start": 0.0, "middle": 0.5, "end": 1.0}


def cost(frame, relaxation, move, progress):
    row = frame[(frame["relaxation"] == relaxation) & (frame["move"] == move) & (frame["progress"] == progress)]
    return row["cost"].item()


@pytest.mark.parametrize("relaxation", ["P_BL", "P_Q"])
@pytest.mark.parametrize("move", ["a", "b"])
@pytest.mark.parametrize("place", PLACES)
def test_the_values_of_the_text_come_out(published, relaxation, move, place):
    printed = published_value(published, "b-fig2", relaxation, f"move ({move}), {place}")
    assert cost(compute(), relaxation, move, PLACES[place]) == pytest.approx(printed)


def test_the_normalised_quadratic_has_neither_flaw():
    frame = compute()
    assert frame.loc[(frame["relaxation"] == "P_NQ") & (frame["move"] == "a"), "cost"].abs().max() < 1e-12
    assert frame.loc[(frame["relaxation"] == "P_NQ") & (frame["move"] == "b"), "cost"].to_numpy() == pytest.approx(1)


def test_logarithmic_costs_by_hand():
    frame = compute()
    assert cost(frame, "P_CCE", "a", 0.5) == pytest.approx(math.log(2))
    assert cost(frame, "P_LQ", "b", 0.5) == pytest.approx(math.log(4))


@pytest.mark.parametrize("relaxation", ["P_CCE", "P_CD"])
def test_infinite_costs_are_left_out(relaxation):
    frame = compute()
    assert frame.loc[(frame["relaxation"] == relaxation) & (frame["move"] == "b"), "cost"].isna().all()


def test_each_curve_has_a_name_of_its_own():
    frame = compute(5)
    assert (frame.groupby("series").size() == 5).all()
    assert frame["series"].nunique() == 12


@pytest.mark.parametrize("points", [1, 10])
def test_the_middle_must_be_a_state(points):
    with pytest.raises(ValueError, match=f"got {points}"):
        compute(points)


def test_each_move_has_a_sketch_and_both_families():
    figure = draw(compute(5))
    families = ["second-order relaxations", "logarithmic relaxations"]
    assert [axes.get_title() for axes in figure.axes] == ["(a)", *families, "(b)", "", ""]


def test_axes_are_labelled():
    axes = draw(compute(5)).axes
    assert "progress" in axes[4].get_xlabel()
    assert axes[1].get_ylabel() == "cost P"


def test_what_is_infinite_is_said_in_the_figure():
    assert any("infinite" in text.get_text() for text in draw(compute(5)).axes[5].texts)


def test_drawing_again_gives_the_same_bytes(tmp_path):
    for stem in ("one", "two"):
        save_figure(draw(compute()), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
