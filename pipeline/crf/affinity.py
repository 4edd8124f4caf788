"""Weights of edges: strong between pixels of one colour, weak across contrast ([SIZE] section 1.1, [SSL] section 1.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.conventions import check_shape, valid_mask
from pipeline.crf.neighborhoods import Offsets, edge_windows


def contrast_affinity(image: Tensor, valid: Tensor, offsets: Offsets, sigma_rgb: float) -> Tensor:
    """Return w_pq = exp(-|I_p - I_q|^2 / (2 sigma_rgb^2)) / |offset| of each edge.

    The division is by the Euclidean length of the edge: 1 along rows and columns, sqrt(2) for the diagonals of the
    8-grid, so that the length of a boundary depends less on its direction.

    Args:
        image: (B, 3, H, W) in [0, 1]; compared as 0-255 colours.
        valid: (B, H, W) bool.
        offsets: E pairs (dy, dx).
        sigma_rgb: bandwidth on 0-255 colours, > 0; 9 for PASCAL and 3 for Cityscapes in [SSL] Appendix C.

    Returns:
        (B, E, H, W) in [0, 1], at the first pixel of each edge; 0 where an end is invalid or outside the image.

    Raises:
        ValueError: if the shapes do not fit together or sigma_rgb is not positive.
    """
    check_shape("image", image, (None, 3, None, None))
    batch, _, height, width = image.shape
    check_shape("valid", valid, (batch, height, width))
    if not sigma_rgb > 0:
        raise ValueError(f"sigma_rgb: expected a number above 0, got {sigma_rgb}")
    colors = image.to(torch.promote_types(image.dtype, torch.float32)) * (255 / (math.sqrt(2) * sigma_rgb))
    affinity = colors.new_zeros(batch, len(offsets), height, width)
    for edge, (dy, dx) in enumerate(offsets):
        first, second = edge_windows((dy, dx), height, width)
        weight = (-(colors[first] - colors[second]).square().sum(1)).exp() / math.hypot(dy, dx)
        affinity[:, edge][first] = weight.where(valid[first] & valid[second], weight.new_zeros(()))
    return affinity


def without_seed_edges(affinity: Tensor, seeds: Tensor, offsets: Offsets) -> Tensor:
    """Return `affinity` with 0 on each edge between two seeds, whose energy is a constant of the pseudo-label problem.

    That constant is infinite for the logarithmic relaxations where two adjacent seeds have different classes.

    Args:
        affinity: (B, E, H, W).
        seeds: (B, H, W), `VOID` where there is no seed.
        offsets: E pairs (dy, dx).

    Returns:
        (B, E, H, W), a new tensor.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    batch, height, width = seeds.shape
    check_shape("affinity", affinity, (batch, len(offsets), height, width))
    seeded = valid_mask(seeds)
    kept = affinity.clone()
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        kept[:, edge][first].masked_fill_(seeded[first] & seeded[second], 0)
    return kept
