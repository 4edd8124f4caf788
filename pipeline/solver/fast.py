"""This project's own solver: from coarse solutions to the fine one, with few and large steps.

The problem is solved first on blocks of pixels, and that one on blocks of blocks before it, where a step costs a fraction;
the solution gives the next finer descent a start that is right at large scale. All descents are Adam's: momentum, and steps
divided by the recent size of gradients. P_BL and P_CCE, which draw labels into the nearest of many local minima, are kept back at
first: earlier steps go to P_NQ and P_CD, which equal them on hard labels (graduated non-convexity, Blake and Zisserman).

Where the paper's 200 steps end far above the minimum, as on photographs, a dozen or two reach lower energies for every
relaxation. On small and noisy pictures (six sets of 360 problems, made up as those of the tests) none was above theirs by 1 %.
As the paper's weights were tuned with that solver, this is a different method, not just a quicker one. H_Q + P_Q goes to
conjugate gradients.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from pipeline.conventions import VOID, one_hot
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import GRID4, Offset, Offsets
from pipeline.solver.codes import RELAXATION_CODES, UNARY_CODES
from pipeline.solver.conjugate_gradient import solve_conjugate_gradient
from pipeline.solver.descent import Descent, check_descent, grid_term, start_logits
from pipeline.solver.pace import (
    BLOCK_PX,
    COARSE_LENGTH,
    FURTHER_STEPS,
    HURRY,
    LARGEST_FALL,
    LARGEST_PART,
    MOMENTUM,
    PACES,
    PATIENCE,
    SMALLEST_PROB,
    SMALLEST_SIZE,
    SMOOTHER,
    SQUARE_MEMORY,
    coarse_steps,
    rates,
    smooth_steps,
)
from pipeline.solver.solution import (
    Solution,
    check_names,
    check_problem,
    check_weights,
    free_pixels,
    self_labeling_energy,
)


def solve_fast(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    *,
    offsets: Offsets,
    cross_entropy: str,
    relaxation: str,
    unary_weight: float = 0.3,
    pairwise_weight: float = 6.0,
    steps: int | None = None,
    learning_rate: float | None = None,
    tolerance: float = 1e-4,
    half_state: bool = False,
    compiled: bool = True,
    valid: Tensor | None = None,
) -> Solution:
    """Minimise `self_labeling_energy` by descents from coarse to fine; H_Q + P_Q by `solve_conjugate_gradient`.

    Args:
        log_probs: (B, C, H, W), ln sigma, finite. No gradient flows back into it.
        seeds: (B, H, W) int64, `VOID` where there is no seed.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, a key of `RELAXATIONS`.
        unary_weight: eta, >= 0; > 0 for H_Q + P_Q.
        pairwise_weight: lambda, >= 0.
        steps: most fine steps, at least 1; None for those of `PACES`, and up to `FURTHER_STEPS` more for an image whose energy
            still falls. The coarse steps before them cost as much as 0.28 times as many, and two looks at the energy as much as
            one. Not used for H_Q + P_Q, which takes some 40 cheaper steps to its tolerance.
        learning_rate: how far a logit moves in the first step, > 0; None for that of `PACES`. Later ones are shorter, as there,
            or fall to half where `steps` are fewer than there.
        tolerance: relative decrease of an image's energy per step at which it has converged and stays as it is.
        half_state: keep the descent's labels and means in 16 bits, for speed; only on CUDA, where one kernel makes each step.
        compiled: use code compiled for the device where there is some, for names in `pipeline.solver.codes`: float32 on a CPU, or
            on CUDA with Triton. Else torch.
        valid: (B, H, W) bool, pixels with a unary term; None for all. Others without edges keep the prediction.

    Returns:
        The solution in the precision of `log_probs`, at least float32; its trace and steps are those of the fine descent on this
        very energy, after the steps on that of `SMOOTHER`. It is the prediction, seeds put in their place, if nothing of lower
        energy was found. Images do not influence each other.

    Raises:
        ValueError: if a name is unknown, a number out of range, or the shapes do not fit together.
    """
    check_problem(log_probs, seeds, affinity, offsets, valid)
    check_names(cross_entropy, relaxation)
    check_weights(unary_weight, pairwise_weight)
    pace = PACES[cross_entropy]
    further = FURTHER_STEPS if steps is None else 0
    steps = pace.steps if steps is None else steps
    # Fewer steps than the usual ones leave no time to mend a start, nor for another energy before this one.
    hurried = steps < pace.steps
    usual_rate = pace.learning_rate * (HURRY if hurried and relaxation in SMOOTHER else 1)
    learning_rate = usual_rate if learning_rate is None else learning_rate
    check_descent(steps, learning_rate)
    if (cross_entropy, relaxation) == ("quadratic", "q"):
        return solve_conjugate_gradient(
            log_probs,
            seeds,
            affinity,
            offsets=offsets,
            unary_weight=unary_weight,
            pairwise_weight=pairwise_weight,
            tolerance=tolerance,
            valid=valid,
        )
    log_probs = log_probs.detach().to(torch.promote_types(log_probs.dtype, torch.float32)).contiguous()
    names = (cross_entropy, relaxation)
    smallest = SMALLEST_SIZE * max(pairwise_weight, unary_weight)
    early_lengths = rates(0 if hurried else smooth_steps(steps, relaxation), learning_rate)
    early = (cross_entropy, SMOOTHER[relaxation] if early_lengths else relaxation)
    least = steps - len(early_lengths)
    lengths = rates(least, learning_rate, min(pace.last, 1 / 2) if hurried else pace.last, further)
    coarse_rate = learning_rate if hurried else COARSE_LENGTH * learning_rate
    coarse_lengths = [rates(count, coarse_rate) for count in coarse_steps(steps)]
    largest_part = 1.0 if hurried else LARGEST_PART
    compiled = compiled and cross_entropy in UNARY_CODES and relaxation in RELAXATION_CODES
    with torch.no_grad():
        affinity = affinity.to(log_probs.dtype)
        if compiled and log_probs.device.type == "cpu" and log_probs.dtype == torch.float32:
            from pipeline.solver.compiled_fast import solve  # loads a compiler

            weights = (unary_weight, pairwise_weight)
            given = (log_probs, seeds, affinity, valid, offsets, names, weights, lengths, coarse_lengths, smallest, tolerance)
            labels, energies, converged = solve(*given, early, early_lengths, (least, pace.falling), largest_part)
            return Solution(labels, energies[-1], energies.mean(1), len(energies) - 1, converged)
        edges = without_seed_edges(affinity, seeds, offsets).mul_(pairwise_weight)
        unary_scale = unary_weight * free_pixels(seeds, valid).to(log_probs.dtype).unsqueeze(1)
        adam = partial(adam_on, half_state=half_state) if compiled else torch_adam

        def energy(labels: Tensor) -> Tensor:
            return self_labeling_energy(labels, log_probs, seeds, edges, offsets, *names, unary_weight, 1.0, valid)

        plain = start_logits(log_probs, seeds)
        predicted = plain.softmax(1)
        first = energy(predicted)
        logits = _start(log_probs, seeds, edges, offsets, unary_scale, early, adam, coarse_lengths, smallest)
        helps = energy(logits.softmax(1)) < largest_part * first
        logits = logits.where(helps.view(-1, 1, 1, 1), plain)
        if early_lengths:
            descend_adaptively(adam(log_probs, logits, unary_scale, edges, offsets, early), early_lengths, smallest, 0.0)
        problem = adam(log_probs, logits, unary_scale, edges, offsets, names)
        energies, converged = descend_adaptively(problem, lengths, smallest, tolerance, least, pace.falling)
        labels = logits.softmax(1)
        energies[-1] = energy(labels)
        worse = energies[-1] > first
        labels = predicted.where(worse.view(-1, 1, 1, 1), labels)
        energies[-1] = first.where(worse, energies[-1])
    return Solution(labels, energies[-1], energies.mean(1), len(energies) - 1, converged)


class Adam(Protocol):
    """A descent on logits that are overwritten, in torch or as one kernel."""

    def energy(self) -> Tensor:
        """Return the energy at the current logits, (B,)."""

    def step(self, rate: float, momentum: float, memory: float, smallest: float, moving: Tensor | None) -> Tensor:
        """Move the logits of the images in `moving` (B,) bool, None for all, and return the energy before, (B,).

        l <- l - rate m / (sqrt(s) + smallest), m and s being running means of the gradient and of its square.
        """


class TorchAdam:
    """`Adam` in torch, on any device."""

    def __init__(self, problem: Descent, logits: Tensor) -> None:
        """Start at `logits` (B, C, H, W)."""
        self.problem, self.logits = problem, logits
        self.mean, self.square = torch.zeros_like(logits), torch.zeros_like(logits)

    def energy(self) -> Tensor:
        """See `Adam`."""
        return self.problem.evaluate(self.logits)

    def step(self, rate: float, momentum: float, memory: float, smallest: float, moving: Tensor | None) -> Tensor:
        """See `Adam`."""
        energy = self.problem.evaluate(self.logits)
        gradient = self.problem.gradient
        self.mean.lerp_(gradient, 1 - momentum)
        self.square.mul_(memory).addcmul_(gradient, gradient, value=1 - memory)
        if moving is not None and not bool(moving.all()):
            self.mean.mul_(moving.view(-1, 1, 1, 1))
        self.logits.addcdiv_(self.mean, torch.sqrt(self.square, out=self.problem.scratch).add_(smallest), value=-rate)
        return energy


def adam_on(
    log_probs: Tensor,
    logits: Tensor,
    unary_scale: Tensor,
    edges: Tensor,
    offsets: Offsets,
    names: tuple[str, str],
    half_state: bool,
) -> Adam:
    """Return the quickest `Adam` at hand: the fused kernel on CUDA where it works, else torch.

    Args:
        log_probs: (B, C, H, W), ln sigma.
        logits: (B, C, H, W), the start, which is overwritten.
        unary_scale: (B, 1, H, W).
        edges: (B, E, H, W), lambda included.
        offsets: E pairs (dy, dx).
        names: keys of `CROSS_ENTROPIES` and `RELAXATIONS`.
        half_state: keep labels and Adam's state in 16 bits; only the kernel does.
    """
    if log_probs.is_cuda and log_probs.dtype == torch.float32 and fused_kernel_works(log_probs.device):
        from pipeline.solver.triton_kernel import FusedAdam

        return FusedAdam(log_probs, logits, unary_scale, edges, offsets, *names, torch.float16 if half_state else torch.float32)
    return torch_adam(log_probs, logits, unary_scale, edges, offsets, names)


def torch_adam(
    log_probs: Tensor, logits: Tensor, unary_scale: Tensor, edges: Tensor, offsets: Offsets, names: tuple[str, str]
) -> TorchAdam:
    """Return `Adam` in torch; arguments as in `adam_on`."""
    return TorchAdam(Descent(log_probs, unary_scale, names[0], grid_term(edges, offsets, names[1])), logits)


@cache
def fused_kernel_works(device: torch.device) -> bool:
    """Return whether the fused kernel compiles on `device` and agrees with torch on a small problem; warn once if not."""
    if importlib.util.find_spec("triton") is None:
        return False
    shape = (1, 3, 5, 7)
    log_probs = torch.linspace(-1, 1, 105, device=device).sin().view(shape).log_softmax(1)
    scale, edges = torch.full((1, 1, 5, 7), 0.3, device=device), torch.ones(1, 2, 5, 7, device=device)
    problem = Descent(log_probs, scale, "cce", grid_term(edges, GRID4, "cd"))
    expected, _ = descend_adaptively(TorchAdam(problem, log_probs.clone()), rates(3, 0.3), 1e-2, tolerance=0.0)
    try:
        from pipeline.solver.triton_kernel import FusedAdam

        fused = FusedAdam(log_probs, log_probs.clone(), scale, edges, GRID4, "cce", "cd", torch.float32)
        found, _ = descend_adaptively(fused, rates(3, 0.3), 1e-2, tolerance=0.0)
        reason = "" if torch.allclose(found, expected, rtol=1e-3) else f"energies {found.tolist()}, not {expected.tolist()}"
    except Exception as error:  # a compiler, a driver or a GPU too old: torch can still do the work
        reason = f"{type(error).__name__}: {error}"
    if reason:
        warnings.warn(f"solver fast: the fused kernel does not work on {device} ({reason}); using torch", stacklevel=2)
    return not reason


def descend_adaptively(
    problem: Adam,
    lengths: Sequence[float],
    smallest: float,
    tolerance: float,
    least: int | None = None,
    falling: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Take one step of each length, or fewer.

    Args:
        problem: the energy, and where the descent stands.
        lengths: of the steps.
        smallest: size of gradients below which steps shrink with them, > 0.
        tolerance: relative decrease of the energy per step at which an image has come to rest, and stops.
        least: steps after which it stops at a decrease of `falling` already, though not at rest; None for all.
        falling: see `least`.

    Returns:
        All energies, (steps taken + 1, B), and whether each image has come to rest, (B,).
    """
    energies: list[Tensor] = []
    moving: Tensor | None = None
    resting = torch.tensor(False)
    for step, length in enumerate(lengths, start=1):
        energies.append(problem.step(length, MOMENTUM, SQUARE_MEMORY, smallest, moving))
        if step > PATIENCE:
            if moving is None:
                moving = torch.ones_like(energies[-1], dtype=torch.bool)
                resting = ~moving
            resting = resting | (moving & _rests(energies, tolerance))
            moving = moving & ~resting
            if least is not None and step >= least:
                moving = moving & ~_rests(energies, falling)
            if not bool(moving.any()):
                break
    energies.append(problem.energy())
    last = _rests(energies, tolerance)
    return torch.stack(energies), last if moving is None else resting | (moving & last)


