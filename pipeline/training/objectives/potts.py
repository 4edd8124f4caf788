"""Relaxed Potts loss on the prediction itself, [SSL] Eq. 4: what gradient descent is given instead of pseudo-labels."""

from __future__ import annotations

from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.crf.pairwise import potts_loss
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def potts_term(*, relaxation: str, neighborhood: str, weight: float, sigma_rgb: float | None) -> TermFunction:
    """Return `weight` times the batch mean of `potts_loss`; see there for the meaning of every number."""
    offsets = NEIGHBORHOODS[neighborhood]

    def potts(prediction: Prediction, batch: Batch) -> Term:
        loss = potts_loss(
            prediction.probs, batch["image"], batch["valid"], offsets=offsets, relaxation=relaxation, sigma_rgb=sigma_rgb
        )
        return Term(weight * loss.mean())

    return potts
