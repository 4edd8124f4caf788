"""The solver of [SSL] Appendix B: gradient descent on logits l with y = softmax(l), seeds reset at each step.

All gradients are closed forms. The unary ones are taken with respect to the logits directly, where they are bounded and
cannot overflow: y - sigma for H_RCE, and y minus the normalised product of y and sigma for H_CCE. They are the gradients
of the cross-entropies without the floor under ln y, and so differ from those where y is below it (1e-6).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.conventions import one_hot, valid_mask
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets
from pipeline.crf.pairwise import pairwise_energy_and_gradient
from pipeline.losses.cross_entropy import LABEL_FLOOR
from pipeline.losses.relaxations import EDGE_TERMS
from pipeline.solver.solution import Solution, check_names, check_problem, free_pixels, self_labeling_energy

SMALLEST_PRODUCT = 1e-30
"""Keeps y.sigma a divisor where two confident, contradicting distributions underflow; far from any computed energy."""


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
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate: expected a number above 0, got {learning_rate}")
    if min(unary_weight, pairwise_weight) < 0:
        raise ValueError(f"unary_weight, pairwise_weight: expected numbers >= 0, got {unary_weight}, {pairwise_weight}")

    with torch.no_grad():
        log_probs = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32))
        probs = log_probs.exp()
        edges = pairwise_weight * without_seed_edges(affinity.to(log_probs.dtype), seeds, offsets)
        unary_scale = unary_weight * free_pixels(seeds, valid).to(log_probs.dtype).unsqueeze(1)
        unary, edge_terms = _UNARIES[cross_entropy], EDGE_TERMS[relaxation]
        labels, gradient, scratch = (torch.empty_like(log_probs) for _ in range(3))

        def descend_from(logits: Tensor) -> Tensor:
            """Fill `labels` and `gradient` (with respect to the logits), and return the energy, (B,)."""
            torch.sub(logits, logits.amax(1, keepdim=True), out=labels).exp_()
            labels.div_(labels.sum(1, keepdim=True))
            energy, _ = pairwise_energy_and_gradient(labels, edges, offsets, edge_terms, (gradient, scratch))
            _through_softmax(labels, gradient)
            return energy + unary(labels, log_probs, probs, unary_scale, gradient, scratch)

        # Logits (0, -inf, ...) are the one-hot label of a seed, whose gradient is exactly zero: a reset at each step.
        logits = torch.where(
            valid_mask(seeds).unsqueeze(1), one_hot(seeds, log_probs.shape[1]).log().to(log_probs.dtype), log_probs
        )
        energies = [descend_from(logits)]
        for _ in range(steps):
            logits.add_(gradient, alpha=-learning_rate)
            energies.append(descend_from(logits))

        change = (energies[-1] - energies[-2]).abs()
        return Solution(
            labels=labels,
            energy=self_labeling_energy(
                labels, log_probs, seeds, edges, offsets, cross_entropy, relaxation, unary_weight, 1.0, valid
            ),
            energy_trace=torch.stack(energies).mean(1),
            steps=steps,
            converged=change <= tolerance * energies[-1].abs(),
        )


def _through_softmax(labels: Tensor, gradient: Tensor) -> None:
    """Turn a gradient g with respect to y = softmax(l) into the one with respect to l, y (g - y.g), in place."""
    gradient.mul_(labels)
    gradient.addcmul_(labels, gradient.sum(1, keepdim=True), value=-1)


# The unaries return scale * H summed over each image, (B,), and add scale * dH/dl to `gradient` (both (B, C, H, W)). They
# work in place because fresh memory of this size would cost several times the arithmetic; `scratch` is overwritten.


def _standard_unary(labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor) -> Tensor:
    agreement = torch.mul(labels, log_probs, out=scratch).sum(1, keepdim=True)
    gradient.addcmul_(scale, scratch, value=-1).addcmul_(scale * agreement, labels)
    return -(scale * agreement).sum((1, 2, 3))


def _reverse_unary(labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor) -> Tensor:
    gradient.addcmul_(scale, torch.sub(labels, probs, out=scratch))
    value = torch.clamp(labels, min=LABEL_FLOOR, out=scratch).log_().mul_(probs).sum(1, keepdim=True)
    return -(scale * value).sum((1, 2, 3))


def _collision_unary(
    labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor
) -> Tensor:
    total = torch.mul(labels, probs, out=scratch).sum(1, keepdim=True).clamp_(min=SMALLEST_PRODUCT)
    gradient.addcmul_(scale, labels).addcmul_(scale / total, scratch, value=-1)
    return -(scale * total.log()).sum((1, 2, 3))


def _quadratic_unary(
    labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor
) -> Tensor:
    distance = torch.sub(labels, probs, out=scratch).square_().sum(1, keepdim=True)
    agreement = torch.sub(labels, probs, out=scratch).mul_(labels).sum(1, keepdim=True)
    gradient.addcmul_(scale, scratch).addcmul_(scale * agreement, labels, value=-1)
    return 0.5 * (scale * distance).sum((1, 2, 3))


_UNARIES: dict[str, Callable[..., Tensor]] = {
    "ce": _standard_unary,
    "rce": _reverse_unary,
    "cce": _collision_unary,
    "quadratic": _quadratic_unary,
}
"""The keys of `CROSS_ENTROPIES`."""
