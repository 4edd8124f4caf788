"""The pseudo-label problem, [SSL] Eq. 6 as a function of y, and what every solver of it returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.conventions import check_shape, one_hot, valid_mask
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets
from pipeline.crf.pairwise import pairwise_energy
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS


@dataclass(frozen=True)
class Solution:
    """Pseudo-labels and how they were reached.

    Attributes:
        labels: (B, C, H, W) on the simplex, one-hot on the seeds, detached.
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


def self_labeling_energy(
    labels: Tensor,
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    offsets: Offsets,
    cross_entropy: str,
    relaxation: str,
    unary_weight: float,
    pairwise_weight: float,
    valid: Tensor | None = None,
) -> Tensor:
    """Return the energy that solvers minimise over soft labels y ([SSL] Eq. 6 without the seeds' constant).

    E(y) = eta sum_{i not in S} H(sigma_i, y_i) + lambda sum_{ij in N} w_ij P(y_i, y_j)

    A sum, not a mean: the step length published with the solver makes sense only so. Edges between two seeds are left out.

    Args:
        labels: (B, C, H, W) on the simplex, y; expected to be one-hot on the seeds.
        log_probs: (B, C, H, W), ln sigma.
        seeds: (B, H, W), `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, a key of `RELAXATIONS`.
        unary_weight: eta, >= 0; 0.3 in [SSL] Appendix C.
        pairwise_weight: lambda, >= 0; 6 in [SSL] Appendix C.
        valid: (B, H, W) bool, pixels with a unary term; None for all.

    Returns:
        (B,).

    Raises:
        ValueError: if a name is unknown or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    check_names(cross_entropy, relaxation)
    free = free_pixels(seeds, valid)
    unary = CROSS_ENTROPIES[cross_entropy](log_probs, labels)
    unary = unary.where(free, unary.new_zeros(())).flatten(1).sum(1)
    weights = without_seed_edges(affinity, seeds, offsets)
    return unary_weight * unary + pairwise_weight * pairwise_energy(labels, weights, offsets, RELAXATIONS[relaxation])


def free_pixels(seeds: Tensor, valid: Tensor | None) -> Tensor:
    """Return where a pseudo-label is sought and pulled to the prediction: valid and no seed; (B, H, W) bool."""
    free = ~valid_mask(seeds)
    return free if valid is None else free & valid


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


def check_weights(unary_weight: float, pairwise_weight: float) -> None:
    """Raise ValueError unless both weights are at least 0."""
    if min(unary_weight, pairwise_weight) < 0:
        raise ValueError(f"unary_weight, pairwise_weight: expected numbers >= 0, got {unary_weight}, {pairwise_weight}")


def check_names(cross_entropy: str, relaxation: str) -> None:
    """Raise ValueError unless both names are known."""
    if cross_entropy not in CROSS_ENTROPIES:
        raise ValueError(f"cross_entropy: expected one of {', '.join(CROSS_ENTROPIES)}, got {cross_entropy!r}")
    if relaxation not in RELAXATIONS:
        raise ValueError(f"relaxation: expected one of {', '.join(RELAXATIONS)}, got {relaxation!r}")


def check_problem(log_probs: Tensor, seeds: Tensor, affinity: Tensor, offsets: Offsets, valid: Tensor | None) -> None:
    """Raise ValueError unless the parts of one pseudo-label problem fit together."""
    check_shape("log_probs", log_probs, (None, None, None, None))
    batch, _, height, width = log_probs.shape
    check_shape("seeds", seeds, (batch, height, width))
    check_shape("affinity", affinity, (batch, len(offsets), height, width))
    if valid is not None:
        check_shape("valid", valid, (batch, height, width))
