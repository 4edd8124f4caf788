"""Networks: output at the input's size, two groups of parameters, raw colours in."""

import pytest
import torch

from pipeline.networks import NETWORKS
from pipeline.networks.base import Normalization
from pipeline.training.schedule import make_optimizer

BUILDERS = {
    "small": lambda: NETWORKS["small"](5, width=4),
    "mobilenet": lambda: NETWORKS["deeplabv3plus"](5, encoder="mobilenet_v2", weights=None, output_stride=16),
}


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def network(request):
    torch.manual_seed(0)
    return BUILDERS[request.param]().eval()


def test_logits_have_the_input_size(network):
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 48)).shape == (2, 5, 64, 48)


def test_groups_hold_every_parameter_once(network):
    groups = network.backbone_parameters() + network.head_parameters()
    assert len(groups) == len({id(parameter) for parameter in groups}) == len(list(network.parameters()))


def test_head_is_trained_at_the_raised_rate(network):
    optimizer = make_optimizer(network, learning_rate=0.1, head_lr_factor=10.0, momentum=0.9, weight_decay=0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]


def test_batch_of_two_equals_two_batches(network):
    image = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        together = network(image)
        apart = torch.cat([network(image[:1]), network(image[1:])])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-4)


def test_normalization_maps_the_mean_to_zero():
    layer = Normalization(mean=(0.5, 0.2, 0.1), std=(0.5, 0.5, 0.5))
    image = torch.tensor([0.5, 0.2, 0.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(layer(image).flatten(), torch.tensor([0.0, 0.0, 1.0]))
