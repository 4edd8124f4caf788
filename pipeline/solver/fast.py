"""This project's own solver: from coarse solutions to the fine one, with few and large steps.

The problem is solved first on blocks of pixels, and that one on blocks of blocks before it, where a step costs a fraction;
the solution gives the next finer descent a start that is right at large scale. All descents are Adam's: momentum, and steps
divided by the recent size of gradients. P_BL and P_CCE, which draw labels into the nearest of many local minima, are kept back at
first: earlier steps go to P_NQ and P_CD, which equal them on hard labels (graduated non-convexity, Blake and Zisserman).

Where the paper's 200 steps end far above the minimum, as on photographs, a dozen or two reach lower energies for every
relaxation. On small and noisy pictures (six sets of 360 problems, made up as those of the tests) none was above theirs by 1 %.
As the paper's weights were tuned with that solver, this is a different method, not just a quicker one. H_Q + P_Q has a solver
of its own, conjugate gradients.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from pipeline.conventions import VOID, one_hot
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import GRID4, Offset, Offsets
from pipeline.solver.descent import Descent, grid_term, start_logits
from pipeline.solver.pace import (
    BLOCK_PX,
    LARGEST_FALL,
    MOMENTUM,
    PATIENCE,
    SMALLEST_PROB,
    SMALLEST_SIZE,
    SQUARE_MEMORY,
    Descended,
    Plan,
    Schedule,
    rates,
)
from pipeline.solver.problem import SMALLEST_WEIGHT, Problem, check_descent
from pipeline.solver.solution import Solution, energy_on


def solve_fast(
    problem: Problem,
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    tolerance: float = 1e-4,
    half_state: bool = False,
    compiled: bool = True,
) -> Solution:
    """Minimise `self_labeling_energy` by descents from coarse to fine.

    Args:
        problem: on edges; any H and P but H_Q with P_Q.
        steps: most fine steps, at least 1; None for those of `PACES`, and up to `FURTHER_STEPS` more for an image whose energy
            still falls. The coarse steps before them cost as much as 0.28 times as many, and two looks at the energy as much as
            one.
        learning_rate: how far a logit moves in the first step, > 0; None for that of `PACES`. Later ones are shorter, as there,
            or fall to half where `steps` are fewer than there.
        tolerance: relative decrease of an image's energy per step at which it has converged and stays as it is.
        half_state: keep the descent's labels and means in 16 bits, for speed; only on CUDA, where one kernel makes each step.
        compiled: use code compiled for the device where there is some (`pipeline.solver.backends`) that knows H and P: float32
            on a CPU, or on CUDA with Triton. Else torch.

    Returns:
        The solution; its trace and steps are those of the fine descent on this very energy, after the steps on that of
        `SMOOTHER`. It is the prediction, seeds put in their place, if nothing of lower energy was found. Images do not influence
        each other.

    Raises:
        ValueError: H_Q with P_Q, for which conjugate gradients are quicker and exact; a number out of range; or the
            neighbourhood is a kernel.
    """
    names = (problem.cross_entropy, problem.relaxation)
    if names == ("quadratic", "q"):
        raise ValueError("solver fast: H_Q with P_Q is a linear system; take the solver 'conjugate_gradient'")
    # None stands for numbers of `PACES`, which need no check.
    check_descent(1 if steps is None else steps, 1.0 if learning_rate is None else learning_rate, tolerance)
    # In proportion to the weights, so that eta and lambda times ten give the same labels; not 0 where both are.
    smallest = SMALLEST_SIZE * max(problem.pairwise_weight, problem.unary_weight, SMALLEST_WEIGHT)
    plan = Plan.of(names, smallest, tolerance, steps, learning_rate)
    with torch.no_grad():
        labels, energies, converged = _backend(problem, compiled, half_state)(problem, plan)
    return Solution(labels, energies[-1], energies.mean(1), len(energies) - 1, converged)


def _backend(problem: Problem, compiled: bool, half_state: bool) -> Callable[[Problem, Plan], Descended]:
    """Return the quickest code at hand that solves the problem."""
    names = (problem.cross_entropy, problem.relaxation)
    device, single = problem.log_probs.device, problem.log_probs.dtype == torch.float32
    if compiled and single and device.type == "cpu":
        from pipeline.solver.backends import numba_fast  # loads a compiler

        if numba_fast.knows(*names):
            return numba_fast.solve
    if compiled and single and device.type == "cuda" and fused_kernel_works(device):
        from pipeline.solver.backends import triton_descent

        if triton_descent.knows(*names):
            # Only labels, means and roots: logits, edges and all sums stay in float32.
            state = torch.float16 if half_state else torch.float32
            return partial(_solve_by_steps, adam=partial(triton_descent.FusedAdam, state=state))
    return partial(_solve_by_steps, adam=torch_adam)


def _solve_by_steps(problem: Problem, plan: Plan, adam: Callable[[Level, Tensor], Adam]) -> Descended:
    """Solve with each step a call of `adam`, which is made from a level and the logits to start from."""
    edges = problem.pairwise_scale()
    names = (problem.cross_entropy, problem.relaxation)
    level = Level(problem.log_probs, problem.seeds, edges, problem.edges.offsets, problem.unary_scale, names)
    early = level._replace(names=(problem.cross_entropy, plan.relaxation))
    # The prediction itself: what every other start, and the end, has to beat.
    plain = start_logits(problem.log_probs, problem.seeds)
    predicted = plain.softmax(1)
    # These energies have the floor under labels: so they can be compared with those of other solvers.
    first = energy_on(edges, predicted, problem)
    logits = _start(early, plan.coarser, adam)
    # Judged by the energy that was asked for, not by the one that the coarse problems minimised.
    helps = energy_on(edges, logits.softmax(1), problem) < plan.largest_part * first
    logits = logits.where(helps.view(-1, 1, 1, 1), plain)
    # First an energy with fewer local minima, then the one that was asked for.
    if plan.early.lengths:
        # Overwrites `logits`, from which the fine descent goes on, with means of its own.
        descend_adaptively(adam(early, logits), plan.early)
    energies, converged = descend_adaptively(adam(level, logits), plan.fine)
    labels = logits.softmax(1)
    # With the floor, like `first`: the last energy of the trace is that of the solution.
    energies[-1] = energy_on(edges, labels, problem)
    # A descent may end above where it began, or, with a state of 16 bits, at nan; nothing worse than the prediction is returned.
    worse = ~(energies[-1] <= first)
    labels = predicted.where(worse.view(-1, 1, 1, 1), labels)
    energies[-1] = first.where(worse, energies[-1])
    return Descended(labels, energies, converged)


class Level(NamedTuple):
    """One of the problems from coarse to fine: its pixels are pixels, or blocks of them.

    Attributes:
        log_probs: (B, C, H, W), ln sigma.
        seeds: (B, H, W) int64.
        edges: (B, E, H, W) >= 0, lambda included; 0 between seeds.
        offsets: E pairs (dy, dx).
        unary_scale: (B, 1, H, W) >= 0: eta times the number of free pixels in a pixel or block.
        names: keys of `CROSS_ENTROPIES` and `RELAXATIONS`.
    """

    log_probs: Tensor
    seeds: Tensor
    edges: Tensor
    offsets: Offsets
    unary_scale: Tensor
    names: tuple[str, str]


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
        # m <- momentum m + (1 - momentum) g;  s <- memory s + (1 - memory) g^2;  l <- l - rate m / (sqrt(s) + smallest)
        self.mean.lerp_(gradient, 1 - momentum)
        self.square.mul_(memory).addcmul_(gradient, gradient, value=1 - memory)
        if moving is not None and not bool(moving.all()):
            self.mean.mul_(moving.view(-1, 1, 1, 1))  # an image at rest has no mean left to follow
        # smallest > 0: at seeds, where all gradients are 0, the step is 0 and not 0 / 0.
        self.logits.addcdiv_(self.mean, torch.sqrt(self.square, out=self.problem.scratch).add_(smallest), value=-rate)
        return energy


def torch_adam(level: Level, logits: Tensor) -> TorchAdam:
    """Return `Adam` in torch, which starts at `logits` (B, C, H, W) and overwrites them."""
    cross_entropy, relaxation = level.names
    pairwise = grid_term(level.edges, level.offsets, relaxation)
    return TorchAdam(Descent(level.log_probs, level.unary_scale, cross_entropy, pairwise), logits)


@cache
def fused_kernel_works(device: torch.device) -> bool:
    """Return whether the fused kernel compiles on `device` and agrees with torch on a small problem; warn once if not."""
    if importlib.util.find_spec("triton") is None:
        return False
    # Sides that are no multiple of the kernel's block, so that its masks are tried too.
    shape = (1, 3, 5, 7)
    # Numbers by formula: no generator of random ones, whose state is the caller's, moves on.
    log_probs = torch.linspace(-1, 1, 105, device=device).sin().view(shape).log_softmax(1)
    scale, edges = torch.full((1, 1, 5, 7), 0.3, device=device), torch.ones(1, 2, 5, 7, device=device)
    seeds = torch.full((1, 5, 7), VOID, device=device)
    # H_CCE + P_CD: logarithm, root, quotient and floor, all that the other formulas consist of.
    level = Level(log_probs, seeds, edges, GRID4, scale, ("cce", "cd"))
    # A few steps in torch, which the kernel has to repeat.
    schedule = Schedule(rates(3, 0.3), smallest=1e-2)
    expected, _ = descend_adaptively(torch_adam(level, log_probs.clone()), schedule)
    try:
        from pipeline.solver.backends.triton_descent import FusedAdam

        # A clone for each, as a descent overwrites its logits.
        fused = FusedAdam(level, log_probs.clone())
        found, _ = descend_adaptively(fused, schedule)
        reason = "" if torch.allclose(found, expected, rtol=1e-3) else f"energies {found.tolist()}, not {expected.tolist()}"
    except Exception as error:  # a compiler, a driver or a GPU too old: torch can still do the work
        reason = f"{type(error).__name__}: {error}"
    if reason:
        warnings.warn(f"solver fast: the fused kernel does not work on {device} ({reason}); using torch", stacklevel=2)
    return not reason


def descend_adaptively(problem: Adam, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Take one step of each length, or fewer.

    Returns:
        All energies, (steps taken + 1, B), and whether each image has come to rest, (B,).
    """
    energies: list[Tensor] = []
    moving: Tensor | None = None
    resting = torch.tensor(False)
    for step, length in enumerate(schedule.lengths, start=1):
        energies.append(problem.step(length, MOMENTUM, SQUARE_MEMORY, schedule.smallest, moving))
        # An image that has stopped stays as it is; once all have, the descent ends.
        # In the first steps none can: they ask no GPU for a result, which would be to wait for it.
        if step > PATIENCE:
            if moving is None:
                moving = torch.ones_like(energies[-1], dtype=torch.bool)
                resting = ~moving
            # Only those still moving: one that was stopped while falling keeps its energy, and would now seem to rest.
            resting = resting | (moving & _rests(energies, schedule.tolerance))
            moving = moving & ~resting
            if step >= schedule.least:
                moving = moving & ~_rests(energies, schedule.falling)
            if not bool(moving.any()):
                break
    # Each step gave the energy before it; this is the one after the last.
    energies.append(problem.energy())
    last = _rests(energies, schedule.tolerance)
    return torch.stack(energies), last if moving is None else resting | (moving & last)


