import pytest
from pipeline.report.fig_a_fig3x import FULL, RUNS, compute, draw
from report_runs import make_runs

from pipeline.report.style import save_figure

METRIC = {"background_share": 0.75}
ACCURACIES = {FULL: 0.9, **{run: 0.6 - 0.05 * place for place, run in enumerate(RUNS.values())}}


@pytest.fixture
def runs():
    frame = make_runs(ACCURACIES, **METRIC)
    frame.loc["size_losses/reverse-kl", "background_share"] = 1.0
    return frame


def test_numbers_equal_the_runs_given(runs):
    frame = compute(runs).set_index("run")
    assert frame.loc["size_noise/size-mre00", "ours_percent"] == pytest.approx(60)
    assert frame.loc["size_losses/flat-barrier-suppression", "ours_percent"] == pytest.approx(15)


def test_a_trivial_solution_shows_as_background(runs):
    frame = compute(runs).set_index("run")
    assert frame.loc["size_losses/reverse-kl", "background_percent"] == pytest.approx(100)
    assert frame.loc[FULL, "background_percent"] == pytest.approx(75)


def test_every_loss_is_there_alone_and_with_suppression(runs):
    frame = compute(runs)
    for added in ("loss alone", "with suppression"):
        found = frame[(frame["added"] == added) & (frame["run"] != FULL)]
        assert found["series"].tolist() == ["forward KL", "reverse KL", "log barrier", "flat barrier"]


def test_a_missing_run_is_named(runs):
    with pytest.raises(ValueError, match=r"a-fig3x: 1 of 11 runs missing: size_losses/reverse-kl-suppression"):
        compute(runs.drop("size_losses/reverse-kl-suppression"))


def test_runs_without_background_share_are_an_error(runs):
    with pytest.raises(ValueError, match="background_share"):
        compute(runs.drop(columns="background_share"))


def test_both_panels_have_a_bar_per_run_and_the_level_of_full_masks(runs):
    accuracy, background = draw(compute(runs), runs).axes
    assert [patch.get_width() for patch in accuracy.patches] == pytest.approx([60 - 5 * place for place in range(10)])
    assert len(background.patches) == 10
    assert accuracy.lines[0].get_xdata()[0] == pytest.approx(90)


def test_bars_of_one_loss_stand_together(runs):
    accuracy = draw(compute(runs), runs).axes[0]
    assert [text.get_text() for text in accuracy.get_yticklabels()] == ["forward KL", "reverse KL", "log barrier", "flat barrier"]
    middles = [patch.get_y() + patch.get_height() / 2 for patch in accuracy.patches]
    assert middles[:4] == pytest.approx([0, 1, 2, 3.5])


def test_several_seeds_have_error_bars(runs):
    three = make_runs(ACCURACIES, seeds=3, **METRIC)
    assert len(draw(compute(runs), runs).axes[0].collections) == 0
    assert len(draw(compute(three), three).axes[0].collections) == 1


def test_axes_have_labels_and_units(runs):
    assert all(axes.get_xlabel().endswith("(%)") for axes in draw(compute(runs), runs).axes)


def test_drawing_again_gives_the_same_bytes(tmp_path, runs):
    for stem in ("one", "two"):
        save_figure(draw(compute(runs), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
