import math

import pytest
from pipeline.report.fig_b_fig3abc import LABELS, compute, draw

from pipeline.report.style import save_figure


def curve(frame, key, label):
    return frame[(frame["cross_entropy"] == key) & (frame["label"] == label)]


def lowest(frame, key, label):
    rows = curve(frame, key, label)
    return rows.loc[rows["nats"].idxmin(), "prediction"]


def test_a_curve_per_cross_entropy_and_label():
    assert compute(9)["series"].nunique() == 12


@pytest.mark.parametrize("label", LABELS)
def test_the_standard_one_mimics_the_uncertainty_of_the_label(label):
    assert lowest(compute(), "ce", label) == pytest.approx(label)


@pytest.mark.parametrize("key", ["rce", "cce"])
@pytest.mark.parametrize("label", [0.7, 0.9, 0.99])
def test_reverse_and_collision_are_lowest_at_a_decision(key, label):
    assert lowest(compute(), key, label) > 0.999


@pytest.mark.parametrize("key", ["rce", "cce"])
def test_an_uncertain_label_does_not_supervise(key):
    assert curve(compute(), key, 0.5)["nats"].to_numpy() == pytest.approx(math.log(2))


REVERSE = -(math.log(0.9) + math.log(0.1)) / 2


@pytest.mark.parametrize(("key", "nats"), [("ce", math.log(2)), ("rce", REVERSE), ("cce", math.log(2))])
def test_values_by_hand_for_an_undecided_prediction(key, nats):
    rows = curve(compute(), key, 0.9)
    assert rows.loc[rows["prediction"] == 0.5, "nats"].item() == pytest.approx(nats)


def test_three_panels_with_labels_and_units():
    axes = draw(compute(9)).axes
    assert [panel.get_title()[:3] for panel in axes] == ["(a)", "(b)", "(c)"]
    assert all("probability" in panel.get_xlabel() for panel in axes)
    assert "nats" in axes[0].get_ylabel()


def test_the_legend_names_every_label():
    assert len(draw(compute(9)).legends[0].get_texts()) == len(LABELS)


def test_flat_curves_get_no_dot():
    dots = [sum(line.get_marker() == "o" for line in panel.lines) for panel in draw(compute()).axes]
    assert dots == [4, 3, 3]


def test_drawing_again_gives_the_same_bytes(tmp_path):
    for stem in ("one", "two"):
        save_figure(draw(compute()), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