def _rests(energies: list[Tensor], tolerance: float) -> Tensor:
    """Return which images' energies have come to rest, (B,) bool; none has before `PATIENCE` steps."""
    if len(energies) <= PATIENCE:
        return torch.zeros_like(energies[-1], dtype=torch.bool)
    # max - min over the last steps against the tolerance of each of them
    # One energy more than steps: before the first of them and after each.
    lately = torch.stack(energies[-1 - PATIENCE :])
    return lately.amax(0) - lately.amin(0) <= PATIENCE * tolerance * lately[-1].abs()


def coarse_problem(level: Level) -> Level:
    """Return the problem whose pixels are blocks of `BLOCK_PX` squared; the energy stays a sum over all pixels and edges.

    A block predicts the mean of its free pixels (of all, if none is free), counted as often as there are such pixels. A block
    with a seed is a seed, of the class with most of them. The weight between two blocks is the sum over the edges between
    them; edges within a block vanish. Incomplete blocks at the borders count.
    """
    probs, unary_scale = level.log_probs.exp(), level.unary_scale
    # Fill the last blocks with nothing: no weight, no edges, no seed.
    height, width = level.seeds.shape[1:]
    frame = (0, -width % BLOCK_PX, 0, -height % BLOCK_PX)
    # eta times the number of free pixels in each block
    count = _block_sums(pad(unary_scale, frame))
    # sum_{i in block} scale_i sigma_i: free pixels only, if there are any
    mass = torch.where(count > 0, _block_sums(pad(probs * unary_scale, frame)), _block_sums(pad(probs, frame)))
    # Divided by its own sum, which takes eta and the number of pixels out again.
    log_probs = (mass / mass.sum(1, keepdim=True)).clamp(min=SMALLEST_PROB).log()
    votes = _block_sums(pad(one_hot(level.seeds, probs.shape[1]).to(probs.dtype), frame))
    most, winner = votes.max(1)
    seeds = torch.where(most > 0, winner, VOID)
    # A block with a seed is one, and no longer free.
    count = count * (most == 0).unsqueeze(1)
    edges, offsets = _coarse_edges(pad(level.edges, frame), level.offsets)
    return Level(log_probs, seeds, without_seed_edges(edges, seeds, offsets), offsets, count, level.names)


