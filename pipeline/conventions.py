"""What every tensor in this repository means: the void value, axis order, and the few checks that enforce them.

Axis order is always batch, class, height, width (B, C, H, W). Colours are float32 in [0, 1] and not normalised
(normalisation is the first layer of a network); bandwidths called `sigma_rgb` are on 0-255 colours, as published.

Glossary
    labels        ground-truth class index per pixel, `VOID` where none is given              (B, H, W) int64
    seeds         class index on annotated pixels (scribbles, clicks, blocks), `VOID` elsewhere  (B, H, W) int64
    valid         inside the image and not void                                               (B, H, W) bool
    probs         soft-max of the network's logits: sigma in [SSL], S in [SIZE]               (B, C, H, W)
    pseudo_labels soft labels y of [SSL] Eq. 5, detached from the network                     (B, C, H, W)
    size_targets  prescribed class fractions v of the whole image, [SIZE] Eq. 2               (B, C), rows sum to 1
    mean_probs    predicted class fractions, [SIZE] Eq. 1                                     (B, C), rows sum to 1

[SIZE] = "Approximate Size Targets Are Sufficient for Accurate Semantic Segmentation" (arXiv 2503.06954),
[SSL]  = "Soft Self-labeling and Potts Relaxations for Weakly-Supervised Segmentation" (arXiv 2507.01721).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # stages without tensors import this module too, and torch takes seconds to load
    from torch import Tensor

VOID = 255
"""Pixel value without a class: ignored by every loss, size and metric."""


def valid_mask(labels: Tensor) -> Tensor:
    """Return where `labels` holds a class: bool, same shape; False on `VOID`.

    >>> import torch
    >>> valid_mask(torch.tensor([[0, 255]])).tolist()
    [[True, False]]
    """
    return labels != VOID


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return one-hot distributions of integer labels ([SSL] Eq. 2).

    Args:
        labels: (B, H, W) int64 in 0..num_classes-1 or `VOID`.
        num_classes: C, at least 1.

    Returns:
        (B, C, H, W) float32; all zeros where `labels` is `VOID`.

    Raises:
        RuntimeError: a label is `num_classes` or more, or below 0.

    >>> import torch
    >>> one_hot(torch.tensor([[[1, 255]]]), 2).squeeze(2).tolist()
    [[[0.0, 0.0], [1.0, 0.0]]]
    """
    import torch

    valid = valid_mask(labels).unsqueeze(1)
    index = labels.unsqueeze(1).where(valid, labels.new_zeros(()))
    encoded = torch.zeros(len(labels), num_classes, *labels.shape[1:], device=labels.device)
    return encoded.scatter_(1, index, valid.float())


def check_shape(name: str, tensor: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `tensor` has `shape`, where None stands for any length."""
    matches = tensor.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, tensor.shape, strict=True))
    if not matches:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}: expected shape ({wanted}), got {tuple(tensor.shape)}")


def check_numbers(name: str, tensor: Tensor, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise ValueError unless `tensor` has elements and all are finite numbers from `least` to `most`.

    What guards every way into compiled code: there a number that is not finite becomes an index, and an index memory of others.
    One pass without new memory, as min and max of a tensor with a nan are nan.

    >>> import torch
    >>> check_numbers("weights", torch.tensor([0.5, float("nan")]))
    Traceback (most recent call last):
    ...
    ValueError: weights: expected finite numbers, got nan
    """
    import torch

    if tensor.numel() == 0:
        raise ValueError(f"{name}: expected at least one number, got shape {tuple(tensor.shape)}")
    low, high = torch.stack(tensor.detach().aminmax()).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name}: expected finite numbers, got {high if math.isfinite(low) else low}")
    if not least <= low <= high <= most:
        raise ValueError(f"{name}: expected numbers from {least:g} to {most:g}, got {low:g} to {high:g}")
