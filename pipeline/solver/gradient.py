"""The solver of [SSL] Appendix B: gradient descent on logits l with y = softmax(l), seeds reset at each step."""

from __future__ import annotations

import torch

from pipeline.solver.descent import Descent, descend, grid_term, start_logits
from pipeline.solver.problem import Problem, check_descent
from pipeline.solver.solution import Solution, energy_on


def solve_by_gradient(problem: Problem, *, steps: int = 200, learning_rate: float = 0.075, tolerance: float = 1e-4) -> Solution:
    """Minimise `self_labeling_energy` as published: plain gradient descent on the summed energy ([SSL] Appendix B).

    l <- l - rate dE/dl, from l = ln sigma.

    The defaults are the paper's. They leave the energy well above its minimum (about a fifth for H_CCE + P_Q), and the
    paper's weights were tuned with this solver: more steps are a different method, not just a better solution.

    Args:
        problem: on edges; any H and P.
        steps: number of steps, at least 1; all are taken.
        learning_rate: step length on logits, > 0.
        tolerance: largest relative change of an image's energy in the last step that counts as converged.

    Returns:
        The solution. Images do not influence each other.

    Raises:
        ValueError: a number is out of range, or the neighbourhood is a kernel.
    """
    check_descent(steps, learning_rate, tolerance)
    with torch.no_grad():
        edges = problem.pairwise_scale()
        pairwise = grid_term(edges, problem.edges.offsets, problem.relaxation)
        descent = Descent(problem.log_probs, problem.unary_scale, problem.cross_entropy, pairwise)
        energies = descend(descent, start_logits(problem.log_probs, problem.seeds), steps, learning_rate)
        # The descent's own energies lack the floor under ln y, which the published energy has.
        energy = energy_on(edges, descent.labels, problem)
    change = (energies[-1] - energies[-2]).abs()
    return Solution(descent.labels, energy, energies.mean(1), steps, change <= tolerance * energies[-1].abs())
