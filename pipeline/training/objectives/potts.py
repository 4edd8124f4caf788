"""Relaxed Potts loss on the prediction itself, [SSL] Eq. 4: what gradient descent is given instead of pseudo-labels."""

from __future__ import annotations

from pipeline.conventions import VOID
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.crf.pairwise import potts_loss
from pipeline.losses.cross_entropy import entropy
from pipeline.parallel import mean_over_ranks
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def potts_term(
    *, relaxation: str, neighborhood: str, weight: float, sigma_rgb: float | None, entropy_weight: float
) -> TermFunction:
    """Return `weight` times the batch mean of `potts_loss`, and the entropy term of Eq. 4.

    Args:
        relaxation: see `potts_loss`.
        neighborhood: key of `NEIGHBORHOODS`.
        weight: factor of the mean over edges, lambda.
        sigma_rgb: see `potts_loss`.
        entropy_weight: eta, factor of the mean entropy of the pixels without a seed.
    """
    offsets = NEIGHBORHOODS[neighborhood]

    def potts(prediction: Prediction, batch: Batch) -> Term:
        loss = potts_loss(
            prediction.probs, batch["image"], batch["valid"], offsets=offsets, relaxation=relaxation, sigma_rgb=sigma_rgb
        )
        # No count is needed here, as all processes have equally many images.
        value = weight * loss.mean()
        if entropy_weight > 0:
            free = batch["valid"] & (batch["seeds"] == VOID)
            count = mean_over_ranks(free.sum()).clamp(min=1)
            value = value + entropy_weight * entropy(prediction.log_probs).masked_fill(~free, 0.0).sum() / count
        return Term(value)

    return potts
