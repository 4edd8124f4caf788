"""The bilateral kernel as a matrix of low rank: all-pairs sums for the price of two matrix products.

On photographs few colours and places explain all others. With G the kernel between pixels and m landmarks and M that between
landmarks, the Nystrom approximation of A is G M^-1 G^T: symmetric, positive semi-definite, deterministic, and nearer to the exact
sum than the lattice of the published implementation. Where a picture has no colour structure it fails, and says so: the diagonal
of A is 1, so what is missing from the diagonal measures the fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SAMPLED_PIXELS = 4096
"""Pixels per image on which landmarks are placed."""
PROBED_PIXELS = 1024
"""Pixels per image on which the fit is measured."""
LLOYD_STEPS = 3
JITTER = 1e-3
"""Added to the diagonal of the landmarks' kernel matrix: values from 1e-6 to 1e-2 give the same accuracy."""
SMALLEST_EXPONENT = -60.0
"""e^-60 is nothing in the sum but still a normal float32: smaller ones become denormal numbers, several times slower."""
CACHED_ELEMENTS = 2**19
"""Elements of G made at once on a CPU: they stay in its cache, and their memory is used again instead of mapped anew."""
GOLDEN_RATIO = 0.6180339887498949  # (sqrt(5) - 1) / 2


def nystrom_filter(features: Tensor, valid: Tensor, landmarks: int) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the multiplication by R G M^-1 G^T R, and the share of the diagonal of A that it misses.

    Landmarks are k-means centres of valid pixels in feature space, found without random numbers. Time and memory are
    O(N landmarks).

    Args:
        features: (B, N, 5) float32 or float64.
        valid: (B, N) bool, R.
        landmarks: m, at least 1; no more than N are used.

    Returns:
        S (B, C, N) -> (B, C, N) in the precision of `features`, and mean(1 - diag) of a sample of valid pixels, (B,): below 0.45
        on photographs, near 1 without colour structure, NaN if the matrix of the landmarks cannot be factorised.
    """
    sample = _sample(features, valid)
    centers = _kmeans(sample, min(landmarks, features.shape[1]))
    # M, the kernel between landmarks, M = L L^T
    kernel = gaussian(*exponent_factors(centers))
    # Landmarks may coincide, as where few valid pixels are drawn several times: M alone is singular then.
    kernel.diagonal(dim1=1, dim2=2).add_(JITTER)
    root, failures = torch.linalg.cholesky_ex(kernel)  # unlike `cholesky`, does not wait for the device
    probe = gaussian(*exponent_factors(sample[:, :PROBED_PIXELS], centers))
    # diag(G M^-1 G^T) = |L^-1 g_p|^2, whose difference from 1 is what the landmarks miss
    explained = torch.linalg.solve_triangular(root, probe.transpose(1, 2), upper=False).square().sum(1)
    missed = (1 - explained.mean(1)).masked_fill(failures > 0, float("nan"))

    left, right = exponent_factors(features, centers)
    # Blocks are for the cache of a CPU; elsewhere G is one block.
    rows = max(1, CACHED_ELEMENTS // (kernel.shape[0] * kernel.shape[1])) if features.device.type == "cpu" else left.shape[1]
    blocks = [gaussian(block, right) for block in left.split(rows, dim=1)]  # G, (B, rows, m) each
    kept = valid.unsqueeze(1).to(features.dtype)

    def apply(signal: Tensor) -> Tensor:
        parts = (signal * kept).split(rows, dim=2)
        # R S -> (R S) G -> (R S) G M^-1 -> (R S) G M^-1 G^T, block by block
        projected = torch.stack([part @ block for part, block in zip(parts, blocks, strict=True)]).sum(0)
        # M^-1 is applied through L, never formed: two triangular systems of size m, however large the picture.
        weights = torch.cholesky_solve(projected.transpose(1, 2), root).transpose(1, 2)
        return torch.cat([weights @ block.transpose(1, 2) for block in blocks], dim=2).mul_(kept)

    return apply, missed


def exponent_factors(features: Tensor, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return (B, N, 7) and (B, 7, M) whose product is -1/2 |f_p - g_q|^2, g being `others` or else `features`."""
    others = features if others is None else others
    # -1/2 |f - g|^2 = f.g - 1/2 |f|^2 - 1/2 |g|^2: a constant 1 on each side makes one matrix product of all three.
    origin = others.mean(1, keepdim=True)  # small squares: less cancellation
    features, others = features - origin, others - origin
    ones = features.new_ones(features.shape[0], features.shape[1], 1)
    left = torch.cat([features, -0.5 * features.square().sum(2, keepdim=True), ones], dim=2)
    other_ones = others.new_ones(others.shape[0], others.shape[1], 1)
    right = torch.cat([others, other_ones, -0.5 * others.square().sum(2, keepdim=True)], dim=2)
    return left, right.transpose(1, 2)


def gaussian(left: Tensor, right: Tensor) -> Tensor:
    """Return the kernel exp(-1/2 |f_p - g_q|^2), (B, N, M), from the factors of its exponent."""
    # Rounding may leave an exponent above 0; without the bound a pixel's weight with itself could exceed 1.
    return torch.matmul(left, right).clamp_(min=SMALLEST_EXPONENT, max=0).exp_()


def _sample(features: Tensor, valid: Tensor) -> Tensor:
    """Return the features of up to `SAMPLED_PIXELS` valid pixels (B, n, 5), any first part of them spread over the image."""
    pixels = features.shape[1]
    order = torch.argsort((~valid).to(torch.uint8), dim=1, stable=True)  # valid pixels first, in raster order
    # Multiples of the golden ratio modulo 1 spread any number of samples evenly without lining up with image rows.
    # float64, as a float32 number of 2500 leaves 12 bits to its fraction: too few for a rank among 65,536 pixels.
    spread = torch.arange(1, min(SAMPLED_PIXELS, pixels) + 1, dtype=torch.float64, device=features.device) * GOLDEN_RATIO
    rank = (spread.frac() * valid.sum(1, keepdim=True)).long()
    # No valid pixel: rank 0, and any pixel will do, as R makes the product 0.
    chosen = order.gather(1, rank.clamp(max=pixels - 1))
    return features.gather(1, chosen.unsqueeze(2).expand(-1, -1, features.shape[2]))


def _kmeans(sample: Tensor, count: int) -> Tensor:
    """Return `count` centres (B, count, 5) of the points `sample` (B, n, 5); deterministic, on every device alike."""
    # The first points, which are spread over the image already: no random start.
    centers = sample[:, :count]
    for _ in range(LLOYD_STEPS):
        # -1/2 |x - c|^2, largest at the nearest centre
        closeness = torch.matmul(*exponent_factors(sample, centers))
        # A product with rows of zeros and ones, not a scatter: atomic additions on a GPU would not be reproducible.
        # A tie makes a point a member of several centres: so centres that coincide stay alike.
        member = (closeness == closeness.amax(2, keepdim=True)).to(sample.dtype).transpose(1, 2)
        # A landmark that lost all its points stays where it is.
        size = member.sum(2, keepdim=True)
        centers = torch.where(size > 0, member @ sample / size.clamp(min=1), centers)
    return centers
