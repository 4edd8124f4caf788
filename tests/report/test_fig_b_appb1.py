import pandas as pd
import pytest

from pipeline.report.fig_b_appb1 import compute, draw, tabulate
from pipeline.report.style import save_figure


@pytest.fixture
def solutions():
    return pd.DataFrame(
        [
            {"solver": "gradient", "steps": 200, "image_id": "a", "soft_jaccard": 0.99, "energy": 10.1, "energy_optimum": 10.0},
            {"solver": "gradient", "steps": 200, "image_id": "b", "soft_jaccard": 0.95, "energy": 20.6, "energy_optimum": 20.0},
            {"solver": "random_walker", "steps": 0, "image_id": "a", "soft_jaccard": 1.0, "energy": 10.0, "energy_optimum": 10.0},
            {"solver": "random_walker", "steps": 0, "image_id": "b", "soft_jaccard": 1.0, "energy": 20.0, "energy_optimum": 20.0},
        ]
    ).assign(converged=[True, False, True, True])


def test_numbers_equal_the_rows_given(solutions, published):
    line = tabulate(compute(solutions), published).iloc[0]
    assert line["soft Jaccard (%) ours"] == pytest.approx(97)
    assert line["soft Jaccard (%) worst image"] == pytest.approx(95)
    assert line["energy gap (%) mean"] == pytest.approx(2)
    assert line["energy gap (%) worst image"] == pytest.approx(3)
    assert line["converged (%)"] == 50


def test_the_published_mean_stands_beside_200_gradient_steps_only(solutions, published):
    table = tabulate(compute(solutions), published)
    assert table["soft Jaccard (%) published"].iloc[0] == 99.2
    assert table["soft Jaccard difference"].iloc[0] == pytest.approx(-2.2)
    assert table["soft Jaccard (%) published"].isna().tolist() == [False, True]


def test_a_solver_without_steps_has_a_plain_name(solutions):
    assert list(dict.fromkeys(compute(solutions)["series"])) == ["gradient, 200 steps", "random walker"]


def test_a_gap_relative_to_nothing_is_empty(solutions):
    assert compute(solutions.assign(energy_optimum=0.0))["energy_gap_percent"].isna().all()


def test_a_missing_image_is_named(solutions):
    with pytest.raises(ValueError, match=r"random walker.*'b'"):
        compute(solutions.iloc[:3])


def test_no_solution_is_an_error(solutions):
    with pytest.raises(ValueError, match="at least one"):
        compute(solutions.iloc[:0])


def test_a_dot_per_image_and_a_diamond_per_solver(solutions, published):
    axes = draw(compute(solutions), published).axes[0]
    assert [len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"] == [2, 2]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"] == pytest.approx([97, 100])


def test_axes_have_labels_and_units(solutions, published):
    axes = draw(compute(solutions), published).axes[0]
    assert axes.get_xlabel() == "soft Jaccard (%)"
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["gradient, 200 steps", "random walker"]


def test_drawing_again_gives_the_same_bytes(tmp_path, solutions, published):
    for stem in ("one", "two"):
        save_figure(draw(compute(solutions), published), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
