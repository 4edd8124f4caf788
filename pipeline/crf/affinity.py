"""Weights of edges: strong between pixels of one colour, weak across contrast ([SIZE] section 1.1, [SSL] section 1.1)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pipeline.conventions import check_numbers, check_shape, valid_mask
from pipeline.crf.neighborhoods import Offsets, check_offsets, edge_windows, neighbor

LARGEST_COLOR = 1e6
"""Of images here, whatever their scale: squared distances must fit float32."""
SMALLEST_BANDWIDTH = 1e-6
"""Of colours, on 0-255: a tenth of a millionth of a grey level; dividing by less would leave float32."""


def contrast_affinity(image: Tensor, valid: Tensor, offsets: Offsets, sigma_rgb: float, *, compiled: bool = False) -> Tensor:
    """Return w_pq = exp(-|I_p - I_q|^2 / (2 sigma_rgb^2)) / l of each edge.

    l is 1 along rows and columns and sqrt(2) for the diagonals of the 8-grid, so that the length of a boundary depends less
    on its direction. It is 1 for longer edges, which measure no boundary.

    Args:
        image: (B, 3, H, W) in [0, 1]; compared as 0-255 colours.
        valid: (B, H, W) bool.
        offsets: E pairs (dy, dx).
        sigma_rgb: bandwidth on 0-255 colours, at least 1e-6; 9 for PASCAL and 3 for Cityscapes in [SSL] Appendix C.
        compiled: use code compiled for float32 on a CPU: quicker, once its compiler is loaded. Else, and elsewhere, torch.

    Returns:
        (B, E, H, W) in [0, 1], at the first pixel of each edge; 0 where an end is invalid or outside the image.

    Raises:
        ValueError: if the shapes do not fit together, a colour is not finite, or sigma_rgb is out of range.
    """
    batch, height, width = _check_image(image, valid, offsets)
    if not SMALLEST_BANDWIDTH <= sigma_rgb < math.inf:
        raise ValueError(f"sigma_rgb: expected a number, at least {SMALLEST_BANDWIDTH:g}, got {sigma_rgb}")
    # |255 I_p - 255 I_q|^2 / (2 sigma^2) = |scale I_p - scale I_q|^2
    scale = 255 / (math.sqrt(2) * sigma_rgb)
    if compiled and image.device.type == "cpu" and image.dtype == torch.float32:
        from pipeline.crf.affinity_compiled import contrast_exponents  # loads a compiler

        # numpy() shares memory, so that the exponents are written into `weights`.
        weights = image.new_empty(batch, len(offsets), height, width)
        # Contiguous: numba compiles anew for each other layout of an array.
        given = (image.detach().contiguous().numpy(), valid.contiguous().numpy(), np.array(offsets, np.int64).reshape(-1, 2))
        # A float32 scale, as one of float64 would make every product float64.
        contrast_exponents(*given, np.float32(scale), weights.numpy())
        # exp in torch: numba has no vector instruction for it.
        return _over_lengths(weights.exp_(), offsets)
    colors = image.to(torch.promote_types(image.dtype, torch.float32)) * scale
    return _gaussian_weights(_color_distances(colors, offsets), _edge_mask(valid, offsets), offsets)


def adaptive_affinity(image: Tensor, valid: Tensor, offsets: Offsets) -> Tensor:
    """Return `contrast_affinity` with the bandwidth of each image set by its own contrast, as the published grid CRF does.

    sigma^2 is the mean of |I_p - I_q|^2 over the edges of the image; 1 where that is 0. The scale of colours cancels.

    Args:
        image: (B, 3, H, W), colours of any scale.
        valid: (B, H, W) bool.
        offsets: E pairs (dy, dx).

    Returns:
        (B, E, H, W) in [0, 1], as `contrast_affinity`.

    Raises:
        ValueError: if the shapes do not fit together or a colour is not finite.
    """
    _check_image(image, valid, offsets)
    distances = _color_distances(image.to(torch.promote_types(image.dtype, torch.float32)), offsets)
    joined = _edge_mask(valid, offsets)
    # sigma^2 = mean |I_p - I_q|^2, over edges with both ends valid
    # where, not times the mask: an invalid pixel may be nan, and 0 nan = nan.
    total = distances.where(joined, distances.new_zeros(())).sum((1, 2, 3))
    variance = total / joined.sum((1, 2, 3)).clamp(min=1)
    # Without any contrast all distances are 0: the exponent is 0 with every bandwidth.
    variance = variance.where(variance > 0, torch.ones_like(variance))
    # w = exp(-|I_p - I_q|^2 / (2 sigma^2)) / l
    return _gaussian_weights(distances / (2 * variance.view(-1, 1, 1, 1)), joined, offsets)


def trust_region_affinity(image: Tensor, valid: Tensor, offsets: Offsets) -> Tensor:
    """Return `adaptive_affinity` times (number of valid pixels) / (number of edges) of each image.

    So a sum over edges is comparable to a sum over pixels, whatever the neighbourhood: the scaling of the published graph
    cuts, to go with pairwise weight 100.

    Args:
        image: (B, 3, H, W), colours of any scale.
        valid: (B, H, W) bool.
        offsets: E pairs (dy, dx).

    Returns:
        (B, E, H, W) >= 0.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    affinity = adaptive_affinity(image, valid, offsets)
    # |Omega| / |N|: the sum over edges becomes a mean, times the number of pixels.
    ratio = valid.flatten(1).sum(1) / edge_count(valid, offsets).clamp(min=1)
    return affinity * ratio.to(affinity.dtype).view(-1, 1, 1, 1)