def _rests(energies: list[Tensor], tolerance: float) -> Tensor:
    """Return which images' energies have come to rest, (B,) bool; none has before `PATIENCE` steps."""
    if len(energies) <= PATIENCE:
        return torch.zeros_like(energies[-1], dtype=torch.bool)
    lately = torch.stack(energies[-1 - PATIENCE :])
    return lately.amax(0) - lately.amin(0) <= PATIENCE * tolerance * lately[-1].abs()


def coarse_problem(
    probs: Tensor, seeds: Tensor, edges: Tensor, offsets: Offsets, unary_scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, Offsets, Tensor]:
    """Return the problem whose pixels are blocks of `BLOCK_PX` squared; the energy stays a sum over all pixels and edges.

    A block predicts the mean of its free pixels (of all, if none is free), counted as often as there are such pixels. A block
    with a seed is a seed, of the class with most of them. The weight between two blocks is the sum over the edges between
    them; edges within a block vanish.

    Args:
        probs: (B, C, H, W), sigma.
        seeds: (B, H, W) int64.
        edges: (B, E, H, W) >= 0.
        offsets: E pairs (dy, dx).
        unary_scale: (B, 1, H, W) >= 0.

    Returns:
        log_probs, seeds, edges, offsets and unary_scale of the small problem; incomplete blocks at the borders count.
    """
    height, width = seeds.shape[1:]
    frame = (0, -width % BLOCK_PX, 0, -height % BLOCK_PX)
    count = _block_sums(pad(unary_scale, frame))
    mass = torch.where(count > 0, _block_sums(pad(probs * unary_scale, frame)), _block_sums(pad(probs, frame)))
    log_probs = (mass / mass.sum(1, keepdim=True)).clamp(min=SMALLEST_PROB).log()
    votes = _block_sums(pad(one_hot(seeds, probs.shape[1]).to(probs.dtype), frame))
    most, winner = votes.max(1)
    small_seeds = torch.where(most > 0, winner, VOID)
    count = count * (most == 0).unsqueeze(1)
    small_edges, small_offsets = _coarse_edges(pad(edges, frame), offsets)
    return log_probs, small_seeds, without_seed_edges(small_edges, small_seeds, small_offsets), small_offsets, count


