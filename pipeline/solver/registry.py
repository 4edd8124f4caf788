"""All solvers of the pseudo-label problem by name, behind one signature: a `Problem` in, a `Solution` out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline.solver.conjugate_gradient import solve_conjugate_gradient
from pipeline.solver.dense import solve_dense
from pipeline.solver.fast import solve_fast
from pipeline.solver.gradient import solve_by_gradient
from pipeline.solver.graph_cut import solve_graph_cut
from pipeline.solver.problem import Problem
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.solution import Solution

SOLVERS: dict[str, Callable[..., Solution]] = {
    "gradient": solve_by_gradient,
    "fast": solve_fast,
    "conjugate_gradient": solve_conjugate_gradient,
    "random_walker": solve_random_walker,
    "graph_cut": solve_graph_cut,
    "dense": solve_dense,
}
"""(problem, **settings) -> solution; what there is to set are the keywords of each function."""


def solver(*, kind: str, **settings: Any) -> Callable[[Problem], Solution]:
    """Return the solver called `kind` with its settings, None or left out standing for its own.

    Raises:
        ValueError: unknown kind, or a setting that this solver does not have.
    """
    if kind not in SOLVERS:
        raise ValueError(f"solver kind: expected one of {', '.join(SOLVERS)}, got {kind!r}")
    given = {name: value for name, value in settings.items() if value is not None}
    # What there is to set stands in one place, the signature: a table beside it would be a second one.
    known = [name for name, item in inspect.signature(SOLVERS[kind]).parameters.items() if item.kind is item.KEYWORD_ONLY]
    superfluous = sorted(set(given) - set(known))
    if superfluous:
        raise ValueError(
            f"solver {kind}: has no {' and no '.join(superfluous)}, leave it out; there is {', '.join(known) or 'nothing to set'}"
        )
    return partial(SOLVERS[kind], **given)


def solve(problem: Problem, *, kind: str, **settings: Any) -> Solution:
    """Solve for pseudo-labels with the solver called `kind`; see `solver` and `SOLVERS`.

    Raises:
        ValueError: unknown kind, a setting out of range or unknown, or an energy that this solver cannot minimise.
    """
    return solver(kind=kind, **settings)(problem)
