"""One training loop for every objective of both papers.

The same call resumes an interrupted run: state is checkpointed while running and everything random depends on
(seed, step) alone, so on a CPU a resumed run ends with the very weights of an uninterrupted one. Started by torchrun, every
process works on its share of each batch (`pipeline.parallel`) and the run is that of one process, up to rounding.
"""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from tqdm import tqdm

from pipeline import parallel
from pipeline.networks.base import Network
from pipeline.training.checkpoint import load_state, save_state
from pipeline.training.objectives import Batch, Objective
from pipeline.training.schedule import make_optimizer, make_scheduler
from pipeline.training.seeding import BatchPlan, derive_seed

PACE_STEPS = 5
"""After so many steps a long training says how long it will take."""
CHECKPOINT_EVERY_S = 60.0
"""A killed run loses at most this much work, plus one step."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where and what to do."""


class Interrupted(TrainingError):
    """Training was asked to stop and wrote a checkpoint; the same command goes on from there."""


@dataclass(frozen=True)
class Settings:
    """Numbers of the optimisation; see `pipeline.params.Training` for their meaning."""

    epochs: int
    batch_size: int
    learning_rate: float
    head_lr_factor: float
    momentum: float
    weight_decay: float
    power: float
    optimizer: str = "sgd"
    schedule: str = "polynomial"
    precision: str = "float32"
    validate_every_epochs: int = 0


@dataclass
class State:
    """All progress of a run: what a checkpoint holds besides network, optimiser and schedule.

    Attributes:
        step: batches done.
        seconds: time spent on them, in all sessions.
        sums: running sums of the current epoch's history values.
        history: one row per finished epoch.
        best_metric: highest value so far of the first validation metric.
        best_weights: weights that reached it; empty before the first validation.
    """

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_metric: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)


LoaderFactory = Callable[[BatchPlan], Iterable[Batch]]
Validation = Callable[[Network], Mapping[str, float]]


@dataclass(frozen=True)
class Refresh:
    """Supervision that is made anew from the network now and then, such as hard proposals.

    Attributes:
        every_epochs: how often.
        make: called with the network, in evaluation mode, the number of the period, and a function that tells whether training
            was asked to stop, before the period's first batch. It keeps what it made under that number, and under the one
            before, so that a resumed period goes on with the same; asked to stop, it raises `Interrupted`, and finds what
            it had made when it is called again.
    """

    every_epochs: int
    make: Callable[[Network, int, Callable[[], bool]], None]


