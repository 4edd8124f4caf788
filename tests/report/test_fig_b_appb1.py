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


@pytest.fixture
def solutions_of_two_cases():
    """The quadratic case, and one without a known optimum, in which 12 fast steps beat the long run."""
    rows = []
    for image in ("a", "b"):
        quadratic = {"relaxation": "q", "image_id": image, "soft_jaccard": 0.99, "reference_energy": 10.0}
        rows.append({**quadratic, "solver": "gradient", "steps": 200, "energy": 11.0, "seconds": 2.0})
        divergence = {"relaxation": "cd", "image_id": image, "soft_jaccard": float("nan"), "reference_energy": -20.0}
        rows.append({**divergence, "solver": "gradient", "steps": 200, "energy": -19.0, "seconds": 2.0})
        rows.append({**divergence, "solver": "fast", "steps": 12, "energy": -20.2, "seconds": 0.5})
    return pd.DataFrame(rows)


def test_energies_are_compared_within_their_case(solutions_of_two_cases, published):
    table = tabulate(compute(solutions_of_two_cases), published)
    assert table["energy"].tolist() == ["H_Q+P_Q", "H_CCE+P_CD", "H_CCE+P_CD"]
    assert table["energy gap (%) mean"].tolist() == pytest.approx([10, 5, -1])
    assert table["milliseconds per image"].tolist() == [2000, 2000, 500]


def test_the_published_mean_belongs_to_the_quadratic_case_only(solutions_of_two_cases, published):
    table = tabulate(compute(solutions_of_two_cases), published)
    assert table["soft Jaccard (%) published"].notna().tolist() == [True, False, False]


def test_convergence_has_no_column_where_no_solver_tells(solutions_of_two_cases, published):
    assert "converged (%)" not in tabulate(compute(solutions_of_two_cases), published)


def test_the_cross_entropy_of_a_case_may_be_given(solutions_of_two_cases):
    assert set(compute(solutions_of_two_cases.assign(cross_entropy="cce"))["case"]) == {"H_CCE+P_Q", "H_CCE+P_CD"}


def test_solvers_need_the_images_of_their_own_case_only(solutions_of_two_cases):
    assert len(compute(solutions_of_two_cases.drop(index=[3]))) == 5
    with pytest.raises(ValueError, match=r"'fast, 12 steps' of H_CCE\+P_CD.*'b'"):
        compute(solutions_of_two_cases.drop(index=[5]))


def test_every_case_has_a_panel_of_its_own(solutions_of_two_cases, published):
    jaccard, gap = draw(compute(solutions_of_two_cases), published).axes
    assert jaccard.get_xlabel() == "soft Jaccard (%)"
    assert gap.get_xlabel() == "energy above the lowest known (%)"
    assert [line.get_xdata()[0] for line in gap.lines if line.get_marker() == "D"] == pytest.approx([5, -1])
