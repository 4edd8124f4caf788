"""Stochastic gradient descent with a decaying learning rate, decoder and classifier at a raised rate (FACTS of both papers)."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, PolynomialLR

from pipeline.networks.base import Network


def make_optimizer(
    network: Network, *, learning_rate: float, head_lr_factor: float, momentum: float, weight_decay: float
) -> torch.optim.SGD:
    """Return SGD over the backbone at `learning_rate` and the head at `head_lr_factor` times that rate."""
    groups = [
        {"params": network.backbone_parameters(), "lr": learning_rate},
        {"params": network.head_parameters(), "lr": learning_rate * head_lr_factor},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)


def make_scheduler(optimizer: torch.optim.Optimizer, schedule: str, *, total_steps: int, power: float) -> LRScheduler:
    """Return a decay of the learning rate to zero, advanced once per step.

    Args:
        optimizer: whose rates are scheduled.
        schedule: "polynomial", lr * (1 - step / total_steps) ** power, or "cosine", lr * (1 + cos(pi step / total_steps)) / 2.
        total_steps: steps of the whole run.
        power: exponent of the polynomial.

    Raises:
        ValueError: unknown schedule.
    """
    if schedule == "polynomial":
        return PolynomialLR(optimizer, total_iters=total_steps, power=power)
    if schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    raise ValueError(f"schedule: expected polynomial or cosine, got {schedule!r}")
