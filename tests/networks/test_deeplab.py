"""DeepLabV3+: strides, channels and parameter counts of the published backbones, on tensors without memory where possible."""

import pytest
import torch
from torch import nn

from pipeline.networks.deeplab import deeplabv3plus


def meta(encoder, output_stride=16):
    """Build a network that has shapes but no numbers."""
    with torch.device("meta"):
        return deeplabv3plus(21, encoder=encoder, output_stride=output_stride).eval()


def features(network, side):
    return network.encoder(torch.empty(1, 3, side, side, device="meta"))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("encoder", ["resnet101", "mobilenet_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_deepest_features_have_the_output_stride(encoder, output_stride):
    assert features(meta(encoder, output_stride), 128)[-1].shape[-2:] == (128 // output_stride,) * 2


@pytest.mark.parametrize(
    ("encoder", "low", "high"), [("resnet101", 256, 2048), ("mobilenet_v2", 24, 320), ("efficientnet_lite0", 24, 320)]
)
def test_low_level_features_have_stride_4_and_published_channels(encoder, low, high):
    maps = features(meta(encoder), 64)
    assert maps[2].shape == (1, low, 16, 16)
    assert maps[-1].shape[1] == high


def test_resnet101_has_the_published_number_of_parameters():
    assert count(meta("resnet101").encoder) == 44_549_160 - (2048 * 1000 + 1000)  # without ImageNet's classifier: 42.5 M


def test_mobilenet_has_the_published_number_of_parameters():
    last_convolution = 320 * 1280 + 2 * 1280  # left out here, as in the papers' code base
    classifier = 1280 * 1000 + 1000
    assert count(meta("mobilenet_v2").encoder) == 3_504_872 - classifier - last_convolution


@pytest.mark.parametrize(("output_stride", "rates"), [(16, {1, 6, 12, 18}), (8, {1, 12, 24, 36})])
def test_pyramid_has_the_published_dilations(output_stride, rates):
    pyramid = meta("resnet101", output_stride).decoder.aspp[0]
    assert {layer.dilation[0] for layer in pyramid.modules() if isinstance(layer, nn.Conv2d)} == rates


def test_pyramid_is_dense():
    pyramid = meta("resnet101").decoder.aspp[0]
    assert all(layer.groups == 1 for layer in pyramid.modules() if isinstance(layer, nn.Conv2d))


def test_unknown_output_stride_is_refused():
    with pytest.raises(ValueError, match=r"expected 8 or 16, got 4"):
        deeplabv3plus(2, encoder="mobilenet_v2", output_stride=4)
