"""Solvers of the pseudo-label problem, [SSL] Eq. 6 in y, behind one signature; each returns a `Solution`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.solver.gradient import solve_by_gradient

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.solver.solution import Solution


def _exact(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    cross_entropy: str,
    relaxation: str,
    steps: int = 0,
    learning_rate: float = 0.0,
    tolerance: float = 0.0,
    **problem: Any,
) -> Solution:
    """Solve by the random walker, which has no steps to set."""
    from pipeline.solver.random_walker import solve_random_walker  # loads scipy

    if (cross_entropy, relaxation) != ("quadratic", "q"):
        raise ValueError(
            "solver random_walker: expected cross_entropy 'quadratic' with relaxation 'q', "
            f"got {cross_entropy!r} with {relaxation!r}"
        )
    return solve_random_walker(log_probs, seeds, affinity, **problem)


def _graph_cut(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    cross_entropy: str,
    relaxation: str,
    steps: int = 5,
    learning_rate: float = 0.0,
    tolerance: float = 0.0,
    **problem: Any,
) -> Solution:
    """Solve by expansion moves; steps are sweeps over the classes."""
    from pipeline.solver.graph_cut import solve_graph_cut  # loads a compiler

    if (cross_entropy, relaxation) != ("ce", "bl"):
        raise ValueError(
            f"solver graph_cut: expected cross_entropy 'ce' with relaxation 'bl', got {cross_entropy!r} with {relaxation!r}"
        )
    return solve_graph_cut(log_probs, seeds, affinity, sweeps=steps, **problem)


def _fast(log_probs: Tensor, seeds: Tensor, affinity: Tensor, **settings: Any) -> Solution:
    """Solve coarse to fine, with few steps."""
    from pipeline.solver.fast import solve_fast  # so that runs of other solvers do not depend on it

    return solve_fast(log_probs, seeds, affinity, **settings)


SOLVERS: dict[str, Callable[..., Solution]] = {
    "gradient": solve_by_gradient,
    "fast": _fast,
    "random_walker": _exact,
    "graph_cut": _graph_cut,
}


def solve(log_probs: Tensor, seeds: Tensor, affinity: Tensor, *, kind: str, **settings: Any) -> Solution:
    """Solve for pseudo-labels with the solver called `kind`.

    Args:
        log_probs: (B, C, H, W), ln sigma of the network, detached.
        seeds: (B, H, W) int64, `VOID` where there is none.
        affinity: (B, E, H, W) >= 0.
        kind: a key of `SOLVERS`.
        settings: see `solve_by_gradient`. "fast" has steps and learning rates of its own where they are left out or None;
            on "random_walker" they have no effect, and neither has tolerance; "graph_cut" takes steps as its most sweeps.

    Raises:
        ValueError: unknown kind, or an energy that solver cannot minimise.
    """
    if kind not in SOLVERS:
        raise ValueError(f"solver kind: expected one of {', '.join(SOLVERS)}, got {kind!r}")
    return SOLVERS[kind](log_probs, seeds, affinity, **settings)