def _start(level: Level, coarser: list[Schedule], adam: Callable[[Level, Tensor], Adam]) -> Tensor:
    """Return logits to start from: the prediction, changed as the solution of the next coarser problem changes its own."""
    start = level.log_probs
    if coarser and min(level.seeds.shape[1:]) >= 2 * BLOCK_PX:
        # Solve the coarse problem first; what matters is how it changes its own prediction.
        small = coarse_problem(level)
        logits = _start(small, coarser[1:], adam)
        descend_adaptively(adam(small, logits), coarser[0])
        change = _below_largest(logits) - _below_largest(small.log_probs)
        # Borders of blocks are not those of things: no class is ruled out by more than `LARGEST_FALL`.
        # The bound also takes the -inf of seeds out of the field, which would spread to the pixels around.
        start = level.log_probs + _spread(change.clamp(min=-LARGEST_FALL), *level.seeds.shape[1:])
    return start_logits(start, level.seeds)


def _below_largest(logits: Tensor) -> Tensor:
    # softmax(l + const) = softmax(l): two fields can be compared once the largest is 0 in both.
    return logits - logits.amax(1, keepdim=True)


def _spread(field: Tensor, height: int, width: int) -> Tensor:
    """Return a field of blocks (B, C, h, w) as a smooth one of pixels (B, C, `height`, `width`)."""
    # All blocks whole, then cut: to the size of the picture they would be squeezed where the last ones are incomplete.
    size = (BLOCK_PX * field.shape[2], BLOCK_PX * field.shape[3])
    return interpolate(field.contiguous(), size=size, mode="bilinear", align_corners=False)[..., :height, :width]


