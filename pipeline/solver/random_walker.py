"""The exact minimum of the quadratic case H_Q + P_Q, a sparse linear system known as the random walker ([SSL] section 3.1).

With both terms quadratic, the minimum over all real-valued fields lies on the simplex by itself: each label is a weighted
mean of the prediction and of neighbouring labels. One symmetric matrix per image serves all classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets, edge_windows
from pipeline.solver.solution import Solution, check_problem, free_pixels, self_labeling_energy, with_seeds

if TYPE_CHECKING:
    import numpy as np


def solve_random_walker(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    offsets: Offsets,
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    valid: Tensor | None = None,
) -> Solution:
    """Return the global minimum of `self_labeling_energy` for H_Q and P_Q.

    For each free pixel i, with the labels of seeds given:
    (eta + lambda sum_j w_ij) y_i - lambda sum_j w_ij y_j = eta sigma_i

    Args:
        log_probs: (B, C, H, W), ln sigma.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        unary_weight: eta, > 0, without which the system can be singular.
        pairwise_weight: lambda, >= 0.
        valid: (B, H, W) bool; None for all. Invalid pixels without a seed keep the prediction.

    Returns:
        The solution in the type and on the device of `log_probs`; one step, always converged.

    Raises:
        ValueError: if a number is out of range or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    if not unary_weight > 0:
        raise ValueError(f"unary_weight: expected a number above 0, got {unary_weight}")
    if pairwise_weight < 0:
        raise ValueError(f"pairwise_weight: expected a number >= 0, got {pairwise_weight}")
    log_probs = log_probs.detach()
    start = with_seeds(log_probs.exp(), seeds)
    edges = (pairwise_weight * without_seed_edges(affinity, seeds, offsets)).double().cpu().numpy()
    free = free_pixels(seeds, valid).cpu().numpy()
    fields = start.double().cpu().numpy()
    solved = [_solve_image(field, mask, weights, offsets, unary_weight) for field, mask, weights in zip(fields, free, edges)]
    labels = torch.stack([torch.from_numpy(field) for field in solved]).to(log_probs)

    def energy_of(candidate: Tensor) -> Tensor:
        return self_labeling_energy(
            candidate, log_probs, seeds, affinity, offsets, "quadratic", "q", unary_weight, pairwise_weight, valid
        )

    energy = energy_of(labels)
    trace = torch.stack([energy_of(start).mean(), energy.mean()])
    return Solution(labels, energy, trace, steps=1, converged=torch.ones_like(energy, dtype=torch.bool))


def _solve_image(field: np.ndarray, free: np.ndarray, edges: np.ndarray, offsets: Offsets, unary_weight: float) -> np.ndarray:
    """Return the optimal (C, H, W) of one image: `field` where not free; there predictions, elsewhere fixed labels."""
    import numpy as np
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import splu

    classes, height, width = field.shape
    pixels = np.arange(height * width).reshape(height, width)
    heads, tails, weights = [], [], []
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        heads.append(pixels[first].ravel())
        tails.append(pixels[second].ravel())
        weights.append(edges[edge][first].ravel())
    head, tail, weight = np.concatenate(heads), np.concatenate(tails), np.concatenate(weights)
    one_way = coo_array((weight, (head, tail)), shape=(pixels.size, pixels.size)).tocsr()
    neighbors = (one_way + one_way.T).tocsr()
    laplacian = diags_array(np.asarray(neighbors.sum(axis=1)).ravel()) - neighbors

    labels = field.reshape(classes, -1).T.copy()
    unknown = np.flatnonzero(free)
    known = np.flatnonzero(~free)
    if unknown.size:
        rows = laplacian.tocsr()[unknown]
        matrix = (rows[:, unknown] + unary_weight * diags_array(np.ones(unknown.size))).tocsc()
        right = unary_weight * labels[unknown] - rows[:, known] @ labels[known]
        labels[unknown] = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    return labels.T.reshape(field.shape)
