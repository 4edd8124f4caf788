"""Hard pseudo-labels by graph cuts: expansion moves on the grid, as in the robust trust region method [SSL] compares with.

A move to class alpha asks every pixel whether to keep its label or take alpha, and answers all of them at once, optimally, by
a minimum cut. Moves over all classes are repeated until none lowers the energy; for the Potts model the result is
within twice the optimum.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.conventions import VOID, check_shape, one_hot
from pipeline.crf.neighborhoods import Offsets
from pipeline.solver.problem import Problem, check_steps
from pipeline.solver.solution import Solution

LARGEST_COST = 1e6
"""Unary costs are cut here, so that one certain pixel does not take the integers' precision from all others."""
RESOLUTION = 1 << 40
"""Integer that stands for the largest cost of an image; sums over a pixel's edges stay far below 2^60."""
SMALLEST_COST = 1e-200
"""Where the largest cost of an image is below, nothing costs anything: all pixels are seeds, say, or none is valid."""


def solve_graph_cut(problem: Problem, *, steps: int = 5, restrict: bool = True, start: Tensor | None = None) -> Solution:
    """Minimise the Potts energy of hard labels f by expansion moves, seeds fixed.

    E(f) = eta sum_{i not in S} -ln sigma_i^{f_i} + lambda sum_{ij in N} w_ij [f_i != f_j]

    On one-hot labels this is `self_labeling_energy` for H_CE and P_BL. The published setting is the 8-grid with
    `trust_region_affinity`, lambda = 100, five sweeps, and eta = 0.05 to 0.1, less for longer scribbles.

    Args:
        problem: on edges, with H_CE and P_BL.
        steps: most sweeps, that is rounds of moves over all classes, at least 1.
        restrict: allow only classes among the image's seeds; an image without seeds may use all.
        start: (B, H, W) int64 labels to improve, such as those of an earlier epoch; None for the most probable allowed class.
            Where they are not allowed or contradict a seed they are replaced.

    Returns:
        The solution, one-hot; its steps are sweeps, and an image has converged when a sweep changed nothing. Invalid pixels
        without a seed keep the start. Images are spread over torch's number of CPU threads.

    Raises:
        ValueError: another H or P, a number out of range, or the neighbourhood is a kernel.
    """
    problem.expect("graph_cut", "ce", "bl")
    check_steps(steps)
    if start is not None:
        check_shape("start", start, tuple(problem.seeds.shape))
    log_probs, offsets = problem.log_probs, problem.edges.offsets
    # In double precision, as they become integers of 40 bits.
    edges = problem.pairwise_scale(torch.float64)
    fields = [tensor.cpu().numpy() for tensor in (log_probs, problem.seeds, problem.free, edges)]
    starts = None if start is None else start.cpu().numpy()

    def solve_one(index: int) -> tuple[np.ndarray, list[float], bool]:
        log_prob, seed, is_free, edge = (field[index] for field in fields)
        seeded = seed != VOID
        # The published method allows only classes that somebody has drawn in this picture.
        allowed = np.unique(seed[seeded]) if restrict and seeded.any() else np.arange(len(log_prob))
        surprise = -log_prob[allowed].astype(np.float64)
        # eta -ln sigma at free pixels; what seeds and invalid pixels are costs nothing, as they do not change.
        costs = surprise.clip(0, LARGEST_COST) * (problem.unary_weight * is_free)
        # Places among the allowed classes; a label that is none of them gets place 0.
        labels = surprise.argmin(0) if starts is None else np.argmax(starts[index] == allowed[:, None, None], 0)
        # `allowed` is sorted, and holds every seed.
        labels[seeded] = np.searchsorted(allowed, seed[seeded])
        places, energies, done = _expand(Image(costs, labels, is_free, edge), offsets, steps)
        return allowed[places], energies, done

    # Compiled code lets other threads run.
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        solved = list(pool.map(solve_one, range(len(log_probs))))
    labels = torch.from_numpy(np.stack([image for image, _, _ in solved])).to(log_probs.device)
    taken = max(len(energies) for _, energies, _ in solved) - 1
    # An image that ended early keeps its last energy.
    traces = [energies + energies[-1:] * (taken + 1 - len(energies)) for _, energies, _ in solved]
    trace = torch.tensor(traces, dtype=log_probs.dtype, device=log_probs.device)
    converged = torch.tensor([done for _, _, done in solved], device=log_probs.device)
    return Solution(one_hot(labels, log_probs.shape[1]).to(log_probs.dtype), trace[:, -1], trace.mean(0), taken, converged)


