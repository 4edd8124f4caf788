"""Networks of every kind: output at the input's size, two groups of parameters, raw colours in, freezing that lasts."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from pipeline.networks import CLASSIFIERS, NETWORKS
from pipeline.networks.base import Network, Normalization
from pipeline.networks.encoders import ENCODERS
from pipeline.training.schedule import make_optimizer

SEGMENTATION = {
    "small": lambda **more: NETWORKS["small"](5, width=4, **more),
    **{
        f"deeplabv3plus-{name}": partial(NETWORKS["deeplabv3plus"], 5, encoder=name, output_stride=16)
        for name, encoder in ENCODERS.items()
        if "deeplabv3plus" in encoder.kinds
    },
    "light": lambda **more: NETWORKS["light"](5, encoder="efficientnet_lite0", **more),
    "wideresnet38": lambda **more: NETWORKS["wideresnet38"](5, width=2, **more),
    "small_segmenter": lambda **more: NETWORKS["small_segmenter"](5, width=16, **more),
}
CLASSIFICATION = {
    "classifier": lambda **more: CLASSIFIERS["classifier"](5, **more),
    "small_classifier": lambda **more: CLASSIFIERS["small_classifier"](5, width=4, **more),
}
BUILDERS = SEGMENTATION | CLASSIFICATION
WITH_BATCH_NORM = sorted(set(BUILDERS) - {"small_segmenter"})


def build(name, **more):
    torch.manual_seed(0)
    return BUILDERS[name](**more)


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def network(request):
    return build(request.param).eval()


@pytest.mark.parametrize("name", sorted(SEGMENTATION))
def test_logits_have_the_input_size(name):
    with torch.inference_mode():
        assert build(name).eval()(torch.rand(2, 3, 64, 48)).shape == (2, 5, 64, 48)


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
def test_classifiers_give_one_row_of_logits_per_image(name):
    with torch.inference_mode():
        assert build(name).eval()(torch.rand(2, 3, 64, 48)).shape == (2, 5)


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
    torch.testing.assert_close(together, apart, atol=1e-5 * max(1.0, float(together.abs().max())), rtol=1e-4)


def test_networks_normalise_raw_colours_themselves(network):
    image = torch.rand(1, 3, 32, 32)
    plain = copy.deepcopy(network)
    plain.normalization = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(network(image), plain(network.normalization(image)))


def test_encoder_and_head_share_no_weights(network):
    heads = {value.data_ptr() for module in network.head for value in module.parameters()}
    assert heads.isdisjoint(value.data_ptr() for value in network.encoder_state().values())


def test_normalization_maps_the_mean_to_zero():
    layer = Normalization(mean=(0.5, 0.2, 0.1), std=(0.5, 0.5, 0.5))
    image = torch.tensor([0.5, 0.2, 0.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(layer(image).flatten(), torch.tensor([0.0, 0.0, 1.0]))


def statistics(network: Network) -> dict[str, torch.Tensor]:
    """Return a copy of the running statistics of the encoder."""
    return {name: value.clone() for name, value in network.encoder_state().items() if "running" in name}


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_frozen_statistics_survive_train(name):
    network = build(name, freeze_batch_norm=True).train()
    before = statistics(network)
    network(torch.rand(2, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in statistics(network).items())


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_statistics_move_when_not_frozen(name):
    network = build(name).train()
    before = statistics(network)
    network(torch.rand(2, 3, 32, 32))
    assert not any(torch.equal(value, before[key]) for key, value in statistics(network).items())


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_frozen_batch_norm_gets_no_gradient(name):
    network = build(name, freeze_batch_norm=True).train()
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    norms = [m for part in network.encoder_parts for m in network.get_submodule(part).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(norm.weight.grad is None for norm in norms)


def test_batch_norm_of_the_head_stays_trainable():
    network = build("deeplabv3plus-mobilenet_v2", freeze_batch_norm=True).train()
    norms = [module for module in network.decoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.training and norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_frozen_encoder_stays_as_it_is_in_training(name):
    network = build(name, freeze_encoder=True).train()
    before = {key: value.clone() for key, value in network.encoder_state().items()}
    optimizer = make_optimizer(network, learning_rate=0.1, head_lr_factor=1.0, momentum=0.9, weight_decay=0.1)
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in network.encoder_state().items())


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_frozen_encoder_leaves_the_head_trainable(name):
    network = build(name, freeze_encoder=True).train()
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.head_parameters())


@pytest.mark.parametrize("name", sorted(SEGMENTATION))
def test_kept_features_give_the_logits_of_the_picture(name):
    network, image = build(name).eval(), torch.rand(2, 3, 64, 48)
    with torch.inference_mode():
        torch.testing.assert_close(network(image, network.features(image)), network(image))


def test_frozen_modules_of_a_copy_are_its_own():
    network = build("small", freeze_batch_norm=True)
    twin = copy.deepcopy(network).train()
    assert not any(module.training for module in twin.stride2 if isinstance(module, nn.BatchNorm2d))
