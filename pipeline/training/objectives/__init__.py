"""What a network minimises: a weighted sum of named terms, each a file of this package.

A term is a function (prediction, batch) -> `Term`. `TERMS` maps the keys of an `objectives` block in params.yaml to the
function that builds the term; each imports its own mathematics only when asked for, so that editing one loss leaves the
runs of the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pipeline.parallel import mean_over_ranks

Batch = Mapping[str, Any]
"""image (B, 3, H, W), valid (B, H, W), image_id (list); by supervision also labels, seeds, proposals (B, H, W), and size_targets,
tags (rows of zeros where none are given), class_targets (B, C)."""


class Prediction:
    """A network's output in the forms that losses need, each computed once.

    Args:
        logits: (B, C, H, W), any floating type; everything derived is float32.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.float()

    @cached_property
    def log_probs(self) -> Tensor:
        """Logarithm of the soft-max (B, C, H, W)."""
        return torch.log_softmax(self.logits, dim=1)

    @cached_property
    def probs(self) -> Tensor:
        """Soft-max (B, C, H, W)."""
        return self.log_probs.exp()


@dataclass(frozen=True)
class Term:
    """Value of one term at one step.

    Attributes:
        loss: scalar, already weighted.
        diagnostics: numbers for the history, such as the energy of pseudo-labels.
    """

    loss: Tensor
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


TermFunction = Callable[[Prediction, Batch], Term]


def mean_of_given(values: Tensor, given: Tensor) -> Tensor:
    """Return the mean (B,) -> () over images of the batch about which something is given, 0 if there is none.

    Args:
        values: (B,).
        given: (B, C) size targets or tags; a row of zeros says nothing.
    """
    known = (given != 0).any(1)
    return values.where(known, torch.zeros_like(values)).sum() / mean_over_ranks(known.sum()).clamp(min=1)


def _masks(weight: float) -> TermFunction:
    from pipeline.training.objectives.masks import masks_term

    return masks_term(weight)


def _seeds(weight: float) -> TermFunction:
    from pipeline.training.objectives.seeds import seeds_term

    return seeds_term(weight)


def _size(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.size import size_term

    return size_term(**settings)


def _barrier(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.barrier import barrier_term

    return barrier_term(**settings)


def _image_labels(cross_entropy: str) -> TermFunction:
    from pipeline.training.objectives.image_labels import image_labels_term

    return image_labels_term(cross_entropy)


def _potts(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.potts import potts_term

    return potts_term(**settings)


def _proposals(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.proposals import proposals_term

    return proposals_term(**settings)


def _dense_crf(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.dense_crf import dense_crf_term

    return dense_crf_term(**settings)


def _self_labeling(settings: Mapping[str, Any]) -> TermFunction:
    from pipeline.training.objectives.self_labeling import self_labeling_term

    return self_labeling_term(**settings)


def proposer() -> Callable[..., Any]:
    """Return the function that makes the proposals of the term of that name; see `pipeline.training.proposals`."""
    # No term, but here, where `pipeline.stages.code` looks for what a family calls.
    from pipeline.training.proposals import propose

    return propose


TERMS: dict[str, Callable[[Any], TermFunction]] = {
    "masks": _masks,
    "seeds": _seeds,
    "size": _size,
    "barrier": _barrier,
    "image_labels": _image_labels,
    "potts": _potts,
    "proposals": _proposals,
    "dense_crf": _dense_crf,
    "self_labeling": _self_labeling,
}


class Objective:
    """The sum of the terms named in `settings`.

    Args:
        settings: term name -> weight or settings; None leaves a term out.

    Raises:
        ValueError: an unknown term, or none at all.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        chosen = {name: value for name, value in settings.items() if value is not None}
        unknown = sorted(set(chosen) - set(TERMS))
        if unknown or not chosen:
            raise ValueError(f"objective: expected some of {', '.join(TERMS)}, got {', '.join(unknown) or 'no term'}")
        self.terms = {name: TERMS[name](value) for name, value in chosen.items()}

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and every named part of it, detached, with the diagnostics of all terms."""
        prediction = Prediction(logits)
        total = logits.new_zeros((), dtype=torch.float32)
        parts: dict[str, Tensor] = {}
        for name, function in self.terms.items():
            term = function(prediction, batch)
            total = total + term.loss
            parts[f"loss_{name}"] = term.loss.detach()
            parts.update(term.diagnostics)
        return total, {"loss": total.detach(), **parts}
