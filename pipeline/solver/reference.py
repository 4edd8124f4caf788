"""Pseudo-labels by a general-purpose minimiser, as a reference for solvers where no optimum is known: slow, and thorough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from pipeline.conventions import valid_mask
from pipeline.solver.problem import Edges, Problem
from pipeline.solver.solution import self_labeling_energy, with_seeds

SMALLEST_LABEL = 1e-7
"""Floor under the labels of a start: at 0 a logit would be infinite, and far below this its gradient vanishes."""


def lowest_energy(problem: Problem, start: Tensor, *, steps: int = 500) -> Tensor:
    """Return the `self_labeling_energy` that L-BFGS (scipy) reaches from `start`, over logits of the pixels without a seed.

    In double precision, with derivatives by automatic differentiation: it shares neither descents nor gradients with solvers.

    Args:
        problem: on edges.
        start: (B, C, H, W) on the simplex.
        steps: most iterations, of all images together.

    Returns:
        (B,) float64 on the CPU, on average over images not above that of `start`, but for the floor under its labels.
    """
    affinity, offsets = problem.edges
    # scipy minimises in double precision on the CPU; the problem moves there as a whole.
    exact = replace(
        problem,
        log_probs=problem.log_probs.cpu().double(),
        seeds=problem.seeds.cpu(),
        neighborhood=Edges(affinity.detach().cpu().double(), offsets),
        valid=None if problem.valid is None else problem.valid.cpu(),
    )
    # Invalid pixels are variables too, as in the descents: only seeds are fixed.
    free = ~valid_mask(exact.seeds).unsqueeze(1).expand(start.shape)
    logits = start.detach().cpu().double().clamp(min=SMALLEST_LABEL).log()

    def energies(values: Tensor) -> Tensor:
        # Seeds are put in after the soft-max: what stands in their place before it has no influence.
        return self_labeling_energy(with_seeds(logits.masked_scatter(free, values).softmax(1), exact.seeds), exact)

    def value_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        # A copy: torch would share scipy's own memory.
        variable = torch.from_numpy(values.copy()).requires_grad_()
        # No image depends on the variables of another: the minimum of the sum is that of each.
        total = energies(variable).sum()
        (gradient,) = torch.autograd.grad(total, variable)
        return total.item(), gradient.numpy()

    # maxfun: a line search may need more than one value per iteration.
    found = minimize(
        value_and_gradient, logits[free].numpy(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 2 * steps}
    )
    with torch.no_grad():
        return energies(torch.from_numpy(found.x))
