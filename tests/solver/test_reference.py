import pytest
import torch
from solver_scenes import scene

from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.fast import solve_fast
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.reference import lowest_energy

SCENE = scene(height=12, width=15)


def test_it_reaches_the_optimum_of_the_quadratic_case():
    problem = SCENE.problem("quadratic", "q")
    optimum = solve_random_walker(problem).energy
    found = lowest_energy(problem, problem.log_probs.exp())
    assert torch.allclose(found, optimum.double(), rtol=1e-3)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_it_lowers_the_energy_of_a_solution(relaxation):
    problem = SCENE.problem("cce", relaxation)
    solution = solve_fast(problem)
    found = lowest_energy(problem, solution.labels, steps=60)
    assert float(found.sum()) < float(solution.energy.sum())
