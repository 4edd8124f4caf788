"""The loop: learns, repeats itself, resumes exactly, and stops clearly when it cannot go on."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from pipeline.networks.small import SmallNetwork
from pipeline.training import loop
from pipeline.training.loop import Interrupted, Refresh, Settings, TrainingError, train
from pipeline.training.objectives import Objective

SETTINGS = Settings(
    epochs=3,
    batch_size=2,
    learning_rate=0.05,
    head_lr_factor=2.0,
    momentum=0.9,
    weight_decay=1e-4,
    power=0.9,
    validate_every_epochs=1,
)
CPU = torch.device("cpu")


def pictures():
    """Return two pictures whose class is their colour: red left, blue right, and the reverse."""
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[0, :, 16:] = 1
    labels[1, :, :16] = 1
    image = torch.stack([1.0 - labels, torch.zeros(2, 32, 32), labels.float()], dim=1)
    return image, labels


def loader(plan):
    """Yield the plan's batches of the two pictures."""
    image, labels = pictures()
    for batch in plan:
        chosen = torch.tensor([index for index, _ in batch])
        noise = torch.stack([torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(seed)) for _, seed in batch])
        ids = [f"picture-{index}" for index in chosen.tolist()]
        valid = torch.ones(len(batch), 32, 32, dtype=torch.bool)
        yield {"image": (image[chosen] + 0.1 * noise).clamp(0, 1), "labels": labels[chosen], "valid": valid, "image_id": ids}


def run(settings=SETTINGS, *, seed=1, make_loader=loader, **options):
    """Train a fresh small network and return it with the final state."""
    torch.manual_seed(0)
    network = SmallNetwork(2, width=4)
    state = train(
        network, make_loader, 2, Objective({"masks": 1.0}), settings, seed=seed, device=CPU, show_progress=False, **options
    )
    return network, state


def equal_weights(one, other):
    """Return whether two networks agree bit by bit."""
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_two_pictures_are_learned_by_heart():
    settings = Settings(epochs=60, batch_size=2, learning_rate=0.1, head_lr_factor=1.0, momentum=0.9, weight_decay=0.0, power=0.9)
    network, _ = run(settings)
    image, labels = pictures()
    assert (network(image).argmax(1) == labels).float().mean() > 0.97


def test_same_seed_gives_the_same_history_and_weights():
    (first, one), (second, two) = run(), run()
    assert one.history == two.history
    assert equal_weights(first, second)


def test_other_seed_gives_another_history():
    assert run()[1].history != run(seed=2)[1].history


def test_history_has_a_row_per_epoch_with_every_term():
    history = run()[1].history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(row["loss"] == pytest.approx(row["loss_masks"]) for row in history)


def test_learning_rate_follows_the_polynomial():
    rates = [row["learning_rate"] for row in run()[1].history]
    assert rates == pytest.approx([0.05 * (1 - step / 3) ** 0.9 for step in (1, 2, 3)])


@pytest.mark.parametrize("how", [{}, {"optimizer": "adamw", "schedule": "one_cycle"}], ids=["sgd", "adamw"])
@pytest.mark.parametrize("stop_at", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, stop_at, how):
    settings = replace(SETTINGS, **how)

    def stopping_loader(plan):
        for number, batch in enumerate(loader(plan), 1):
            if number == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    checkpoint = tmp_path / "c.pt"
    with pytest.raises(Interrupted, match=f"step {stop_at} of 3 is saved"):
        run(settings, checkpoint=checkpoint, make_loader=stopping_loader)
    resumed, after = run(settings, checkpoint=checkpoint)
    whole, state = run(settings)
    assert equal_weights(resumed, whole)
    assert after.history == state.history


def test_dropout_repeats_itself_after_an_interruption(tmp_path):
    def train_with_dropout(make_loader):
        torch.manual_seed(0)
        network = SmallNetwork(2, width=4)
        network.context.append(torch.nn.Dropout(0.5))
        torch.manual_seed(int(torch.randint(1000, ())) + len(list(tmp_path.iterdir())))  # state of the process must not matter
        options = {"seed": 1, "device": CPU, "show_progress": False, "checkpoint": tmp_path / "c.pt"}
        train(network, make_loader, 2, Objective({"masks": 1.0}), SETTINGS, **options)
        return network

    def stopping_loader(plan):
        for number, batch in enumerate(loader(plan), 1):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    whole = train_with_dropout(loader)
    with pytest.raises(Interrupted):
        train_with_dropout(stopping_loader)
    assert equal_weights(train_with_dropout(loader), whole)


def test_signal_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run()
    assert signal.getsignal(signal.SIGTERM) is before


def test_best_weights_are_those_of_the_best_epoch():
    metrics = iter([0.1, 0.9, 0.5])
    seen = []

    def validate(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"DSC_val": next(metrics), "mIoU_val": 0.0}

    _, state = run(validate=validate)
    assert [row["DSC_val"] for row in state.history] == [0.1, 0.9, 0.5]
    assert state.best_metric == 0.9
    assert all(torch.equal(state.best_weights[name], seen[1][name]) for name in seen[1])


def test_loss_that_is_not_finite_names_the_images():
    def broken_loader(plan):
        for batch in loader(plan):
            batch["image"][0] = float("nan")
            yield batch

    with pytest.raises(TrainingError, match=r"not finite at step 0 \(loss = nan.*images: picture-\d, picture-\d"):
        run(make_loader=broken_loader)


