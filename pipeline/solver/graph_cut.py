"""Hard pseudo-labels by graph cuts: expansion moves on the grid, as in the robust trust region method [SSL] compares with.

A move to class alpha asks every pixel whether to keep its label or take alpha, and answers all of them at once, optimally, by
a minimum cut. Moves over all classes are repeated until none lowers the energy; for the Potts model the result is
within twice the optimum.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit
from torch import Tensor

from pipeline.conventions import VOID, check_shape, one_hot
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets
from pipeline.solver.max_flow import sink_side
from pipeline.solver.solution import Solution, check_problem, check_weights, free_pixels

LARGEST_COST = 1e6
"""Unary costs are cut here, so that one certain pixel does not take the integers' precision from all others."""
RESOLUTION = 1 << 40
"""Integer that stands for the largest cost of an image; sums over a pixel's edges stay far below `NEVER`."""
NEVER = 1 << 60


def solve_graph_cut(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    offsets: Offsets,
    unary_weight: float = 0.1,
    pairwise_weight: float = 100.0,
    sweeps: int = 5,
    restrict: bool = True,
    start: Tensor | None = None,
    valid: Tensor | None = None,
) -> Solution:
    """Minimise the Potts energy of hard labels f by expansion moves, seeds fixed.

    E(f) = eta sum_{i not in S} -ln sigma_i^{f_i} + lambda sum_{ij in N} w_ij [f_i != f_j]

    On one-hot labels this is `self_labeling_energy` for H_CE and P_BL. The published setting is the 8-grid with
    `trust_region_affinity`, lambda = 100, five sweeps, and eta from `TRUST_REGION_SETTINGS`.

    Args:
        log_probs: (B, C, H, W), ln sigma.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        unary_weight: eta, >= 0.
        pairwise_weight: lambda, >= 0.
        sweeps: most rounds of moves over all classes, at least 1.
        restrict: allow only classes among the image's seeds; an image without seeds may use all.
        start: (B, H, W) int64 labels to improve, such as those of an earlier epoch; None for the most probable allowed class.
            Where they are not allowed or contradict a seed they are replaced.
        valid: (B, H, W) bool; None for all. Invalid pixels without a seed keep the start.

    Returns:
        The solution, one-hot, in the type and on the device of `log_probs`; its steps are sweeps, and an image has
        converged when a sweep changed nothing. Images are spread over torch's number of CPU threads.

    Raises:
        ValueError: if a number is out of range or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    check_weights(unary_weight, pairwise_weight)
    if sweeps < 1:
        raise ValueError(f"sweeps: expected at least 1, got {sweeps}")
    if start is not None:
        check_shape("start", start, tuple(seeds.shape))
    edges = pairwise_weight * without_seed_edges(affinity.detach().double(), seeds, offsets)
    free = free_pixels(seeds, valid)
    given = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32))
    fields = [tensor.cpu().numpy() for tensor in (given, seeds, free, edges)]
    starts = None if start is None else start.cpu().numpy()

    def solve_one(index: int) -> tuple[np.ndarray, list[float], bool]:
        log_prob, seed, is_free, edge = (field[index] for field in fields)
        seeded = seed != VOID
        allowed = np.unique(seed[seeded]) if restrict and seeded.any() else np.arange(len(log_prob))
        surprise = -log_prob[allowed].astype(np.float64)
        costs = surprise.clip(0, LARGEST_COST) * (unary_weight * is_free)
        labels = surprise.argmin(0) if starts is None else np.argmax(starts[index] == allowed[:, None, None], 0)
        labels[seeded] = np.searchsorted(allowed, seed[seeded])
        places, energies, done = _expand(costs, labels, is_free, edge, offsets, sweeps)
        return allowed[places], energies, done

    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        solved = list(pool.map(solve_one, range(len(seeds))))
    labels = torch.from_numpy(np.stack([image for image, _, _ in solved])).to(log_probs.device)
    steps = max(len(energies) for _, energies, _ in solved) - 1
    traces = [energies + energies[-1:] * (steps + 1 - len(energies)) for _, energies, _ in solved]
    trace = torch.tensor(traces, dtype=log_probs.dtype, device=log_probs.device)
    converged = torch.tensor([done for _, _, done in solved], device=log_probs.device)
    return Solution(one_hot(labels, log_probs.shape[1]).to(log_probs.dtype), trace[:, -1], trace.mean(0), steps, converged)


def _expand(
    costs: np.ndarray,
    labels: np.ndarray,
    free: np.ndarray,
    edges: np.ndarray,
    offsets: Offsets,
    sweeps: int,
) -> tuple[np.ndarray, list[float], bool]:
    """Return labels (H, W) of one image, the energy before and after each sweep, and whether the last changed nothing.

    `costs` (K, H, W) and `labels` are those of the classes that are allowed.
    """
    height, width = labels.shape
    frame = max(max(abs(dy), abs(dx)) for dy, dx in offsets)
    pads = (frame, frame)
    padded_width = width + 2 * frame
    steps = np.array([sign * (dy * padded_width + dx) for dy, dx in offsets for sign in (1, -1)], np.int64)
    scale = RESOLUTION / max(costs.max(), edges.max(), 1e-300)
    unary = _rows(np.pad(np.rint(costs * scale).astype(np.int64), ((0, 0), pads, pads)))
    weights = _rows(np.pad(np.rint(edges * scale).astype(np.int64), ((0, 0), pads, pads)))
    current = np.pad(labels.astype(np.int64), pads).ravel()
    movable = np.pad(free, pads).ravel()
    energies = [_energy(unary, weights, steps, current)]
    converged = len(costs) < 2
    for _ in range(0 if converged else sweeps):
        changed = _sweep(unary, weights, steps, current, movable)
        energies.append(_energy(unary, weights, steps, current))
        if not changed:
            converged = True
            break
    inside = current.reshape(height + 2 * frame, padded_width)[frame : frame + height, frame : frame + width]
    return inside, [energy / scale for energy in energies], converged


def _rows(stack: np.ndarray) -> np.ndarray:
    """Return (N, K) from (K, H, W): what belongs to one pixel lies together."""
    return np.ascontiguousarray(stack.reshape(len(stack), -1).T)


@njit(cache=True, nogil=True)
def _energy(unary: np.ndarray, weights: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> float:
    energy = 0.0
    for pixel in range(len(labels)):
        energy += unary[pixel, labels[pixel]]
        for edge in range(weights.shape[1]):
            if weights[pixel, edge] > 0 and labels[pixel] != labels[pixel + steps[2 * edge]]:
                energy += weights[pixel, edge]
    return energy


@njit(cache=True, nogil=True)
def _sweep(unary: np.ndarray, weights: np.ndarray, steps: np.ndarray, labels: np.ndarray, movable: np.ndarray) -> bool:
    """Make one move to each class, changing `labels`; return whether any did."""
    changed = False
    count, kinds = weights.shape
    capacity = np.empty((count, 2 * kinds), np.int64)
    terminal = np.empty(count, np.int64)
    for alpha in range(unary.shape[1]):
        capacity[:] = 0
        for pixel in range(count):
            terminal[pixel] = unary[pixel, alpha] - unary[pixel, labels[pixel]] if movable[pixel] else NEVER
        for pixel in range(count):
            for edge in range(kinds):
                weight = weights[pixel, edge]
                if weight == 0:
                    continue
                # With x = 1 for a change to alpha, the edge costs both_kept for (0, 0), second_moves for (0, 1),
                # first_moves for (1, 0) and nothing for (1, 1): a slope for each end, and a cost for the first staying alone.
                other = pixel + steps[2 * edge]
                both_kept = weight if labels[pixel] != labels[other] else 0
                second_moves = weight if labels[pixel] != alpha else 0
                first_moves = weight if labels[other] != alpha else 0
                terminal[pixel] += first_moves - both_kept
                terminal[other] -= first_moves
                capacity[pixel, 2 * edge] = second_moves + first_moves - both_kept
        moving = sink_side(steps, capacity, terminal)
        for pixel in range(count):
            if moving[pixel]:
                labels[pixel] = alpha
                changed = True
    return changed
