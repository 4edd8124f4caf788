"""The dense CRF loss of [SIZE] Eq. 3: every pixel interacts with every other through one bilateral Gaussian.

A_pq = exp(-1/2 |f_p - f_q|^2) with features f = (x, y) / sigma_xy and (R, G, B) / sigma_rgb, self-interaction included and
not normalised, as in the implementation both papers cite. `DENSE_FILTERS` holds three ways to multiply by A: "exact" visits
all pairs; "nystrom" replaces A by a positive semi-definite matrix of low rank, which on photographs is a few per cent from
the exact sum and costs only matrix products; "lattice" gives the published numbers, about 0.6 of the exact sum.

`DenseKernel` is A of a batch of images, for any number of products; `dense_crf_loss` is the loss on top of it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.conventions import check_numbers, check_shape
from pipeline.crf.lattice import lattice_filter
from pipeline.crf.nystrom import exponent_factors, gaussian, nystrom_filter

Operator = Callable[[Tensor], Tensor]
"""S (B, C, N) -> R A R S (B, C, N), linear; R keeps valid pixels."""

LARGEST_DEFECT = 0.6
"""Mean of 1 - diag(A), known exactly, above which the low-rank filter is not used: its error is then 15 % or more. With 128
landmarks photographs stay under 0.5, and noise is near 1."""
ELEMENTS_AT_ONCE = 2**24
"""Size of the largest block of A held in memory by the exact filter."""


@dataclass(frozen=True)
class DenseKernel:
    """R A R of one batch of images, built once and multiplied any number of times. No gradient passes through it.

    With W = R A R and D = diag(W 1), the quadratic relaxation summed over all pairs, sum_{p<q} W_pq |y_p - y_q|^2 / 2, has
    the gradient D y - W y: `degrees * y - filter(y)`.
    """

    operator: Operator
    valid: Tensor
    """(B, H, W) bool, R."""
    dtype: torch.dtype
    """Precision of all products: that of the image, at least float32."""

    @classmethod
    def build(
        cls,
        image: Tensor,
        valid: Tensor,
        sigma_rgb: float,
        sigma_xy_px: float,
        mode: str = "nystrom",
        landmarks: int = 128,
    ) -> DenseKernel:
        """Return the kernel of `image`.

        Args:
            image: (B, 3, H, W) in [0, 1].
            valid: (B, H, W) bool. Pixels outside neither send nor receive.
            sigma_rgb: bandwidth on 0-255 colours, > 0.
            sigma_xy_px: bandwidth in pixels of this image, > 0.
            mode: a key of `DENSE_FILTERS`.
            landmarks: rank of "nystrom", at least 1.

        Raises:
            ValueError: if a number is out of range, the mode is unknown, or the shapes do not fit together.
        """
        check_shape("image", image, (None, 3, None, None))
        check_shape("valid", valid, (image.shape[0], *image.shape[2:]))
        check_numbers("image", image)
        if mode not in DENSE_FILTERS:
            raise ValueError(f"mode: expected one of {', '.join(DENSE_FILTERS)}, got {mode!r}")
        if not (0 < sigma_rgb < math.inf and 0 < sigma_xy_px < math.inf):
            raise ValueError(f"sigma_rgb, sigma_xy_px: expected numbers above 0, got {sigma_rgb}, {sigma_xy_px}")
        if landmarks < 1:
            raise ValueError(f"landmarks: expected at least 1, got {landmarks}")
        dtype = torch.promote_types(image.dtype, torch.float32)
        with torch.no_grad(), _full_precision(image):
            # All modes get the same features, and differ in how they multiply by A.
            features = bilateral_features(image.to(dtype), sigma_rgb, sigma_xy_px)
            return cls(DENSE_FILTERS[mode](features, valid.flatten(1), landmarks), valid, dtype)

    def filter(self, values: Tensor) -> Tensor:
        """Return R A R `values`: at each pixel the sum over all valid pixels, itself included, weighted by the kernel.

        Args:
            values: (B, C, H, W), any C.

        Returns:
            (B, C, H, W) in the precision of the kernel; 0 on invalid pixels.

        Raises:
            ValueError: if the shape does not fit the images.
        """
        # R A R S: pixels that are not valid neither send nor receive.
        batch, height, width = self.valid.shape
        check_shape("values", values, (batch, None, height, width))
        with torch.no_grad(), _full_precision(values):
            return self.operator(values.flatten(2).to(self.dtype)).view(values.shape)

    @cached_property
    def degrees(self) -> Tensor:
        """Row sums of R A R, (B, 1, H, W); their mean is what a weight of the 4-grid is divided by for equal strength."""
        # W 1 by the same operator as W y: so D y - W y vanishes for constant y even where A is approximate.
        return self.filter(torch.ones_like(self.valid, dtype=self.dtype).unsqueeze(1))


def dense_crf_loss(
    probs: Tensor,
    image: Tensor,
    valid: Tensor,
    *,
    sigma_rgb: float = 15.0,
    sigma_xy_px: float = 100.0,
    scale_factor: float = 0.5,
    mode: str = "nystrom",
    landmarks: int = 128,
) -> Tensor:
    """Return -sum_k (R S_k)^T A (R S_k) of each image: [SIZE] Eq. 3 up to a constant of the image, hence negative.

    As sum_k S_k = 1, Eq. 3 is sum_k (1 - S_k)^T A S_k = 1^T A 1 - sum_k S_k^T A S_k; the constant 1^T A 1 is left out. The sum
    is over pairs of pixels and divided by nothing. The published weight 2e-9, on the mean over images, belongs to mode "lattice",
    whose result is about 0.6 of the exact sum; "exact" and "nystrom" have the same strength with about 1.2e-9.

    Args:
        probs: (B, C, H, W) on the simplex; reduced bilinearly by `scale_factor`. Half precision is summed in float32.
        image: (B, 3, H, W) in [0, 1]; reduced to nearest pixels. It receives no gradient.
        valid: (B, H, W) bool, R; reduced to nearest pixels. Pixels outside neither send nor receive.
        sigma_rgb: bandwidth on 0-255 colours, > 0.
        sigma_xy_px: bandwidth in pixels of the full image, > 0; scaled down with it.
        scale_factor: in (0, 1].
        mode: a key of `DENSE_FILTERS`.
        landmarks: rank of "nystrom", at least 1.

    Returns:
        (B,), <= 0. Its gradient with respect to the reduced probs is -2 A (R S) R; with "lattice", whose A is not quite
        symmetric, this published direction is 1-2 % from the derivative of the value.

    Raises:
        ValueError: if a number is out of range, the mode is unknown, or the shapes do not fit together.
    """
    check_shape("probs", probs, (None, None, None, None))
    batch, _, height, width = probs.shape
    check_shape("image", image, (batch, 3, height, width))
    probs = probs.to(torch.promote_types(probs.dtype, torch.float32))
    # The kernel takes the precision of the predictions, so that A S needs no conversion.
    kernel = _reduced_kernel(image.to(probs.dtype), valid, sigma_rgb, sigma_xy_px, scale_factor, mode, landmarks)
    # Bilinearly, as published, where image and mask keep nearest pixels. Autograd leads back to full size from here.
    if scale_factor != 1:
        probs = interpolate(probs, scale_factor=scale_factor, mode="bilinear", align_corners=False)
    return _NegativeQuadraticForm.apply(probs, kernel)


def bilateral_features(image: Tensor, sigma_rgb: float, sigma_xy_px: float) -> Tensor:
    """Return (x / sigma_xy, y / sigma_xy, R / sigma_rgb, G / sigma_rgb, B / sigma_rgb) of each pixel.

    Args:
        image: (B, 3, H, W) in [0, 1], N = H W.
        sigma_rgb: bandwidth on 0-255 colours.
        sigma_xy_px: bandwidth in pixels of this image.

    Returns:
        (B, N, 5), rows in raster order.
    """
    batch, _, height, width = image.shape
    y, x = torch.meshgrid(
        torch.arange(height, dtype=image.dtype, device=image.device),
        torch.arange(width, dtype=image.dtype, device=image.device),
        indexing="ij",
    )
    # f = (x / sigma_xy, y / sigma_xy, 255 I / sigma_rgb)
    # x before y, as published: another order puts the same points elsewhere in the lattice, and its numbers change.
    place = torch.stack([x, y]).expand(batch, -1, -1, -1) / sigma_xy_px
    return torch.cat([place, image * (255 / sigma_rgb)], dim=1).flatten(2).transpose(1, 2)


def exact_filter(features: Tensor, valid: Tensor, landmarks: int = 0) -> Operator:
    """Return the multiplication by R A R over all pairs: time O(N^2), memory O(N) per row of a block of A.

    Args:
        features: (B, N, 5) float32 or float64.
        valid: (B, N) bool.
        landmarks: not used; all filters are built by the same call.

    Returns:
        S (B, C, N) -> (B, C, N) in the precision of `features`.
    """
    batch, count, _ = features.shape
    left, right = exponent_factors(features)
    kept = valid.unsqueeze(1).to(features.dtype)
    # A block of rows of A at a time, of all images together.
    rows_at_once = max(1, ELEMENTS_AT_ONCE // (batch * count))

    def apply(signal: Tensor) -> Tensor:
        masked = (signal * kept).transpose(1, 2)
        # R A (R S); the rows of A are made anew in each product, as keeping them would take N^2 numbers.
        blocks = [gaussian(left[:, start : start + rows_at_once], right) @ masked for start in range(0, count, rows_at_once)]
        return torch.cat(blocks, dim=1).transpose(1, 2) * kept

    return apply


def nystrom_or_exact_filter(features: Tensor, valid: Tensor, landmarks: int) -> Operator:
    """Return `nystrom_filter`, or `exact_filter` for those images that it does not fit, with one warning.

    Such images have no colour structure, like noise: more than `LARGEST_DEFECT` of the diagonal is missing. All pairs take
    time O(N^2).

    Args:
        features: (B, N, 5) float32 or float64.
        valid: (B, N) bool.
        landmarks: rank, at least 1.

    Returns:
        S (B, C, N) -> (B, C, N) in the precision of `features`.
    """
    low_rank, missed = nystrom_filter(features, valid, landmarks)
    failed = ~(missed <= LARGEST_DEFECT)  # also where it is not a number
    # Waits for the device, but once per kernel and not once per product.
    if not bool(failed.any()):
        return low_rank
    # One text for all pictures: Python's default filter then shows it once.
    warnings.warn(
        f"an image has too little colour structure for a dense CRF filter with {landmarks} landmarks; summing over all pairs "
        "instead, which is slow (more landmarks may fit it)",
        stacklevel=2,
    )
    exact = exact_filter(features[failed], valid[failed])

    def apply(signal: Tensor) -> Tensor:
        filtered = low_rank(signal)
        # Only the images that did not fit; the others keep their quick result.
        filtered[failed] = exact(signal[failed])
        return filtered

    return apply


DENSE_FILTERS: dict[str, Callable[[Tensor, Tensor, int], Operator]] = {
    "exact": exact_filter,
    "nystrom": nystrom_or_exact_filter,
    "lattice": lattice_filter,
}
"""Builders of the multiplication by A, (features, valid, landmarks) -> `Operator`, by name."""


class _NegativeQuadraticForm(torch.autograd.Function):
    """-S^T A S per image; one application of A serves value and gradient, A being taken as symmetric."""

    @staticmethod
    def forward(ctx: Any, probs: Tensor, kernel: DenseKernel) -> Tensor:
        filtered = kernel.filter(probs)
        # A S serves twice: the value is -S.A S, and the gradient -2 A S.
        ctx.save_for_backward(filtered)
        # A S is 0 on invalid pixels, so that S may have anything finite there: S.(R A R S) = (R S).A (R S).
        return -(probs * filtered).sum((1, 2, 3))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (filtered,) = ctx.saved_tensors
        # d(-S.A S)/dS = -(A + A^T) S = -2 A S
        return -2 * upstream.view(-1, 1, 1, 1) * filtered, None


def _reduced_kernel(
    image: Tensor, valid: Tensor, sigma_rgb: float, sigma_xy_px: float, scale_factor: float, mode: str, landmarks: int
) -> DenseKernel:
    """Return the kernel of the image reduced to nearest pixels, with the bandwidth in pixels reduced alike."""
    if not 0 < scale_factor <= 1:
        raise ValueError(f"scale_factor: expected a number in (0, 1], got {scale_factor}")
    check_shape("valid", valid, (image.shape[0], *image.shape[2:]))
    if scale_factor != 1:
        image = interpolate(image, scale_factor=scale_factor, mode="nearest")
        # interpolate takes no bool; nearest pixels keep 0 and 1, so the threshold only turns them back.
        valid = interpolate(valid.unsqueeze(1).to(image.dtype), scale_factor=scale_factor, mode="nearest").squeeze(1) > 0.5
    # sigma_rgb stays: colours are as far apart in the small picture as in the large one.
    return DenseKernel.build(image, valid, sigma_rgb, sigma_xy_px * scale_factor, mode, landmarks)


def _full_precision(tensor: Tensor) -> torch.autocast:
    # Half precision would lose the exponents: features reach |f|^2 = 900, of which differences of about 1 matter.
    return torch.autocast(device_type=tensor.device.type, enabled=False)
