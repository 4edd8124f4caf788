"""How the benchmarks take time: cases in turn, so that a slow minute slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

Key = TypeVar("Key")

CPU = torch.device("cpu")


def now(device: torch.device = CPU) -> float:
    """Return seconds: on one thread of a CPU those of this process, which others hardly disturb; else those of finished work."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def seconds(work: Callable[[], Any], device: torch.device = CPU) -> float:
    """Return how long `work` takes."""
    start = now(device)
    work()
    return now(device) - start


def in_turn(
    cases: Mapping[Key, Callable[[], Any]], repeats: int, device: torch.device = CPU, *, warm_up: int = 1
) -> dict[Key, list[float]]:
    """Return the seconds of each case, all timed in turn, after `warm_up` rounds that do not count: first calls allocate."""
    taken: dict[Key, list[float]] = {name: [] for name in cases}
    for turn in range(-warm_up, repeats):
        for name, work in cases.items():
            needed = seconds(work, device)
            if turn >= 0:
                taken[name].append(needed)
    return taken
