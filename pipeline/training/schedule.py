"""Stochastic gradient descent with a polynomial learning rate, decoder and classifier at a raised rate (FACTS of both papers)."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import PolynomialLR

from pipeline.networks.base import SegmentationNetwork


def make_optimizer(
    network: SegmentationNetwork, *, learning_rate: float, head_lr_factor: float, momentum: float, weight_decay: float
) -> torch.optim.SGD:
    """Return SGD over the backbone at `learning_rate` and the head at `head_lr_factor` times that rate."""
    groups = [
        {"params": network.backbone_parameters(), "lr": learning_rate},
        {"params": network.head_parameters(), "lr": learning_rate * head_lr_factor},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)


def make_scheduler(optimizer: torch.optim.Optimizer, *, total_steps: int, power: float) -> PolynomialLR:
    """Return the schedule lr * (1 - step / total_steps) ** power, advanced once per step."""
    return PolynomialLR(optimizer, total_iters=total_steps, power=power)