def test_gradient_that_is_not_finite_names_the_images_and_leaves_the_weights():
    torch.manual_seed(0)
    network = SmallNetwork(2, width=4)
    network.classifier.bias.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: value.clone() for name, value in network.named_parameters()}
    with pytest.raises(TrainingError, match=r"not its gradient at step 0 \(1 of .*classifier\.bias.*images: picture-\d"):
        train(network, loader, 2, Objective({"masks": 1.0}), SETTINGS, seed=1, device=CPU, show_progress=False)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


class Diverging(SmallNetwork):
    """A network whose first step ends at infinity though loss and gradient are finite."""

    def __init__(self, num_classes, *, width):
        super().__init__(num_classes, width=width)
        self.register_buffer("statistics", torch.zeros(3))

    def forward(self, image):
        self.statistics = self.statistics + torch.inf
        return super().forward(image)


@pytest.mark.parametrize("epochs", [1, 3])
def test_weights_that_are_not_finite_are_not_handed_out(monkeypatch, tmp_path, epochs):
    monkeypatch.setitem(globals(), "SmallNetwork", Diverging)
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(TrainingError, match=r"1 of \d+ tensors of weights are not finite after step 1, such as statistics"):
        run(replace(SETTINGS, epochs=epochs, validate_every_epochs=0), checkpoint=tmp_path / "checkpoint.pt")
    assert not (tmp_path / "checkpoint.pt").exists()


def test_single_image_that_batch_normalisation_refuses_is_explained():
    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(3))
    batch = {"image": torch.rand(1, 3, 32, 32), "image_id": ["a"]}
    with pytest.raises(TrainingError, match=r"batches of 1 image of 32x32 px; take two images or more"):
        loop._step(pooled, pooled, None, None, "float32", CPU, 0, "run", batch)


def train_with_memory_for(images, monkeypatch):
    """Train on batches of eight with an objective that runs out of memory beyond `images`."""
    objective = loop.Objective.__call__

    def limited(self, logits, batch):
        if len(logits) > images:
            raise torch.cuda.OutOfMemoryError("out")
        return objective(self, logits, batch)

    def eight(plan):
        for batch in loader(plan):
            yield {key: value * 4 if isinstance(value, list) else torch.cat([value] * 4) for key, value in batch.items()}

    monkeypatch.setattr(loop.Objective, "__call__", limited)
    run(make_loader=eight)


@pytest.mark.parametrize("images", range(2, 8))
def test_out_of_memory_says_which_batch_fits(monkeypatch, images):
    with pytest.raises(TrainingError, match=rf"8 images of 32x32 px; {images} fit: set .*\.batch_size to {images}$"):
        train_with_memory_for(images, monkeypatch)


def test_out_of_memory_whatever_the_batch_says_what_to_lower(monkeypatch):
    with pytest.raises(TrainingError, match=r"8 images of .*; lower training\.<name>\.batch_size"):
        train_with_memory_for(0, monkeypatch)


def test_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"c\.pt: not a complete checkpoint"):
        run(checkpoint=tmp_path / "c.pt")


def test_refresh_comes_before_each_period_with_the_network_in_evaluation_mode():
    made = []
    run(refresh=Refresh(2, lambda network, period, stop: made.append((period, network.training))))
    assert made == [(0, False), (1, False)]  # three epochs in periods of two


def test_refresh_leaves_the_training_as_it_is_when_it_changes_nothing():
    assert run(refresh=Refresh(1, lambda network, period, stop: None))[1].history == run()[1].history


def test_batches_see_what_the_refresh_made():
    shown = []
    periods = []

    def noting_loader(plan):
        for batch in loader(plan):
            shown.append(periods[-1])
            yield batch

    run(make_loader=noting_loader, refresh=Refresh(1, lambda network, period, stop: periods.append(period)))
    assert shown == [0, 1, 2]


def test_resumed_period_is_refreshed_under_its_own_number(tmp_path, monkeypatch):
    whole, _ = run(refresh=Refresh(2, lambda network, period, stop: None))
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)
    made = []

    def stop_in_the_second_epoch(plan):
        for number, batch in enumerate(loader(plan)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        run(
            make_loader=stop_in_the_second_epoch,
            checkpoint=path,
            refresh=Refresh(2, lambda network, period, stop: made.append(period)),
        )
    resumed, _ = run(checkpoint=path, refresh=Refresh(2, lambda network, period, stop: made.append(period)))
    assert made == [0, 1]  # stopped at the end of period 0, so that the next one follows
    assert equal_weights(whole, resumed)


def test_refresh_that_is_asked_to_stop_is_taken_up_again_from_its_own_beginning(tmp_path):
    whole, state = run(refresh=Refresh(1, lambda network, period, stop: None))
    made = []

    def stopped_in_the_third_period(network, period, stop):
        assert not stop()
        if period == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            raise Interrupted("asked to stop")

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        run(checkpoint=path, refresh=Refresh(1, stopped_in_the_third_period))
    resumed, after = run(checkpoint=path, refresh=Refresh(1, lambda network, period, stop: made.append(period)))
    assert made == [2]
    assert equal_weights(whole, resumed)
    assert after.history == state.history


class Overflowing(SmallNetwork):
    """A network with finite weights whose scores are not."""

    def forward(self, image, kept=None):
        return super().forward(image) * (1.0 if self.training else 1e38) * (1.0 if self.training else 1e38)


def test_network_whose_scores_are_not_finite_is_not_handed_out(monkeypatch):
    monkeypatch.setitem(globals(), "SmallNetwork", Overflowing)
    with pytest.raises(TrainingError, match="the network's scores are not finite after the last step"):
        run(replace(SETTINGS, epochs=1, validate_every_epochs=0))
