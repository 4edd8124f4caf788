"""Soft self-labelling, [SSL] Eq. 6: pseudo-labels are solved for each batch, then the network is pulled towards them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pipeline.conventions import VOID
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.dense import DenseKernel
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.losses.cross_entropy import CROSS_ENTROPIES, entropy
from pipeline.parallel import mean_over_ranks
from pipeline.solver import Edges, Kernel, Problem, Solution, hard_labels
from pipeline.solver import solver as solver_of
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def self_labeling_term(
    *,
    cross_entropy: str,
    relaxation: str,
    neighborhood: str,
    unary_weight: float,
    pairwise_weight: float,
    sigma_rgb: float,
    sigma_xy_px: float,
    landmarks: int,
    entropy_weight: float,
    solver: Mapping[str, Any],
    labels: str,
) -> TermFunction:
    """Return eta times the mean of H(sigma, y) over pixels that are valid and not seeds, y being solved anew at each step.

    The seed term of Eq. 6 is the objective's `seeds` term. The energy is summed over pixels inside the solver (its step size
    needs that), the network's loss is a mean, so that it does not depend on the picture's size.

    Args:
        cross_entropy: H, a key of `CROSS_ENTROPIES`, in both sub-problems.
        relaxation: P, a key of `RELAXATIONS`.
        neighborhood: a key of `NEIGHBORHOODS`, or "dense" for all pairs ([SSL] section 3.3).
        unary_weight: eta.
        pairwise_weight: lambda.
        sigma_rgb: contrast bandwidth on 0-255 colours.
        sigma_xy_px: spatial bandwidth of the dense neighbourhood.
        landmarks: rank of the dense neighbourhood's filter.
        entropy_weight: weight of the mean entropy of predictions on the same pixels, in the network step only.
        solver: kind and settings of the pseudo-label solver.
        labels: "soft", or "hard" for the one-hot arg max of the soft solution.

    Raises:
        ValueError: no such solver, a setting it does not have, or one that does not fit the neighbourhood.
    """
    if (neighborhood == "dense") != (solver["kind"] == "dense"):
        raise ValueError(
            f"self_labeling: neighborhood {neighborhood!r} with a solver of kind {solver['kind']!r}; 'dense' needs 'dense'"
        )
    pull: Callable[[Tensor, Tensor], Tensor] = CROSS_ENTROPIES[cross_entropy]
    solve = solver_of(**solver)
    quickly = solver["kind"] == "fast"  # with the compiler that this solver loads anyway

    def neighbors(batch: Batch) -> Edges | Kernel:
        if neighborhood == "dense":
            return DenseKernel.build(batch["image"], batch["valid"], sigma_rgb, sigma_xy_px, landmarks=landmarks)
        offsets = NEIGHBORHOODS[neighborhood]
        return Edges(contrast_affinity(batch["image"], batch["valid"], offsets, sigma_rgb, compiled=quickly), offsets)

    def solved(log_probs: Tensor, batch: Batch) -> Solution:
        energy = (cross_entropy, relaxation, unary_weight, pairwise_weight)
        return solve(Problem(log_probs, batch["seeds"], neighbors(batch), *energy, batch["valid"]))

    def self_labeling(prediction: Prediction, batch: Batch) -> Term:
        if not bool(prediction.log_probs.detach().sum().isfinite()):
            return Term(prediction.log_probs.sum())  # the network has diverged: the loop says so, and names the images
        seeds, valid = batch["seeds"], batch["valid"]
        # Labels are constants for the network: no gradient passes through the solver.
        solution = solved(prediction.log_probs.detach(), batch)
        pseudo_labels = solution.labels
        if labels == "hard":
            pseudo_labels = hard_labels(pseudo_labels)
        # Seeds have a term of their own, and padding teaches nothing.
        free = valid & (seeds == VOID)
        count = mean_over_ranks(free.sum()).clamp(min=1)
        value = unary_weight * pull(prediction.log_probs, pseudo_labels).masked_fill(~free, 0.0).sum() / count
        if entropy_weight > 0:
            value = value + entropy_weight * entropy(prediction.log_probs).masked_fill(~free, 0.0).sum() / count
        return Term(value, _diagnostics(solution))

    return self_labeling


def _diagnostics(solution: Solution) -> dict[str, Tensor]:
    return {
        "energy": solution.energy.mean(),
        "solver_steps": solution.energy.new_tensor(float(solution.steps)),
        "solver_converged": solution.converged.float().mean(),
    }
