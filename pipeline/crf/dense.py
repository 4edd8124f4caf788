"""The dense CRF loss of [SIZE] Eq. 3: every pixel interacts with every other through one bilateral Gaussian.

A_pq = exp(-1/2 |f_p - f_q|^2) with features f = (x, y) / sigma_xy and (R, G, B) / sigma_rgb, self-interaction included and
not normalised, as in the implementation both papers cite. `DENSE_FILTERS` holds two ways to multiply by A: "exact" visits
all pairs; "nystrom" replaces A by a positive semi-definite matrix of low rank, which on photographs is a few per cent from
the exact sum and costs only matrix products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.conventions import check_shape

Operator = Callable[[Tensor], Tensor]
"""S (B, C, N) -> R A R S (B, C, N), linear and symmetric; R keeps valid pixels."""

SAMPLED_PIXELS = 4096
"""Pixels per image on which landmarks are placed."""
LLOYD_STEPS = 3
JITTER = 1e-3
"""Added to the diagonal of the landmarks' kernel matrix: values from 1e-6 to 1e-2 give the same accuracy."""
LARGEST_DEFECT = 0.6
"""Mean of 1 - diag(A), known exactly, above which the low-rank filter is not used: photographs stay under 0.45."""
SMALLEST_EXPONENT = -60.0
"""e^-60 is nothing in the sum but still a normal float32: smaller ones become denormal numbers, several times slower."""
ELEMENTS_AT_ONCE = 2**24
"""Size of the largest block of A held in memory by the exact filter."""


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

    The constant is `potts_constant`; added, it gives Eq. 3 (on valid pixels), >= 0 and readable as a curve. The sum is over
    pairs of pixels and divided by nothing. The published weight 2e-9 belongs to a permutohedral lattice whose result is
    about 0.6 of this exact sum; with the filters here the equivalent weight is about 1.2e-9, on the mean over images.

    Args:
        probs: (B, C, H, W) on the simplex; reduced bilinearly by `scale_factor`.
        image: (B, 3, H, W) in [0, 1]; reduced to nearest pixels. It receives no gradient.
        valid: (B, H, W) bool, R; reduced to nearest pixels. Pixels outside neither send nor receive.
        sigma_rgb: bandwidth on 0-255 colours, > 0.
        sigma_xy_px: bandwidth in pixels of the full image, > 0; scaled down with it.
        scale_factor: in (0, 1].
        mode: a key of `DENSE_FILTERS`.
        landmarks: rank of "nystrom", at least 1.

    Returns:
        (B,), <= 0. Its gradient with respect to the reduced probs is -2 A (R S) R.

    Raises:
        ValueError: if a number is out of range, the mode is unknown, or the shapes do not fit together.
    """
    check_shape("probs", probs, (None, None, None, None))
    batch, _, height, width = probs.shape
    check_shape("image", image, (batch, 3, height, width))
    probs = probs.to(torch.promote_types(probs.dtype, torch.float32))
    if scale_factor != 1:
        probs = interpolate(probs, scale_factor=scale_factor, mode="bilinear", align_corners=False)
    operator = dense_operator(
        image.to(probs.dtype),
        valid,
        sigma_rgb=sigma_rgb,
        sigma_xy_px=sigma_xy_px,
        scale_factor=scale_factor,
        mode=mode,
        landmarks=landmarks,
    )
    return _NegativeQuadraticForm.apply(probs.flatten(2), operator)


def potts_constant(
    image: Tensor,
    valid: Tensor,
    *,
    sigma_rgb: float = 15.0,
    sigma_xy_px: float = 100.0,
    scale_factor: float = 0.5,
    mode: str = "nystrom",
    landmarks: int = 128,
) -> Tensor:
    """Return 1^T R A R 1 of each image, which added to `dense_crf_loss` with the same numbers gives [SIZE] Eq. 3.

    As sum_k S_k = 1, sum_k (1 - S_k)^T A S_k = 1^T A 1 - sum_k S_k^T A S_k.

    Args:
        image: (B, 3, H, W) in [0, 1].
        valid: (B, H, W) bool.
        sigma_rgb: as in `dense_crf_loss`, like all that follow.
        sigma_xy_px: in pixels of the full image.
        scale_factor: in (0, 1].
        mode: a key of `DENSE_FILTERS`.
        landmarks: rank of "nystrom".

    Returns:
        (B,), >= 0.

    Raises:
        ValueError: as `dense_crf_loss`.
    """
    operator = dense_operator(
        image,
        valid,
        sigma_rgb=sigma_rgb,
        sigma_xy_px=sigma_xy_px,
        scale_factor=scale_factor,
        mode=mode,
        landmarks=landmarks,
    )
    reduced = _reduce(image, scale_factor)
    ones = torch.ones_like(reduced[:, :1]).flatten(2)
    return operator(ones).sum((1, 2))


def dense_operator(
    image: Tensor,
    valid: Tensor,
    *,
    sigma_rgb: float,
    sigma_xy_px: float,
    scale_factor: float,
    mode: str,
    landmarks: int,
) -> Operator:
    """Return the multiplication by R A R of one batch of images, which can be applied any number of times.

    Arguments, their ranges and errors are those of `dense_crf_loss`. N is the number of pixels after reduction.
    """
    check_shape("image", image, (None, 3, None, None))
    check_shape("valid", valid, (image.shape[0], *image.shape[2:]))
    if mode not in DENSE_FILTERS:
        raise ValueError(f"mode: expected one of {', '.join(DENSE_FILTERS)}, got {mode!r}")
    if not (sigma_rgb > 0 and sigma_xy_px > 0):
        raise ValueError(f"sigma_rgb, sigma_xy_px: expected numbers above 0, got {sigma_rgb}, {sigma_xy_px}")
    if not 0 < scale_factor <= 1:
        raise ValueError(f"scale_factor: expected a number in (0, 1], got {scale_factor}")
    if landmarks < 1:
        raise ValueError(f"landmarks: expected at least 1, got {landmarks}")
    with torch.no_grad():
        small_image = _reduce(image, scale_factor)
        small_valid = _reduce(valid.unsqueeze(1).to(small_image.dtype), scale_factor).squeeze(1) > 0.5
        features = bilateral_features(small_image, sigma_rgb, sigma_xy_px * scale_factor)
        return DENSE_FILTERS[mode](features, small_valid.flatten(1), landmarks)


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
    left, right = _exponent_factors(features)
    kept = valid.unsqueeze(1).to(features.dtype)
    rows_at_once = max(1, ELEMENTS_AT_ONCE // (batch * count))

    def apply(signal: Tensor) -> Tensor:
        with _full_precision(signal):
            masked = (signal.to(features.dtype) * kept).transpose(1, 2)
            blocks = [_gaussian(left[:, start : start + rows_at_once], right) @ masked for start in range(0, count, rows_at_once)]
            return torch.cat(blocks, dim=1).transpose(1, 2) * kept

    return apply


def nystrom_filter(features: Tensor, valid: Tensor, landmarks: int = 128) -> Operator:
    """Return the multiplication by the Nystrom approximation R G M^-1 G^T R of R A R, time and memory O(N landmarks).

    G is the kernel between pixels and landmarks, M that between landmarks. Landmarks are k-means centres of valid pixels in
    feature space, found without random numbers. With M = L L^T and H = R G L^-T the matrix is H H^T: symmetric and positive
    semi-definite whatever is rounded. diag(A) = 1 is known, so mean(1 - diag) certifies the fit at no cost; images above
    `LARGEST_DEFECT`, those without colour structure such as noise, are filtered exactly, with one warning.

    Args:
        features: (B, N, 5) float32 or float64.
        valid: (B, N) bool.
        landmarks: m, at least 1; no more than N are used.

    Returns:
        S (B, C, N) -> (B, C, N) in the precision of `features`.
    """
    with _full_precision(features):
        centers = _kmeans(features, valid, min(landmarks, features.shape[1]))
        left, right = _exponent_factors(features, centers)
        center_left, center_right = _exponent_factors(centers)
        kernel = _gaussian(center_left, center_right)
        kernel.diagonal(dim1=1, dim2=2).add_(JITTER)
        root = torch.linalg.cholesky(kernel)
        cross = _gaussian(right.transpose(1, 2), left.transpose(1, 2))
        half = torch.linalg.solve_triangular(root, cross, upper=False) * valid.unsqueeze(1)  # H^T, (B, m, N)
        explained = half.square().sum((1, 2)) / valid.sum(1).clamp(min=1)
    failed = (1 - explained).where(valid.any(1), torch.zeros_like(explained)) > LARGEST_DEFECT
    exact = None
    if bool(failed.any()):
        warnings.warn("low-rank dense CRF filter does not fit an image without colour structure; using all pairs", stacklevel=2)
        exact = exact_filter(features[failed], valid[failed])

    def apply(signal: Tensor) -> Tensor:
        with _full_precision(signal):
            signal = signal.to(features.dtype)
            filtered = (signal @ half.transpose(1, 2)) @ half
            if exact is not None:
                filtered[failed] = exact(signal[failed])
            return filtered

    return apply


DENSE_FILTERS: dict[str, Callable[[Tensor, Tensor, int], Operator]] = {"exact": exact_filter, "nystrom": nystrom_filter}
"""Builders of the multiplication by A, (features, valid, landmarks) -> `Operator`, by name."""


class _NegativeQuadraticForm(torch.autograd.Function):
    """-S^T A S per image; one application of A serves value and gradient, as A is symmetric."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, operator: Operator) -> Tensor:
        filtered = operator(signal)
        ctx.save_for_backward(filtered)
        return -(signal * filtered).sum((1, 2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (filtered,) = ctx.saved_tensors
        return -2 * upstream.view(-1, 1, 1) * filtered, None


def _reduce(image: Tensor, scale_factor: float) -> Tensor:
    return image if scale_factor == 1 else interpolate(image, scale_factor=scale_factor, mode="nearest")


def _full_precision(tensor: Tensor) -> torch.autocast:
    # Half precision would lose the exponents: features reach |f|^2 = 900, of which differences of about 1 matter.
    return torch.autocast(device_type=tensor.device.type, enabled=False)


def _exponent_factors(features: Tensor, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return (B, N, 7) and (B, 7, M) whose product is -1/2 |f_p - g_q|^2, g being `others` or else `features`."""
    others = features if others is None else others
    origin = others.mean(1, keepdim=True)  # small squares: less cancellation
    features, others = features - origin, others - origin
    ones = features.new_ones(features.shape[0], features.shape[1], 1)
    left = torch.cat([features, -0.5 * features.square().sum(2, keepdim=True), ones], dim=2)
    other_ones = others.new_ones(others.shape[0], others.shape[1], 1)
    right = torch.cat([others, other_ones, -0.5 * others.square().sum(2, keepdim=True)], dim=2)
    return left, right.transpose(1, 2)


def _gaussian(left: Tensor, right: Tensor) -> Tensor:
    return torch.matmul(left, right).clamp_(min=SMALLEST_EXPONENT, max=0).exp_()


def _kmeans(features: Tensor, valid: Tensor, count: int) -> Tensor:
    """Return `count` centres (B, count, 5) of each image's valid pixels; deterministic, on every device alike."""
    pixels = features.shape[1]
    order = torch.argsort((~valid).to(torch.uint8), dim=1, stable=True)  # valid pixels first, in raster order
    # Multiples of the golden ratio modulo 1 spread any number of samples evenly without lining up with image rows.
    spread = torch.arange(1, min(SAMPLED_PIXELS, pixels) + 1, dtype=torch.float64, device=features.device) * 0.6180339887498949
    rank = (spread.frac() * valid.sum(1, keepdim=True)).long()
    chosen = order.gather(1, rank.clamp(max=pixels - 1))
    sample = features.gather(1, chosen.unsqueeze(2).expand(-1, -1, features.shape[2]))
    centers = sample[:, :count]
    for _ in range(LLOYD_STEPS):
        left, right = _exponent_factors(sample, centers)
        nearest = torch.matmul(left, right).argmax(2)
        # A product with one-hot rows, not a scatter: atomic additions on a GPU would not be reproducible.
        member = torch.nn.functional.one_hot(nearest, count).to(features.dtype).transpose(1, 2)
        size = member.sum(2, keepdim=True)
        centers = torch.where(size > 0, member @ sample / size.clamp(min=1), centers)
    return centers
