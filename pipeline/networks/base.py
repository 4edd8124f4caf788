"""What every network shares: normalisation as its first layer, an encoder that pre-training fills, two groups of parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalization(nn.Module):
    """Subtract a mean and divide by a standard deviation per colour, those of an encoder; they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to normalised ones."""
        return (image - self.mean) / self.std


class Network(nn.Module):
    """Base class: subclasses set `head`, `encoder_parts` and `normalization`, and define `forward`.

    Attributes:
        head: the modules trained at the raised learning rate (decoder, classifier); a tuple, not a module list, so that they
            appear only once among the weights.
        encoder_parts: names of the sub-modules that pre-trained weights fill.
        normalization: the first layer.
    """

    head: tuple[nn.Module, ...]
    encoder_parts: tuple[str, ...] = ("encoder",)
    normalization: Normalization
    _frozen: tuple[nn.Module, ...] = ()

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of decoder and classifier."""
        return [parameter for module in self.head for parameter in module.parameters()]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return all other parameters; frozen ones among them never get a gradient."""
        head = {id(parameter) for parameter in self.head_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in head]

    def encoder_state(self) -> dict[str, Tensor]:
        """Return the weights that pre-training gives, by their names in `state_dict`; they share memory with the network."""
        return {name: value for name, value in self.state_dict().items() if name.split(".")[0] in self.encoder_parts}

    def freeze(self, *modules: nn.Module) -> None:
        """Keep `modules` as they are from now on: no gradients, evaluation mode even after `train()`."""
        for module in modules:
            module.requires_grad_(False)
            module.eval()
        self._frozen = (*self._frozen, *modules)

    def freeze_batch_norm(self) -> None:
        """Freeze statistics, scales and shifts of the encoder's batch normalisation; the head's stays trainable.

        The head starts from random weights, for which there are no statistics to keep.
        """
        encoder = [module for part in self.encoder_parts for module in self.get_submodule(part).modules()]
        self.freeze(*(module for module in encoder if isinstance(module, _BatchNorm)))

    def freeze_encoder(self) -> None:
        """Freeze all of the encoder, so that only the head is trained."""
        self.freeze(*(self.get_submodule(part) for part in self.encoder_parts))

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


class SegmentationNetwork(Network, ABC):
    """(B, 3, H, W) colours in [0, 1] -> (B, C, H, W) logits, by way of the encoder's features.

    Subclasses define `features` and `decode`. Features of a frozen encoder can be kept: `forward` takes them in its place.
    """

    @abstractmethod
    def features(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) colours in [0, 1] to the encoder's maps (B, D, h, w) that the head reads."""

    @abstractmethod
    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map features to (B, C, H, W) logits.

        Args:
            features: what `features` returns.
            size: H and W.
        """

    def forward(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to (B, C, H, W) logits.

        Args:
            image: colours; with `features` only their size counts.
            features: of these pictures, as kept. None: the encoder computes them.
        """
        return self.decode(self.features(image) if features is None else features, image.shape[-2:])


class Classifier(Network):
    """(B, 3, H, W) colours in [0, 1] -> (B, K) logits."""
