"""The ONNX file: the same logits as PyTorch for any batch and size, and nothing left behind where that fails."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipeline import export
from pipeline.export import compare, export_onnx
from pipeline.files import write_json
from pipeline.networks.base import Normalization
from pipeline.networks.light import LightNetwork
from pipeline.networks.small import SmallNetwork
from pipeline.predict import Trained
from pipeline.training.checkpoint import save_state

NAMES = ("background", "cat", "dog")
PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
SMALLEST = (32, 32)
"""Every map of an encoder has at least one place."""


class Tiny(torch.nn.Module):
    """What the networks are made of, and no more, because exporting takes long: normalise, convolve, enlarge to the input."""

    def __init__(self):
        super().__init__()
        self.normalization = Normalization()
        self.convolution = torch.nn.Conv2d(3, 3, 3, stride=2, padding=1)

    def forward(self, image):
        features = self.convolution(self.normalization(image))
        context = features.mean((2, 3), keepdim=True)
        return torch.nn.functional.interpolate(features + context, size=image.shape[-2:], mode="bilinear")


def make(network=None, seed=0):
    """Return a trained network; from random weights where none is given."""
    torch.manual_seed(seed)
    return Trained(network or Tiny().eval(), NAMES, PALETTE, 48, "digest")


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """Return a file for any size."""
    path = tmp_path_factory.mktemp("model") / "out" / "m.onnx"
    export_onnx(make(), path)
    return path


def logits(path, image):
    return onnxruntime.InferenceSession(str(path)).run(["logits"], {"image": image.numpy()})[0]


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (2, 96, 64), (5, 80, 176)])
def test_any_batch_and_size_has_the_logits_of_the_network(free, batch, height, width):
    image = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = make().network(image).numpy()
    assert np.abs(logits(free, image) - expected).max() < 1e-5


@pytest.mark.slow
def test_metadata_say_how_to_use_the_file(free):
    found = {entry.key: entry.value for entry in onnx.load(free).metadata_props}
    assert json.loads(found["class_names"]) == list(NAMES)
    assert json.loads(found["palette"]) == [list(color) for color in PALETTE]
    assert found["resize_px"] == "48"


@pytest.mark.slow
def test_the_file_is_alone_and_complete(free):
    assert [path.name for path in free.parent.iterdir()] == ["m.onnx"]
    onnx.checker.check_model(str(free), full_check=True)


@pytest.mark.slow
def test_other_weights_are_noticed(free):
    with pytest.raises(ValueError, match="differs by"):
        compare(make(seed=1), free, [(32, 32)])


@pytest.mark.slow
def test_light_head_gives_the_masks_of_the_network(tmp_path):
    torch.manual_seed(0)
    network = LightNetwork(3, encoder="efficientnet_lite0").train()
    image = torch.rand(2, 3, *SMALLEST)
    network(image)  # statistics of these pictures, without which random weights see no difference between them
    export_onnx(make(network.eval()), tmp_path / "m.onnx", SMALLEST)
    with torch.no_grad():
        expected = network(image).argmax(1).numpy()
    assert np.array_equal(logits(tmp_path / "m.onnx", image).argmax(1), expected)
    assert len(np.unique(expected)) > 1, "masks without an edge are equal for nothing"


class Flat(torch.nn.Module):
    """A network of one size: it multiplies by a constant picture."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(1, 3, 32, 48))

    def forward(self, image):
        return image * self.scale


@pytest.mark.slow
def test_network_of_one_size_is_exported_for_that_size(tmp_path):
    assert export_onnx(make(Flat()), tmp_path / "m.onnx", (32, 48)) < 1e-6


@pytest.mark.slow
def test_network_of_one_size_is_refused_for_any_size_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "EXAMPLE", (32, 48))
    with pytest.raises(ValueError, match="pass --size HEIGHT WIDTH"):
        export_onnx(make(Flat()), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(33, 48), (32, 50), (0, 32)])
def test_sides_that_no_network_takes_are_refused(tmp_path, size):
    with pytest.raises(ValueError, match="expected height and width in multiples of 16"):
        export_onnx(make(), tmp_path / "m.onnx", size)


@pytest.mark.parametrize(("words", "size"), [([], None), (["--size", "32", "48"], (32, 48))])
def test_command_exports_the_run_and_says_how_exact(tmp_path, monkeypatch, capsys, words, size):
    options = {"kind": "small", "encoder": None, "weights": None, "output_stride": 16, "width": 4, "freeze_batch_norm": False}
    training = {"image_size_px": 48, "input": "resize"}
    write_json(tmp_path / "run.json", {"class_names": NAMES, "palette": PALETTE, "network": options, "training": training})
    network = SmallNetwork(3, width=4)
    save_state(tmp_path / "last.pt", network.state_dict())
    given = []
    monkeypatch.setattr(export, "export_onnx", lambda *arguments: given.append(arguments) or 1.5e-6)
    monkeypatch.setattr(sys, "argv", ["export", "--model", str(tmp_path), "--out", "m.onnx", *words])
    export.main()
    (trained, path, asked), *_ = given
    assert torch.equal(trained.network.classifier.weight, network.classifier.weight)
    assert (str(path), asked) == ("m.onnx", size)
    assert "3 classes; largest difference from PyTorch 1.5e-06" in capsys.readouterr().out