def train(
    network: Network,
    make_loader: LoaderFactory,
    num_images: int,
    objective: Objective,
    settings: Settings,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    validate: Validation | None = None,
    refresh: Refresh | None = None,
    label: str = "train",
    show_progress: bool = True,
) -> State:
    """Train `network` in place and return the finished state (history, best weights).

    Args:
        network: moved to `device`, in channels-last memory order, by the caller; equal in all processes.
        make_loader: returns the batches of a plan, in its order.
        num_images: images in the training set.
        objective: total loss and its named parts.
        settings: numbers of the optimisation.
        seed: root of all randomness of this run.
        device: where the network is.
        checkpoint: scratch file to resume from and to write while running; removed by the caller when the results
            are safe. None: no checkpoints.
        validate: returns metrics of the validation set by the names of their columns in the history; of the first, higher is
            better. Called every `validate_every_epochs` epochs, by all processes together.
        refresh: supervision made from the network while it trains.
        label: name on the progress bar and in messages.
        show_progress: draw a progress bar with loss, images per second and time left.

    Raises:
        TrainingError: the loss or its gradient is not finite (names the images of the batch), nor are the weights after a step
            (they are not saved), the GPU ran out of memory, or a loader process died.
        Interrupted: SIGINT or SIGTERM arrived; the step was finished and a checkpoint written.
    """
    optimizer = make_optimizer(
        network,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        head_lr_factor=settings.head_lr_factor,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    plan = BatchPlan(num_images, settings.batch_size, settings.epochs, seed)
    scheduler = make_scheduler(optimizer, settings.schedule, total_steps=plan.total_steps, power=settings.power)
    state = State()
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
    if checkpoint is not None and checkpoint.exists():
        state = _restore(checkpoint, parts, device)
    plan = replace(plan, start_step=state.step, rank=parallel.rank(), shares=parallel.world_size())
    begun = time.monotonic()
    # Earlier by what other sessions took, so that `seconds` counts those too.
    started = last_saved = begun - state.seconds
    forward = parallel.share_gradients(network, device)

    def save() -> None:
        nonlocal last_saved
        # First: a run would go on from lost weights again and again.
        _check_weights(network, state.step, label)
        state.seconds = time.monotonic() - started
        if checkpoint is not None and parallel.rank() == 0:
            # As a dictionary: `load_state` takes no classes.
            save_state(checkpoint, {**{name: part.state_dict() for name, part in parts.items()}, "state": dict(vars(state))})
        last_saved = time.monotonic()

    network.train()
    with _stop_requests() as stop, _dead_workers(label), _progress(plan, settings.batch_size, label, show_progress) as bar:
        batches = make_loader(plan) if refresh is None else _refreshed(make_loader, plan, refresh, network, stop, save)
        for batch in batches:
            torch.manual_seed(derive_seed(seed, "step", state.step, plan.rank))  # dropout
            values = take_step(network, forward, objective, optimizer, batch, settings.precision, device, state.step, label)
            scheduler.step()
            state.step += 1
            for name, value in values.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
            bar.update(settings.batch_size)
            bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
            if show_progress and plan.rank == 0 and state.step == plan.start_step + PACE_STEPS:
                _say_time(label, plan.total_steps - state.step, (time.monotonic() - begun) / PACE_STEPS)
            if state.step % plan.steps_per_epoch == 0:
                _check_weights(network, state.step, label)
                _finish_epoch(state, plan, optimizer, network, settings, validate)
            finished = state.step == plan.total_steps
            # Processes ask each other at every step: one that stopped alone would leave the others waiting in the next.
            stopped = parallel.on_any_rank(stop()) and not finished
            if stopped or (not finished and time.monotonic() - last_saved > CHECKPOINT_EVERY_S):
                save()
            if stopped:
                where = f"; step {state.step} of {plan.total_steps} is saved" if checkpoint is not None else ""
                raise Interrupted(f"{label}: stopped on request{where}; run the same command again to go on")
    _check_weights(network, state.step, label)
    parallel.share_buffers(network)
    network.eval()
    # Without a step in this session there was no batch.
    if state.step > plan.start_step:
        _check_scores(network, batch, device, label)
    state.seconds = time.monotonic() - started
    return state


def _refreshed(
    make_loader: LoaderFactory,
    plan: BatchPlan,
    refresh: Refresh,
    network: Network,
    stop: Callable[[], bool],
    save: Callable[[], None],
) -> Iterator[Batch]:
    """Yield the batches of `plan`, with a new loader after each refresh, because loader processes hold a copy of the data.

    Each refresh begins with a checkpoint: what it replaces is then never asked for again.
    """
    period_steps = refresh.every_epochs * plan.steps_per_epoch
    step = plan.start_step
    while step < plan.total_steps:
        # There is nothing to lose before the first step.
        if step > 0:
            save()
        # Every process makes a share of what is refreshed, all with the same statistics.
        parallel.share_buffers(network)
        network.eval()
        refresh.make(network, step // period_steps, stop)
        network.train()
        # To the end of the period, which a resumed run enters in the middle.
        count = min(period_steps - step % period_steps, plan.total_steps - step)
        yield from islice(make_loader(replace(plan, start_step=step)), count)
        step += count


def take_step(
    network: Network,
    forward: Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    precision: str,
    device: torch.device,
    step: int,
    label: str,
) -> dict[str, float]:
    """Do one optimisation step and return the named values of the loss.

    `forward` is `network`, or what shares its gradients with other processes; "bf16" is used on a GPU only.

    Raises:
        TrainingError: the loss or its gradient is not finite, or the GPU ran out of memory: the message says how many of the
            images fit, which was tried with whole steps, so that the network is of no use afterwards.
    """
    step_on = partial(_step, network, forward, objective, optimizer, precision, device, step, label)
    try:
        return step_on(batch)
    except torch.cuda.OutOfMemoryError:
        pass  # The error holds on to all that was computed; only behind this block is the memory free for trials.
    count, size = len(batch["image_id"]), "x".join(str(side) for side in batch["image"].shape[-2:])
    fits = _largest_batch(step_on, batch) if parallel.world_size() == 1 else 0  # other processes would wait for the trials
    remedy = f"{fits} fit: set training.<name>.batch_size to {fits}" if fits else "lower training.<name>.batch_size"
    raise TrainingError(f"{label}: the GPU ran out of memory with {count} images of {size} px; {remedy}")


def _step(
    network: Network,
    forward: Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    precision: str,
    device: torch.device,
    step: int,
    label: str,
    batch: Batch,
) -> dict[str, float]:
    on_device = {key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for key, value in batch.items()}
    kept = [one.to(device, non_blocking=True).float() for one in on_device.pop("features", [])]
    if not kept:  # else only the size of the pictures counts
        on_device["image"] = on_device["image"].contiguous(memory_format=torch.channels_last)
    mixed = precision == "bf16" and device.type == "cuda"
    # The network alone: logarithms and sums over pixels, outside, are of float32.
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed), _too_few_for_statistics(batch, label):
        logits = forward(on_device["image"], kept) if kept else forward(on_device["image"])
    loss, parts = objective(logits, on_device)
    # Stacked, so that the device is waited for once. All processes see the same mean, and raise together if it is not finite.
    values = dict(zip(parts, parallel.mean_over_ranks(torch.stack(list(parts.values()))).tolist()))
    if not math.isfinite(values["loss"]):
        culprits = ", ".join(f"{name} = {value:g}" for name, value in values.items() if not math.isfinite(value))
        raise TrainingError(
            f"{label}: the loss is not finite at step {step} ({culprits}); images: {', '.join(batch['image_id'])}. "
            "Look at these images and their supervision, or lower training.<name>.learning_rate"
        )
    # Only behind the check, so that a loss that is not finite has moved nothing.
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    _check_gradients(network, batch, step, label)
    optimizer.step()
    return values


def _largest_batch(step_on: Callable[[Batch], dict[str, float]], batch: Batch) -> int:
    """Return how many images of a batch that is too large fit; 0 for fewer than two, which batch normalisation needs."""
    fits, too_many = 1, len(batch["image_id"])
    while too_many - fits > 1:
        count = (fits + too_many) // 2
        # Memory that is kept from the trial before, in blocks of another size, would count against this one.
        torch.cuda.empty_cache()
        try:
            with suppress(TrainingError):
                step_on({key: _first(key, value, count) for key, value in batch.items()})
            fits = count
        except torch.cuda.OutOfMemoryError:
            too_many = count
    return fits if fits > 1 else 0


def _first(key: str, value: Any, count: int) -> Any:
    """Return the part of a batch's entry that belongs to the first `count` images."""
    return [one[:count] for one in value] if key == "features" else value[:count]


def _check_gradients(network: Network, batch: Batch, step: int, label: str) -> None:
    """Raise TrainingError unless all gradients are finite: weights would be lost, and the next loss would blame other images."""
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    # One number for all: parameters are looked at one by one only when something is wrong.
    if math.isfinite(float(torch.nn.utils.get_total_norm(gradients.values()))):
        return
    broken = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    # None, where finite gradients are so large that their norm overflows.
    if broken:
        raise TrainingError(
            f"{label}: the loss is finite, but not its gradient at step {step} ({len(broken)} of {len(gradients)} parameters, "
            f"such as {broken[-1]}); images: {', '.join(batch['image_id'])}. "
            "Look at these images and their supervision, or lower training.<name>.learning_rate"
        )


def _check_weights(network: Network, step: int, label: str) -> None:
    """Raise TrainingError unless all weights are finite: the loss shows only those before the step."""
    state = network.state_dict()
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise TrainingError(
            f"{label}: {len(broken)} of {len(state)} tensors of weights are not finite after step {step}, such as {broken[0]}; "
            "nothing of this is saved. Lower training.<name>.learning_rate"
        )


@torch.inference_mode()
def _check_scores(network: Network, batch: Batch, device: torch.device, label: str) -> None:
    """Raise TrainingError unless the trained network gives finite scores: the last loss is that of before the last step."""
    kept = [part[:1].to(device).float() for part in batch.get("features", ())]
    image = batch["image"][:1].to(device)
    if not (network(image, kept) if kept else network(image)).isfinite().all():
        raise TrainingError(
            f"{label}: the network's scores are not finite after the last step, on image {batch['image_id'][0]}; "
            "nothing of this is saved. Lower training.<name>.learning_rate"
        )


def _finish_epoch(
    state: State,
    plan: BatchPlan,
    optimizer: torch.optim.Optimizer,
    network: Network,
    settings: Settings,
    validate: Validation | None,
) -> None:
    """Turn the epoch's sums into a row of the history; validate where asked."""
    epoch = state.step // plan.steps_per_epoch
    row = {"epoch": float(epoch), "step": float(state.step), "learning_rate": optimizer.param_groups[0]["lr"]}
    row.update({name: total / plan.steps_per_epoch for name, total in state.sums.items()})
    state.sums = {}
    every = settings.validate_every_epochs
    if validate is not None and every > 0 and (epoch % every == 0 or epoch == settings.epochs):
        # Every process scores a share of the images: they must all be one network.
        parallel.share_buffers(network)
        network.eval()
        metrics = validate(network)
        network.train()
        row.update(metrics)
        metric = next(iter(metrics.values()))
        if metric > state.best_metric:
            state.best_metric = metric
            # A copy: `state_dict` shares its memory with the network, which trains on.
            state.best_weights = copy.deepcopy(network.state_dict())
    state.history.append(row)


def _restore(path: Path, parts: Mapping[str, Any], device: torch.device) -> State:
    saved = load_state(path, device)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return State(**saved["state"])


def _say_time(label: str, steps: int, step_s: float) -> None:
    """Say how long the steps that are left will take, unless they are done soon."""
    if (left_s := steps * step_s) > 20:
        took = f"{left_s / 60:.0f} minutes" if left_s > 100 else f"{left_s:.0f} s"
        tqdm.write(f"{label}: {steps} steps are left, about {took} at this pace")


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into an answer while training, so that a step is never cut in two."""
    flag = Event()

    def request(signum: int, frame: object) -> None:
        flag.set()

    try:
        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the caller handles signals
        yield flag.is_set
        return
    try:
        yield flag.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _too_few_for_statistics(batch: Batch, label: str) -> Iterator[None]:
    """Explain why batch normalisation refuses a single value per channel."""
    try:
        yield
    except ValueError as error:
        # torch has no class of its own for this: its words are all there is.
        if not str(error).startswith("Expected more than 1 value per channel"):
            raise
        count, size = len(batch["image_id"]), "x".join(str(side) for side in batch["image"].shape[-2:])
        raise TrainingError(
            f"{label}: batch normalisation cannot be trained on batches of {count} image of {size} px; take two images or more, "
            "training.<name>.batch_size of at least 2, or a network with `freeze_batch_norm: true`"
        ) from error


@contextmanager
def _dead_workers(label: str) -> Iterator[None]:
    """Explain the end of a loader process, which torch reports wherever the main process happens to be."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        first = str(error).splitlines()[0].strip().rstrip(".")
        raise TrainingError(
            f"{label}: a loader process died ({first}), most often for lack of memory; "
            "lower training.<name>.workers and run the same command again to go on from the last checkpoint"
        ) from error


@contextmanager
def _progress(plan: BatchPlan, batch_size: int, label: str, show: bool) -> Iterator[Any]:
    """Show images done, images per second and time left; in a log file, one line every half minute."""
    total = plan.total_steps * batch_size
    interval_s = 1.0 if sys.stderr.isatty() else 30.0
    with tqdm(
        total=total,
        initial=plan.start_step * batch_size,
        desc=label,
        unit="img",
        disable=not show or plan.rank > 0,
        mininterval=interval_s,
    ) as bar:
        yield bar
