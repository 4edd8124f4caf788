"""`solve_fast` compiled for a CPU core: the edges, the coarser problems, their solutions as a start, and the fine descent.

The same in torch stands in `pipeline.solver.fast`; tests compare the two. On small images torch's calls take longer than their
work: around the descents there are some hundred.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit

from pipeline.conventions import VOID
from pipeline.crf.neighborhoods import Offset, Offsets
from pipeline.solver.backends import numba_descent
from pipeline.solver.backends.numba_descent import Image, descend
from pipeline.solver.pace import BLOCK_PX, LARGEST_FALL, SMALLEST_PROB, Descended, Plan, Schedule
from pipeline.solver.problem import Problem

ZERO = np.float32(0)
NEAR, FAR = np.float32(3 / 4), np.float32(1 / 4)
"""Parts of a pixel's own block and of the next one, in a field made smooth: code below takes `BLOCK_PX` for 2."""

COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",  # no check for zero before a division, which would keep loops from becoming vector instructions
    "fastmath": {"contract", "reassoc", "nsz"},  # sums in any order; nan and infinity keep their meaning
}


class Level(NamedTuple):
    """One of the problems from coarse to fine, as `pipeline.solver.fast.Level`.

    Attributes:
        image: (B, C, H, W), (B, H, W) and (B, E, H, W) fields.
        seeds: (B, H, W) int64, each a class or `VOID`.
        offsets: E pairs (dy, dx).
        names: keys of `CROSS_ENTROPIES` and `RELAXATIONS`.
    """

    image: Image
    seeds: np.ndarray
    offsets: Offsets
    names: tuple[str, str]


def knows(cross_entropy: str, relaxation: str) -> bool:
    """Return whether there is compiled code for the energy."""
    return numba_descent.knows(cross_entropy, relaxation)


def solve(problem: Problem, plan: Plan) -> Descended:
    """Solve a problem in float32 on the CPU whose names this backend `knows`."""
    seeds, (affinity, offsets) = problem.seeds.contiguous().numpy(), problem.edges
    free = problem.free.contiguous().numpy()
    # One pass instead of torch's dozen over small fields.
    edges, scale = np.empty(affinity.shape, np.float32), np.empty(seeds.shape, np.float32)
    weights = Weights(np.float32(problem.unary_weight), np.float32(problem.pairwise_weight))
    _weigh(affinity.detach().float().contiguous().numpy(), seeds, free, _displacements(offsets), VOID, weights, edges, scale)
    image = Image(problem.log_probs.numpy(), problem.log_probs.exp().numpy(), scale, edges)
    names, early = (problem.cross_entropy, problem.relaxation), (problem.cross_entropy, plan.relaxation)
    # A copy: the memory is that of the problem, and seeds are written to it.
    plain = image.log_probs.copy()
    _set_seeds(seeds, VOID, plain)
    measure = Schedule([], plan.fine.smallest)
    # No step: the energy of the prediction itself, which every other start has to beat.
    predicted, first, _ = descend(image, offsets, names, plain, measure)
    logits = _start(Level(image, seeds, offsets, early), plan.coarser)
    # Images whose blocks do not follow the picture begin at the prediction.
    # Judged by the energy that was asked for.
    helps = descend(image, offsets, names, logits, measure)[1][-1] < plan.largest_part * first[-1]
    logits[~helps] = plain[~helps]
    if plan.early.lengths:
        descend(image, offsets, early, logits, plan.early)
    # From where the early descent has left `logits`.
    labels, energies, rests = descend(image, offsets, names, logits, plan.fine)
    # Nothing worse than the prediction is returned.
    worse = energies[-1] > first[-1]
    labels[worse], energies[-1, worse] = predicted[worse], first[-1, worse]
    return Descended(torch.from_numpy(labels), torch.from_numpy(energies).float(), torch.from_numpy(rests))


class Weights(NamedTuple):
    """eta and lambda, float32."""

    unary: np.float32
    pairwise: np.float32


def _displacements(offsets: Offsets) -> np.ndarray:
    return np.array(offsets, np.int64).reshape(-1, 2)


