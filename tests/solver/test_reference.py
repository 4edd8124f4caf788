import pytest
import torch
from solver_scenes import scene

from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.fast import solve_fast
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.reference import lowest_energy

PROBLEM = scene(height=12, width=15)
GIVEN = {"offsets": PROBLEM.offsets, "valid": PROBLEM.valid}


def test_it_reaches_the_optimum_of_the_quadratic_case():
    optimum = solve_random_walker(*PROBLEM.tensors, **GIVEN).energy
    start = PROBLEM.log_probs.exp()
    found = lowest_energy(*PROBLEM.tensors, start, cross_entropy="quadratic", relaxation="q", **GIVEN)
    assert torch.allclose(found, optimum.double(), rtol=1e-3)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_it_lowers_the_energy_of_a_solution(relaxation):
    names = {"cross_entropy": "cce", "relaxation": relaxation}
    solution = solve_fast(*PROBLEM.tensors, **GIVEN, **names)
    found = lowest_energy(*PROBLEM.tensors, solution.labels, steps=60, **GIVEN, **names)
    assert float(found.sum()) < float(solution.energy.sum())
