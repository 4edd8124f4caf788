"""What every solver of a `Problem` returns, and the energy that it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.conventions import check_shape, one_hot, valid_mask
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.pairwise import pairwise_energy
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.problem import Problem


@dataclass(frozen=True)
class Solution:
    """Pseudo-labels and how they were reached.

    Attributes:
        labels: (B, C, H, W) on the simplex, one-hot on the seeds, detached, in the precision of `Problem.log_probs`.
        energy: (B,) `self_labeling_energy` of `labels`, summed over pixels and edges.
        energy_trace: (steps + 1,) energy before each step and after the last, mean over the batch.
        steps: number of steps taken.
        converged: (B,) bool, whether the solver's own criterion was met.
    """

    labels: Tensor
    energy: Tensor
    energy_trace: Tensor
    steps: int
    converged: Tensor


def self_labeling_energy(labels: Tensor, problem: Problem) -> Tensor:
    """Return the energy E(y) of `Problem` for soft labels y.

    A sum, not a mean: the step length published with the solver makes sense only so. Edges between two seeds are left out.

    Args:
        labels: (B, C, H, W) on the simplex, y; expected to be one-hot on the seeds.
        problem: a problem on edges.

    Returns:
        (B,).

    Raises:
        ValueError: if the shapes do not fit together, or the neighbourhood is a kernel.
    """
    check_shape("labels", labels, tuple(problem.log_probs.shape))
    affinity, offsets = problem.edges
    weights = without_seed_edges(affinity, problem.seeds, offsets)
    pairwise = pairwise_energy(labels, weights, offsets, RELAXATIONS[problem.relaxation])
    # E(y) = eta sum H + lambda sum w P
    return _unary_energy(labels, problem) + problem.pairwise_weight * pairwise


def energy_on(edges: Tensor, labels: Tensor, problem: Problem) -> Tensor:
    """Return `self_labeling_energy` from `problem.pairwise_scale()`, which a solver has at hand: (B, E, H, W) -> (B,)."""
    return _unary_energy(labels, problem) + pairwise_energy(labels, edges, problem.edges.offsets, RELAXATIONS[problem.relaxation])


def _unary_energy(labels: Tensor, problem: Problem) -> Tensor:
    unary = CROSS_ENTROPIES[problem.cross_entropy](problem.log_probs, labels)
    # Selecting, not multiplying by the mask: a seed may contradict the prediction without bound, and 0 * inf would be nan.
    return problem.unary_weight * unary.where(problem.free, unary.new_zeros(())).flatten(1).sum(1)


def with_seeds(labels: Tensor, seeds: Tensor) -> Tensor:
    """Return `labels` (B, C, H, W) with the one-hot class of each seed ([SSL] Eq. 2) put in its place."""
    hard = one_hot(seeds, labels.shape[1]).to(labels.dtype)
    return hard.where(valid_mask(seeds).unsqueeze(1), labels)


def hard_labels(labels: Tensor) -> Tensor:
    """Return the one-hot arg max of soft labels (B, C, H, W), of their type; seeds, one-hot already, stay.

    [SSL] section 3.1 trains on such labels for comparison; ties go to the lower class.
    """
    winner = labels.max(1).indices  # on a CPU some eight times as fast as argmax along this axis
    return one_hot(winner, labels.shape[1]).to(labels.dtype)