def _start(
    log_probs: Tensor,
    seeds: Tensor,
    edges: Tensor,
    offsets: Offsets,
    unary_scale: Tensor,
    names: tuple[str, str],
    adam: Callable[..., Adam],
    coarse_lengths: Sequence[Sequence[float]],
    smallest: float,
) -> Tensor:
    """Return logits to start from: the prediction, changed as the solution of the next coarser problem changes its own.

    `coarse_lengths` are those of the steps of each coarser problem, from fine to coarse.
    """
    start = log_probs
    if coarse_lengths and min(seeds.shape[1:]) >= 2 * BLOCK_PX:
        small = coarse_problem(log_probs.exp(), seeds, edges, offsets, unary_scale)
        small_log_probs, _, small_edges, small_offsets, small_scale = small
        logits = _start(*small, names, adam, coarse_lengths[1:], smallest)
        problem = adam(small_log_probs, logits, small_scale, small_edges, small_offsets, names)
        descend_adaptively(problem, coarse_lengths[0], smallest, 0.0)
        change = _below_largest(logits) - _below_largest(small_log_probs)
        start = log_probs + _spread(change.clamp(min=-LARGEST_FALL), *seeds.shape[1:])
    return start_logits(start, seeds)


def _below_largest(logits: Tensor) -> Tensor:
    return logits - logits.amax(1, keepdim=True)


