"""Maximum flow / minimum cut on a grid of pixels, compiled: the inner problem of expansion moves.

Two search trees grow from source and sink; where they meet, flow is sent along the path; subtrees cut off by a saturated edge
look for a new parent before the search goes on (Boykov and Kolmogorov, 2004). Capacities are integers, so that the cut is exact.

Pixels lie in a frame of dead pixels wide enough for every displacement, so that neighbours need no test for borders. Direction
2 e leads from a pixel to its neighbour at displacement e, direction 2 e + 1 back.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FREE, SOURCE, SINK = 0, 1, 2
NO_PARENT, TERMINAL, ORPHAN = -1, -2, -3
FAR = 1 << 60


@njit(cache=True, nogil=True)
def sink_side(steps: np.ndarray, capacity: np.ndarray, terminal: np.ndarray) -> np.ndarray:
    """Return which pixels lie on the sink's side of the minimum cut that has the fewest of them.

    Args:
        steps: (D,) int64, index of the neighbour in each direction minus the pixel's own; directions in opposite pairs.
        capacity: (N, D) int64 >= 0, from each pixel in each direction; 0 towards dead pixels. Becomes the residual capacity.
        terminal: (N,) int64, capacity from the source where positive, to the sink where negative. Becomes the residual.

    Returns:
        (N,) bool: the pixels from which the sink can still be reached.
    """
    count, directions = capacity.shape
    tree = np.zeros(count, np.uint8)
    parent = np.full(count, NO_PARENT, np.int8)
    stamp = np.zeros(count, np.int64)
    depth = np.zeros(count, np.int64)
    queue = np.empty(count + 1, np.int64)  # circular; no pixel is in it twice
    waiting = np.zeros(count, np.bool_)
    orphans = np.empty(count, np.int64)  # a stack; no pixel is in it twice
    head, tail, now = 0, 0, 0
    for pixel in range(count):
        if terminal[pixel] != 0:
            tree[pixel] = SOURCE if terminal[pixel] > 0 else SINK
            parent[pixel], depth[pixel] = TERMINAL, 1
            queue[tail], waiting[pixel] = pixel, True
            tail += 1

    while head != tail:
        pixel = queue[head]
        if tree[pixel] == FREE:
            head = (head + 1) % (count + 1)
            waiting[pixel] = False
            continue
        own = tree[pixel]
        met = -1
        for way in range(directions):
            other = pixel + steps[way]
            open_capacity = capacity[pixel, way] if own == SOURCE else capacity[other, way ^ 1]
            if open_capacity == 0:
                continue
            if tree[other] == FREE:
                tree[other], parent[other] = own, way ^ 1
                stamp[other], depth[other] = stamp[pixel], depth[pixel] + 1
                if not waiting[other]:
                    queue[tail], waiting[other] = other, True
                    tail = (tail + 1) % (count + 1)
            elif tree[other] != own:
                met = way
                break
            elif stamp[other] <= stamp[pixel] and depth[other] > depth[pixel]:
                parent[other], stamp[other], depth[other] = way ^ 1, stamp[pixel], depth[pixel] + 1
        if met < 0:
            head = (head + 1) % (count + 1)
            waiting[pixel] = False
            continue
        now += 1
        if own == SOURCE:
            near, far, way = pixel, pixel + steps[met], met
        else:
            near, far, way = pixel + steps[met], pixel, met ^ 1
        cut_off = _augment(near, far, way, steps, capacity, terminal, parent, orphans)
        while cut_off > 0:
            cut_off -= 1
            orphan = orphans[cut_off]
            mother, distance = _adopt(orphan, now, steps, capacity, tree, parent, stamp, depth)
            if mother >= 0:
                parent[orphan], stamp[orphan], depth[orphan] = mother, now, distance + 1
                continue
            for side in range(directions):
                other = orphan + steps[side]
                if tree[other] != tree[orphan] or parent[other] == NO_PARENT:
                    continue
                inward = capacity[other, side ^ 1] if tree[orphan] == SOURCE else capacity[orphan, side]
                if inward > 0 and not waiting[other]:
                    queue[tail], waiting[other] = other, True
                    tail = (tail + 1) % (count + 1)
                if parent[other] == side ^ 1:
                    parent[other] = ORPHAN
                    orphans[cut_off] = other
                    cut_off += 1
            tree[orphan], parent[orphan] = FREE, NO_PARENT
    return tree == SINK


@njit(cache=True, nogil=True)
def _augment(
    near: int,
    far: int,
    way: int,
    steps: np.ndarray,
    capacity: np.ndarray,
    terminal: np.ndarray,
    parent: np.ndarray,
    orphans: np.ndarray,
) -> int:
    """Send what fits along source - `near` - `far` - sink; put pixels behind saturated edges on the stack, return its height."""
    flow = capacity[near, way]
    pixel = near
    while parent[pixel] != TERMINAL:
        up = parent[pixel]
        pixel += steps[up]
        flow = min(flow, capacity[pixel, up ^ 1])
    flow = min(flow, terminal[pixel])
    pixel = far
    while parent[pixel] != TERMINAL:
        up = parent[pixel]
        flow = min(flow, capacity[pixel, up])
        pixel += steps[up]
    flow = min(flow, -terminal[pixel])

    height = 0
    capacity[near, way] -= flow
    capacity[far, way ^ 1] += flow
    pixel = near
    while parent[pixel] != TERMINAL:
        child, up = pixel, parent[pixel]
        pixel += steps[up]
        capacity[child, up] += flow
        capacity[pixel, up ^ 1] -= flow
        if capacity[pixel, up ^ 1] == 0:
            parent[child] = ORPHAN
            orphans[height] = child
            height += 1
    terminal[pixel] -= flow
    if terminal[pixel] == 0:
        parent[pixel] = ORPHAN
        orphans[height] = pixel
        height += 1
    pixel = far
    while parent[pixel] != TERMINAL:
        child, up = pixel, parent[pixel]
        pixel += steps[up]
        capacity[pixel, up ^ 1] += flow
        capacity[child, up] -= flow
        if capacity[child, up] == 0:
            parent[child] = ORPHAN
            orphans[height] = child
            height += 1
    terminal[pixel] += flow
    if terminal[pixel] == 0:
        parent[pixel] = ORPHAN
        orphans[height] = pixel
        height += 1
    return height


@njit(cache=True, nogil=True)
def _adopt(
    orphan: int,
    now: int,
    steps: np.ndarray,
    capacity: np.ndarray,
    tree: np.ndarray,
    parent: np.ndarray,
    stamp: np.ndarray,
    depth: np.ndarray,
) -> tuple[int, int]:
    """Return the direction of the nearest new parent and that parent's depth; -1 for the direction if there is none."""
    best, nearest = -1, FAR
    for way in range(len(steps)):
        other = orphan + steps[way]
        inward = capacity[other, way ^ 1] if tree[orphan] == SOURCE else capacity[orphan, way]
        if inward == 0 or tree[other] != tree[orphan] or parent[other] == NO_PARENT:
            continue
        distance, pixel = 0, other
        while True:  # does it hang on the terminal, or on the orphan itself?
            if stamp[pixel] == now:
                distance += depth[pixel]
                break
            distance += 1
            if parent[pixel] == TERMINAL:
                stamp[pixel], depth[pixel] = now, 1
                break
            if parent[pixel] == ORPHAN:
                distance = FAR
                break
            pixel += steps[parent[pixel]]
        if distance < FAR:
            if distance < nearest:
                best, nearest = way, distance
            pixel = other
            while stamp[pixel] != now:
                stamp[pixel], depth[pixel] = now, distance
                distance -= 1
                pixel += steps[parent[pixel]]
    return best, nearest
