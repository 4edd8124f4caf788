"""Kept features: the numbers of the encoder, the same training, a file that cannot be mistaken for another."""

import pickle
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pipeline import features
from pipeline.datasets.attach import AttachedImages
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.transforms import Jitter, WholeImage, resize_image
from pipeline.features import KeptFeatures, write_features
from pipeline.networks import NETWORKS
from pipeline.training.loop import Settings, train
from pipeline.training.objectives import Objective

SIZE = 32
KINDS = {"light": {"encoder": "efficientnet_lite0"}, "small": {"width": 4}, "small_segmenter": {"width": 8}}


class Archive:
    """Four pictures of random colours, the left half of class 1."""

    ids = ("a", "b", "c", "d")

    def image(self, image_id):
        return np.random.default_rng(ord(image_id)).integers(0, 256, (40, 36, 3), dtype=np.uint8)

    def labels(self, image_id):
        return np.repeat(np.arange(36)[None] < 18, 40, 0).astype(np.uint8)


def build(kind="small", seed=0):
    torch.manual_seed(seed)
    return NETWORKS[kind](2, freeze_encoder=True, **KINDS[kind]).eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.safetensors"


@pytest.fixture
def kept(path):
    network = build()
    write_features(path, network, Archive(), size_px=SIZE)
    return KeptFeatures(path, network, SIZE)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_picture_within_half_precision(kind, mirrored, path):
    network = build(kind)
    write_features(path, network, Archive(), size_px=SIZE)
    maps = [one[None].float() for one in KeptFeatures(path, network, SIZE).read("c", mirrored=mirrored)]
    image = resize_image(Archive().image("c"), (SIZE, SIZE))[None]
    image = image.flip(-1) if mirrored else image
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(network(image, maps), expected, rtol=0, atol=2e-3 * float(expected.abs().max()))


def trained(features, *, epochs=2):
    """Train the head and return the network and its history."""
    network = build().train()
    whole = WholeImage(SIZE, Jitter(flip=True), draw=lambda *_: None)
    images = AttachedImages(Archive(), whole, masks=True, features=features)

    def loader(plan):
        for batch in plan:
            yield torch.utils.data.default_collate([images[key] for key in batch])

    settings = Settings(
        epochs=epochs, batch_size=2, learning_rate=0.01, head_lr_factor=1.0, momentum=0.9, weight_decay=0.0, power=0.9
    )
    state = train(
        network, loader, 4, Objective({"masks": 1.0}), settings, seed=3, device=torch.device("cpu"), show_progress=False
    )
    return network, [row["loss"] for row in state.history]


def test_training_on_them_is_the_training_with_the_encoder_run_each_step(kept):
    with_encoder, expected = trained(None)
    without, found = trained(kept)
    assert found == pytest.approx(expected, rel=1e-3)
    for name, value in with_encoder.state_dict().items():
        torch.testing.assert_close(without.state_dict()[name], value, rtol=1e-2, atol=1e-3)


def test_training_on_them_does_not_run_the_encoder(kept, monkeypatch):
    monkeypatch.setattr(type(build()), "features", lambda *_: pytest.fail("the encoder ran"))
    trained(kept)


def test_the_file_is_one_of_safetensors_in_half_precision(kept):
    with safe_open(kept.path, "pt") as file:
        tensor = file.get_tensor("features")
    assert (tensor.dtype, tuple(tensor.shape[:2])) == (torch.float16, (4, 2))
    maps = kept.read("b", mirrored=True)
    assert torch.equal(torch.cat([one.flatten() for one in maps]), tensor[1, 1])


def test_the_same_pictures_give_the_same_bytes(path, tmp_path):
    for place in (path, tmp_path / "again"):
        write_features(place, build(), Archive(), size_px=SIZE)
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_loader_processes_do_not_get_a_copy_of_the_numbers(kept):
    before = kept.read("a", mirrored=False)
    content = pickle.dumps(kept)
    assert len(content) < kept.path.stat().st_size / 10
    assert all(map(torch.equal, pickle.loads(content).read("a", mirrored=False), before))


@pytest.mark.parametrize(
    ("network", "size_px", "wrong"),
    [
        (build(seed=1), SIZE, "other weights of the encoder"),
        (build(), 64, r"pictures of another size \(32 instead of 64\)"),
        (build("light"), SIZE, "other weights of the encoder"),
    ],
)
def test_a_file_of_something_else_is_refused(kept, network, size_px, wrong):
    with pytest.raises(ValueError, match=rf"train\.safetensors: kept features of {wrong}.*`dvc repro` to make it anew"):
        KeptFeatures(kept.path, network, size_px)


def test_a_file_that_was_cut_off_is_refused(kept):
    kept.path.write_bytes(kept.path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train\.safetensors: no complete file of kept features"):
        KeptFeatures(kept.path, build(), SIZE)


def test_a_file_of_other_bytes_is_refused(path):
    path.write_bytes(b"something else, and long enough to hold a length")
    with pytest.raises(ValueError, match=r"train\.safetensors: no complete file of kept features"):
        KeptFeatures(path, build(), SIZE)


def test_a_picture_without_features_is_named(kept):
    archive = Archive()
    archive.ids = ("a", "e")
    with pytest.raises(DatasetError, match="kept features: 1 of 2 images have none, the first is e"):
        AttachedImages(archive, None, features=kept)


def test_a_disk_that_is_too_small_is_said_before_anything_is_computed(path, monkeypatch):
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr(features, "_rows", lambda *_: pytest.fail("computed"))
    with pytest.raises(OSError, match=r"kept features of 4 pictures of 32 px take \d+ MB, 0 MB are free; free some"):
        write_features(path, build(), Archive(), size_px=SIZE)
    assert not path.exists()


def test_a_failure_on_the_way_leaves_nothing(path, monkeypatch):
    monkeypatch.setattr(Archive, "image", lambda *_: (_ for _ in ()).throw(DatasetError("broken picture")))
    with pytest.raises(DatasetError, match="broken picture"):
        write_features(path, build(), Archive(), size_px=SIZE)
    assert list(path.parent.iterdir()) == []


def test_a_value_beyond_half_precision_is_named(path, monkeypatch):
    network = build()
    monkeypatch.setattr(network, "features", partial(lambda image: [torch.full((len(image), 1, 2, 2), 1e6)]))
    with pytest.raises(ValueError, match="a: a feature is too large for half precision"):
        write_features(path, network, Archive(), size_px=SIZE)