def edge_count(valid: Tensor, offsets: Offsets) -> Tensor:
    """Return the number of edges with both ends valid; (B,) int64 for `valid` (B, H, W) bool.

    >>> edge_count(torch.tensor([[[True, True, False]]]), ((0, 1), (1, 0))).tolist()
    [1]
    """
    return _edge_mask(valid, offsets).sum((1, 2, 3))


def without_seed_edges(affinity: Tensor, seeds: Tensor, offsets: Offsets) -> Tensor:
    """Return `affinity` with 0 on each edge between two seeds, whose energy is a constant of the pseudo-label problem.

    That constant is infinite for the logarithmic relaxations where two adjacent seeds have different classes. Edges that leave
    the image become 0 as well: in compiled code the end of such an edge is another pixel.

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
    # Filled inside the windows only: what leads out of the image keeps the zero.
    kept = torch.zeros_like(affinity)
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        kept[:, edge][first] = affinity[:, edge][first].masked_fill(seeded[first] & seeded[second], 0)
    return kept


def _check_image(image: Tensor, valid: Tensor, offsets: Offsets) -> tuple[int, int, int]:
    """Raise ValueError unless images can be compared; return how many there are, and their height and width."""
    check_shape("image", image, (None, 3, None, None))
    batch, _, height, width = image.shape
    check_shape("valid", valid, (batch, height, width))
    shown = image.detach().where(valid.unsqueeze(1), image.new_zeros(()))  # invalid pixels may have any colour
    check_numbers("image", shown, least=-LARGEST_COLOR, most=LARGEST_COLOR)
    check_offsets(offsets)
    return batch, height, width


def _edge_mask(valid: Tensor, offsets: Offsets) -> Tensor:
    """Return (B, E, H, W) bool: both ends inside and valid."""
    # `neighbor` is False outside, which drops edges out of the image too.
    return torch.stack([valid & neighbor(valid, offset) for offset in offsets], dim=1)


def _color_distances(image: Tensor, offsets: Offsets) -> Tensor:
    """Return |I_p - I_q|^2 of each edge, (B, E, H, W); 0 outside."""
    batch, _, height, width = image.shape
    distances = image.new_zeros(batch, len(offsets), height, width)
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        # At the first pixel of each edge; where it would lead outside the distance stays 0.
        distances[:, edge][first] = (image[first] - image[second]).square().sum(1)
    return distances


def _gaussian_weights(exponents: Tensor, joined: Tensor, offsets: Offsets) -> Tensor:
    """Return exp(-exponents) / l where joined, else 0."""
    weights = _over_lengths((-exponents).exp(), offsets)
    # where again: weights of invalid pixels may be nan.
    return weights.where(joined, weights.new_zeros(()))


def _over_lengths(weights: Tensor, offsets: Offsets) -> Tensor:
    """Return `weights` (B, E, H, W), which are overwritten, divided by l."""
    for edge, (dy, dx) in enumerate(offsets):
        if max(abs(dy), abs(dx)) == 1 and dy != 0 and dx != 0:  # a diagonal of the 8-grid
            weights[:, edge] /= math.sqrt(2)
    return weights
