"""Classification of whole images from soft class labels: the three cross-entropies of [SSL] section 2.2 and Fig. 3(d)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def image_labels_term(cross_entropy: str) -> TermFunction:
    """Return the batch mean of H(sigma, y); logits are (B, C), y is `class_targets` (B, C) on the simplex."""
    distance: Callable[[Tensor, Tensor], Tensor] = CROSS_ENTROPIES[cross_entropy]

    def image_labels(prediction: Prediction, batch: Batch) -> Term:
        # Cross-entropies take pictures: here of one pixel each.
        as_pixels = prediction.log_probs[:, :, None, None], batch["class_targets"][:, :, None, None]
        return Term(distance(*as_pixels).mean())

    return image_labels
