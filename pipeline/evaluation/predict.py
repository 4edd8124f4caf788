"""Predictions for whole pictures at their original size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

STRIDE_PX = 16
"""Networks take sides divisible by this."""


@torch.inference_mode()
def predict_logits(
    network: nn.Module, images: Sequence[NDArray[np.uint8]], *, resize_px: int | None, device: torch.device
) -> list[Tensor]:
    """Return logits (C, H, W) at each picture's original size, on `device`.

    Args:
        network: in evaluation mode.
        images: (H, W, 3) uint8 colours, any sizes.
        resize_px: side of the square the network sees (a network trained on resized whole images); logits are scaled
            back bilinearly. None: each picture at its own size, padded right and below to a multiple of 16.
        device: where the network is.
    """
    if resize_px is None:
        return [_at_own_size(network, _to_tensor(image, device)) for image in images]
    logits = network(resized_batch(images, resize_px, device)).float()
    return [_resize(one[None], image.shape[:2])[0] for one, image in zip(logits, images)]


def resized_batch(images: Sequence[NDArray[np.uint8]], size_px: int, device: torch.device) -> Tensor:
    """Return (B, 3, S, S) colours in [0, 1] of pictures of any size, each resized to the square of side `size_px`."""
    return torch.cat([_resize(_to_tensor(image, device), (size_px, size_px), antialias=True) for image in images])


def _at_own_size(network: nn.Module, tensor: Tensor) -> Tensor:
    height, width = tensor.shape[-2:]
    padded = pad(tensor, (0, -width % STRIDE_PX, 0, -height % STRIDE_PX))
    return network(padded)[0, :, :height, :width].float()


def _to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    planes = np.array(image.transpose(2, 0, 1), order="C")  # a copy even where none is needed: pictures may be read-only
    return torch.from_numpy(planes)[None].to(device).float() / 255


def _resize(tensor: Tensor, size: tuple[int, ...], *, antialias: bool = False) -> Tensor:
    return interpolate(tensor, size=tuple(size), mode="bilinear", align_corners=False, antialias=antialias)
