"""Expansion moves and their inner problem, maximum flow / minimum cut on a grid of pixels, compiled for a CPU core.

Two search trees grow from source and sink; where they meet, flow is sent along the path; subtrees cut off by a saturated edge
look for a new parent before the search goes on (Boykov and Kolmogorov, 2004). Capacities are integers, so that the cut is exact.

Pixels lie in a frame of dead pixels wide enough for every displacement, so that neighbours need no test for borders. Direction
2 e leads from a pixel to its neighbour at displacement e, direction 2 e + 1 back.

All of it stands in one file, because numba's cache notices changes of the file a function stands in and of no other.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FREE, SOURCE, SINK = 0, 1, 2
# In place of a direction, and so below 0.
NO_PARENT, TERMINAL, ORPHAN = -1, -2, -3
MOST_DIRECTIONS = 128
"""A pixel's parent is a direction in 8 bits."""
FAR = 1 << 60
NEVER = 1 << 60
"""Capacity that no cut pays: more than all edges of a pixel together."""


@njit(cache=True, nogil=True)
def energy_of(unary: np.ndarray, weights: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> float:
    """Return sum_i unary_i(f_i) + sum_ij w_ij [f_i != f_j], of integers as `sweep` takes them."""
    # A float: the sum of a large picture may exceed 64 bits.
    energy = 0.0
    for pixel in range(len(labels)):
        energy += unary[pixel, labels[pixel]]
        for edge in range(weights.shape[1]):
            # The weight first: of a dead pixel the other end may lie outside the arrays.
            if weights[pixel, edge] > 0 and labels[pixel] != labels[pixel + steps[2 * edge]]:
                energy += weights[pixel, edge]
    return energy


@njit(cache=True, nogil=True)
def sweep(unary: np.ndarray, weights: np.ndarray, steps: np.ndarray, labels: np.ndarray, movable: np.ndarray) -> bool:
    """Make one move to each class, changing `labels`; return whether any did.

    Args:
        unary: (N, K) int64 >= 0, cost of each label.
        weights: (N, E) int64 >= 0, cost of different labels at the ends of each edge; 0 where it leads to a dead pixel.
        steps: (2 E,) int64, as in `sink_side`.
        labels: (N,) int64 in 0..K-1, changed in place.
        movable: (N,) bool; others keep their label.
    """
    changed = False
    count, kinds = weights.shape
    capacity = np.empty((count, 2 * kinds), np.int64)
    terminal = np.empty(count, np.int64)
    # A move to alpha: source side keeps its label, sink side takes alpha.
    for alpha in range(unary.shape[1]):
        # The cut before has left its residual here.
        capacity[:] = 0
        for pixel in range(count):
            # What taking alpha costs more than staying: paid by a cut from the source.
            # Dead pixels are held at the source: the search from sinks reads capacities of neighbours, which they may lack.
            terminal[pixel] = unary[pixel, alpha] - unary[pixel, labels[pixel]] if movable[pixel] else NEVER
        for pixel in range(count):
            for edge in range(kinds):
                weight = weights[pixel, edge]
                if weight == 0:
                    continue
                # With x = 1 for a change to alpha, the edge costs both_kept for (0, 0), second_moves for (0, 1),
                # first_moves for (1, 0) and nothing for (1, 1): a slope for each end, and a cost for the first staying alone.
                other = pixel + steps[2 * edge]
                both_kept = weight if labels[pixel] != labels[other] else 0
                second_moves = weight if labels[pixel] != alpha else 0
                first_moves = weight if labels[other] != alpha else 0
                terminal[pixel] += first_moves - both_kept
                terminal[other] -= first_moves
                # Not below 0: where both labels differ, at least one of them is not alpha.
                capacity[pixel, 2 * edge] = second_moves + first_moves - both_kept
        # The cut with the fewest movers: of equal energies the labels stay.
        moving = _cut(steps, capacity, terminal)
        for pixel in range(count):
            # Never a pixel of class alpha, which nothing ties to the sink: so this is a change.
            if moving[pixel]:
                labels[pixel] = alpha
                changed = True
    return changed


def sink_side(steps: np.ndarray, capacity: np.ndarray, terminal: np.ndarray) -> np.ndarray:
    """Return which pixels lie on the sink's side of the minimum cut that has the fewest of them.

    Args:
        steps: (D,) int64, index of the neighbour in each direction minus the pixel's own; directions in opposite pairs.
        capacity: (N, D) int64 >= 0, from each pixel in each direction; 0 towards dead pixels. Becomes the residual capacity.
        terminal: (N,) int64, capacity from the source where positive, to the sink where negative. Becomes the residual.

    Returns:
        (N,) bool: the pixels from which the sink can still be reached.

    Raises:
        ValueError: shapes that do not fit together, a negative capacity, or one of a pixel without a frame around it.
    """
    count, directions = capacity.shape
    if len(terminal) != count or len(steps) != directions or directions > MOST_DIRECTIONS:
        raise ValueError(
            f"capacity: expected ({len(terminal)}, {len(steps)}) with at most {MOST_DIRECTIONS} directions, got {capacity.shape}"
        )
    # The search goes back by direction ^ 1.
    if (steps[::2] != -steps[1::2]).any():
        raise ValueError(f"steps: expected opposite pairs, got {steps.tolist()}")
    ends = np.arange(count)[:, None] + steps
    outside = (ends < 0) | (ends >= count)
    dead = outside.any(1)  # must be: the search looks at a pixel's neighbours without a test for borders
    nowhere = outside | dead[:, None] | dead[ends.clip(0, count - 1)]
    if (capacity < 0).any() or (capacity[nowhere] > 0).any() or (terminal[dead] < 0).any():
        raise ValueError("capacity, terminal: expected capacities >= 0, and none from, to or beyond the frame of dead pixels")
    return _cut(steps, capacity, terminal)


@njit(cache=True, nogil=True)
def _cut(steps: np.ndarray, capacity: np.ndarray, terminal: np.ndarray) -> np.ndarray:
    """See `sink_side`; trusts its caller."""
    count, directions = capacity.shape
    tree = np.zeros(count, np.uint8)
    parent = np.full(count, NO_PARENT, np.int8)
    # When `depth`, the length of the way to the terminal, was last known to be right
    stamp = np.zeros(count, np.int64)
    depth = np.zeros(count, np.int64)
    # Circular, so that a pixel may become active again; one slot stays empty to tell full from empty.
    queue = np.empty(count + 1, np.int64)  # no pixel is in it twice
    waiting = np.zeros(count, np.bool_)
    orphans = np.empty(count, np.int64)  # a stack; no pixel is in it twice
    head, tail, now = 0, 0, 0
    for pixel in range(count):
        if terminal[pixel] != 0:
            tree[pixel] = SOURCE if terminal[pixel] > 0 else SINK
            parent[pixel], depth[pixel] = TERMINAL, 1
            queue[tail], waiting[pixel] = pixel, True
            tail += 1

    # Grow: the pixel at the head of the queue asks its neighbours into its tree, or meets the other tree.
    while head != tail:
        pixel = queue[head]
        # Set free after it was queued.
        if tree[pixel] == FREE:
            head = (head + 1) % (count + 1)
            waiting[pixel] = False
            continue
        own = tree[pixel]
        met = -1
        for way in range(directions):
            other = pixel + steps[way]
            # Flow runs from source to sink: out of a pixel of its tree, but into one of the sink's.
            open_capacity = capacity[pixel, way] if own == SOURCE else capacity[other, way ^ 1]
            if open_capacity == 0:
                continue
            # A free neighbour joins, as a child of this pixel; `way ^ 1` leads back to it.
            if tree[other] == FREE:
                tree[other], parent[other] = own, way ^ 1
                stamp[other], depth[other] = stamp[pixel], depth[pixel] + 1
                if not waiting[other]:
                    queue[tail], waiting[other] = other, True
                    tail = (tail + 1) % (count + 1)
            elif tree[other] != own:
                met = way
                break
            # Nearer to the terminal by this way, as far as is known: short trees make short paths.
            elif stamp[other] <= stamp[pixel] and depth[other] > depth[pixel]:
                parent[other], stamp[other], depth[other] = way ^ 1, stamp[pixel], depth[pixel] + 1
        if met < 0:
            head = (head + 1) % (count + 1)
            waiting[pixel] = False
            continue
        # The pixel stays at the head of the queue: it may meet the other tree in several places.
        now += 1
        # From `near`, which hangs on the source, `way` leads to `far`, which hangs on the sink.
        if own == SOURCE:
            near, far, way = pixel, pixel + steps[met], met
        else:
            near, far, way = pixel + steps[met], pixel, met ^ 1
        # Augment along the path, then let every pixel that lost its parent look for another.
        cut_off = _augment(near, far, way, steps, capacity, terminal, parent, orphans)
        # Every orphan finds another parent in its tree, or is set free and its children are orphans.
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
                # A neighbour that could take the pixel in again, once it is free, has to be asked.
                inward = capacity[other, side ^ 1] if tree[orphan] == SOURCE else capacity[orphan, side]
                if inward > 0 and not waiting[other]:
                    queue[tail], waiting[other] = other, True
                    tail = (tail + 1) % (count + 1)
                # A child of the orphan: its way to the terminal led through here.
                if parent[other] == side ^ 1:
                    parent[other] = ORPHAN
                    orphans[cut_off] = other
                    cut_off += 1
            # Last, as the loop above compares trees.
            tree[orphan], parent[orphan] = FREE, NO_PARENT
    # What is in neither tree stays with the source, so that the fewest move.
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
    # The narrowest place of the path decides what fits.
    flow = capacity[near, way]
    pixel = near
    while parent[pixel] != TERMINAL:
        up = parent[pixel]
        pixel += steps[up]
        # From the parent down to the child
        flow = min(flow, capacity[pixel, up ^ 1])
    flow = min(flow, terminal[pixel])
    pixel = far
    while parent[pixel] != TERMINAL:
        up = parent[pixel]
        # From the child up to the parent: here flow runs towards the root.
        flow = min(flow, capacity[pixel, up])
        pixel += steps[up]
    flow = min(flow, -terminal[pixel])

    height = 0
    # Send it: what is taken one way can be sent back the other.
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
    # A root whose capacity from the terminal is used up is an orphan, too.
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
    # Towards the sink capacity is negative, and rises to 0.
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
            # Found to hang on the terminal this round: it still does, as only what hangs on orphans becomes one.
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
            # Short ways to the terminal make short paths of flow.
            if distance < nearest:
                best, nearest = way, distance
            pixel = other
            # What this walk found out serves the next orphan.
            while stamp[pixel] != now:
                stamp[pixel], depth[pixel] = now, distance
                distance -= 1
                pixel += steps[parent[pixel]]
    return best, nearest
