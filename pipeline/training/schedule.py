"""Optimisers and schedules of torch, decoder and classifier at a raised rate; published: SGD with a polynomial decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, PolynomialLR

from pipeline.networks.base import Network

Group = dict[str, Any]


def _sgd(groups: list[Group], momentum: float, weight_decay: float) -> Optimizer:
    return torch.optim.SGD(groups, momentum=momentum, weight_decay=weight_decay)


def _adamw(groups: list[Group], momentum: float, weight_decay: float) -> Optimizer:
    return torch.optim.AdamW(groups, betas=(momentum, 0.999), weight_decay=weight_decay)


OPTIMIZERS: dict[str, Callable[[list[Group], float, float], Optimizer]] = {"sgd": _sgd, "adamw": _adamw}
"""Optimisers by the key `optimizer`: groups with their rates, momentum (AdamW: of the first moment), weight decay."""


def make_optimizer(
    network: Network, *, optimizer: str = "sgd", learning_rate: float, head_lr_factor: float, momentum: float, weight_decay: float
) -> Optimizer:
    """Return an optimiser over the backbone at `learning_rate` and the head at `head_lr_factor` times that rate.

    `weight_decay` is an L2 penalty in SGD and decoupled in AdamW.

    Raises:
        ValueError: unknown optimiser.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected {' or '.join(OPTIMIZERS)}, got {optimizer!r}")
    # Frozen parameters are among them: without a gradient an optimiser leaves them alone, weight decay included.
    groups: list[Group] = [
        {"params": network.backbone_parameters(), "lr": learning_rate},
        {"params": network.head_parameters(), "lr": learning_rate * head_lr_factor},
    ]
    return OPTIMIZERS[optimizer](groups, momentum, weight_decay)


def _polynomial(optimizer: Optimizer, total_steps: int, power: float) -> LRScheduler:
    return PolynomialLR(optimizer, total_iters=total_steps, power=power)


def _cosine(optimizer: Optimizer, total_steps: int, power: float) -> LRScheduler:
    return CosineAnnealingLR(optimizer, T_max=total_steps)


def _one_cycle(optimizer: Optimizer, total_steps: int, power: float) -> LRScheduler:
    highest = [group["lr"] for group in optimizer.param_groups]
    # One more, because the schedule is advanced after the last step too. Momentum is a setting, which cycling would overwrite.
    return OneCycleLR(optimizer, max_lr=highest, total_steps=total_steps + 1, cycle_momentum=False)


SCHEDULES: dict[str, Callable[[Optimizer, int, float], LRScheduler]] = {
    "polynomial": _polynomial,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
"""Schedules by the key `schedule`, all of which end near zero: polynomial, lr * (1 - step / total) ** power; cosine,
lr * (1 + cos(pi step / total)) / 2; one_cycle, from lr / 25 up to lr in the first 30 % of the steps and down again."""


def make_scheduler(optimizer: Optimizer, schedule: str, *, total_steps: int, power: float) -> LRScheduler:
    """Return a schedule of the learning rates, which are the highest now, advanced once per step; `power` is for the polynomial.

    Raises:
        ValueError: unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}")
    return SCHEDULES[schedule](optimizer, total_steps, power)
