"""DeepLabV3+ with the backbones of both papers: ResNet-101, MobileNetV2 (of segmentation-models-pytorch) and WideResNet-38.

The pyramid (ASPP) has dense convolutions, as in the code base of both papers; the decoder is segmentation-models-pytorch's.
"""

from __future__ import annotations

from collections.abc import Callable

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base import initialization as init
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from pipeline.networks.base import Normalization, SegmentationNetwork
from pipeline.networks.wideresnet38 import WideResNet38

ASPP_RATES: dict[int, tuple[int, int, int]] = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the pyramid by output stride."""
DECODER_CHANNELS = 256


def _resnet101(output_stride: int) -> nn.Module:
    return get_encoder("resnet101", weights=None, output_stride=output_stride)


def _mobilenet_v2(output_stride: int) -> nn.Module:
    """Return MobileNetV2 up to its last inverted residual (320 channels).

    The code base of both papers leaves out the 1x1 convolution to 1,280 channels before ImageNet's classifier; the pyramid on
    it would be three times as large.
    """
    encoder = get_encoder("mobilenet_v2", weights=None, output_stride=output_stride)
    encoder.features = encoder.features[:-1]
    encoder._out_indexes = [*encoder._out_indexes[:-1], len(encoder.features) - 1]
    encoder._out_channels = [*encoder._out_channels[:-1], 320]
    return encoder


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"resnet101": _resnet101, "mobilenet_v2": _mobilenet_v2}
"""Backbones by the key `encoder` of params.yaml: output stride -> module from (B, 3, H, W) to features of rising stride."""


class DeepLabV3Plus(SegmentationNetwork):
    """An encoder, the dilated pyramid on its last features, and a decoder that adds those of stride 4.

    Weights are named encoder.*, decoder.* and segmentation_head.*, as in segmentation-models-pytorch.

    Args:
        num_classes: C.
        encoder: maps (B, 3, H, W) to a list of features whose third has stride 4 and whose last has `output_stride`.
        channels: of each of these features.
        output_stride: 8 or 16.
        decoder_channels: of pyramid and decoder; published: 256.

    Raises:
        ValueError: another output stride.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: nn.Module,
        channels: list[int],
        output_stride: int = 16,
        decoder_channels: int = DECODER_CHANNELS,
    ) -> None:
        super().__init__()
        if output_stride not in ASPP_RATES:
            raise ValueError(f"output_stride: expected 8 or 16, got {output_stride}")
        self.normalization = Normalization()
        self.encoder = encoder
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=channels,
            encoder_depth=5,
            out_channels=decoder_channels,
            atrous_rates=ASPP_RATES[output_stride],
            output_stride=16 if output_stride == 16 else 8,
            aspp_separable=False,
            aspp_dropout=0.5,
        )
        self.segmentation_head = SegmentationHead(decoder_channels, num_classes, kernel_size=1, upsampling=4)
        init.initialize_decoder(self.decoder)
        init.initialize_head(self.segmentation_head)
        self.head = (self.decoder, self.segmentation_head)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1], sides divisible by 16, to (B, C, H, W) logits."""
        return self.segmentation_head(self.decoder(self.encoder(self.normalization(image))))


def deeplabv3plus(num_classes: int, *, encoder: str, output_stride: int = 16) -> DeepLabV3Plus:
    """Return DeepLabV3+ on a backbone of `ENCODERS`, from random weights.

    Raises:
        ValueError: unknown backbone or output stride.
    """
    if encoder not in ENCODERS:
        raise ValueError(f"encoder: expected one of {', '.join(ENCODERS)}, got {encoder!r}")
    if output_stride not in ASPP_RATES:
        raise ValueError(f"output_stride: expected 8 or 16, got {output_stride}")
    backbone = ENCODERS[encoder](output_stride)
    channels = list(backbone.out_channels)  # type: ignore[arg-type]  # segmentation-models-pytorch: one number per feature
    return DeepLabV3Plus(num_classes, encoder=backbone, channels=channels, output_stride=output_stride)


def wideresnet38_deeplab(num_classes: int, *, width: int = 64, freeze_stem: bool = False) -> DeepLabV3Plus:
    """Return DeepLabV3+ on WideResNet-38, from random weights; output stride 8.

    Args:
        num_classes: C.
        width: channels of the first convolution; published: 64. All others are multiples, the decoder's too (at most 256).
        freeze_stem: keep the first convolution and the first stage as they are, as 1-stage-wseg does with trained weights.
    """
    backbone = WideResNet38(width)
    network = DeepLabV3Plus(
        num_classes,
        encoder=backbone,
        channels=backbone.out_channels,
        output_stride=8,
        decoder_channels=min(DECODER_CHANNELS, 4 * width),
    )
    if freeze_stem:
        network.freeze(backbone.stem, backbone.stages[0])
    return network
