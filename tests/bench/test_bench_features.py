"""The benchmark of kept features: its three ways train the same network, and the peer of the encoder is the same encoder."""

import pytest
import torch

from pipeline.bench import features
from pipeline.bench.steps import make_batch
from pipeline.networks import build_network
from pipeline.params import own_settings

SETTINGS = {"kind": "small", "width": 4, "freeze_encoder": True}


@pytest.fixture(scope="module")
def batch():
    return make_batch(2, 32, 3)


def test_only_the_last_way_changes_the_encoder(batch, tmp_path, monkeypatch):
    built = []

    def noted(*arguments, **options):
        built.append(build_network(*arguments, **options))
        return built[-1]

    monkeypatch.setattr(features, "build_network", noted)
    steps = features.training_steps(SETTINGS, batch, tmp_path)
    before = [{name: value.clone() for name, value in network.encoder_state().items()} for network in built]
    for step in steps.values():
        step()
    kept = [
        all(torch.equal(value, old[name]) for name, value in network.encoder_state().items())
        for network, old in zip(built, before)
    ]
    assert kept == [True, True, False]


def test_the_way_on_kept_features_never_runs_the_encoder(batch, tmp_path, monkeypatch):
    steps = features.training_steps(SETTINGS, batch, tmp_path)
    from pipeline.networks.small import SmallNetwork

    def refuse(*_):
        raise AssertionError("the encoder ran")

    monkeypatch.setattr(SmallNetwork, "features", refuse)
    steps["kept features"]()
    with pytest.raises(AssertionError, match="the encoder ran"):
        steps["encoder at every step"]()


def test_the_peer_has_the_encoder_of_own():
    own = build_network(own_settings().network.model_dump(), 2)
    plain = features.timm.create_model(features.TIMM, pretrained=False)
    count = sum(value.numel() for value in plain.parameters()) - sum(
        value.numel() for module in (plain.classifier, plain.conv_head, plain.bn2) for value in module.parameters()
    )
    assert sum(value.numel() for value in own.encoder.parameters()) == count


def test_ratios_are_relative_to_the_last_case():
    fast, slow = features.rows({"fast": [0.5, 0.4, 9.0], "slow": [2.0]}, images=4)
    assert (fast["images_per_second"], fast["ratio"]) == (8.0, 4.0)
    assert (slow["images_per_second"], slow["ratio"]) == (2.0, 1.0)
