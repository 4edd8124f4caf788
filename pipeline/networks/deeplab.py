"""DeepLabV3+ of segmentation-models-pytorch with the backbones of both papers: ResNet-101 and MobileNetV2."""

from __future__ import annotations

import segmentation_models_pytorch as smp
from torch import Tensor

from pipeline.networks.base import Normalization, SegmentationNetwork

ASPP_RATES: dict[int, tuple[int, int, int]] = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the pyramid by output stride."""


class DeepLabV3Plus(SegmentationNetwork):
    """DeepLabV3+ with 256 decoder channels.

    Args:
        num_classes: C.
        encoder: "resnet101" or "mobilenet_v2".
        weights: "imagenet" downloads the backbone's weights on first use; None starts from random ones.
        output_stride: 8 or 16.

    Raises:
        OSError: the weights could not be fetched; the message says what to do.
    """

    def __init__(self, num_classes: int, *, encoder: str, weights: str | None, output_stride: int = 16) -> None:
        super().__init__()
        try:
            self.network = smp.DeepLabV3Plus(
                encoder_name=encoder,
                encoder_weights=weights,
                encoder_output_stride=output_stride,
                decoder_channels=256,
                decoder_atrous_rates=ASPP_RATES[output_stride],
                decoder_aspp_separable=False,  # dense convolutions, as in the code base of both papers
                classes=num_classes,
            )
        except OSError as error:
            raise OSError(
                f"{weights} weights of {encoder} could not be fetched ({error}); connect once so that they are cached, "
                "or set networks.<name>.weights to null to start from random weights"
            ) from error
        self.normalization = Normalization()
        self.head = (self.network.decoder, self.network.segmentation_head)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1], sides divisible by 16, to (B, C, H, W) logits."""
        return self.network(self.normalization(image))
