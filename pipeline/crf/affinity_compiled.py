"""`contrast_affinity` but for its exponential, compiled for a CPU core: torch makes some twenty passes over small fields."""

from __future__ import annotations

import numpy as np
from numba import njit

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Red, green and blue."""


@njit(cache=True, nogil=True)
def contrast_exponents(
    colors: np.ndarray, valid: np.ndarray, displacements: np.ndarray, scale: np.float32, exponents: np.ndarray
) -> None:
    """Write -|I_p - I_q|^2 of each edge, the colours times `scale`; -inf where an end is invalid or outside.

    Args:
        colors: (B, 3, H, W) float32.
        valid: (B, H, W) bool.
        displacements: (E, 2) int64, pairs (dy, dx).
        scale: float32.
        exponents: (B, E, H, W) float32, overwritten.
    """
    batch, count, height, width = exponents.shape
    # e^-inf = 0: an edge that is not visited below has no weight.
    exponents[:] = -np.inf
    for b in range(batch):
        for e in range(count):
            dy, dx = displacements[e]
            # Columns, and then rows, whose other end lies inside the image; none where the edge is longer than it.
            left, right = max(0, -dx), min(width, width - dx)
            for y in range(max(0, -dy), min(height, height - dy)):
                # Else `right` may be below 0, which a slice would count from the end.
                if left < right:
                    # Both ends as rows of equal length, so that the inner loop has one index for all.
                    near = colors[b, 0, y, left:right], colors[b, 1, y, left:right], colors[b, 2, y, left:right]
                    low, high = left + dx, right + dx
                    far = colors[b, 0, y + dy, low:high], colors[b, 1, y + dy, low:high], colors[b, 2, y + dy, low:high]
                    shown, seen = valid[b, y, left:right], valid[b, y + dy, low:high]
                    _follow_row(near, far, shown, seen, scale, exponents[b, e, y, left:right])


@njit(cache=True, nogil=True)
def _follow_row(near: Rows, far: Rows, shown: np.ndarray, seen: np.ndarray, scale: np.float32, row: np.ndarray) -> None:
    red, green, blue = near
    far_red, far_green, far_blue = far
    for i in range(len(row)):  # without a branch, so that the compiler makes vector instructions of it
        # Each colour is scaled before the difference is taken, as torch does: so the last digits agree.
        r = scale * red[i] - scale * far_red[i]
        g = scale * green[i] - scale * far_green[i]
        b = scale * blue[i] - scale * far_blue[i]
        distance = r * r + g * g + b * b
        # `&`, not `and`, which would be a branch.
        row[i] = -distance if shown[i] & seen[i] else -np.inf
