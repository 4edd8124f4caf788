"""Optimisers by name and learning rates: two groups, three ways down to zero."""

import pytest
import torch

from pipeline.networks.small import SmallNetwork
from pipeline.training.schedule import make_optimizer, make_scheduler


@pytest.fixture
def optimizer():
    """Return the optimiser of a small network."""
    return make_optimizer(SmallNetwork(2, width=4), learning_rate=0.1, head_lr_factor=10.0, momentum=0.9, weight_decay=0.0)


def rates(optimizer, schedule, steps=10):
    """Return the backbone's rate before each step and after the last."""
    scheduler = make_scheduler(optimizer, schedule, total_steps=steps, power=0.9)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_head_learns_faster_than_the_backbone(optimizer):
    backbone, head = optimizer.param_groups
    assert head["lr"] == pytest.approx(10 * backbone["lr"])


def test_polynomial_decay_has_the_published_values(optimizer):
    assert rates(optimizer, "polynomial") == pytest.approx([0.1 * (1 - step / 10) ** 0.9 for step in range(11)])


def test_cosine_decay_is_half_way_in_the_middle(optimizer):
    found = rates(optimizer, "cosine")
    assert found[5] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(0, abs=1e-9)
    assert found == sorted(found, reverse=True)


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing(optimizer):
    found = rates(optimizer, "one_cycle", steps=100)
    peak = found.index(max(found))
    assert max(found) == pytest.approx(0.1, rel=1e-3)
    assert peak == pytest.approx(30, abs=1)
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[-1] < 1e-4 * max(found)


def test_one_cycle_keeps_the_head_at_its_raised_rate(optimizer):
    make_scheduler(optimizer, "one_cycle", total_steps=10, power=0.9)
    backbone, head = optimizer.param_groups
    assert head["lr"] == pytest.approx(10 * backbone["lr"])


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_optimisers_are_those_of_torch(name, kind):
    rate = {"learning_rate": 0.1, "head_lr_factor": 1.0, "momentum": 0.8, "weight_decay": 0.01}
    made = make_optimizer(SmallNetwork(2, width=4), optimizer=name, **rate)
    group = made.param_groups[0]
    assert type(made) is kind
    assert (group["weight_decay"], group["momentum"] if name == "sgd" else group["betas"][0]) == (0.01, 0.8)


def test_unknown_optimiser_is_rejected():
    with pytest.raises(ValueError, match="expected sgd or adamw, got 'adam'"):
        make_optimizer(
            SmallNetwork(2, width=4), optimizer="adam", learning_rate=0.1, head_lr_factor=1.0, momentum=0.9, weight_decay=0.0
        )


def test_unknown_schedule_is_rejected(optimizer):
    with pytest.raises(ValueError, match="expected one of polynomial, cosine, one_cycle, got 'step'"):
        make_scheduler(optimizer, "step", total_steps=1, power=1.0)


def test_every_parameter_is_in_exactly_one_group():
    network = SmallNetwork(2, width=4)
    optimizer = make_optimizer(network, learning_rate=0.1, head_lr_factor=10.0, momentum=0.9, weight_decay=0.0)
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    assert all(isinstance(parameter, torch.nn.Parameter) for group in optimizer.param_groups for parameter in group["params"])
