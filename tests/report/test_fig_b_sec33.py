import pytest
from pipeline.report.fig_b_sec33 import compute, draw, tabulate
from report_runs import make_runs

ACCURACIES = {"potts/q-len100": 0.6, "methods/soft-dn-len100": 0.55}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES, seeds=3)


def test_both_numbers_stand_beside_the_printed_ones(runs, published):
    table = tabulate(compute(runs, published))
    assert table["ours"].tolist() == pytest.approx([61, 56])
    assert table["ours std"].tolist() == pytest.approx([1, 1])
    assert table["published"].tolist() == [71.1, 67.9]
    assert table["difference"].tolist() == pytest.approx([61 - 71.1, 56 - 67.9])


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-sec33: 1 of 2 runs missing: methods/soft-dn-len100"):
        compute(runs.drop("methods/soft-dn-len100"), published)


def test_two_lines_of_dots_are_drawn(runs, published):
    figure = draw(compute(runs, published), runs)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["nearest neighbours", "dense neighbourhood"]
    assert figure.axes[0].get_xlabel() == "mIoU on validation images (%)"
    assert "seeds 0, 1, 2" in figure.get_supxlabel()