def _spread(field: Tensor, height: int, width: int) -> Tensor:
    """Return a field of blocks (B, C, h, w) as a smooth one of pixels (B, C, `height`, `width`)."""
    size = (BLOCK_PX * field.shape[2], BLOCK_PX * field.shape[3])
    return interpolate(field.contiguous(), size=size, mode="bilinear", align_corners=False)[..., :height, :width]


def _block_sums(field: Tensor) -> Tensor:
    return BLOCK_PX**2 * avg_pool2d(field, BLOCK_PX)


def _coarse_edges(edges: Tensor, offsets: Offsets) -> tuple[Tensor, Offsets]:
    """Return the weights between blocks and their displacements; `edges` (B, E, H, W), H and W multiples of the block."""
    rows = torch.arange(edges.shape[2], device=edges.device).view(-1, 1) % BLOCK_PX
    columns = torch.arange(edges.shape[3], device=edges.device) % BLOCK_PX
    sums: dict[Offset, Tensor] = {}
    for edge, (dy, dx) in enumerate(offsets):
        # From one block a displacement leads to up to two others along each axis, depending on where in it an edge starts.
        for block_dy in {dy // BLOCK_PX, -(-dy // BLOCK_PX)}:
            for block_dx in {dx // BLOCK_PX, -(-dx // BLOCK_PX)}:
                if (block_dy, block_dx) == (0, 0):
                    continue
                leads_there = ((rows + dy) // BLOCK_PX == block_dy) & ((columns + dx) // BLOCK_PX == block_dx)
                part = _block_sums((edges[:, edge] * leads_there).unsqueeze(1)).squeeze(1)
                sums[block_dy, block_dx] = sums[block_dy, block_dx] + part if (block_dy, block_dx) in sums else part
    return torch.stack(list(sums.values()), dim=1), tuple(sums)
