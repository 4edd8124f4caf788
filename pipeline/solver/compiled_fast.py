"""`solve_fast` compiled for a CPU core: the edges, the coarser problems, their solutions as a start, and the fine descent.

The same in torch stands in `pipeline.solver.fast`; tests compare the two. On small images torch's calls take longer than their
work: around the descents there are some hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from pipeline.conventions import VOID
from pipeline.crf.neighborhoods import Offset, Offsets
from pipeline.solver.codes import RELAXATION_CODES, UNARY_CODES
from pipeline.solver.compiled import COMPILED, descend
from pipeline.solver.pace import BLOCK_PX, LARGEST_FALL, MOMENTUM, PATIENCE, SMALLEST_PROB, SQUARE_MEMORY

ZERO = np.float32(0)
REST = (PATIENCE, 0.0, 0, 0.0)
"""Of descents that take all their steps, unless nothing changes any more."""
NEAR, FAR = np.float32(3 / 4), np.float32(1 / 4)
"""Parts of a pixel's own block and of the next one, in a field made smooth: code below takes `BLOCK_PX` for 2."""


def solve(
    log_probs: Tensor,
    seeds: Tensor,
    affinity: Tensor,
    valid: Tensor | None,
    offsets: Offsets,
    names: tuple[str, str],
    weights: tuple[float, float],
    lengths: Sequence[float],
    coarse_lengths: Sequence[Sequence[float]],
    smallest: float,
    tolerance: float,
    early_names: tuple[str, str],
    early_lengths: Sequence[float],
    pace: tuple[int, float],
    largest_part: float,
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
        lengths: of the fine steps.
        coarse_lengths: of the steps of each coarser problem, from fine to coarse.
        smallest: size of gradients below which steps shrink with them, > 0.
        tolerance: relative decrease of the energy per step at which an image has come to rest, and stops.
        early_names: those of the energy that coarser problems, and the first fine steps, minimise.
        early_lengths: of these steps.
        pace: how many of `lengths` an image takes at least, and the decrease at which it stops after them.
        largest_part: of the prediction's energy to which the coarse solution must bring it down to be the start.

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
    codes = (RELAXATION_CODES[names[1]], UNARY_CODES[names[0]])
    early = (RELAXATION_CODES[early_names[1]], codes[1])
    memories = (MOMENTUM, SQUARE_MEMORY, smallest)
    plain = fine.copy()
    _set_seeds(hints, plain)
    predicted, first, _ = descend(fine, probs, plain, scale, edges, offsets, codes, [], memories, REST)
    logits = _start(fine, probs, hints, edges, offsets, scale, early, coarse_lengths, memories)
    helps = descend(fine, probs, logits, scale, edges, offsets, codes, [], memories, REST)[1][-1] < largest_part * first[-1]
    logits[~helps] = plain[~helps]
    if early_lengths:
        descend(fine, probs, logits, scale, edges, offsets, early, early_lengths, memories, REST)
    labels, energies, rests = descend(
        fine, probs, logits, scale, edges, offsets, codes, lengths, memories, (PATIENCE, tolerance, *pace)
    )
    worse = energies[-1] > first[-1]
    labels[worse], energies[-1, worse] = predicted[worse], first[-1, worse]
    return torch.from_numpy(labels), torch.from_numpy(energies).to(log_probs.dtype), torch.from_numpy(rests)


@njit(**COMPILED)
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


@njit(**COMPILED)
def _sum_squares(values: np.ndarray, width: int, scratch: np.ndarray, sums: np.ndarray) -> None:
    """Write the sums of squares of 2 by 2 in a field of even sides, pixels in rows."""
    for row in range(len(values) // (2 * width)):
        for x in range(width):
            scratch[row * width + x] = values[2 * row * width + x] + values[(2 * row + 1) * width + x]
    for block in range(len(sums)):
        sums[block] = scratch[2 * block] + scratch[2 * block + 1]


@njit(**COMPILED)
def _sum_blocks(
    probs: np.ndarray,
    seeds: np.ndarray,
    scale: np.ndarray,
    width: int,
    means: np.ndarray,
    small_seeds: np.ndarray,
    count: np.ndarray,
) -> None:
    """Do one image: fields are (C, N) and (N,), of pixels or of blocks in rows."""
    classes, pixels = probs.shape
    weighted, scratch = np.empty(pixels, np.float32), np.empty(pixels // 2, np.float32)
    plain, mass = np.empty_like(count), np.zeros_like(count)
    _sum_squares(scale, width, scratch, count)
    for c in range(classes):
        values, sums = probs[c], means[c]
        for pixel in range(pixels):
            weighted[pixel] = scale[pixel] * values[pixel]
        _sum_squares(weighted, width, scratch, sums)
        _sum_squares(values, width, scratch, plain)
        for block in range(len(count)):
            sums[block] = sums[block] if count[block] > ZERO else plain[block]
            mass[block] += sums[block]
    for c in range(classes):
        sums = means[c]
        for block in range(len(count)):
            sums[block] /= mass[block]
    small_seeds[:] = VOID
    votes = np.zeros((len(count), classes), np.int8)
    for again in range(2):
        for pixel in range(pixels):
            seed = seeds[pixel]
            if seed == VOID:
                continue
            block = pixel // (2 * width) * (width // 2) + pixel % width // 2
            if not again:
                votes[block, seed] += 1
                count[block] = ZERO
                continue
            best = small_seeds[block]
            if best == VOID or (votes[block, seed], best) > (votes[block, best], seed):
                small_seeds[block] = seed


@njit(**COMPILED)
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


@njit(**COMPILED)
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
    batch, classes, height, width = probs.shape
    blocks = height * width // 4
    for b in range(batch):
        pixels = (probs[b].reshape(classes, height * width), seeds[b].reshape(height * width), scale[b].reshape(height * width))
        of_blocks = (means[b].reshape(classes, blocks), small_seeds[b].reshape(blocks), count[b].reshape(blocks))
        _sum_blocks(*pixels, width, *of_blocks)
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
    if seeds.shape[1] % BLOCK_PX or seeds.shape[2] % BLOCK_PX:
        frame = ((0, -seeds.shape[1] % BLOCK_PX), (0, -seeds.shape[2] % BLOCK_PX))
        probs, edges = (np.pad(field, ((0, 0), (0, 0), *frame)) for field in (probs, edges))
        seeds, scale = np.pad(seeds, ((0, 0), *frame), constant_values=VOID), np.pad(scale, ((0, 0), *frame))
    batch, classes, height, width = probs.shape
    blocks = (height // BLOCK_PX, width // BLOCK_PX)
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


@njit(**COMPILED)
def _interpolate(log_probs: np.ndarray, change: np.ndarray, seeds: np.ndarray, logits: np.ndarray) -> None:
    """Write the prediction plus the field `change` of blocks, made smooth, and at seeds the logits of one-hot labels."""
    batch, classes, height, width = log_probs.shape
    rows, columns = change.shape[2:]
    wide = np.empty((rows, 2 * columns), np.float32)
    for b in range(batch):
        for c in range(classes):
            coarse = change[b, c]
            for row in range(rows):
                last = columns - 1
                wide[row, 0], wide[row, 2 * last + 1] = coarse[row, 0], coarse[row, last]
                for column in range(last):
                    wide[row, 2 * column + 1] = NEAR * coarse[row, column] + FAR * coarse[row, column + 1]
                    wide[row, 2 * column + 2] = FAR * coarse[row, column] + NEAR * coarse[row, column + 1]
            for y in range(height):
                near, far = y // 2, min(max(y // 2 - 1 + 2 * (y % 2), 0), rows - 1)
                for x in range(width):
                    logits[b, c, y, x] = log_probs[b, c, y, x] + (NEAR * wide[near, x] + FAR * wide[far, x])
    _set_seeds(seeds, logits)


def _start(
    log_probs: np.ndarray,
    probs: np.ndarray,
    seeds: np.ndarray,
    edges: np.ndarray,
    offsets: Offsets,
    scale: np.ndarray,
    codes: tuple[int, int],
    coarse_lengths: Sequence[Sequence[float]],
    memories: tuple[float, float, float],
) -> np.ndarray:
    """Return logits to start from, as `pipeline.solver.fast`: (B, C, H, W)."""
    if not coarse_lengths or min(seeds.shape[1:]) < 2 * BLOCK_PX:
        logits = log_probs.copy()
        _set_seeds(seeds, logits)
        return logits
    small, small_seeds, small_edges, small_offsets, count = coarse_problem(probs, seeds, edges, offsets, scale)
    small_probs = np.exp(small)
    change = _start(small, small_probs, small_seeds, small_edges, small_offsets, count, codes, coarse_lengths[1:], memories)
    problem = (small, small_probs, change, count, small_edges, small_offsets)
    descend(*problem, codes, coarse_lengths[0], memories, REST)
    _subtract(small, np.float32(LARGEST_FALL), change)
    logits = np.empty_like(log_probs)
    _interpolate(log_probs, change, seeds, logits)
    return logits


@njit(**COMPILED)
def _set_seeds(seeds: np.ndarray, logits: np.ndarray) -> None:
    """Write the logits of one-hot labels at seeds."""
    batch, classes, height, width = logits.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if seeds[b, y, x] != VOID:
                    for c in range(classes):
                        logits[b, c, y, x] = ZERO if c == seeds[b, y, x] else -np.inf


@njit(**COMPILED)
def _subtract(log_probs: np.ndarray, most: float, logits: np.ndarray) -> None:
    """Write how `logits` differ from the prediction, the largest of each pixel being 0 in both; none falls by over `most`."""
    batch, classes, height, width = log_probs.shape
    largest = np.empty((2, width), np.float32)
    for b in range(batch):
        for y in range(height):
            largest[:] = -np.inf
            for c in range(classes):
                row, predicted = logits[b, c, y], log_probs[b, c, y]
                for x in range(width):
                    largest[0, x] = max(largest[0, x], row[x])
                    largest[1, x] = max(largest[1, x], predicted[x])
            for c in range(classes):
                row, predicted = logits[b, c, y], log_probs[b, c, y]
                for x in range(width):
                    row[x] = max((row[x] - largest[0, x]) - (predicted[x] - largest[1, x]), -most)
