import pytest
from pipeline.report.fig_b_fig3d import compute, draw
from report_runs import make_runs

from pipeline.report.style import save_figure

SHARES = ("00", "50", "90")
ACCURACIES = {
    f"label_noise/{name}-eta{digits}": 0.9 - place / 10 - int(digits) / 1000
    for place, name in enumerate(("cce", "rce", "ce"))
    for digits in SHARES
}


@pytest.fixture
def runs():
    return make_runs(ACCURACIES, metric="accuracy_val")


def test_points_are_accuracies_over_the_share_of_corrupted_labels(runs):
    curve = compute(runs).query("series == 'H_CCE'")
    assert curve["corrupted_percent"].tolist() == [0, 50, 90]
    assert curve["ours_percent"].tolist() == pytest.approx([90, 85, 81])


def test_every_cross_entropy_has_its_own_runs(runs):
    start = compute(runs).query("label_noise == 0").set_index("series")["ours_percent"]
    assert start.to_dict() == pytest.approx({"H_CE": 70, "H_RCE": 80, "H_CCE": 90})


def test_nothing_is_printed_beside_a_curve_of_the_paper(runs):
    assert compute(runs)["published_percent"].isna().all()


def test_a_missing_run_is_named(runs):
    with pytest.raises(ValueError, match="b-fig3d: 1 of 9 runs missing: label_noise/rce-eta50"):
        compute(runs.drop("label_noise/rce-eta50"))


def test_a_run_without_accuracy_is_an_error(runs):
    with pytest.raises(ValueError, match="accuracy_val"):
        compute(runs.drop(columns="accuracy_val"))


def test_three_curves_with_units_are_drawn(runs):
    figure = draw(compute(runs), runs)
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [3, 3, 3]
    assert figure.axes[0].get_xlabel() == "corrupted training labels (%)"
    assert figure.axes[0].get_ylabel() == "accuracy on test images (%)"
    assert "embedded scale" in figure.get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path):
    runs = make_runs(ACCURACIES, seeds=3, metric="accuracy_val")
    for stem in ("one", "two"):
        save_figure(draw(compute(runs), runs), tmp_path / stem, [".svg"])
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
