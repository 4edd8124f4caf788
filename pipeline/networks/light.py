"""A light head for CPUs: strides 16 and 32 meet in a 3x3 convolution at stride 16, stride 8 is added for the borders.

Not in either paper. It is what a network can afford that is trained in minutes on kept features of a frozen encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from pipeline.networks.base import Normalization, SegmentationNetwork
from pipeline.networks.encoders import ENCODERS

WIDTH = 64
USED = (3, 4, 5)
"""Which of the encoder's maps are read: those of strides 8, 16 and 32. The last ones know what is on a picture."""


class LightNetwork(SegmentationNetwork):
    """An encoder of `ENCODERS` and the light head."""

    def __init__(self, num_classes: int, *, encoder: str) -> None:
        super().__init__()
        spec = ENCODERS[encoder]
        self.normalization = Normalization(spec.mean, spec.std)
        self.encoder = spec.build(output_stride=32)
        channels = [self.encoder.out_channels[index] for index in USED]
        self.project = nn.ModuleList(_convolution(count, 1) for count in channels)
        self.fuse = _convolution(WIDTH, 3)
        self.classifier = nn.Conv2d(WIDTH, num_classes, 1)
        self.head = (self.project, self.fuse, self.classifier)

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) colours in [0, 1], sides divisible by 16, to features of strides 8, 16 and 32."""
        maps = self.encoder(self.normalization(image))
        return [maps[index] for index in USED]

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map features to (B, C, H, W) logits."""
        fine, middle, coarse = (project(one) for project, one in zip(self.project, features, strict=True))
        known = self.fuse(relu(middle + _resize(coarse, middle.shape[-2:]), inplace=True))
        scores = self.classifier(relu(fine + _resize(known, fine.shape[-2:]), inplace=True))
        return _resize(scores, size)


def _convolution(inputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, WIDTH, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(WIDTH))


def _resize(features: Tensor, size: Sequence[int]) -> Tensor:
    return interpolate(features, size=size, mode="bilinear", align_corners=False)
