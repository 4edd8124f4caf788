"""Which pixels are neighbours: the edges of the nearest-neighbour grids of [SSL] section 3.3.

An edge is stored at its first pixel (y, x); its second is (y + dy, x + dx). `NEIGHBORHOODS` holds each pair once.
"""

from __future__ import annotations

from types import EllipsisType

import torch
from torch import Tensor

Offset = tuple[int, int]
Offsets = tuple[Offset, ...]
Window = tuple[EllipsisType, slice, slice]

NEIGHBORHOODS: dict[str, Offsets] = {
    "grid4": ((0, 1), (1, 0)),
    "grid8": ((0, 1), (1, 0), (1, 1), (1, -1)),
}
"""(dy, dx) of each kind of edge. "grid4" is the neighbourhood of all results in [SSL] Table 3."""


def edge_windows(offset: Offset, height: int, width: int) -> tuple[Window, Window]:
    """Return the index of the first and of the second pixels of all edges of one kind inside an image.

    Args:
        offset: (dy, dx).
        height: H, the last but one axis.
        width: W, the last axis.

    Returns:
        Two indices; `tensor[first]` and `tensor[second]` are views of equal shape (..., H - |dy|, W - |dx|).

    >>> first, second = edge_windows((0, 1), 1, 3)
    >>> row = torch.tensor([[7, 8, 9]])
    >>> row[first].tolist(), row[second].tolist()
    ([[7, 8]], [[8, 9]])
    """
    dy, dx = offset
    first: Window = (..., slice(max(-dy, 0), height - max(dy, 0)), slice(max(-dx, 0), width - max(dx, 0)))
    second: Window = (..., slice(max(dy, 0), height - max(-dy, 0)), slice(max(dx, 0), width - max(-dx, 0)))
    return first, second


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
    moved = torch.zeros_like(tensor)
    moved[first] = tensor[second]
    return moved
