"""Soft self-labelling, [SSL] Eq. 6: pseudo-labels are solved for each batch, then the network is pulled towards them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pipeline.conventions import VOID, one_hot
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.losses.cross_entropy import CROSS_ENTROPIES, entropy
from pipeline.solver import solve
from pipeline.solver.solution import Solution
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def self_labeling_term(
    *,
    cross_entropy: str,
    relaxation: str,
    neighborhood: str,
    unary_weight: float,
    pairwise_weight: float,
    sigma_rgb: float,
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
        neighborhood: a key of `NEIGHBORHOODS`.
        unary_weight: eta.
        pairwise_weight: lambda.
        sigma_rgb: contrast bandwidth on 0-255 colours.
        entropy_weight: weight of the mean entropy of predictions on the same pixels, in the network step only.
        solver: kind and settings of the pseudo-label solver.
        labels: "soft", or "hard" for the one-hot arg max of the soft solution.
    """
    offsets = NEIGHBORHOODS[neighborhood]
    pull: Callable[[Tensor, Tensor], Tensor] = CROSS_ENTROPIES[cross_entropy]

    def self_labeling(prediction: Prediction, batch: Batch) -> Term:
        seeds, valid = batch["seeds"], batch["valid"]
        affinity = contrast_affinity(batch["image"], valid, offsets, sigma_rgb)
        solution = solve(
            prediction.log_probs.detach(),
            seeds,
            affinity,
            offsets=offsets,
            cross_entropy=cross_entropy,
            relaxation=relaxation,
            unary_weight=unary_weight,
            pairwise_weight=pairwise_weight,
            valid=valid,
            **solver,
        )
        pseudo_labels = solution.labels
        if labels == "hard":
            pseudo_labels = one_hot(pseudo_labels.argmax(1), pseudo_labels.shape[1])
        free = valid & (seeds == VOID)
        count = free.sum().clamp(min=1)
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
