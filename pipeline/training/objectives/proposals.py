"""Robust loss towards hard proposals, the network step of the robust trust region ([SSL] Table 4, hard self-labelling)."""

from __future__ import annotations

from pipeline.losses.robust import trust_region_loss
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def proposals_term(*, weight: float, epsilon: float, **labeling: object) -> TermFunction:
    """Return `weight` times `trust_region_loss`, which has its own cross-entropy on seeds.

    Args:
        weight: factor of the term.
        epsilon: share of wrong proposals that is expected.
        labeling: settings of the graph cuts that make the proposals; see `pipeline.training.proposals`.
    """

    def proposals(prediction: Prediction, batch: Batch) -> Term:
        return Term(weight * trust_region_loss(prediction.log_probs, batch["proposals"], batch["seeds"], epsilon))

    return proposals
