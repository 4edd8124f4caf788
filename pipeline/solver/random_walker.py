"""The exact minimum of the quadratic case H_Q + P_Q, a sparse linear system known as the random walker ([SSL] section 3.1).

With both terms quadratic, the minimum over all real-valued fields lies on the simplex by itself: each label is a weighted
mean of the prediction and of neighbouring labels. One symmetric matrix per image serves all classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.crf.neighborhoods import Offsets, edge_windows
from pipeline.solver.problem import Problem
from pipeline.solver.solution import Solution, self_labeling_energy, with_seeds

if TYPE_CHECKING:
    import numpy as np


def solve_random_walker(problem: Problem) -> Solution:
    """Return the global minimum of `self_labeling_energy` for H_Q and P_Q.

    For each free pixel i, with the labels of seeds given:
    (eta + lambda sum_j w_ij) y_i - lambda sum_j w_ij y_j = eta sigma_i

    Args:
        problem: on edges, with H_Q and P_Q; eta > 0, without which the system can be singular.

    Returns:
        The solution; one step, always converged. There is nothing to set.

    Raises:
        ValueError: another H or P, eta = 0 or too small against the edges, or the neighbourhood is a kernel.
    """
    problem.expect("random_walker", "quadratic", "q")
    problem.expect_unary()
    affinity, offsets = problem.edges
    # sigma at all others: at free pixels for the right-hand side, at invalid ones as a label that is given.
    start = with_seeds(problem.log_probs.exp(), problem.seeds)
    # In double precision: a direct solve loses as many digits as the system is badly conditioned.
    edges = problem.pairwise_scale(affinity.dtype).double().cpu().numpy()
    free = problem.free.cpu().numpy()
    fields = start.double().cpu().numpy()
    images = zip(fields, free, edges)
    solved = [_solve_image(field, mask, weights, offsets, problem.unary_weight) for field, mask, weights in images]
    labels = torch.stack([torch.from_numpy(field) for field in solved]).to(start)
    energy = self_labeling_energy(labels, problem)
    trace = torch.stack([self_labeling_energy(start, problem).mean(), energy.mean()])
    return Solution(labels, energy, trace, steps=1, converged=torch.ones_like(energy, dtype=torch.bool))


def _solve_image(field: np.ndarray, free: np.ndarray, edges: np.ndarray, offsets: Offsets, unary_weight: float) -> np.ndarray:
    """Return the optimal (C, H, W) of one image: `field` where not free; there predictions, elsewhere fixed labels."""
    import numpy as np
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import splu

    classes, height, width = field.shape
    # Number of each pixel; windows of this picture give the two ends of all edges of a kind.
    pixels = np.arange(height * width).reshape(height, width)
    heads, tails, weights = [], [], []
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        heads.append(pixels[first].ravel())
        tails.append(pixels[second].ravel())
        weights.append(edges[edge][first].ravel())
    head, tail, weight = np.concatenate(heads), np.concatenate(tails), np.concatenate(weights)
    # The Laplacian of the graph, D - W: row i is sum_j w_ij (y_i - y_j).
    one_way = coo_array((weight, (head, tail)), shape=(pixels.size, pixels.size)).tocsr()
    # W: each edge is stored once, and pulls at both ends.
    neighbors = (one_way + one_way.T).tocsr()
    laplacian = diags_array(np.asarray(neighbors.sum(axis=1)).ravel()) - neighbors

    labels = field.reshape(classes, -1).T.copy()
    # Known labels go to the right: (eta + L_uu) y_u = eta sigma_u - L_uk y_k.
    unknown = np.flatnonzero(free)
    known = np.flatnonzero(~free)
    if unknown.size:
        rows = laplacian.tocsr()[unknown]
        # Rows of L sum to 0 and eta is added: the diagonal outweighs the rest, which makes the matrix regular.
        matrix = (rows[:, unknown] + unary_weight * diags_array(np.ones(unknown.size))).tocsc()
        right = unary_weight * labels[unknown] - rows[:, known] @ labels[known]
        try:
            # Order and mode for symmetric matrices; the defaults are for any.
            factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        except RuntimeError:  # "Factor is exactly singular"
            raise ValueError(f"unary_weight: {unary_weight} is too small against edges of up to {weight.max():g}") from None
        # One factorisation serves all classes.
        labels[unknown] = factors.solve(right)
    return labels.T.reshape(field.shape)
