"""What every segmentation network shares: normalisation as its first layer, and two groups of parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalization(nn.Module):
    """Subtract a mean and divide by a standard deviation per colour; the constants travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to normalised ones."""
        return (image - self.mean) / self.std


class SegmentationNetwork(nn.Module):
    """Base class: subclasses set `head`, the modules trained at the raised learning rate, and define `forward`.

    `head` is a tuple, not a module list, so that its modules appear only once among the weights.
    """

    head: tuple[nn.Module, ...]

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of decoder and classifier."""
        return [parameter for module in self.head for parameter in module.parameters()]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return all other parameters."""
        head = {id(parameter) for parameter in self.head_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in head]
