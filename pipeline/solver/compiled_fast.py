"""`solve_fast` compiled for a CPU core: the edges, the coarse problem, its solution as a start, and the fine descent.

The same in torch stands in `pipeline.solver.fast`; tests compare the two. On small images torch's calls take longer than their
work: around the descents there are some sixty.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from pipeline.conventions import VOID
from pipeline.crf.neighborhoods import Offset, Offsets
from pipeline.solver.codes import RELAXATION_CODES, UNARY_CODES
from pipeline.solver.compiled import descend
from pipeline.solver.pace import (
    BLOCK_PX,
    COARSE_STEPS,
    MOMENTUM,
    PATIENCE,
    SEED_LOGIT,
    SMALLEST_PROB,
    SQUARE_MEMORY,
    rate,
)

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
ZERO = np.float32(0)


def solve(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    valid: Tensor | None,
    offsets: Offsets,
    names: tuple[str, str],
    weights: tuple[float, float],
    steps: int,
    learning_rate: float,
    smallest: float,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve as `pipeline.solver.fast.solve_fast`.

    Args:
        log_probs: (B, C, H, W) float32 on the CPU, contiguous.
        seeds: (B, H, W) int64.
        affinity: (B, E, H, W) float32.
        valid: (B, H, W) bool, or None.
        offsets: E pairs (dy, dx).
        names: keys of `UNARY_CODES` and `RELAXATION_CODES`.
        weights: eta and lambda.
        steps: most fine steps.
        learning_rate: length of a step.
        smallest: size of gradients below which steps shrink with them, > 0.
        tolerance: relative decrease of the energy per step at which an image stops.

    Returns:
        The labels, (B, C, H, W); all energies, (steps taken + 1, B); and whether each image's energy rests, (B,).

    Raises:
        ValueError: a seed is neither a class nor `VOID`.
    """
    shape = log_probs.shape
    fine, probs = log_probs.numpy(), log_probs.exp().numpy()
    hints, shown = seeds.numpy(), np.ones(seeds.shape, np.bool_) if valid is None else valid.numpy()
    edges, scale = np.empty(affinity.shape, np.float32), np.empty(seeds.shape, np.float32)
    displacements = np.array(offsets, np.int64).reshape(-1, 2)
    factors = (np.float32(weights[0]), np.float32(weights[1]))
    _weigh(affinity.numpy(), hints, shown, displacements, *factors, shape[1], edges, scale)
    codes, logits = (RELAXATION_CODES[names[1]], UNARY_CODES[names[0]]), np.empty(shape, np.float32)
    memories = (MOMENTUM, SQUARE_MEMORY, smallest)
    rates = [rate(learning_rate, step) for step in range(1, max(steps, COARSE_STEPS) + 1)]
    if min(shape[2:]) >= 2 * BLOCK_PX:
        small = coarse_problem(probs, hints, edges, offsets, scale)
        change = _change(*small, codes, rates[:COARSE_STEPS], memories)
        rows, columns = (_places(*lengths) for lengths in zip(shape[2:], change.shape[2:], strict=True))
        _interpolate(fine, change, hints, rows, columns, logits)
    else:
        _start(fine, hints, logits)
    labels, energies, rests = descend(
        fine, probs, logits, scale, edges, offsets, codes, rates[:steps], memories, (PATIENCE, tolerance)
    )
    return torch.from_numpy(labels), torch.from_numpy(energies).to(log_probs.dtype), torch.from_numpy(rests)


