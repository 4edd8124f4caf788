"""Accuracy of a classifier of whole images over a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline import parallel
from pipeline.evaluation.predict import resized_batch


class ClassifiedImages(Protocol):
    """What is needed of a split: ids, pictures (H, W, 3) and the class of each."""

    @property
    def ids(self) -> Sequence[str]:
        """Image ids in order."""

    def image(self, image_id: str, /) -> NDArray[np.uint8]:
        """Return the picture."""

    def image_class(self, image_id: str, /) -> int:
        """Return the class index."""


@torch.inference_mode()
def accuracy(
    network: nn.Module, images: ClassifiedImages, *, resize_px: int, device: torch.device, batch_size: int = 64
) -> float:
    """Return the share of images whose highest logit is that of their class, in [0, 1].

    `network` is in evaluation mode and maps (B, 3, S, S), S = `resize_px`, to (B, C). Processes that train together divide the
    images among them.
    """
    right = 0
    share = images.ids[parallel.rank() :: parallel.world_size()]
    for start in range(0, len(share), batch_size):
        ids = share[start : start + batch_size]
        logits = network(resized_batch([images.image(image_id) for image_id in ids], resize_px, device))
        truth = torch.tensor([images.image_class(image_id) for image_id in ids], device=device)
        right += int((logits.argmax(1) == truth).sum())
    return int(parallel.sum_over_ranks(torch.tensor(right))) / len(images.ids)
