"""The quadratic case H_Q + P_Q by conjugate gradients: the random walker without a sparse matrix, on any device.

The system is that of `solve_random_walker`, which factorises it exactly; here it is only ever applied, as a sum over kinds of
edges, so that memory stays a few copies of the labels and large pictures with many classes cost seconds. Descent on logits
needs far more steps for this energy: its optima are soft, where soft-max descent is slowest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets, edge_windows, neighbor
from pipeline.solver.solution import Solution, check_problem, free_pixels, self_labeling_energy, with_seeds

SMALLEST_DIVISOR = 1e-30


def solve_conjugate_gradient(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    offsets: Offsets,
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    steps: int = 100,
    tolerance: float = 1e-4,
    valid: Tensor | None = None,
) -> Solution:
    """Return the minimum of `self_labeling_energy` for H_Q and P_Q, to a tolerance.

    Solves (eta + lambda D - lambda W) y = eta sigma on the free pixels, D = W 1, divided by its diagonal; each class is a
    right-hand side with step lengths of its own.

    Args:
        log_probs: (B, C, H, W), ln sigma; the prediction is the start.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        unary_weight: eta, > 0, without which the system can be singular.
        pairwise_weight: lambda, >= 0.
        steps: most steps, at least 1. Some sqrt(lambda / eta) of them gain one digit.
        tolerance: residual relative to its start, in the norm of the divided system, at which an image has converged and
            stays as it is.
        valid: (B, H, W) bool; None for all. Invalid pixels without a seed keep the prediction.

    Returns:
        The solution in the precision of `log_probs`, at least float32, on the simplex by a last projection of rounding.

    Raises:
        ValueError: if a number is out of range or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    if not unary_weight > 0:
        raise ValueError(f"unary_weight: expected a number above 0, got {unary_weight}")
    if pairwise_weight < 0:
        raise ValueError(f"pairwise_weight: expected a number >= 0, got {pairwise_weight}")
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")

    with torch.no_grad():
        log_probs = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32))
        edges = pairwise_weight * without_seed_edges(affinity.to(log_probs.dtype), seeds, offsets)
        free = free_pixels(seeds, valid).unsqueeze(1).to(log_probs.dtype)
        diagonal = unary_weight + _degrees(edges, offsets)
        probs = log_probs.exp()
        labels = with_seeds(probs, seeds)
        energies = [_energy(labels, log_probs, seeds, edges, offsets, unary_weight, valid)]

        product = _apply(labels, edges, offsets, diagonal, torch.empty_like(labels))
        residual = torch.addcmul(-product * free, probs, free, value=unary_weight)
        divided = residual / diagonal
        direction = divided.clone()
        power = _dot(residual, divided)
        first = power.sum((1, 2, 3))
        taken = 0
        converged = first <= 0
        while taken < steps and not bool(converged.all()):
            _apply(direction, edges, offsets, diagonal, product).mul_(free)
            length = power / _dot(direction, product).clamp(min=SMALLEST_DIVISOR)
            length *= ~converged.view(-1, 1, 1, 1)
            labels.addcmul_(direction, length)
            residual.addcmul_(product, length, value=-1)
            energies.append(energies[-1] - 0.5 * (length * power).sum((1, 2, 3)))
            torch.div(residual, diagonal, out=divided)
            power, previous = _dot(residual, divided), power
            direction.mul_(power / previous.clamp(min=SMALLEST_DIVISOR)).add_(divided)
            converged = power.sum((1, 2, 3)) <= tolerance**2 * first
            taken += 1
        labels.clamp_(min=0)
        labels.div_(labels.sum(1, keepdim=True))
        energy = _energy(labels, log_probs, seeds, edges, offsets, unary_weight, valid)
    return Solution(labels, energy, torch.stack(energies).mean(1), taken, converged)


def _energy(
    labels: Tensor, log_probs: Tensor, seeds: Tensor, edges: Tensor, offsets: Offsets, unary_weight: float, valid: Tensor | None
) -> Tensor:
    return self_labeling_energy(labels, log_probs, seeds, edges, offsets, "quadratic", "q", unary_weight, 1.0, valid)


def _degrees(edges: Tensor, offsets: Offsets) -> Tensor:
    """Return the sum of weights at each pixel, (B, 1, H, W)."""
    total = edges.sum(1, keepdim=True)
    for edge, (dy, dx) in enumerate(offsets):
        total += neighbor(edges[:, edge], (-dy, -dx)).unsqueeze(1)
    return total


def _apply(field: Tensor, edges: Tensor, offsets: Offsets, diagonal: Tensor, out: Tensor) -> Tensor:
    """Return diagonal * `field` - lambda W `field`, written to `out`."""
    height, width = field.shape[2:]
    torch.mul(field, diagonal, out=out)
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        weight = edges[:, edge][first].unsqueeze(1)
        out[first].addcmul_(weight, field[second], value=-1)
        out[second].addcmul_(weight, field[first], value=-1)
    return out


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Return the inner product of each image and class, (B, C, 1, 1)."""
    return torch.linalg.vecdot(left.flatten(2), right.flatten(2)).unsqueeze(2).unsqueeze(3)
