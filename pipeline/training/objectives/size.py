"""Losses on the mean prediction of an image: [SIZE] Eqs. 2, 8, 9, 11 and the reverse KL."""

from __future__ import annotations

from pipeline.losses import size as size_losses
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction, mean_of_given


def size_term(*, loss: str, weight: float, suppression: float) -> TermFunction:
    """Return the mean of a size loss, plus `suppression` times [SIZE] Eq. 8 where that is not zero.

    The mean is that over images of the batch with a size target (or tags); those without, a row of zeros, count for nothing.
    `suppression` is relative to the size loss, `weight` a factor of both.
    """
    size_loss = size_losses.SIZE_LOSSES[loss]

    def size(prediction: Prediction, batch: Batch) -> Term:
        log_means = size_losses.log_mean_probs(prediction.log_probs, batch["valid"])
        size_targets = batch["size_targets"] if "size_targets" in batch else batch["tags"]  # of tags, barriers use which are set
        value = mean_of_given(size_loss(log_means, size_targets), size_targets)
        if suppression > 0:
            value = value + suppression * mean_of_given(size_losses.suppression(log_means, size_targets), size_targets)
        return Term(weight * value)

    return size
