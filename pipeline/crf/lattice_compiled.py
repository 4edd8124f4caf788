"""The permutohedral lattice of `pipeline.crf.lattice` built by compiled code on a CPU core, with a hash table of its vertices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

SPREAD = np.uint64(11400714819323198485)
"""2^64 over the golden ratio: spreads fingerprints over a table by the upper bits of a product."""
FIRST_BITS = 14
"""The table starts with 2^14 slots; it doubles whenever it is half full."""
EMPTY = -1

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_COMPILED)
def _slot(name: int, names: np.ndarray, table: np.ndarray, bits: int) -> int:
    """Return where in `table` the vertex called `name` is, or else the empty slot where it belongs."""
    # Linear probing: at most half of the slots are taken, so that an empty one ends every search.
    mask = (1 << bits) - 1
    # In uint64 throughout: numba makes float64 of an int64 with a uint64.
    slot = np.int64((np.uint64(name) * SPREAD) >> np.uint64(64 - bits))
    while table[slot] != EMPTY and names[table[slot]] != name:
        slot = (slot + 1) & mask
    return int(slot)


@njit(**_COMPILED)
def _grown(names: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Return a table of 2^`bits` slots with the first `count` vertices."""
    table = np.full(1 << bits, EMPTY, np.int32)
    for vertex in range(count):
        table[_slot(names[vertex], names, table, bits)] = vertex
    return table


@njit(**_COMPILED)
def find_vertices(
    points: np.ndarray, valid: np.ndarray, count: int, constants: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the simplex around each pixel; see `pipeline.crf.lattice` for what corner, rank and weights are.

    Args:
        points: (5, P) float.
        valid: (P,) bool; weights of others are 0.
        count: pixels of an image.
        constants: (7,) int64, with which coordinates and the image make the name of a vertex; 0 for the sixth coordinate.
        steps: (6,) int64, what a step along each axis adds to a name.

    Returns:
        names: (M,) int64 of the vertices.
        vertices: (P, 6) int32.
        weights: (P, 6), of the type of `points`.
        neighbors: (6, M + 1, 3) int32 vertex before, the vertex itself, vertex after along each axis; M where there is none.
    """
    dimensions, pixels = points.shape
    axes = dimensions + 1
    scales = np.empty(dimensions, points.dtype)
    for d in range(dimensions):
        scales[d] = math.sqrt(2 / 3) / math.sqrt((d + 1) * (d + 2))
    elevated, offset, ordered = (np.empty(axes, points.dtype), np.empty(axes, points.dtype), np.empty(axes, points.dtype))
    corner, rank, axis_of = np.empty(axes, np.int64), np.empty(axes, np.int64), np.empty(axes, np.int64)
    vertices, weights = np.empty((pixels, axes), np.int32), np.empty((pixels, axes), points.dtype)
    # Half as many names as slots: when they run out, the table is half full.
    names = np.empty(1 << (FIRST_BITS - 1), np.int64)
    bits, known = FIRST_BITS, 0
    table = np.full(1 << bits, EMPTY, np.int32)
    for pixel in range(pixels):
        # Onto the plane of vectors that sum to 0, as `_elevate`.
        # A zero of the type of the points: an integer would make float64 of the sum.
        later = points.dtype.type(0)
        for d in range(dimensions, 0, -1):
            scaled = points[d - 1, pixel] * scales[d - 1]
            elevated[d] = later - d * scaled
            later += scaled
        elevated[0] = later

        # The nearest point of whole coordinates, and how far off it is.
        total = 0
        for axis in range(axes):
            rounded = np.rint(elevated[axis])  # ties to even, as torch.round
            corner[axis] = np.int64(rounded)
            offset[axis] = elevated[axis] - rounded
            total += corner[axis]
            rank[axis] = axis
        # The rank of an axis is how many offsets are larger than its own; of equal ones the later axis comes behind.
        for low in range(axes):
            for high in range(low + 1, axes):
                behind = 1 if offset[low] < offset[high] else 0
                rank[low] += behind
                rank[high] -= behind
        # Where the rounded coordinates do not sum to 0, those with the largest rounding errors are moved by one.
        for axis in range(axes):
            rank[axis] += total
            moved = (1 if rank[axis] < 0 else 0) - (1 if rank[axis] >= axes else 0)
            rank[axis] += axes * moved
            corner[axis] += moved
            offset[axis] -= moved
            # Ranks among the moved offsets: one that was among the largest may now be among the smallest.
            ordered[rank[axis]] = offset[axis]
            axis_of[rank[axis]] = axis

        # The fingerprint of the corner, and from it those of the other vertices, one step each.
        # int64 wraps around, as in torch.
        name = (pixel // count) * constants[axes]
        for axis in range(axes):
            name += axes * corner[axis] * constants[axis]
        for k in range(axes):
            # Barycentric: differences of offsets next to each other in order; the corner has what they leave of 1.
            if k == 0:
                weight = 1 + ordered[axes - 1] - ordered[0]
            else:
                weight = ordered[axes - 1 - k] - ordered[axes - k]
                # The vertices of a simplex are met by steps along the axes from the highest rank to the lowest.
                name += steps[axis_of[axes - k]]
            weights[pixel, k] = weight if valid[pixel] else 0  # neither splat nor slice
            if pixel > 0 and names[vertices[pixel - 1, k]] == name:  # neighbours often share a simplex
                vertices[pixel, k] = vertices[pixel - 1, k]
                continue
            slot = _slot(name, names, table, bits)
            if table[slot] == EMPTY:
                # Half full: searches stay short.
                if known == len(names):
                    # A larger table has other slots: all vertices enter it anew, and this one is looked up again.
                    bits += 1
                    longer = np.empty(2 * known, np.int64)
                    longer[:known] = names
                    names = longer
                    table = _grown(names, known, bits)
                    slot = _slot(name, names, table, bits)
                names[known] = name
                table[slot] = known
                known += 1
            vertices[pixel, k] = table[slot]

    # A neighbour is the vertex whose fingerprint is one step away, if any pixel made it.
    neighbors = np.full((axes, known + 1, 3), known, np.int32)
    for axis in range(axes):
        for vertex in range(known + 1):
            neighbors[axis, vertex, 1] = vertex
        for vertex in range(known):
            after = table[_slot(names[vertex] + steps[axis], names, table, bits)]
            # One search serves both ends.
            if after != EMPTY:
                neighbors[axis, vertex, 2] = after
                neighbors[axis, after, 0] = vertex
    return names[:known], vertices, weights, neighbors


@njit(**_COMPILED)
def by_vertex(vertices: np.ndarray, weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels and weights of `find_vertices` in the order of their vertices, and where each of the `count` begins.

    Returns:
        pixels: (6 P,) int32.
        weights: (6 P,).
        starts: (`count` + 1,) int32; the last is 6 P.
    """
    starts = np.zeros(count + 1, np.int32)
    pixels, corners = vertices.shape
    for pixel in range(pixels):
        for k in range(corners):
            # Counted one place further on, so that the running sum is where each vertex begins.
            starts[vertices[pixel, k] + 1] += 1
    for vertex in range(count):
        starts[vertex + 1] += starts[vertex]
    # A counting sort: where each vertex begins is known, so every pair goes to its place at once, pixels in raster order.
    place = starts[:count].copy()
    rows, values = np.empty(pixels * corners, np.int32), np.empty(pixels * corners, weights.dtype)
    for pixel in range(pixels):
        for k in range(corners):
            vertex = vertices[pixel, k]
            rows[place[vertex]], values[place[vertex]] = pixel, weights[pixel, k]
            place[vertex] += 1
    return rows, values, starts
