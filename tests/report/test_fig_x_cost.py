import pytest
from pipeline.report.fig_x_cost import CITED, NONE, SUPERVISIONS, TRAINED, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.labeling_cost import LabelStatistics
from pipeline.report.style import save_figure

ACCURACIES = {one.run: 0.5 + place / 100 for place, one in enumerate(SUPERVISIONS.values()) if one.run}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_seconds_follow_the_rule(runs, published):
    seconds = compute(runs, published).set_index("series")["seconds_voc"]
    assert seconds["tags"] == pytest.approx(20)
    assert seconds["points"] == pytest.approx(22.1)
    assert seconds["full masks"] == pytest.approx(239.7)


def test_two_annotations_go_through_absent_classes_once(runs, published):
    seconds = compute(runs, published).set_index("series")["seconds_voc"]
    assert seconds["points and size targets"] == pytest.approx(18.5 + 1.5 * (2.4 + 12.3))
    assert seconds["scribbles and size targets"] == pytest.approx(18.5 + 1.5 * (10.9 + 12.3))


def test_ours_stands_at_the_cost_of_our_data_set(runs, published):
    frame = compute(runs, published, LabelStatistics(num_classes=5, classes_per_image=1)).set_index("series")
    assert frame.loc["points", "seconds_ours"] == pytest.approx(4 + 2.4)
    assert frame.loc["points", "seconds_voc"] == pytest.approx(22.1)


def test_types_are_ordered_by_cost(runs, published):
    assert compute(runs, published)["seconds_voc"].is_monotonic_increasing


def test_printed_accuracies_stand_beside(runs, published):
    printed = compute(runs, published).set_index("series")["published_percent"].dropna().to_dict()
    assert printed == {
        "tags": 62.7,
        "points": 66.6,
        "scribbles, dense CRF loss": 75.8,
        "scribbles, soft self-labelling": 77.7,
        "size targets": 71.9,
        "points and size targets": 74.0,
        "full masks": 78.2,
    }


def test_every_accuracy_says_where_it_comes_from(runs, published):
    table = tabulate(compute(runs, published)).set_index("supervision")
    assert table["source"].value_counts().to_dict() == {TRAINED: 7, CITED: 1, NONE: 1}
    assert table.loc["tags", "source"] == CITED
    assert table.loc["boxes", "source"] == NONE


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="x-cost: 1 of 7 runs missing: scribble_resnet_potts/densecrf-12"):
        compute(runs.drop("scribble_resnet_potts/densecrf-12"), published)


def test_measured_points_are_filled_and_printed_ones_hollow(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert len(hollow) == 7
    assert len(axes.containers) == 7
    assert hollow[0].get_xdata()[0] == pytest.approx(20)


def test_cited_points_are_named_so_in_the_legend(runs, published):
    texts = [text.get_text() for text in draw(compute(runs, published), runs).legends[0].get_texts()]
    assert texts[0] == "tags, 20 s\n(reported by its authors)"
    assert not any(text.startswith("boxes") for text in texts)


def test_drawing_again_gives_the_same_bytes(tmp_path, published):
    runs = make_runs(ACCURACIES, seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
