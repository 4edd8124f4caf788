"""Compact networks for the embedded scale: a feature pyramid for segmentation and a classifier on the same encoder.

Not in either paper. They stand in for DeepLabV3+ and ResNet-18 where minutes of one CPU core are the budget: trained from random
weights, about 0.1 million parameters at the default width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.networks.base import Classifier, Normalization, SegmentationNetwork

ENCODER = ("stride2", "stride4", "stride8")
"""What segmentation and classification have in common, and what pre-training gives."""


def _block(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1, kernel: int = 3) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _stride4(width: int) -> nn.Sequential:
    return nn.Sequential(_block(width, 2 * width, stride=2), _block(2 * width, 2 * width))


def _stride8(width: int) -> nn.Sequential:
    return nn.Sequential(
        _block(2 * width, 4 * width, stride=2), _block(4 * width, 4 * width), _block(4 * width, 4 * width, dilation=2)
    )


class SmallNetwork(SegmentationNetwork):
    """Encoder at strides 2, 4 and 8 with dilated context; pyramid back to stride 2; bilinear to the input size.

    Args:
        num_classes: C.
        width: channels at stride 2; deeper levels have two and four times as many.
    """

    encoder_parts = ENCODER

    def __init__(self, num_classes: int, *, width: int = 16) -> None:
        super().__init__()
        self.normalization = Normalization()
        self.stride2 = _block(3, width, stride=2)
        self.stride4 = _stride4(width)
        self.stride8 = _stride8(width)
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4 * width, 4 * width, 1), nn.ReLU(inplace=True))
        self.lateral4 = nn.Conv2d(2 * width, 2 * width, 1)
        self.down4 = nn.Conv2d(4 * width, 2 * width, 1)  # before the up-sampling, which is cheaper on fewer channels
        self.merge4 = _block(2 * width, 2 * width)
        self.lateral2 = nn.Conv2d(width, width, 1)
        self.down2 = nn.Conv2d(2 * width, width, 1)
        self.merge2 = _block(width, width)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        pyramid = (self.lateral4, self.down4, self.merge4, self.lateral2, self.down2, self.merge2)
        self.head = (*pyramid, self.classifier)

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) colours in [0, 1], sides divisible by 8, to features of strides 2, 4 and 8."""
        fine = self.stride2(self.normalization(image))
        middle = self.stride4(fine)
        return [fine, middle, self.stride8(middle)]

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map features to (B, C, H, W) logits."""
        fine, middle, coarse = features
        coarse = coarse + self.context(coarse)
        middle = self.merge4(self.lateral4(middle) + _resize_like(self.down4(coarse), middle))
        fine = self.merge2(self.lateral2(fine) + _resize_like(self.down2(middle), fine))
        return interpolate(self.classifier(fine), size=size, mode="bilinear", align_corners=False)


class SmallClassifier(Classifier):
    """The encoder of `SmallNetwork`, the mean over the picture, and a linear classifier.

    Trained on whole-picture classes it is the embedded stand-in for ImageNet pre-training: its `encoder_state` fits
    `SmallNetwork` of the same width.

    Args:
        num_classes: K.
        width: channels at stride 2; deeper levels have two and four times as many.
    """

    encoder_parts = ENCODER

    def __init__(self, num_classes: int, *, width: int = 16) -> None:
        super().__init__()
        self.normalization = Normalization()
        self.stride2 = _block(3, width, stride=2)
        self.stride4 = _stride4(width)
        self.stride8 = _stride8(width)
        self.classifier = nn.Linear(4 * width, num_classes)
        self.head = (self.classifier,)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to (B, K) logits."""
        features = self.stride8(self.stride4(self.stride2(self.normalization(image))))
        return self.classifier(features.mean((2, 3)))


def _resize_like(features: Tensor, reference: Tensor) -> Tensor:
    return interpolate(features, size=reference.shape[-2:], mode="bilinear", align_corners=False)
