"""Pseudo-labels on the dense neighbourhood, where each pixel interacts with all others ([SSL] section 3.3, "DN").

Bilateral filtering multiplies by the matrix W of all pairs and so serves quadratic functions of y only: P_BL, whose solutions
are hard, and P_Q, which the paper uses. P_Q needs the degrees D = W 1 as well: its gradient is D y - W y.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pipeline.conventions import check_shape, valid_mask
from pipeline.solver.descent import Descent, PairwiseTerm, check_descent, descend, start_logits
from pipeline.solver.solution import Solution, check_names, check_weights, free_pixels

DENSE_RELAXATIONS = ("bl", "q")
"""Relaxations that are quadratic in y, and so within reach of filtering."""


class Kernel(Protocol):
    """The bilateral kernel of a batch of images."""

    @property
    def degrees(self) -> Tensor:
        """W 1, (B, 1, H, W): the sum of weights at each pixel; 0 where it is invalid."""

    def filter(self, values: Tensor) -> Tensor:
        """Return W `values`, (B, C, H, W)."""


def solve_dense(
    log_probs: Tensor,
    seeds: Tensor,
    kernel: Kernel,
    *,
    cross_entropy: str = "cce",
    relaxation: str = "q",
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    steps: int = 200,
    learning_rate: float = 0.075,
    tolerance: float = 1e-4,
    valid: Tensor | None = None,
) -> Solution:
    """Minimise the self-labelling energy on all pairs by the paper's gradient descent, one filtering per step.

    E(y) = eta sum_{i not in S} H(sigma_i, y_i) + lambda / d sum_{i<j} w_ij P(y_i, y_j)

    d is the mean degree of the image's valid pixels: on average a pixel is pulled to all others together with weight lambda,
    as on the grid by one neighbour of its colour (the paper does not state a scaling). Pairs of two seeds are part of the sum, a
    constant. For P_BL a pixel's pair with itself counts by half, as in the dense CRF loss; for P_Q it is zero.

    Args:
        log_probs: (B, C, H, W), ln sigma, finite; also the start. No gradient flows back into it.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        kernel: W of the images, at the resolution of `log_probs`; bandwidth 100 px in [SSL] section 3.3.
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, one of `DENSE_RELAXATIONS`.
        unary_weight: eta, >= 0.
        pairwise_weight: lambda, >= 0.
        steps: number of steps, at least 1; all are taken.
        learning_rate: step length on logits, > 0.
        tolerance: largest relative change of an image's energy in the last step that counts as converged.
        valid: (B, H, W) bool, pixels with a unary term; None for all.

    Returns:
        The solution; its energy is that of this neighbourhood, in the precision of `log_probs`, at least float32.

    Raises:
        ValueError: if a name is unknown, the relaxation is not quadratic, a number is out of range, or shapes do not fit.
    """
    check_shape("log_probs", log_probs, (None, None, None, None))
    batch, _, height, width = log_probs.shape
    check_shape("seeds", seeds, (batch, height, width))
    check_shape("kernel.degrees", kernel.degrees, (batch, 1, height, width))
    if valid is not None:
        check_shape("valid", valid, (batch, height, width))
    check_names(cross_entropy, relaxation)
    if relaxation not in DENSE_RELAXATIONS:
        raise ValueError(f"relaxation: expected one of {', '.join(DENSE_RELAXATIONS)} on all pairs, got {relaxation!r}")
    check_weights(unary_weight, pairwise_weight)
    check_descent(steps, learning_rate)

    with torch.no_grad():
        log_probs = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32))
        free = free_pixels(seeds, valid)
        unary_scale = unary_weight * free.to(log_probs.dtype).unsqueeze(1)
        pairwise = _dense_term(kernel, free | valid_mask(seeds), pairwise_weight, relaxation)
        problem = Descent(log_probs, unary_scale, cross_entropy, pairwise)
        energies = descend(problem, start_logits(log_probs, seeds), steps, learning_rate)
    change = (energies[-1] - energies[-2]).abs()
    return Solution(problem.labels, energies[-1], energies.mean(1), steps, change <= tolerance * energies[-1].abs())


def _dense_term(kernel: Kernel, counted: Tensor, pairwise_weight: float, relaxation: str) -> PairwiseTerm:
    """Return lambda / d sum_{i<j} w_ij P as a function of y; d is the mean degree over `counted` (B, H, W)."""
    degrees = kernel.degrees
    mean_degree = (degrees * counted.unsqueeze(1)).sum((1, 2, 3)) / counted.sum((1, 2)).clamp(min=1)
    scale = (pairwise_weight / mean_degree.clamp(min=1)).view(-1, 1, 1, 1)  # >= 1 in full: each pixel has weight 1 with itself
    constant = 0.5 * scale.flatten() * degrees.sum((1, 2, 3))

    def term(labels: Tensor, buffers: tuple[Tensor, Tensor]) -> Tensor:
        gradient, scratch = buffers
        torch.mul(kernel.filter(labels).to(labels.dtype), -scale, out=gradient)
        if relaxation == "q":
            gradient.addcmul_(scale * degrees, labels)
            return 0.5 * torch.mul(gradient, labels, out=scratch).sum((1, 2, 3))
        return constant + 0.5 * torch.mul(gradient, labels, out=scratch).sum((1, 2, 3))

    return term
