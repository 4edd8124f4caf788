"""Pseudo-labels by a general-purpose minimiser, as a reference for solvers where no optimum is known: slow, and thorough."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from pipeline.conventions import valid_mask
from pipeline.crf.neighborhoods import Offsets
from pipeline.solver.solution import self_labeling_energy, with_seeds

SMALLEST_LABEL = 1e-7
"""Floor under the labels of a start: at 0 a logit would be infinite, and far below this its gradient vanishes."""


def lowest_energy(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    start: Tensor,
    *,
    offsets: Offsets,
    cross_entropy: str,
    relaxation: str,
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    valid: Tensor | None = None,
    steps: int = 500,
) -> Tensor:
    """Return the `self_labeling_energy` that L-BFGS (scipy) reaches from `start`, over logits of the pixels without a seed.

    In double precision, with derivatives by automatic differentiation: it shares neither descents nor gradients with solvers.

    Args:
        log_probs: (B, C, H, W), ln sigma, finite.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0.
        start: (B, C, H, W) on the simplex.
        offsets: E pairs (dy, dx).
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, a key of `RELAXATIONS`.
        unary_weight: eta, >= 0.
        pairwise_weight: lambda, >= 0.
        valid: (B, H, W) bool, pixels with a unary term; None for all.
        steps: most iterations, of all images together.

    Returns:
        (B,) float64 on the CPU, on average over images not above that of `start`, but for the floor under its labels.
    """
    fixed = (log_probs.detach().cpu().double(), seeds.cpu(), affinity.cpu().double())
    everywhere = None if valid is None else valid.cpu()
    free = ~valid_mask(fixed[1]).unsqueeze(1).expand(start.shape)
    logits = start.detach().cpu().double().clamp(min=SMALLEST_LABEL).log()

    def energies(values: Tensor) -> Tensor:
        labels = with_seeds(logits.masked_scatter(free, values).softmax(1), fixed[1])
        return self_labeling_energy(labels, *fixed, offsets, cross_entropy, relaxation, unary_weight, pairwise_weight, everywhere)

    def value_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        variable = torch.from_numpy(values.copy()).requires_grad_()
        total = energies(variable).sum()
        (gradient,) = torch.autograd.grad(total, variable)
        return total.item(), gradient.numpy()

    found = minimize(
        value_and_gradient, logits[free].numpy(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 2 * steps}
    )
    with torch.no_grad():
        return energies(torch.from_numpy(found.x))
