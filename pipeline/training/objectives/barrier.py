"""Size barrier of the medical literature on mean predictions: [SIZE] Eq. 17, with its suppression of absent classes."""

from __future__ import annotations

from pipeline.losses.size import barrier_bounds, mean_probs, squared_barrier, squared_suppression
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction, mean_of_given


def barrier_term(*, object_min: float, object_max: float, weight: float) -> TermFunction:
    """Return `weight` times the mean of squared barrier and squared suppression, over images whose classes are known.

    Bounds in pixels become fractions of the image. An upper bound of the object is a lower bound of the background,
    a_bg = 1 - object_max, which holds where an object is present.

    Args:
        object_min: a_k of each present object class, a fraction of the image.
        object_max: largest share that objects may cover together.
        weight: factor of the whole term; 655.36 gives the published 1e-2 per pixel on 256 x 256 pixels.
    """

    def barrier(prediction: Prediction, batch: Batch) -> Term:
        # Sizes say which classes are there, too.
        tags = (batch["tags"] if "tags" in batch else batch["size_targets"]) > 0
        bounds = barrier_bounds(tags, object_min, object_max)
        means = mean_probs(prediction.probs, batch["valid"])
        value = squared_barrier(means, bounds) + squared_suppression(means, tags.to(means.dtype))
        return Term(weight * mean_of_given(value, tags))

    return barrier
