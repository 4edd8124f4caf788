"""Dense CRF loss on the prediction itself, [SIZE] Eq. 3 with the settings of rloss."""

from __future__ import annotations

from pipeline.crf.dense import dense_crf_loss
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def dense_crf_term(
    *, weight: float, sigma_rgb: float, sigma_xy_px: float, scale_factor: float, mode: str, landmarks: int
) -> TermFunction:
    """Return `weight` times the batch mean of `dense_crf_loss`; see there for the meaning of every number.

    The value is negative by construction: a constant that does not depend on the network is left out.
    """

    def dense_crf(prediction: Prediction, batch: Batch) -> Term:
        loss = dense_crf_loss(
            prediction.probs,
            batch["image"],
            batch["valid"],
            sigma_rgb=sigma_rgb,
            sigma_xy_px=sigma_xy_px,
            scale_factor=scale_factor,
            mode=mode,
            landmarks=landmarks,
        )
        return Term(weight * loss.mean())

    return dense_crf
