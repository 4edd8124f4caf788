import pytest
from pipeline.report.fig_b_appb2 import REFERENCE, RUNS, compute, draw, tabulate
from report_runs import make_runs

from pipeline.report.style import save_figure

ACCURACIES = {run: 0.6 - place / 100 for place, run in enumerate(RUNS.values())}


def make(seeds=1):
    runs = make_runs(ACCURACIES, seeds)
    seconds = {run: 100.0 * (5 - place) for place, run in enumerate(RUNS.values())}
    steps = {RUNS[REFERENCE]: 20, RUNS["100 steps"]: 10, RUNS["fast solver"]: 12, RUNS["fast solver, tuned"]: 12}
    return runs.assign(train_seconds=runs.index.map(seconds), train_step_ms=7.5, solver_steps=runs.index.map(steps))


@pytest.fixture
def runs():
    return make()


def test_every_row_has_its_own_run(runs, published):
    frame = compute(runs, published).set_index("series")
    assert frame["run"].to_dict() == RUNS
    assert frame["ours_percent"].tolist() == pytest.approx([60, 59, 58, 57, 56])


def test_a_change_is_against_the_full_number_of_steps(runs, published):
    changes = compute(runs, published)["change_points"].tolist()
    assert changes[1:4] == pytest.approx([-1, -2, -3])
    assert changes[0] != changes[0]


def test_a_change_is_taken_seed_by_seed(published):
    runs = make(seeds=3)
    runs.loc[(runs.index == RUNS["100 steps"]) & (runs["seed"] == 2), "mIoU_val"] += 0.03
    row = compute(runs, published).iloc[1]
    assert row["change_points"] == pytest.approx(0)
    assert row["change_std_points"] == pytest.approx(3**0.5)


def test_the_printed_change_and_time_stand_beside(runs, published):
    frame = compute(runs, published).set_index("series")
    assert frame.loc["100 steps", "change_published_points"] == -0.72
    assert frame.loc["200 steps", "published_percent"] == 71.05
    assert frame["time_ratio_published"].dropna().to_dict() == {"200 steps": 3}


def test_time_is_a_ratio_to_gradient_descent_on_the_dense_loss(runs, published):
    assert compute(runs, published)["time_ratio"].tolist() == pytest.approx([5, 4, 3, 2, 1])


def test_the_number_of_steps_of_ours_is_in_the_table(runs, published):
    assert tabulate(compute(runs, published))["steps of ours"].tolist() == ["20", "10", "12", "12", "-"]


def test_times_need_not_be_there(published):
    untimed = make().drop(columns=["train_seconds", "train_step_ms", "solver_steps"])
    frame = compute(untimed, published)
    assert frame["time_ratio"].isna().all()
    assert len(draw(frame, untimed).axes) == 1


def test_a_missing_run_is_named(runs, published):
    with pytest.raises(ValueError, match="b-appb2: 1 of 5 runs missing: solvers/fast-len100"):
        compute(runs.drop("solvers/fast-len100"), published)


def test_a_label_says_where_ours_took_another_number_of_steps(runs, published):
    axes = draw(compute(runs, published), runs).axes[0]
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels[0] == "200 steps (ours: 20)"
    assert labels[-1] == "gradient descent, dense"
    runs["solver_steps"] = runs["solver_steps"].replace({20.0: 200.0})
    axes = draw(compute(runs, published), runs).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "200 steps"


def test_times_are_a_panel_of_their_own(runs, published):
    accuracy, time = draw(compute(runs, published), runs).axes
    assert accuracy.get_xlabel() == "mIoU on validation images (%)"
    assert time.get_xlabel() == "training time (last row = 1)"


def test_drawing_again_gives_the_same_bytes(tmp_path, runs, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs, published), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
