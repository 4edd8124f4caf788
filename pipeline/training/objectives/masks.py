"""Full supervision: cross-entropy with the ground-truth masks, the reference line of both papers."""

from __future__ import annotations

from torch.nn.functional import nll_loss

from pipeline.conventions import VOID
from pipeline.parallel import mean_over_ranks
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def masks_term(weight: float) -> TermFunction:
    """Return `weight` times the mean of -ln S_p over the labelled pixels of the batch; `VOID` pixels do not count."""

    def masks(prediction: Prediction, batch: Batch) -> Term:
        labels = batch["labels"]
        total = nll_loss(prediction.log_probs, labels, ignore_index=VOID, reduction="sum")
        # By the mean count: gradients, averaged over processes, are then those of one that sees the whole batch.
        return Term(weight * total / mean_over_ranks((labels != VOID).sum()).clamp(min=1))

    return masks
