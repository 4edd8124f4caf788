"""Data parallel training: torchrun starts one process per GPU, each works on its share of every batch.

Without torchrun there is one process, of rank 0, and everything here returns what it is given. Gradients are averaged by
torch's DistributedDataParallel; this module adds what a loss or a metric needs to come out as in one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

PATIENCE = timedelta(hours=12)
"""How long processes wait for the slowest, such as one that scores the validation set alone."""


def rank() -> int:
    """Return the number of this process, 0 for the one that writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes that train one run together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started and give each its device; does nothing without torchrun."""
    if "RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # gloo carries what is reduced on the CPU, such as confusion matrices
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def share_statistics(network: nn.Module, device: torch.device) -> None:
    """Let batch normalisation that is trained see the shares of all processes, where torch can do that: on GPUs."""
    if world_size() == 1 or device.type != "cuda":
        return
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and module.weight.requires_grad:
            network.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(module))


def share_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Return `network`, wrapped so that backward averages gradients over the processes.

    The wrapped module shares all weights with `network`, whose state keeps its names.
    """
    if world_size() == 1:
        return network
    return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, as float32.

    A loss divided by the mean of a count gives, after gradients are averaged, the loss divided by the total count.
    """
    value = value.detach().float()
    if world_size() > 1:
        distributed.all_reduce(value)
        value = value / world_size()
    return value


def sum_over_ranks(value: Tensor) -> Tensor:
    """Return the exact sum of an integer tensor over the processes."""
    if world_size() > 1:
        value = value.clone()
        distributed.all_reduce(value)
    return value


def on_any_rank(flag: bool) -> bool:
    """Return whether `flag` is set in at least one process."""
    return flag if world_size() == 1 else bool(sum_over_ranks(torch.tensor(int(flag))))


def share_buffers(network: nn.Module) -> None:
    """Give every process the running statistics of rank 0, so that all of them predict the same."""
    if world_size() > 1:
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world_size() > 1:
        distributed.barrier()
