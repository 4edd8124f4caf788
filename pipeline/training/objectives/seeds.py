"""Partial cross-entropy on scribbles, clicks or blocks: [SIZE] Eq. 4, [SSL] Eq. 3."""

from __future__ import annotations

from pipeline.conventions import VOID
from pipeline.losses.cross_entropy import partial_cross_entropy
from pipeline.parallel import mean_over_ranks
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def seeds_term(weight: float) -> TermFunction:
    """Return `weight` times the mean of -ln S_p over all seed pixels of the batch (long scribbles count more)."""

    def seeds(prediction: Prediction, batch: Batch) -> Term:
        total = partial_cross_entropy(prediction.log_probs, batch["seeds"]).sum()
        return Term(weight * total / mean_over_ranks((batch["seeds"] != VOID).sum()).clamp(min=1))

    return seeds
