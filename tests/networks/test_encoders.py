"""Encoders: kinds that take them, and EfficientNet-Lite0 as it was trained: names, padding, colours, what it recognises."""

from pathlib import Path

import pytest
import skimage.data
import timm
import torch
from torch.nn.functional import interpolate

from pipeline.networks.base import Normalization
from pipeline.networks.encoders import ENCODERS, efficientnet_lite0_name, encoder_of
from pipeline.networks.light import LightNetwork
from pipeline.networks.weights import convert, load_encoder
from pipeline.stages.weights import packaged_file

HOUSE_CATS = {281, 282, 283, 284, 285}
"""ImageNet's tabby, tiger, Persian, Siamese and Egyptian cat."""
LITE0 = ENCODERS["efficientnet_lite0"]


def test_kinds_with_several_encoders_must_name_one():
    with pytest.raises(ValueError, match=r"encoder of light: expected resnet101 or .*efficientnet_lite0.*, got None"):
        encoder_of("light", None)


def test_an_encoder_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="encoder of small: expected None, got resnet101"):
        encoder_of("small", "resnet101")


@pytest.fixture(scope="module")
def packaged() -> Path:
    """Return the file of the installed package."""
    return packaged_file(LITE0.published)


@pytest.fixture(scope="module")
def architecture(packaged):
    """Return the architecture the weights were trained in, filled with them in their order, classifier included."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(packaged, weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), weights.values(), strict=True)))
    return network.eval()


@pytest.fixture(scope="module")
def network(packaged):
    """Return the light network on the packaged weights."""
    network = LightNetwork(3, encoder="efficientnet_lite0")
    load_encoder(network, convert(network, packaged, "efficientnet_lite0"))
    return network.eval()


@pytest.fixture(scope="module")
def photographs():
    """Return two photographs of a dependency, (2, 3, 224, 224) colours in [0, 1]; the first shows a cat."""
    squares = [skimage.data.chelsea()[:, 90:390], skimage.data.astronaut()]
    tensors = [torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 255 for square in squares]
    return torch.cat([interpolate(one, size=(224, 224), mode="bilinear", antialias=True, align_corners=False) for one in tensors])


def test_renamed_tensors_of_lite0_stand_in_the_order_of_the_package(packaged, network):
    given = [efficientnet_lite0_name(name) for name in torch.load(packaged, weights_only=True) if not name.startswith("_fc")]
    assert [name for name in given if name is not None] == list(network.encoder.state_dict())


def test_lite0_sees_colours_from_minus_one_to_one():
    normalized = Normalization(LITE0.mean, LITE0.std)(torch.tensor([0.0, 127.5, 255.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1) / 255)
    torch.testing.assert_close(normalized[:, 0, 0, 0], torch.tensor([-1.0, 0.0, 1.0]))


def test_lite0_gives_the_logits_of_its_architecture(network, architecture, photographs):
    with torch.inference_mode():
        deepest = network.encoder(network.normalization(photographs))[-1]
        logits = architecture.classifier(architecture.global_pool(architecture.bn2(architecture.conv_head(deepest))))
        torch.testing.assert_close(logits, architecture((photographs * 255 - 127.5) / 127.5), atol=1e-4, rtol=1e-4)


def test_lite0_recognises_the_cat_of_a_photograph(architecture, network, photographs):
    with torch.inference_mode():
        best = architecture(network.normalization(photographs[:1])).topk(5).indices[0].tolist()
    assert best[0] in HOUSE_CATS


def test_the_light_head_reads_strides_8_16_and_32(network, photographs):
    with torch.inference_mode():
        maps = network.features(photographs)
    assert [one.shape[1:] for one in maps] == [(40, 28, 28), (112, 14, 14), (320, 7, 7)]
