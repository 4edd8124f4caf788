"""The energy of pseudo-labels and its gradient with respect to logits l, y = softmax(l): what all descent solvers share.

All gradients are closed forms. The unary ones are taken with respect to the logits directly, where they are bounded and
cannot overflow: y - sigma for H_RCE, and y minus the normalised product of y and sigma for H_CCE. They are the gradients
of the cross-entropies without the floor under ln y, and so differ from those where y is below it (1e-6).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.conventions import one_hot, valid_mask
from pipeline.crf.neighborhoods import Offsets
from pipeline.crf.pairwise import pairwise_energy_and_gradient
from pipeline.losses.cross_entropy import LABEL_FLOOR
from pipeline.losses.relaxations import EDGE_TERMS

SMALLEST_PRODUCT = 1e-30
"""Keeps y.sigma a divisor where two confident, contradicting distributions underflow; far from any computed energy."""

PairwiseTerm = Callable[[Tensor, tuple[Tensor, Tensor]], Tensor]
"""(labels, buffers) -> energy (B,); writes dE/dy to the first of two buffers like `labels`, and may use the second."""


def grid_term(edges: Tensor, offsets: Offsets, relaxation: str) -> PairwiseTerm:
    """Return the pairwise term of a neighbourhood given by displacements; `edges` (B, E, H, W) include lambda."""
    edge_terms = EDGE_TERMS[relaxation]

    def term(labels: Tensor, buffers: tuple[Tensor, Tensor]) -> Tensor:
        # The gradient is in the first buffer already.
        return pairwise_energy_and_gradient(labels, edges, offsets, edge_terms, buffers)[0]

    return term


def start_logits(log_probs: Tensor, seeds: Tensor) -> Tensor:
    """Return the logits of the prediction, (0, -inf, ...) at seeds: a one-hot label, whose gradient is exactly zero."""
    # y (g - y.g) = 0 for one-hot y, whatever g: seeds stay, where the paper resets them before each step.
    hard = torch.where(one_hot(seeds, log_probs.shape[1]) > 0, 0.0, -torch.inf).to(log_probs.dtype)
    return torch.where(valid_mask(seeds).unsqueeze(1), hard, log_probs).contiguous()


class Descent:
    """One problem, evaluated again and again without new memory: fresh tensors would cost several times the arithmetic.

    Attributes:
        labels: (B, C, H, W), y at the last evaluation.
        gradient: (B, C, H, W), dE/dl there.
        scratch: (B, C, H, W), free between evaluations.
    """

    def __init__(self, log_probs: Tensor, unary_scale: Tensor, cross_entropy: str, pairwise: PairwiseTerm) -> None:
        """Keep the problem.

        Args:
            log_probs: (B, C, H, W), ln sigma.
            unary_scale: (B, 1, H, W), eta at each free pixel and 0 elsewhere.
            cross_entropy: H, a key of `CROSS_ENTROPIES`.
            pairwise: the pairwise term, lambda included.
        """
        log_probs = log_probs.contiguous()
        # sigma once: all H but H_CE read it at every step.
        self.log_probs, self.probs, self.unary_scale = log_probs, log_probs.exp(), unary_scale
        self.unary, self.pairwise = UNARIES[cross_entropy], pairwise
        self.labels, self.gradient, self.scratch = (torch.empty_like(log_probs) for _ in range(3))

    def evaluate(self, logits: Tensor) -> Tensor:
        """Fill `labels` and `gradient` at `logits` (B, C, H, W), and return the energy, (B,)."""
        labels, gradient, scratch = self.labels, self.gradient, self.scratch
        # y = softmax(l); less the largest logit, so that exp does not overflow
        torch.sub(logits, logits.amax(1, keepdim=True), out=labels).exp_()
        labels.div_(labels.sum(1, keepdim=True))
        # In this order: the pairwise term overwrites `gradient` with dE/dy, the unary one adds dH/dl to what became of it.
        energy = self.pairwise(labels, (gradient, scratch))
        _through_softmax(labels, gradient)
        return energy + self.unary(labels, self.log_probs, self.probs, self.unary_scale, gradient, scratch)


def descend(problem: Descent, logits: Tensor, steps: int, learning_rate: float) -> Tensor:
    """Take `steps` plain gradient steps from `logits`, which are overwritten; return all energies, (steps + 1, B)."""
    energies = [problem.evaluate(logits)]
    for _ in range(steps):
        logits.add_(problem.gradient, alpha=-learning_rate)
        energies.append(problem.evaluate(logits))
    return torch.stack(energies)


def _through_softmax(labels: Tensor, gradient: Tensor) -> None:
    """Turn a gradient g with respect to y = softmax(l) into the one with respect to l, y (g - y.g), in place."""
    # y g, whose sum over classes is y.g; then y g - y (y.g)
    gradient.mul_(labels)
    gradient.addcmul_(labels, gradient.sum(1, keepdim=True), value=-1)


# The unaries return scale * H summed over each image, (B,), and add scale * dH/dl to `gradient` (both (B, C, H, W)). They
# work in place because fresh memory of this size would cost several times the arithmetic; `scratch` is overwritten.


def _standard_unary(labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor) -> Tensor:
    # H = -y.ln sigma;  dH/dl = y (y.ln sigma - ln sigma)
    agreement = torch.mul(labels, log_probs, out=scratch).sum(1, keepdim=True)
    # scratch: y ln sigma, class by class
    gradient.addcmul_(scale, scratch, value=-1).addcmul_(scale * agreement, labels)
    return -(scale * agreement).sum((1, 2, 3))


def _reverse_unary(labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor) -> Tensor:
    # H = -sigma.ln y;  dH/dl = y - sigma
    # dH/dy = -sigma / y grows without bound as y falls; times y, as in the soft-max, it is -sigma.
    gradient.addcmul_(scale, torch.sub(labels, probs, out=scratch))
    # Only the value needs a floor.
    value = torch.clamp(labels, min=LABEL_FLOOR, out=scratch).log_().mul_(probs).sum(1, keepdim=True)
    return -(scale * value).sum((1, 2, 3))


def _collision_unary(
    labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor
) -> Tensor:
    # H = -ln y.sigma;  dH/dl = y - y sigma / y.sigma
    total = torch.mul(labels, probs, out=scratch).sum(1, keepdim=True).clamp_(min=SMALLEST_PRODUCT)
    # scratch: y sigma, in no class above `total`, so that y - y sigma / total stays within -1 and 1
    gradient.addcmul_(scale, labels).addcmul_(scale / total, scratch, value=-1)
    return -(scale * total.log()).sum((1, 2, 3))


def _quadratic_unary(
    labels: Tensor, log_probs: Tensor, probs: Tensor, scale: Tensor, gradient: Tensor, scratch: Tensor
) -> Tensor:
    # H = 1/2 |y - sigma|^2;  dH/dl = y (y - sigma - y.(y - sigma))
    distance = torch.sub(labels, probs, out=scratch).square_().sum(1, keepdim=True)
    # y - sigma once more: its square has taken its place.
    agreement = torch.sub(labels, probs, out=scratch).mul_(labels).sum(1, keepdim=True)
    gradient.addcmul_(scale, scratch).addcmul_(scale * agreement, labels, value=-1)
    return 0.5 * (scale * distance).sum((1, 2, 3))


UNARIES: dict[str, Callable[..., Tensor]] = {
    "ce": _standard_unary,
    "rce": _reverse_unary,
    "cce": _collision_unary,
    "quadratic": _quadratic_unary,
}
"""The keys of `CROSS_ENTROPIES`."""
