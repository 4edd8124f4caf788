"""The quadratic case H_Q + P_Q by conjugate gradients: the random walker without a sparse matrix, on any device.

The system is that of `solve_random_walker`, which factorises it exactly; here it is only ever applied, as a sum over kinds of
edges, so that memory stays a few copies of the labels and large pictures with many classes cost seconds. Descent on logits
needs far more steps for this energy: its optima are soft, where soft-max descent is slowest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.crf.neighborhoods import Offsets, edge_windows, neighbor
from pipeline.solver.problem import Problem, check_steps, check_tolerance
from pipeline.solver.solution import Solution, energy_on, with_seeds

SMALLEST_DIVISOR = 1e-30
"""A class that has converged has residual 0: its step lengths, 0 / 0, become 0."""


def solve_conjugate_gradient(problem: Problem, *, steps: int = 100, tolerance: float = 1e-4) -> Solution:
    """Return the minimum of `self_labeling_energy` for H_Q and P_Q, to a tolerance.

    Solves (eta + lambda D - lambda W) y = eta sigma on the free pixels, D = W 1, divided by its diagonal; each class is a
    right-hand side with step lengths of its own.

    Args:
        problem: on edges, with H_Q and P_Q; eta > 0, without which the system can be singular. The prediction is the start.
        steps: most steps, at least 1. Some sqrt(lambda / eta) of them gain one digit.
        tolerance: residual relative to its start, in the norm of the divided system, at which an image has converged and
            stays as it is.

    Returns:
        The solution, on the simplex by a last projection of rounding.

    Raises:
        ValueError: another H or P, eta = 0, a number out of range, or the neighbourhood is a kernel.
    """
    problem.expect("conjugate_gradient", "quadratic", "q")
    problem.expect_unary()
    check_steps(steps)
    check_tolerance(tolerance)

    with torch.no_grad():
        offsets, edges = problem.edges.offsets, problem.pairwise_scale()
        free = problem.free.unsqueeze(1).to(edges.dtype)
        # The system's diagonal, eta + lambda D, by which it is divided: pixels with strong edges would else dominate.
        # eta > 0 keeps it a divisor where a pixel has no edges.
        diagonal = problem.unary_weight + _degrees(edges, offsets)
        probs = problem.log_probs.exp()
        labels = with_seeds(probs, problem.seeds)
        energies = [energy_on(edges, labels, problem)]

        # r = eta sigma - A y on free pixels: rows of other pixels are left out, their labels being given.
        product = _apply(labels, edges, offsets, diagonal, torch.empty_like(labels))
        residual = torch.addcmul(-product * free, probs, free, value=problem.unary_weight)
        # z = r / diagonal, the preconditioned residual; the first direction is z itself
        divided = residual / diagonal
        direction = divided.clone()
        # r.z of each class: classes share the matrix, not the step lengths
        power = _dot(residual, divided)
        first = power.sum((1, 2, 3))
        taken = 0
        converged = first <= 0
        while taken < steps and not bool(converged.all()):
            # d is 0 where labels are given, but A d is not: these rows are no part of the system.
            _apply(direction, edges, offsets, diagonal, product).mul_(free)
            # alpha = r.z / d.A d;  y <- y + alpha d;  r <- r - alpha A d
            length = power / _dot(direction, product).clamp(min=SMALLEST_DIVISOR)
            # An image that has converged stays as it is.
            length *= ~converged.view(-1, 1, 1, 1)
            labels.addcmul_(direction, length)
            residual.addcmul_(product, length, value=-1)
            # Along d the energy is a parabola whose lowest point lies 1/2 alpha r.z below its start.
            energies.append(energies[-1] - 0.5 * (length * power).sum((1, 2, 3)))
            torch.div(residual, diagonal, out=divided)
            # beta = r'.z' / r.z;  d <- z' + beta d
            power, previous = _dot(residual, divided), power
            direction.mul_(power / previous.clamp(min=SMALLEST_DIVISOR)).add_(divided)
            # r.z is the square of a norm. At length 0 it stays the same, and so does the verdict.
            converged = power.sum((1, 2, 3)) <= tolerance**2 * first
            taken += 1
        # The exact solution lies on the simplex by itself; what is left is rounding and the tolerance.
        labels.clamp_(min=0)
        labels.div_(labels.sum(1, keepdim=True))
        energy = energy_on(edges, labels, problem)
    return Solution(labels, energy, torch.stack(energies).mean(1), taken, converged)


def _degrees(edges: Tensor, offsets: Offsets) -> Tensor:
    """Return the sum of weights at each pixel, (B, 1, H, W)."""
    # Edges that start at a pixel, then those that end there.
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
        # (W f)_i = sum_j w_ij f_j, from both ends of each edge, which is stored once
        out[first].addcmul_(weight, field[second], value=-1)
        out[second].addcmul_(weight, field[first], value=-1)
    return out


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Return the inner product of each image and class, (B, C, 1, 1)."""
    return torch.linalg.vecdot(left.flatten(2), right.flatten(2)).unsqueeze(2).unsqueeze(3)
