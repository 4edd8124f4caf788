"""Robust loss towards hard proposals, the network step of the robust trust region ([SSL] Table 4, hard self-labelling)."""

from __future__ import annotations

from pipeline.conventions import VOID
from pipeline.losses.robust import trust_region_loss
from pipeline.parallel import mean_over_ranks, world_size
from pipeline.training.objectives import Batch, Prediction, Term, TermFunction


def proposals_term(*, weight: float, epsilon: float, **labeling: object) -> TermFunction:
    """Return `weight` times `trust_region_loss`, which has its own cross-entropy on seeds.

    Args:
        weight: factor of the term.
        epsilon: share of wrong proposals that is expected.
        labeling: settings of the graph cuts that make the proposals; see `pipeline.training.proposals`.
    """

    def proposals(prediction: Prediction, batch: Batch) -> Term:
        loss = trust_region_loss(prediction.log_probs, batch["proposals"], batch["seeds"], epsilon)
        count = (batch["seeds"] != VOID).sum()  # the loss is divided by it, and by the images, of this process's share
        share = count.clamp(min=1) / mean_over_ranks(count).clamp(min=1) / world_size()
        return Term(weight * share * loss)

    return proposals
