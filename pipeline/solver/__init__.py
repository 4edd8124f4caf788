"""Solvers of the pseudo-label problem, [SSL] Eq. 6 in y, behind one signature.

A `Problem` says what is minimised, over `Edges` or a dense `Kernel`; `solve(problem, kind="fast")` returns a `Solution`.
"""

from pipeline.solver.conjugate_gradient import solve_conjugate_gradient
from pipeline.solver.dense import solve_dense
from pipeline.solver.fast import solve_fast
from pipeline.solver.gradient import solve_by_gradient
from pipeline.solver.graph_cut import solve_graph_cut
from pipeline.solver.problem import Edges, Kernel, Problem
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.registry import SOLVERS, solve, solver
from pipeline.solver.solution import Solution, hard_labels, self_labeling_energy, with_seeds

__all__ = [
    "SOLVERS",
    "Edges",
    "Kernel",
    "Problem",
    "Solution",
    "hard_labels",
    "self_labeling_energy",
    "solve",
    "solve_by_gradient",
    "solve_conjugate_gradient",
    "solve_dense",
    "solve_fast",
    "solve_graph_cut",
    "solve_random_walker",
    "solver",
    "with_seeds",
]
