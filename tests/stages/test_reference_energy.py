import pytest
from solver_scenes import scene

from pipeline.solver import solve
from pipeline.stages.pseudo_labels import SETTINGS, reference_of


@pytest.mark.parametrize("relaxation", ["bl", "cd"])
def test_no_solver_is_below_the_reference(relaxation):
    problem = scene(1, height=10, width=12).problem("cce", relaxation)
    solutions = [solve(problem, **SETTINGS[name]) for name in ("gradient, 100", "fast")]
    assert reference_of(problem, solutions) < min(float(solution.energy) for solution in solutions)
