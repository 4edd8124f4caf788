"""WideResNet-38: the published table of channels, strides and dilations; pre-activation; freezing."""

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from pipeline.networks.deeplab import wideresnet38_deeplab
from pipeline.networks.wideresnet38 import PreActivationBlock, WideResNet38


def table():
    """Return (in, out, side, stride, dilation) of every convolution but projections, stem to end, typed from the publication."""
    rows = [(3, 64, 3, 1, 1)]
    for inputs, outputs, blocks in ((64, 128, 3), (128, 256, 3), (256, 512, 6)):
        rows += [(inputs, outputs, 3, 2, 1), (outputs, outputs, 3, 1, 1)]
        rows += [(outputs, outputs, 3, 1, 1)] * 2 * (blocks - 1)
    rows += [(512, 512, 3, 1, 1), (512, 1024, 3, 1, 2)]
    rows += [(1024, 512, 3, 1, 2), (512, 1024, 3, 1, 2)] * 2
    rows += [(1024, 512, 1, 1, 1), (512, 1024, 3, 1, 4), (1024, 2048, 1, 1, 1)]
    rows += [(2048, 1024, 1, 1, 1), (1024, 2048, 3, 1, 4), (2048, 4096, 1, 1, 1)]
    return rows


PROJECTIONS = [(64, 128), (128, 256), (256, 512), (512, 1024), (1024, 2048), (2048, 4096)]


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return WideResNet38().eval()


def test_convolutions_follow_the_published_table(published):
    layers = [module for name, module in published.named_modules() if isinstance(module, nn.Conv2d) and "projection" not in name]
    found = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in layers]
    assert found == table()


def test_every_change_of_shape_has_a_projection(published):
    layers = [module for name, module in published.named_modules() if name.endswith("projection") and module is not None]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == PROJECTIONS


def test_parameters_are_those_of_the_table(published):
    convolutions = sum(inputs * outputs * side**2 for inputs, outputs, side, _, _ in table())
    projections = sum(inputs * outputs for inputs, outputs in PROJECTIONS)
    norms = 2 * (sum(inputs for inputs, *_ in table()[1:]) + 4096)  # one before each convolution but the stem, one at the end
    assert sum(parameter.numel() for parameter in published.parameters()) == convolutions + projections + norms


def test_float32_weights_have_the_size_of_the_published_file(published):
    megabytes = sum(value.numel() * value.element_size() for value in published.state_dict().values()) / 2**20
    assert 400 < megabytes < 402  # listed as 402 M, rounded up


def test_features_have_strides_1_2_4_8_and_4096_channels(published):
    maps = published(torch.empty(1, 3, 64, 64, device="meta"))
    assert [tuple(features.shape[1:]) for features in maps] == [(3, 64, 64), (128, 32, 32), (256, 16, 16), (4096, 8, 8)]


def test_width_scales_every_channel():
    small = WideResNet38(width=2)
    assert [features.shape[1] for features in small(torch.rand(2, 3, 16, 16))] == small.out_channels == [3, 4, 8, 128]


def test_projection_equals_a_strided_convolution():
    torch.manual_seed(0)
    block = PreActivationBlock(4, (6, 6), stride=2).eval()
    nn.init.zeros_(block.convs[-1].weight)
    image = torch.rand(1, 4, 8, 8)
    expected = nn.functional.conv2d(relu(block.norms[0](image)), block.projection.weight, stride=2)
    torch.testing.assert_close(block(image), expected)


def test_shortcut_without_projection_is_the_input_itself():
    block = PreActivationBlock(4, (4, 4)).eval()
    nn.init.zeros_(block.convs[-1].weight)
    image = torch.randn(1, 4, 8, 8)
    assert torch.equal(block(image), image)


def test_dropout_takes_whole_channels_before_inner_convolutions():
    torch.manual_seed(0)
    block = PreActivationBlock(64, (64, 64), dropout=0.5).train()
    seen = []
    block.convs[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    block(torch.rand(2, 64, 8, 8))
    empty = (seen[0] == 0).flatten(2).all(2).float().mean()
    assert 0.3 < float(empty) < 0.7


def test_frozen_stem_keeps_its_weights_while_the_rest_learns():
    torch.manual_seed(0)
    network = wideresnet38_deeplab(3, width=2, freeze_stem=True).train()
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    assert network.encoder.stem.weight.grad is None
    assert all(parameter.grad is None for parameter in network.encoder.stages[0].parameters())
    assert network.encoder.stages[1][0].convs[0].weight.grad is not None


def test_decoder_reads_the_end_of_the_second_stage():
    with torch.device("meta"):
        network = wideresnet38_deeplab(21)
    assert network.decoder.block1[0].in_channels == 256
    assert network.decoder.aspp[0].convs[0][0].in_channels == 4096
