import pytest
from solver_scenes import scene

from pipeline.stages.pseudo_labels import Problem, reference_of, solve_as


@pytest.mark.parametrize("relaxation", ["bl", "cd"])
def test_no_solver_is_below_the_reference(relaxation):
    made = scene(1, height=10, width=12)
    problem = Problem("a", {"seeds": made.seeds}, made.log_probs, made.affinity)
    energy = {"cross_entropy": "cce", "relaxation": relaxation, "valid": made.valid, "offsets": made.offsets}
    found = {name: (solve_as(name, problem, energy), 0.0) for name in ("gradient, 100", "fast")}
    assert reference_of(problem, energy, found) < min(float(solution.energy) for solution, _ in found.values())
