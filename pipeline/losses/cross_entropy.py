"""Cross-entropies: on seeds ([SIZE] Eq. 4, [SSL] Eq. 3) and between predictions and soft pseudo-labels ([SSL] Eq. 7-9).

Predictions come as `log_probs`, the log-soft-max of the network's logits, so that nothing under- or overflows for
confident networks. `CROSS_ENTROPIES` maps the names used in params.yaml to the functions of two soft labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.conventions import check_shape, valid_mask

LABEL_FLOOR = 1e-6
"""Pseudo-labels are raised to this value inside a logarithm; the paper does not say how it avoids ln 0."""


def partial_cross_entropy(log_probs: Tensor, seeds: Tensor) -> Tensor:
    """Return the negative log-likelihood of the seeds, summed over each image.

    L = -sum_{p in seeds} ln S_p^{y_p}  ([SIZE] Eq. 4, [SSL] Eq. 3).

    Args:
        log_probs: (B, C, H, W), <= 0.
        seeds: (B, H, W) int64 in 0..C-1, or `VOID` where there is no seed.

    Returns:
        (B,), >= 0; 0 for an image without seeds. Pixels without a seed get zero gradient, whatever `log_probs` is there.

    Raises:
        ValueError: if the shapes do not fit together.

    >>> log_probs = torch.tensor([0.25, 0.75]).log().view(1, 2, 1, 1)
    >>> round(float(partial_cross_entropy(log_probs, torch.tensor([[[1]]]))), 4)
    0.2877
    """
    batch, _, height, width = _check_image("log_probs", log_probs)
    check_shape("seeds", seeds, (batch, height, width))
    seeded = valid_mask(seeds)
    # `VOID` is no class: gather needs an index that exists, whose value is not used.
    index = seeds.where(seeded, seeds.new_zeros(())).unsqueeze(1)
    picked = log_probs.gather(1, index).squeeze(1)
    # Selecting, not multiplying by the mask: 0 * inf would be nan.
    return -picked.where(seeded, picked.new_zeros(())).flatten(1).sum(1)


def cross_entropy(log_probs: Tensor, pseudo_labels: Tensor) -> Tensor:
    """Return H_CE(y, sigma) = -sum_k y^k ln sigma^k per pixel ([SSL] Eq. 7).

    Args:
        log_probs: (B, C, H, W), finite.
        pseudo_labels: (B, C, H, W) on the simplex.

    Returns:
        (B, H, W), >= 0.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_pair(log_probs, pseudo_labels)
    # 0 ln sigma = 0 needs no care, as log_probs are finite.
    return -(pseudo_labels * log_probs).sum(1)


def reverse_cross_entropy(log_probs: Tensor, pseudo_labels: Tensor) -> Tensor:
    """Return H_RCE(y, sigma) = -sum_k sigma^k ln max(y^k, `LABEL_FLOOR`) per pixel ([SSL] Eq. 8).

    Args:
        log_probs: (B, C, H, W).
        pseudo_labels: (B, C, H, W) on the simplex.

    Returns:
        (B, H, W), between 0 and -ln `LABEL_FLOOR` = 13.8.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_pair(log_probs, pseudo_labels)
    # -sigma.ln y, with ln 0 read as ln of the floor
    return -(log_probs.exp() * pseudo_labels.clamp(min=LABEL_FLOOR).log()).sum(1)


def collision_cross_entropy(log_probs: Tensor, pseudo_labels: Tensor) -> Tensor:
    """Return H_CCE(y, sigma) = -ln sum_k sigma^k max(y^k, `LABEL_FLOOR`) per pixel ([SSL] Eq. 9).

    -ln of the probability that a draw from `sigma` and one from `y` are the same class. With the floor that is at least
    `LABEL_FLOOR`, so that value and gradient stay finite where the product of two contradicting distributions underflows.

    Args:
        log_probs: (B, C, H, W).
        pseudo_labels: (B, C, H, W) on the simplex.

    Returns:
        (B, H, W), between 0 (up to C times the floor) and -ln `LABEL_FLOOR` = 13.8.

    Raises:
        ValueError: if the shapes differ.

    >>> half = torch.full((1, 2, 1, 1), 0.5)
    >>> round(float(collision_cross_entropy(half.log(), half)), 4)
    0.6931
    """
    _check_pair(log_probs, pseudo_labels)
    # No log-sum-exp: as sigma sums to 1, the argument of ln is at least the floor.
    return -(log_probs.exp() * pseudo_labels.clamp(min=LABEL_FLOOR)).sum(1).log()


def quadratic_cross_entropy(log_probs: Tensor, pseudo_labels: Tensor) -> Tensor:
    """Return H_Q(y, sigma) = 1/2 |sigma - y|^2 per pixel ([SSL] section 3.1, the case with a closed-form solution).

    Args:
        log_probs: (B, C, H, W).
        pseudo_labels: (B, C, H, W) on the simplex.

    Returns:
        (B, H, W) in [0, 1].

    Raises:
        ValueError: if the shapes differ.
    """
    _check_pair(log_probs, pseudo_labels)
    return 0.5 * (log_probs.exp() - pseudo_labels).square().sum(1)


CROSS_ENTROPIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "rce": reverse_cross_entropy,
    "cce": collision_cross_entropy,
    "quadratic": quadratic_cross_entropy,
}
"""H of [SSL] Eq. 6 by name: (log_probs, pseudo_labels) -> (B, H, W)."""


def entropy(log_probs: Tensor) -> Tensor:
    """Return Shannon's entropy H(sigma) = -sum_k sigma^k ln sigma^k per pixel ([SSL] section 1.1).

    Args:
        log_probs: (B, C, H, W), finite.

    Returns:
        (B, H, W) in [0, ln C].

    Raises:
        ValueError: if `log_probs` has not four axes.
    """
    _check_image("log_probs", log_probs)
    # sigma ln sigma -> 0 with sigma, but 0 times -inf would be nan: hence finite log_probs.
    return -(log_probs.exp() * log_probs).sum(1)


def _check_image(name: str, tensor: Tensor) -> torch.Size:
    check_shape(name, tensor, (None, None, None, None))
    return tensor.shape


def _check_pair(log_probs: Tensor, pseudo_labels: Tensor) -> None:
    check_shape("pseudo_labels", pseudo_labels, tuple(_check_image("log_probs", log_probs)))
