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
    tensors = [_to_tensor(image, device) for image in images]
    if resize_px is None:
        return [_at_own_size(network, tensor) for tensor in tensors]
    batch = torch.cat([_resize(tensor, (resize_px, resize_px), antialias=True) for tensor in tensors])
    logits = network(batch).float()
    return [_resize(one[None], tensor.shape[-2:])[0] for one, tensor in zip(logits, tensors)]


def _at_own_size(network: nn.Module, tensor: Tensor) -> Tensor:
    height, width = tensor.shape[-2:]
    padded = pad(tensor, (0, -width % STRIDE_PX, 0, -height % STRIDE_PX))
    return network(padded)[0, :, :height, :width].float()


def _to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].to(device).float() / 255


def _resize(tensor: Tensor, size: tuple[int, int] | torch.Size, *, antialias: bool = False) -> Tensor:
    return interpolate(tensor, size=tuple(size), mode="bilinear", align_corners=False, antialias=antialias)
