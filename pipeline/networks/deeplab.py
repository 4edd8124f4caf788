"""DeepLabV3+ on an encoder: ResNet-101, MobileNetV2 and WideResNet-38 in both papers.

The pyramid (ASPP) has dense convolutions, as in the code base of both papers; the decoder is segmentation-models-pytorch's.
"""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base import initialization as init
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from torch import Tensor, nn

from pipeline.networks.base import Normalization, SegmentationNetwork
from pipeline.networks.encoders import ENCODERS

ASPP_RATES: dict[int, tuple[int, int, int]] = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the pyramid by output stride."""
DECODER_CHANNELS = 256


class DeepLabV3Plus(SegmentationNetwork):
    """An encoder, the dilated pyramid on its last features, and a decoder that adds those of stride 4.

    Weights are named encoder.*, decoder.* and segmentation_head.*, as in segmentation-models-pytorch.

    Args:
        num_classes: C.
        encoder: maps (B, 3, H, W) to a list of features whose third has stride 4 and whose last has `output_stride`.
        channels: of each of these features.
        normalization: of the colours, as the encoder's weights want them.
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
        normalization: Normalization,
        output_stride: int = 16,
        decoder_channels: int = DECODER_CHANNELS,
    ) -> None:
        super().__init__()
        if output_stride not in ASPP_RATES:
            raise ValueError(f"output_stride: expected 8 or 16, got {output_stride}")
        self.normalization = normalization
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

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) colours in [0, 1], sides divisible by 16, to features of stride 4 and of the output stride."""
        maps = self.encoder(self.normalization(image))
        return [maps[2], maps[-1]]

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map features to (B, C, H, W) logits."""
        fine, deep = features
        return self.segmentation_head(self.decoder([fine, fine, fine, deep]))


def deeplabv3plus(num_classes: int, *, encoder: str, output_stride: int = 16) -> DeepLabV3Plus:
    """Return DeepLabV3+ on an encoder of `ENCODERS`, from random weights.

    Raises:
        ValueError: another output stride.
    """
    if output_stride not in ASPP_RATES:
        raise ValueError(f"output_stride: expected 8 or 16, got {output_stride}")
    spec = ENCODERS[encoder]
    backbone = spec.build(output_stride=output_stride)
    channels = list(backbone.out_channels)
    normalization = Normalization(spec.mean, spec.std)
    return DeepLabV3Plus(
        num_classes, encoder=backbone, channels=channels, normalization=normalization, output_stride=output_stride
    )


def wideresnet38_deeplab(num_classes: int, *, width: int = 64, freeze_stem: bool = False) -> DeepLabV3Plus:
    """Return DeepLabV3+ on WideResNet-38, from random weights; output stride 8.

    Args:
        num_classes: C.
        width: channels of the first convolution; published: 64. All others are multiples, the decoder's too (at most 256).
        freeze_stem: keep the first convolution and the first stage as they are, as 1-stage-wseg does with trained weights.
    """
    spec = ENCODERS["wideresnet38"]
    backbone = spec.build(width=width)
    network = DeepLabV3Plus(
        num_classes,
        encoder=backbone,
        channels=backbone.out_channels,
        normalization=Normalization(spec.mean, spec.std),
        output_stride=8,
        decoder_channels=min(DECODER_CHANNELS, 4 * width),
    )
    if freeze_stem:
        network.freeze(backbone.stem, backbone.stages[0])
    return network
