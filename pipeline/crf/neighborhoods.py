"""Which pixels are neighbours: nearest-neighbour grids ([SSL] section 3.3) and a sparse non-local neighbourhood.

An edge is stored at its first pixel (y, x); its second is (y + dy, x + dx). `NEIGHBORHOODS` holds each pair once. As all
pixels share the displacements, long edges cost what short ones do and every solver and loss takes them alike.
"""

from __future__ import annotations

import math
from types import EllipsisType

import torch
from torch import Tensor

Offset = tuple[int, int]
Offsets = tuple[Offset, ...]
Window = tuple[EllipsisType, slice, slice]

# Half of the neighbours each: the other half are the same edges seen from their second pixel.
GRID4: Offsets = ((0, 1), (1, 0))
GRID8: Offsets = ((0, 1), (1, 0), (1, 1), (1, -1))


def check_offsets(offsets: Offsets) -> None:
    """Raise ValueError unless there are displacements, none of which leads from a pixel to itself."""
    if not offsets or (0, 0) in offsets:
        raise ValueError(f"offsets: expected displacements other than (0, 0), got {offsets}")


def sparse_offsets(count: int, radius_px: int, generator: torch.Generator) -> Offsets:
    """Return the 4-grid and `count` long displacements drawn at random: sparse neighbourhoods, "SN" in [SSL] section 1.1.

    Each pixel gets up to 2 `count` long edges, fewer at borders: the number of edges stays linear in that of pixels. Our
    interpretation: the publication behind "SN" has no code, and [SSL] states no settings for it.

    Args:
        count: number of long displacements, >= 0.
        radius_px: they are drawn evenly from the disc of this radius without its 8 innermost pixels, at least 2.
        generator: source of randomness, on the CPU; the same state gives the same neighbourhood.

    Returns:
        2 + `count` distinct displacements, no two of them opposite.

    Raises:
        ValueError: if a number is out of range or the disc holds too few displacements.
    """
    if count < 0 or radius_px < 2:
        raise ValueError(f"count, radius_px: expected at least 0 and 2, got {count}, {radius_px}")
    # Half of the disc, as each pair is held once; the 8 innermost are those of the grids.
    half_disc = [
        (dy, dx)
        for dy in range(radius_px + 1)
        for dx in range(-radius_px, radius_px + 1)
        if (dy > 0 or dx > 0) and max(dy, abs(dx)) > 1 and math.hypot(dy, dx) <= radius_px
    ]
    if count > len(half_disc):
        raise ValueError(f"count: expected at most {len(half_disc)} for radius_px {radius_px}, got {count}")
    # Without replacement: an edge that is drawn twice would count twice.
    drawn = torch.randperm(len(half_disc), generator=generator)[:count].tolist()
    return GRID4 + tuple(half_disc[index] for index in drawn)


NEIGHBORHOODS: dict[str, Offsets] = {
    "grid4": GRID4,
    "grid8": GRID8,
    # One fixed draw, the same in every run and process; both numbers are ours, as none are published.
    "sparse": sparse_offsets(8, 64, torch.Generator().manual_seed(0)),
}
"""(dy, dx) of each kind of edge. "grid4" is the neighbourhood of all results in [SSL] Table 3."""


def edge_windows(offset: Offset, height: int, width: int) -> tuple[Window, Window]:
    """Return the index of the first and of the second pixels of all edges of one kind inside an image.

    Args:
        offset: (dy, dx).
        height: H, the last but one axis.
        width: W, the last axis.

    Returns:
        Two indices; `tensor[first]` and `tensor[second]` are views of equal shape (..., H - |dy|, W - |dx|), or empty where
        the offset is longer than the image.

    >>> first, second = edge_windows((0, 1), 1, 3)
    >>> row = torch.tensor([[7, 8, 9]])
    >>> row[first].tolist(), row[second].tolist()
    ([[7, 8]], [[8, 9]])
    """
    dy, dx = offset
    # First pixels have their partner (y + dy, x + dx) inside: for dy > 0 all but the last dy rows, else all but the first.
    first: Window = (..., _overlap(-dy, height), _overlap(-dx, width))
    second: Window = (..., _overlap(dy, height), _overlap(dx, width))
    return first, second


def _overlap(shift: int, length: int) -> slice:
    """Return which of `length` places lie inside an axis moved by `shift`."""
    # Both ends are clamped: a shift beyond the axis leaves nothing, where a negative end would count backwards.
    start = min(max(shift, 0), length)
    return slice(start, max(start, length + min(shift, 0)))


def neighbor(tensor: Tensor, offset: Offset) -> Tensor:
    """Return at each pixel the value of its neighbour, `tensor` at (y + dy, x + dx); zero (False) outside the image.

    Args:
        tensor: (..., H, W).
        offset: (dy, dx).

    Returns:
        A new tensor of the same shape and type.

    >>> neighbor(torch.tensor([[7, 8, 9]]), (0, 1)).tolist()
    [[8, 9, 0]]
    """
    first, second = edge_windows(offset, tensor.shape[-2], tensor.shape[-1])
    # What has no partner keeps the zero: an edge out of the image then has no weight wherever it is multiplied.
    moved = torch.zeros_like(tensor)
    moved[first] = tensor[second]
    return moved
