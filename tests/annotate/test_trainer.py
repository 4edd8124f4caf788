"""Training while people draw: the head goes on from lesson to lesson, on features that are computed once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.annotate import trainer
from pipeline.annotate.live import Lesson
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.trainer import Trainer
from pipeline.targets.rasters import decode_raster
from pipeline.targets.strokes import Stroke
from pipeline.training.loop import TrainingError

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ["background", "cat"]
SIDE = 64


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Return a function that changes the settings, in a folder where they say small pictures."""
    tree = YAML().load(REPOSITORY / paths.OWN)
    monkeypatch.chdir(tmp_path)
    paths.OWN.parent.mkdir()

    def put(section="training", **changes):
        tree[section].update(changes)
        with paths.OWN.open("w") as file:
            YAML().dump(tree, file)

    put(image_size_px=SIDE)
    return put


@pytest.fixture
def pictures(settings):
    """Return four pictures whose left half is orange, one of which is broken."""
    Path("images").mkdir()
    values = np.full((40, 60, 3), 40, np.uint8)
    values[:, :30] = (230, 150, 20)
    for name in "abc":
        Image.fromarray(values).save(f"images/{name}.png")
    Path("images/d.png").write_bytes(b"no picture")
    return FolderPictures(Path("images"), NAMES[1:])


@pytest.fixture
def network(pictures, tmp_path):
    (tmp_path / "kept").mkdir()
    return Trainer(pictures, NAMES, tmp_path / "kept")


def strokes():
    """Return strokes of one person on a picture: an upright one on each half."""
    places = (("cat", 12.0), ("background", 48.0))
    return [
        [
            Stroke(id=f"{number:016x}", class_name=name, width_px=3, points=((x, 4.0), (x, 36.0)), size_px=(60, 40))
            for number, (name, x) in enumerate(places)
        ]
    ]


def lesson(number=1, sizes=None, shown=None, **drawn):
    return Lesson(number, drawn or {"a": strokes(), "b": strokes()}, sizes or {}, shown)


def test_strokes_become_a_prediction_of_every_picture_that_can_be_read(network):
    assert network.learn(lesson()) == 2
    labels, uncertainty = network.look()
    assert sorted(labels) == sorted(uncertainty) == ["a", "b", "c"]
    found = decode_raster(labels["c"])
    assert found.shape == (SIDE, SIDE)
    assert (found[:, :24] == 1).mean() > 0.8
    assert (found[:, 40:] == 0).mean() > 0.8
    assert all(0 <= value <= 1 for value in uncertainty.values())
    assert network.left == 0


def test_picture_that_is_shown_comes_first(network, monkeypatch):
    monkeypatch.setattr(trainer, "AT_A_TIME", 1)
    network.learn(lesson(shown="c"))
    assert list(network.look()[0]) == ["c"]


def test_head_goes_on_from_where_it_is(network, monkeypatch):
    network.learn(lesson())
    before = {name: value.clone() for name, value in network._network.state_dict().items()}
    begun = []

    def remember(trained, *_, **__):
        begun.append({name: value.clone() for name, value in trained.state_dict().items()})

    monkeypatch.setattr(trainer, "train", remember)
    network.learn(lesson(2))
    assert all(torch.equal(begun[0][name], value) for name, value in before.items())


def test_features_are_computed_once(network, monkeypatch):
    network.learn(lesson())
    network.look()
    monkeypatch.setattr(trainer, "write_features", None)
    network.learn(lesson(2, c=strokes()))
    assert sorted(network.look()[0]) == ["a", "b", "c"]


def test_failed_training_leaves_the_head_as_it_was(network, monkeypatch):
    network.learn(lesson())
    before = network.look()[0]

    def fail(trained, *_, **__):
        for parameter in trained.head_parameters():
            parameter.data.fill_(torch.nan)
        raise TrainingError("the loss is not finite")

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", fail)
        with pytest.raises(TrainingError):
            network.learn(lesson(2))
    network._left = ["a", "b", "c"]
    assert network.look()[0] == before


def test_prediction_that_contradicts_a_size_is_uncertain(network):
    sizes = {"a": np.array([0.5, 0.5]), "b": np.array([0.99, 0.01])}
    network.learn(lesson(a=strokes(), c=strokes(), sizes=sizes))
    network._sizes = {**sizes, "b": np.array([0.0, 1.0])}
    _, uncertainty = network.look()
    assert uncertainty["b"] > uncertainty["a"]


def test_sizes_alone_are_enough(network):
    assert network.learn(Lesson(1, {}, {"a": np.array([0.5, 0.5])})) == 1
    assert sorted(network.look()[0]) == ["a", "b", "c"]


def test_encoder_that_is_trained_has_no_features_to_keep(settings, pictures, tmp_path):
    settings("network", freeze_encoder=False)
    with pytest.raises(ValueError, match=r"own\.yaml: network needs `weights` and `freeze_encoder: true`"):
        Trainer(pictures, NAMES, tmp_path)