class Image(NamedTuple):
    """The problem of one image, in the classes that are allowed, K of them.

    Attributes:
        costs: (K, H, W) float64, eta -ln sigma at free pixels, else 0.
        labels: (H, W), where the moves start.
        free: (H, W) bool, pixels that may move.
        edges: (E, H, W) float64, lambda w.
    """

    costs: np.ndarray
    labels: np.ndarray
    free: np.ndarray
    edges: np.ndarray


def _expand(image: Image, offsets: Offsets, sweeps: int) -> tuple[np.ndarray, list[float], bool]:
    """Return labels (H, W) of one image, the energy before and after each sweep, and whether the last changed nothing."""
    from pipeline.solver.backends.numba_cuts import MOST_DIRECTIONS, energy_of, sweep  # loads a compiler

    height, width = image.labels.shape
    # Longer edges lead out of the picture: they cost nothing, but would need a frame as wide as they are long.
    within = [edge for edge, (dy, dx) in enumerate(offsets) if abs(dy) < height and abs(dx) < width]
    edges, offsets = image.edges[within], tuple(offsets[edge] for edge in within)
    if 2 * len(within) > MOST_DIRECTIONS:
        raise ValueError(f"offsets: expected at most {MOST_DIRECTIONS // 2} within the picture, got {len(within)}")
    # A frame of dead pixels, so that an edge's end is index + step, wherever the edge starts.
    frame = max((max(abs(dy), abs(dx)) for dy, dx in offsets), default=0)
    pads = (frame, frame)
    padded_width = width + 2 * frame
    # In memory, frame included; there and back in turn, so that direction ^ 1 is the opposite one.
    steps = np.array([sign * (dy * padded_width + dx) for dy, dx in offsets for sign in (1, -1)], np.int64)
    # Integers, so that the cut is exact: the largest cost of the image becomes `RESOLUTION`.
    largest = max(image.costs.max(), edges.max(initial=0.0))
    scale = RESOLUTION / largest if largest > SMALLEST_COST else 1.0
    # Dead pixels cost nothing, and no edge has a weight there.
    unary = _rows(np.pad(np.rint(image.costs * scale).astype(np.int64), ((0, 0), pads, pads)))
    weights = _rows(np.pad(np.rint(edges * scale).astype(np.int64), ((0, 0), pads, pads)))
    current = np.pad(image.labels.astype(np.int64), pads).ravel()
    movable = np.pad(image.free, pads).ravel()
    energies = [energy_of(unary, weights, steps, current)]
    # A single class leaves nothing to choose.
    converged = len(image.costs) < 2
    for _ in range(0 if converged else sweeps):
        changed = sweep(unary, weights, steps, current, movable)
        energies.append(energy_of(unary, weights, steps, current))
        # No class gained a pixel, so that another sweep would ask the same questions.
        if not changed:
            converged = True
            break
    inside = current.reshape(height + 2 * frame, padded_width)[frame : frame + height, frame : frame + width]
    return inside, [energy / scale for energy in energies], converged


def _rows(stack: np.ndarray) -> np.ndarray:
    """Return (N, K) from (K, H, W): what belongs to one pixel lies together."""
    # Not -1, which cannot be told where K = 0: no edge within the picture.
    return np.ascontiguousarray(stack.reshape(len(stack), math.prod(stack.shape[1:])).T)
