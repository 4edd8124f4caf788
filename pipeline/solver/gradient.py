"""The solver of [SSL] Appendix B: gradient descent on logits l with y = softmax(l), seeds reset at each step."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets
from pipeline.solver.descent import Descent, check_descent, descend, grid_term, start_logits
from pipeline.solver.solution import Solution, check_names, check_problem, check_weights, free_pixels, self_labeling_energy


def solve_by_gradient(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    offsets: Offsets,
    cross_entropy: str,
    relaxation: str,
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    steps: int = 200,
    learning_rate: float = 0.075,
    tolerance: float = 1e-4,
    valid: Tensor | None = None,
) -> Solution:
    """Minimise `self_labeling_energy` as published: plain gradient descent on the summed energy ([SSL] Appendix B).

    The defaults are the paper's. They leave the energy well above its minimum (about a fifth for H_CCE + P_Q), and the
    paper's weights were tuned with this solver: more steps are a different method, not just a better solution.

    Args:
        log_probs: (B, C, H, W), ln sigma, finite; also the start of the descent. No gradient flows back into it.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, a key of `RELAXATIONS`.
        unary_weight: eta, >= 0.
        pairwise_weight: lambda, >= 0.
        steps: number of steps, at least 1; all are taken.
        learning_rate: step length on logits, > 0.
        tolerance: largest relative change of an image's energy in the last step that counts as converged.
        valid: (B, H, W) bool, pixels with a unary term; None for all. Others without edges keep the prediction.

    Returns:
        The solution in the precision of `log_probs`, at least float32. Images do not influence each other.

    Raises:
        ValueError: if a name is unknown, a number out of range, or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    check_names(cross_entropy, relaxation)
    check_weights(unary_weight, pairwise_weight)
    check_descent(steps, learning_rate)
    with torch.no_grad():
        log_probs = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32))
        edges = pairwise_weight * without_seed_edges(affinity.to(log_probs.dtype), seeds, offsets)
        unary_scale = unary_weight * free_pixels(seeds, valid).to(log_probs.dtype).unsqueeze(1)
        problem = Descent(log_probs, unary_scale, cross_entropy, grid_term(edges, offsets, relaxation))
        energies = descend(problem, start_logits(log_probs, seeds), steps, learning_rate)
        energy = self_labeling_energy(
            problem.labels, log_probs, seeds, edges, offsets, cross_entropy, relaxation, unary_weight, 1.0, valid
        )
    change = (energies[-1] - energies[-2]).abs()
    return Solution(problem.labels, energy, energies.mean(1), steps, change <= tolerance * energies[-1].abs())