@njit(**COMPILED)
def _weigh(
    affinity: np.ndarray,
    seeds: np.ndarray,
    free: np.ndarray,
    displacements: np.ndarray,
    void: int,
    weights: Weights,
    edges: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Write lambda w of edges, 0 between seeds and out of the image, and eta at free pixels, else 0."""
    batch, count, height, width = affinity.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                scale[b, y, x] = weights.unary if free[b, y, x] else ZERO
        for e in range(count):
            dy, dx = displacements[e]
            for y in range(height):
                inside = 0 <= y + dy < height
                for x in range(width):
                    counts = inside and 0 <= x + dx < width
                    # Only then has the other end a place in memory.
                    if counts:
                        counts = seeds[b, y, x] == void or seeds[b, y + dy, x + dx] == void
                    edges[b, e, y, x] = weights.pairwise * affinity[b, e, y, x] if counts else ZERO


@njit(**COMPILED)
def _sum_squares(values: np.ndarray, width: int, scratch: np.ndarray, sums: np.ndarray) -> None:
    """Write the sums of squares of 2 by 2 in a field of even sides, pixels in rows."""
    # Rows first, then columns: both loops run along memory.
    for row in range(len(values) // (2 * width)):
        for x in range(width):
            scratch[row * width + x] = values[2 * row * width + x] + values[(2 * row + 1) * width + x]
    for block in range(len(sums)):
        # As sides are even, no pair lies in two rows.
        sums[block] = scratch[2 * block] + scratch[2 * block + 1]


@njit(**COMPILED)
def _sum_blocks(
    probs: np.ndarray,
    seeds: np.ndarray,
    scale: np.ndarray,
    width: int,
    void: int,
    means: np.ndarray,
    small_seeds: np.ndarray,
    count: np.ndarray,
) -> None:
    """Do one image: fields are (C, N) and (N,), of pixels or of blocks in rows."""
    classes, pixels = probs.shape
    weighted, scratch = np.empty(pixels, np.float32), np.empty(pixels // 2, np.float32)
    plain, mass = np.empty_like(count), np.zeros_like(count)
    # eta times the number of free pixels
    _sum_squares(scale, width, scratch, count)
    for c in range(classes):
        values, sums = probs[c], means[c]
        for pixel in range(pixels):
            weighted[pixel] = scale[pixel] * values[pixel]
        _sum_squares(weighted, width, scratch, sums)
        _sum_squares(values, width, scratch, plain)
        for block in range(len(count)):
            # Of the free pixels, or of all where none is free.
            sums[block] = sums[block] if count[block] > ZERO else plain[block]
            mass[block] += sums[block]
    for c in range(classes):
        sums = means[c]
        for block in range(len(count)):
            # Its classes add up to 1 again, whatever the weights were.
            sums[block] /= mass[block]
    # A block with seeds is one, of the class with most votes and of the lower one of two with as many.
    small_seeds[:] = void
    # 8 bits: a block has four votes at most.
    votes = np.zeros((len(count), classes), np.int8)
    # All votes in the first round, the winner in the second.
    for again in range(2):
        for pixel in range(pixels):
            seed = seeds[pixel]
            if seed == void:
                continue
            # of a pixel at (row, column): (row // 2) (width / 2) + column // 2
            block = pixel // (2 * width) * (width // 2) + pixel % width // 2
            if not again:
                votes[block, seed] += 1
                # A seed has no unary term; the means are made already.
                count[block] = ZERO
                continue
            best = small_seeds[block]
            if best == void or (votes[block, seed], best) > (votes[block, best], seed):
                small_seeds[block] = seed


class Crossings(NamedTuple):
    """Which displacements between blocks an edge crosses, by where in its block it starts.

    Attributes:
        ends: (K, 2) int64, pairs (dy, dx) in blocks.
        slots: (E, side, side) int64, an index of `ends`, or -1 for an edge that stays within its block.
    """

    ends: np.ndarray
    slots: np.ndarray


class Blocks(NamedTuple):
    """What is written of a problem whose pixels are blocks.

    Attributes:
        means: (B, C, h, w) float32, predictions.
        seeds: (B, h, w) int64.
        edges: (B, K, h, w) float32, 0 at first.
        scale: (B, h, w) float32, eta times the number of free pixels.
    """

    means: np.ndarray
    seeds: np.ndarray
    edges: np.ndarray
    scale: np.ndarray


@njit(**COMPILED)
def _sum_edges(edges: np.ndarray, crossings: Crossings, void: int, small_seeds: np.ndarray, small: np.ndarray) -> None:
    """Do one image: add `edges` (E, H, W) up to those between blocks, `small` (K, h, w), which are 0 at first."""
    slots, ends = crossings.slots, crossings.ends
    side = slots.shape[1]
    _, height, width = edges.shape
    rows, columns = small_seeds.shape
    for e in range(len(edges)):
        for y in range(side):
            for x in range(side):
                slot = slots[e, y, x]
                # Within a block an edge is left out: on hard labels it costs nothing.
                if slot >= 0:
                    # Rows y, y + side, ...: one in each row of blocks
                    for row in range(-(-(height - y) // side)):
                        for column in range(-(-(width - x) // side)):
                            small[slot, row, column] += edges[e, row * side + y, column * side + x]
    # Between two blocks that are seeds the energy is a constant, as between pixels.
    for slot in range(len(small)):
        dy, dx = ends[slot]
        for y in range(max(0, -dy), min(rows, rows - dy)):
            for x in range(max(0, -dx), min(columns, columns - dx)):
                # That constant may be infinite.
                if small_seeds[y, x] != void and small_seeds[y + dy, x + dx] != void:
                    small[slot, y, x] = ZERO


@njit(**COMPILED)
def _coarsen(image: Image, seeds: np.ndarray, crossings: Crossings, void: int, blocks: Blocks) -> None:
    """Fill `blocks` from fields whose sides are even."""
    batch, classes, height, width = image.probs.shape
    pixels, count = height * width, height * width // 4
    for b in range(batch):
        of_pixels = (image.probs[b].reshape(classes, pixels), seeds[b].reshape(pixels), image.scale[b].reshape(pixels))
        of_blocks = (blocks.means[b].reshape(classes, count), blocks.seeds[b].reshape(count), blocks.scale[b].reshape(count))
        _sum_blocks(*of_pixels, width, void, *of_blocks)
        _sum_edges(image.edges[b], crossings, void, blocks.seeds[b], blocks.edges[b])


def coarse_problem(level: Level) -> Level:
    """Return the problem whose pixels are blocks, as `pipeline.solver.fast.coarse_problem`."""
    image, seeds = level.image, level.seeds
    if seeds.shape[1] % BLOCK_PX or seeds.shape[2] % BLOCK_PX:
        # The last blocks are filled with nothing: no weight, no edges, no seed.
        frame = ((0, -seeds.shape[1] % BLOCK_PX), (0, -seeds.shape[2] % BLOCK_PX))
        probs, edges = (np.pad(field, ((0, 0), (0, 0), *frame)) for field in (image.probs, image.edges))
        seeds, scale = np.pad(seeds, ((0, 0), *frame), constant_values=VOID), np.pad(image.scale, ((0, 0), *frame))
        # log_probs as they are: blocks are made of probabilities.
        image = image._replace(probs=probs, scale=scale, edges=edges)
    batch, classes, height, width = image.probs.shape
    size = (height // BLOCK_PX, width // BLOCK_PX)
    ends, slots = _coarse_displacements(level.offsets)
    # Written by compiled code, which allocates nothing itself.
    means, count = np.empty((batch, classes, *size), np.float32), np.empty((batch, *size), np.float32)
    small_seeds, small_edges = np.empty((batch, *size), np.int64), np.zeros((batch, len(ends), *size), np.float32)
    blocks = Blocks(means, small_seeds, small_edges, count)
    _coarsen(image, seeds, Crossings(_displacements(ends), slots), VOID, blocks)
    # Not below the floor, so that a class predicted nowhere in a block has a logarithm.
    log_probs = np.log(np.maximum(means, np.float32(SMALLEST_PROB)))
    # Probabilities from the logarithms with their floor, so that the two agree.
    return Level(Image(log_probs, np.exp(log_probs), count, small_edges), small_seeds, ends, level.names)


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
                # From one block a displacement leads to up to four others, by where in it an edge starts.
                end = ((y + dy) // BLOCK_PX, (x + dx) // BLOCK_PX)
                if end != (0, 0):
                    # Edges that end in the same block share a place, and their weights add up.
                    slots[edge, y, x] = found.setdefault(end, len(found))
    return tuple(found), slots


@njit(**COMPILED)
def _interpolate(log_probs: np.ndarray, change: np.ndarray, seeds: np.ndarray, void: int, logits: np.ndarray) -> None:
    """Write the prediction plus the field `change` of blocks, made smooth, and at seeds the logits of one-hot labels."""
    batch, classes, height, width = log_probs.shape
    rows, columns = change.shape[2:]
    # Along x once for each row of blocks, then along y for each row of pixels.
    wide = np.empty((rows, 2 * columns), np.float32)
    for b in range(batch):
        for c in range(classes):
            coarse = change[b, c]
            for row in range(rows):
                last = columns - 1
                # Outside the outermost centres there is no second block.
                wide[row, 0], wide[row, 2 * last + 1] = coarse[row, 0], coarse[row, last]
                for column in range(last):  # bilinear: the two pixels between the centres of two blocks
                    wide[row, 2 * column + 1] = NEAR * coarse[row, column] + FAR * coarse[row, column + 1]
                    wide[row, 2 * column + 2] = FAR * coarse[row, column] + NEAR * coarse[row, column + 1]
            for y in range(height):
                # Even rows lie nearer to the block above, odd ones to the one below; at the border both are the same.
                near, far = y // 2, min(max(y // 2 - 1 + 2 * (y % 2), 0), rows - 1)
                for x in range(width):
                    logits[b, c, y, x] = log_probs[b, c, y, x] + (NEAR * wide[near, x] + FAR * wide[far, x])
    _set_seeds(seeds, void, logits)


def _start(level: Level, coarser: list[Schedule]) -> np.ndarray:
    """Return logits to start from, as `pipeline.solver.fast`: (B, C, H, W)."""
    if not coarser or min(level.seeds.shape[1:]) < 2 * BLOCK_PX:
        logits = level.image.log_probs.copy()
        _set_seeds(level.seeds, VOID, logits)
        return logits
    small = coarse_problem(level)
    # One array in turn: the start, the solution, and its difference from the prediction.
    change = _start(small, coarser[1:])
    descend(small.image, small.offsets, small.names, change, coarser[0])
    _subtract(small.image.log_probs, np.float32(LARGEST_FALL), change)
    logits = np.empty_like(level.image.log_probs)
    _interpolate(level.image.log_probs, change, level.seeds, VOID, logits)
    return logits


@njit(**COMPILED)
def _set_seeds(seeds: np.ndarray, void: int, logits: np.ndarray) -> None:
    """Write the logits of one-hot labels at seeds."""
    batch, classes, height, width = logits.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if seeds[b, y, x] != void:
                    for c in range(classes):
                        logits[b, c, y, x] = ZERO if c == seeds[b, y, x] else -np.inf


@njit(**COMPILED)
def _subtract(log_probs: np.ndarray, most: float, logits: np.ndarray) -> None:
    """Write how `logits` differ from the prediction, the largest of each pixel being 0 in both; none falls by over `most`."""
    batch, classes, height, width = log_probs.shape
    largest = np.empty((2, width), np.float32)
    for b in range(batch):
        for y in range(height):
            # Logits are defined up to a constant of each pixel: compare them below their largest.
            largest[:] = -np.inf
            for c in range(classes):
                row, predicted = logits[b, c, y], log_probs[b, c, y]
                for x in range(width):
                    largest[0, x] = max(largest[0, x], row[x])
                    largest[1, x] = max(largest[1, x], predicted[x])
            for c in range(classes):
                row, predicted = logits[b, c, y], log_probs[b, c, y]
                for x in range(width):
                    # The bound also takes out the -inf of seeds, which would spread to the pixels around.
                    row[x] = max((row[x] - largest[0, x]) - (predicted[x] - largest[1, x]), -most)
