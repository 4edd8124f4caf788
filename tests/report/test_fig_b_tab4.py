import pytest
from pipeline.report.fig_b_tab4 import RUNS, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {run: 0.5 + place / 100 for place, run in enumerate(RUNS.values())}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES)


def test_every_cell_has_its_own_run(runs, published):
    frame = compute(runs, published).set_index(["method", "neighborhood"])
    assert frame["run"].to_dict() == RUNS
    assert frame["ours_percent"].tolist() == pytest.approx([50, 51, 52, 53, 54, 55])


def test_soft_nearest_is_the_quadratic_relaxation_of_table_3(runs, published):
    frame = compute(runs, published)
    assert frame.query("method == 'soft self-labelling' and neighborhood == 'NN'")["run"].item() == "potts/q-len100"


def test_printed_numbers_stand_beside(runs, published):
    frame = compute(runs, published)
    assert frame["published_percent"].tolist() == [67.0, 69.5, 69.6, 63.1, 71.1, 67.9]
    assert frame["difference_points"].iloc[0] == pytest.approx(50 - 67)


def test_the_table_is_three_by_two(runs, published):
    table = tabulate(compute(runs, published))
    assert table["method"].tolist() == ["gradient descent", "hard self-labelling", "soft self-labelling"]
    assert table["NN ours"].tolist() == pytest.approx([50, 52, 54])
    assert table["DN published"].tolist() == [69.5, 63.1, 67.9]


def test_the_best_epoch_gets_a_column_only_where_tracked(runs, published):
    assert not any("best" in name for name in tabulate(compute(runs, published)))
    assert "DN ours, best epoch" in tabulate(compute(runs.assign(mIoU_val_best=0.6), published))


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-tab4: 1 of 6 runs missing: methods/hard-dn-len100"):
        compute(runs.drop("methods/hard-dn-len100"), published)


def test_every_cell_is_a_line_of_dots(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()][:2] == ["gradient descent, nearest", "gradient descent, dense"]
    assert len(axes.containers) == 6


def test_drawing_again_gives_the_same_bytes(tmp_path, published):
    runs = make_runs(ACCURACIES, seeds=3)
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
