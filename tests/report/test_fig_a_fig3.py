import math

import pytest
from pipeline.report.fig_a_fig3 import compute, draw

from pipeline.report.style import save_figure


def value(frame, divergence, target, mean_prob):
    rows = frame[(frame["divergence"] == divergence) & (frame["target"] == target)]
    return rows.loc[(rows["mean_prob"] - mean_prob).abs().idxmin(), "nats"]


def test_four_curves():
    assert list(dict.fromkeys(compute(9)["series"])) == [
        "forward KL, v = (0.9, 0.1)",
        "reverse KL, v = (0.9, 0.1)",
        "forward KL, v = (0.5, 0.5)",
        "reverse KL, v = (0.5, 0.5)",
    ]


def test_forward_divergence_by_hand():
    assert value(compute(), "forward", 0.9, 0.5) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))


def test_reverse_divergence_by_hand():
    assert value(compute(), "reverse", 0.9, 0.5) == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5))


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
@pytest.mark.parametrize("target", [0.9, 0.5])
def test_zero_at_the_target(divergence, target):
    assert value(compute(), divergence, target, target) == pytest.approx(0, abs=1e-12)


def test_only_the_forward_divergence_grows_without_bound():
    frame = compute()
    assert value(frame, "forward", 0.5, 0) > 3
    assert value(frame, "reverse", 0.5, 0) < math.log(2)


def test_axes_have_labels_and_units():
    axes = draw(compute(9)).axes[0]
    assert "fraction" in axes.get_xlabel()
    assert "nats" in axes.get_ylabel()


def test_reverse_is_dashed_and_shares_the_colour_of_its_target():
    forward, reverse, *_ = draw(compute(9)).axes[0].lines
    assert (forward.get_linestyle(), reverse.get_linestyle()) == ("-", "--")
    assert forward.get_color() == reverse.get_color()


def test_the_legend_names_every_curve():
    figure = draw(compute(9))
    assert len(figure.legends[0].get_texts()) == 4


def test_drawing_again_gives_the_same_bytes(tmp_path):
    for stem in ("one", "two"):
        save_figure(draw(compute()), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
