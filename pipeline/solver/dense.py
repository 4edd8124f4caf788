"""Pseudo-labels on the dense neighbourhood, where each pixel interacts with all others ([SSL] section 3.3, "DN").

Bilateral filtering multiplies by the matrix W of all pairs and so serves quadratic functions of y only: P_BL, whose solutions
are hard, and P_Q, which the paper uses. P_Q needs the degrees D = W 1 as well: its gradient is D y - W y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.conventions import valid_mask
from pipeline.solver.descent import Descent, PairwiseTerm, descend, start_logits
from pipeline.solver.problem import Edges, Kernel, Problem, check_descent
from pipeline.solver.solution import Solution

DENSE_RELAXATIONS = ("bl", "q")
"""Relaxations that are quadratic in y, and so within reach of filtering."""


def solve_dense(problem: Problem, *, steps: int = 200, learning_rate: float = 0.075, tolerance: float = 1e-4) -> Solution:
    """Minimise the self-labelling energy on all pairs by the paper's gradient descent, one filtering per step.

    E(y) = eta sum_{i not in S} H(sigma_i, y_i) + lambda / d sum_{i<j} w_ij P(y_i, y_j)

    d is the mean degree of the image's valid pixels: on average a pixel is pulled to all others together with weight lambda,
    as on the grid by one neighbour of its colour (the paper does not state a scaling). Pairs of two seeds are part of the sum, a
    constant. For P_BL a pixel's pair with itself counts by half, as in the dense CRF loss; for P_Q it is zero.

    Args:
        problem: on a `Kernel` at the resolution of the predictions, bandwidth 100 px in [SSL] section 3.3; P one of
            `DENSE_RELAXATIONS`.
        steps: number of steps, at least 1; all are taken.
        learning_rate: step length on logits, > 0.
        tolerance: largest relative change of an image's energy in the last step that counts as converged.

    Returns:
        The solution; its energy is that of this neighbourhood.

    Raises:
        ValueError: the relaxation is not quadratic, a number is out of range, or the neighbourhood has edges.
    """
    kernel = problem.neighborhood
    if isinstance(kernel, Edges):
        raise ValueError("solver dense: expected a kernel of all pairs, got edges; take another kind")
    if problem.relaxation not in DENSE_RELAXATIONS:
        raise ValueError(f"relaxation: expected one of {', '.join(DENSE_RELAXATIONS)} on all pairs, got {problem.relaxation!r}")
    check_descent(steps, learning_rate, tolerance)
    with torch.no_grad():
        # Seeds pull and are pulled, so they count; invalid pixels have no weights.
        counted = problem.free | valid_mask(problem.seeds)
        pairwise = _dense_term(kernel, counted, problem.pairwise_weight, problem.relaxation)
        descent = Descent(problem.log_probs, problem.unary_scale, problem.cross_entropy, pairwise)
        energies = descend(descent, start_logits(problem.log_probs, problem.seeds), steps, learning_rate)
    # Energies of the descent: those of `solution` need edges. H_CCE is without its floor under labels here.
    change = (energies[-1] - energies[-2]).abs()
    return Solution(descent.labels, energies[-1], energies.mean(1), steps, change <= tolerance * energies[-1].abs())


def _dense_term(kernel: Kernel, counted: Tensor, pairwise_weight: float, relaxation: str) -> PairwiseTerm:
    """Return lambda / d sum_{i<j} w_ij P as a function of y; d is the mean degree over `counted` (B, H, W)."""
    degrees = kernel.degrees
    # d = mean of W 1 over the pixels that count
    mean_degree = (degrees * counted.unsqueeze(1)).sum((1, 2, 3)) / counted.sum((1, 2)).clamp(min=1)
    scale = (pairwise_weight / mean_degree.clamp(min=1)).view(-1, 1, 1, 1)  # >= 1 in full: each pixel has weight 1 with itself
    # P_BL = 1 - p.q: the sum of all weights less y.W y
    # Half of it, as the sum over W has each pair twice.
    constant = 0.5 * scale.flatten() * degrees.sum((1, 2, 3))

    def term(labels: Tensor, buffers: tuple[Tensor, Tensor]) -> Tensor:
        gradient, scratch = buffers
        # dE/dy = -W y for P_BL, D y - W y for P_Q; both are quadratic in y, so that E = 1/2 y.dE/dy up to a constant
        torch.mul(kernel.filter(labels).to(labels.dtype), -scale, out=gradient)
        if relaxation == "q":
            # D y, with which a pair of equal labels costs nothing
            gradient.addcmul_(scale * degrees, labels)
            return 0.5 * torch.mul(gradient, labels, out=scratch).sum((1, 2, 3))
        return constant + 0.5 * torch.mul(gradient, labels, out=scratch).sum((1, 2, 3))

    return term