def _block_sums(field: Tensor) -> Tensor:
    return BLOCK_PX**2 * avg_pool2d(field, BLOCK_PX)


def _coarse_edges(edges: Tensor, offsets: Offsets) -> tuple[Tensor, Offsets]:
    """Return the weights between blocks and their displacements; `edges` (B, E, H, W), H and W multiples of the block."""
    # Where in its block each pixel lies
    rows = torch.arange(edges.shape[2], device=edges.device).view(-1, 1) % BLOCK_PX
    columns = torch.arange(edges.shape[3], device=edges.device) % BLOCK_PX
    sums: dict[Offset, Tensor] = {}
    for edge, (dy, dx) in enumerate(offsets):
        # From one block a displacement leads to up to two others along each axis, depending on where in it an edge starts.
        for block_dy in {dy // BLOCK_PX, -(-dy // BLOCK_PX)}:
            for block_dx in {dx // BLOCK_PX, -(-dx // BLOCK_PX)}:
                # Within a block both ends have one label: left out, as on hard labels it costs nothing.
                if (block_dy, block_dx) == (0, 0):
                    continue
                leads_there = ((rows + dy) // BLOCK_PX == block_dy) & ((columns + dx) // BLOCK_PX == block_dx)
                # Several displacements may lead to the same block: their weights add up.
                part = _block_sums((edges[:, edge] * leads_there).unsqueeze(1)).squeeze(1)
                sums[block_dy, block_dx] = sums[block_dy, block_dx] + part if (block_dy, block_dx) in sums else part
    # Never empty: any displacement but (0, 0) leads out of its block from somewhere.
    return torch.stack(list(sums.values()), dim=1), tuple(sums)