@njit(**_COMPILED)
def _weigh(
    affinity: np.ndarray,
    seeds: np.ndarray,
    valid: np.ndarray,
    displacements: np.ndarray,
    unary_weight: float,
    pairwise_weight: float,
    classes: int,
    edges: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Write the weights of edges, lambda included and 0 between seeds, and eta at free pixels, else 0."""
    batch, count, height, width = affinity.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                seed = seeds[b, y, x]
                if seed != VOID and not 0 <= seed < classes:
                    raise ValueError("seeds: expected classes or VOID")
                scale[b, y, x] = unary_weight if seed == VOID and valid[b, y, x] else ZERO
        for e in range(count):
            dy, dx = displacements[e]
            for y in range(height):
                inside = 0 <= y + dy < height
                for x in range(width):
                    joined = inside and 0 <= x + dx < width and seeds[b, y, x] != VOID and seeds[b, y + dy, x + dx] != VOID
                    edges[b, e, y, x] = ZERO if joined else pairwise_weight * affinity[b, e, y, x]


@njit(**_COMPILED)
def _sum_blocks(
    probs: np.ndarray,
    seeds: np.ndarray,
    scale: np.ndarray,
    side: int,
    means: np.ndarray,
    small_seeds: np.ndarray,
    count: np.ndarray,
) -> None:
    """Do one image: fields are (C, H, W) and (H, W), of pixels or of blocks."""
    classes, height, width = probs.shape
    weighted, plain = np.empty(width, np.float32), np.empty(width, np.float32)
    votes = np.empty(classes, np.int64)
    for row in range(len(small_seeds)):
        low, high = row * side, min((row + 1) * side, height)
        for column in range(small_seeds.shape[1]):
            count[row, column] = ZERO
            votes[:] = 0
            for y in range(low, high):
                for x in range(column * side, min((column + 1) * side, width)):
                    count[row, column] += scale[y, x]
                    if seeds[y, x] != VOID:
                        votes[seeds[y, x]] += 1
            winner, most = VOID, 0
            for c in range(classes):
                if votes[c] > most:
                    winner, most = c, votes[c]
            small_seeds[row, column] = winner
        for c in range(classes):
            weighted[:] = ZERO
            plain[:] = ZERO
            for y in range(low, high):
                for x in range(width):
                    weighted[x] += scale[y, x] * probs[c, y, x]
                    plain[x] += probs[c, y, x]
            for column in range(small_seeds.shape[1]):
                chosen = weighted if count[row, column] > 0 else plain
                total = ZERO
                for x in range(column * side, min((column + 1) * side, width)):
                    total += chosen[x]
                means[c, row, column] = total
        for column in range(small_seeds.shape[1]):
            mass = ZERO
            for c in range(classes):
                mass += means[c, row, column]
            for c in range(classes):
                means[c, row, column] /= mass
            if small_seeds[row, column] != VOID:
                count[row, column] = ZERO


@njit(**_COMPILED)
def _sum_edges(edges: np.ndarray, slots: np.ndarray, ends: np.ndarray, small_seeds: np.ndarray, small: np.ndarray) -> None:
    """Do one image: `slots` (E, side, side) says to which of `small` (K, h, w), 0 at first, an edge counts, or -1."""
    side = slots.shape[1]
    _, height, width = edges.shape
    rows, columns = small_seeds.shape
    for e in range(len(edges)):
        for y in range(side):
            for x in range(side):
                slot = slots[e, y, x]
                if slot >= 0:
                    for row in range(-(-(height - y) // side)):
                        for column in range(-(-(width - x) // side)):
                            small[slot, row, column] += edges[e, row * side + y, column * side + x]
    for slot in range(len(small)):
        dy, dx = ends[slot]
        for y in range(max(0, -dy), min(rows, rows - dy)):
            for x in range(max(0, -dx), min(columns, columns - dx)):
                if small_seeds[y, x] != VOID and small_seeds[y + dy, x + dx] != VOID:
                    small[slot, y, x] = ZERO


@njit(**_COMPILED)
def _coarsen(
    probs: np.ndarray,
    seeds: np.ndarray,
    edges: np.ndarray,
    scale: np.ndarray,
    slots: np.ndarray,
    ends: np.ndarray,
    means: np.ndarray,
    small_seeds: np.ndarray,
    small_edges: np.ndarray,
    count: np.ndarray,
) -> None:
    for b in range(len(probs)):
        _sum_blocks(probs[b], seeds[b], scale[b], slots.shape[1], means[b], small_seeds[b], count[b])
        _sum_edges(edges[b], slots, ends, small_seeds[b], small_edges[b])


def coarse_problem(
    probs: np.ndarray, seeds: np.ndarray, edges: np.ndarray, offsets: Offsets, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Offsets, np.ndarray]:
    """Return the problem whose pixels are blocks, as `pipeline.solver.fast.coarse_problem`.

    Args:
        probs: (B, C, H, W) float32, sigma.
        seeds: (B, H, W) int64, each a class or `VOID`.
        edges: (B, E, H, W) float32 >= 0.
        offsets: E pairs (dy, dx).
        scale: (B, H, W) float32 >= 0.
    """
    batch, classes, height, width = probs.shape
    blocks = (-(-height // BLOCK_PX), -(-width // BLOCK_PX))
    ends, slots = _coarse_displacements(offsets)
    means, count = np.empty((batch, classes, *blocks), np.float32), np.empty((batch, *blocks), np.float32)
    small_seeds, small_edges = np.empty((batch, *blocks), np.int64), np.zeros((batch, len(ends), *blocks), np.float32)
    displacements = np.array(ends, np.int64).reshape(-1, 2)
    _coarsen(probs, seeds, edges, scale, slots, displacements, means, small_seeds, small_edges, count)
    return np.log(np.maximum(means, np.float32(SMALLEST_PROB))), small_seeds, small_edges, ends, count


@cache
def _coarse_displacements(offsets: Offsets) -> tuple[Offsets, np.ndarray]:
    """Return the displacements between blocks, K pairs, and which of them an edge crosses by where in its block it starts.

    The second is (E, BLOCK_PX, BLOCK_PX) int64: an index, or -1 for an edge that stays within its block.
    """
    found: dict[Offset, int] = {}
    slots = np.full((len(offsets), BLOCK_PX, BLOCK_PX), -1)
    for edge, (dy, dx) in enumerate(offsets):
        for y in range(BLOCK_PX):
            for x in range(BLOCK_PX):
                end = ((y + dy) // BLOCK_PX, (x + dx) // BLOCK_PX)
                if end != (0, 0):
                    slots[edge, y, x] = found.setdefault(end, len(found))
    return tuple(found), slots


@njit(**_COMPILED)
def _interpolate(
    log_probs: np.ndarray, change: np.ndarray, seeds: np.ndarray, rows: np.ndarray, columns: np.ndarray, logits: np.ndarray
) -> None:
    """Write the prediction plus the field `change` of blocks, made smooth, and at seeds the logits of one-hot labels."""
    batch, classes, height, width = log_probs.shape
    blocks = change.shape[2:]
    wide = np.empty((blocks[0], width), np.float32)
    for b in range(batch):
        for c in range(classes):
            for row in range(blocks[0]):
                coarse = change[b, c, row]
                for x in range(width):
                    before = int(columns[x])
                    step = coarse[min(before + 1, blocks[1] - 1)] - coarse[before]
                    wide[row, x] = coarse[before] + (columns[x] - np.float32(before)) * step
            for y in range(height):
                above = int(rows[y])
                part = rows[y] - np.float32(above)
                upper, lower = wide[above], wide[min(above + 1, blocks[0] - 1)]
                fine, logit = log_probs[b, c, y], logits[b, c, y]
                for x in range(width):
                    logit[x] = fine[x] + (upper[x] + part * (lower[x] - upper[x]))
        for y in range(height):
            for x in range(width):
                if seeds[b, y, x] != VOID:
                    for c in range(classes):
                        logits[b, c, y, x] = ZERO if c == seeds[b, y, x] else -np.inf


def _places(length: int, blocks: int) -> np.ndarray:
    """Return where the pixels along an axis lie among the centres of blocks."""
    return ((np.arange(length) + 0.5) / BLOCK_PX - 0.5).clip(0, blocks - 1).astype(np.float32)


def _change(
    log_probs: np.ndarray,
    seeds: np.ndarray,
    edges: np.ndarray,
    offsets: Offsets,
    scale: np.ndarray,
    codes: tuple[int, int],
    rates: list[float],
    memories: tuple[float, float, float],
) -> np.ndarray:
    """Return how logits change from the prediction of blocks to a good solution of their problem; (B, C, h, w), finite."""
    logits = np.empty_like(log_probs)
    _start(log_probs, seeds, logits)
    descend(log_probs, np.exp(log_probs), logits, scale, edges, offsets, codes, rates, memories, (PATIENCE, 0.0))
    _subtract(log_probs, seeds, np.float32(SEED_LOGIT), logits)
    return logits


@njit(**_COMPILED)
def _start(log_probs: np.ndarray, seeds: np.ndarray, logits: np.ndarray) -> None:
    """Write the prediction, and at seeds the logits of one-hot labels."""
    logits[:] = log_probs
    batch, classes, height, width = log_probs.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if seeds[b, y, x] != VOID:
                    for c in range(classes):
                        logits[b, c, y, x] = ZERO if c == seeds[b, y, x] else -np.inf


@njit(**_COMPILED)
def _subtract(log_probs: np.ndarray, seeds: np.ndarray, seed_logit: float, logits: np.ndarray) -> None:
    """Subtract the prediction from `logits`, those of seeds being `seed_logit` for the class and 0 for others."""
    batch, classes, height, width = log_probs.shape
    for b in range(batch):
        for c in range(classes):
            for y in range(height):
                for x in range(width):
                    logit = logits[b, c, y, x]
                    if seeds[b, y, x] != VOID:
                        logit = seed_logit if c == seeds[b, y, x] else ZERO
                    logits[b, c, y, x] = logit - log_probs[b, c, y, x]
