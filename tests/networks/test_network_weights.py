"""Pre-trained weights: published names and forms, a fresh head, errors that name what does not fit."""

import os

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from safetensors.torch import save_file

from pipeline.networks import CLASSIFIERS, NETWORKS
from pipeline.networks.base import Normalization
from pipeline.networks.deeplab import DeepLabV3Plus
from pipeline.networks.encoders import wideresnet38_name
from pipeline.networks.segmenter import small_transformer
from pipeline.networks.weights import convert, load_encoder, read_npz, read_state, unwrap
from pipeline.networks.wideresnet38 import WideResNet38


def small(num_classes=3, width=4):
    return NETWORKS["small"](num_classes, width=width)


def mobilenet():
    return NETWORKS["deeplabv3plus"](2, encoder="mobilenet_v2", output_stride=16)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory):
    """A file as torchvision publishes it, with random numbers."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2-00000000.pth"
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), path)
    return path


def test_encoder_of_a_trained_network_is_loaded_and_the_head_stays_fresh():
    trained, fresh = small(num_classes=7), small(num_classes=3)
    head = {name: value.clone() for name, value in fresh.state_dict().items() if name not in fresh.encoder_state()}
    load_encoder(fresh, trained.state_dict())
    assert same(fresh.encoder_state(), trained.encoder_state())
    assert same(head, {name: fresh.state_dict()[name] for name in head})


def test_a_classifier_pre_trains_the_small_segmentation_network():
    classifier, network = CLASSIFIERS["small_classifier"](9, width=4), small(width=4)
    load_encoder(network, classifier.encoder_state())
    assert same(network.encoder_state(), classifier.encoder_state())


def test_weights_of_another_width_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"of another shape \(stride2\.0\.weight \(8, 3, 3, 3\) instead of \(4, 3, 3, 3\)"):
        load_encoder(small(width=4), small(width=8).state_dict())


def test_missing_and_unexpected_names_are_counted_and_the_first_named():
    state = small().encoder_state()
    state["stride2.0.wait"] = state.pop("stride2.0.weight")
    with pytest.raises(ValueError, match=r"1 missing \(stride2\.0\.weight\), 1 unexpected \(stride2\.0\.wait\), of 36"):
        load_encoder(small(), state)


def test_a_refused_file_changes_nothing():
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = small().encoder_state()
    del state["stride8.0.0.weight"]
    with pytest.raises(ValueError, match="missing"):
        load_encoder(network, state)
    assert same(before, network.state_dict())


def test_a_file_without_any_encoder_weights_says_what_it_holds():
    with pytest.raises(ValueError, match=r"nothing for the encoder \(encoder\); the names given begin with conv1\.weight"):
        load_encoder(CLASSIFIERS["classifier"](2), {"conv1.weight": torch.zeros(1)})


def test_builders_load_a_file_of_weights(tmp_path):
    trained = small()
    save_file({name: value.contiguous() for name, value in trained.encoder_state().items()}, tmp_path / "small.safetensors")
    network = NETWORKS["small"](3, width=4, weights=tmp_path / "small.safetensors")
    assert same(network.encoder_state(), trained.encoder_state())


def test_torchvision_file_becomes_the_encoder_of_deeplab(mobilenet_file, tmp_path):
    save_file(convert(mobilenet(), mobilenet_file, "mobilenet_v2"), tmp_path / "out.safetensors")
    weights = tmp_path / "out.safetensors"
    network = NETWORKS["deeplabv3plus"](2, encoder="mobilenet_v2", output_stride=16, weights=weights)
    published = torch.load(mobilenet_file, weights_only=True)
    assert all(torch.equal(value, published[name.removeprefix("encoder.")]) for name, value in network.encoder_state().items())


def test_deeplab_on_converted_weights_computes_what_torchvision_does(mobilenet_file):
    torchvision_network = torchvision.models.mobilenet_v2(weights=None).eval()
    torchvision_network.load_state_dict(torch.load(mobilenet_file, weights_only=True))
    network = mobilenet().eval()
    load_encoder(network, convert(network, mobilenet_file, "mobilenet_v2"))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():  # the first 14 blocks are not dilated
        torch.testing.assert_close(network.encoder(image)[4], torchvision_network.features[:14](image))


def test_weights_of_another_network_are_refused_and_named(mobilenet_file):
    with pytest.raises(ValueError, match=r"mobilenet_v2-00000000\.pth: .* \d+ missing \(encoder\.conv1\.weight, encoder\.bn1"):
        convert(CLASSIFIERS["classifier"](2), mobilenet_file, "resnet18")


def test_checkpoint_of_segmentation_models_pytorch_gives_its_encoder(tmp_path):
    model = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=4)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "smp.pt")
    converted = convert(CLASSIFIERS["classifier"](2), tmp_path / "smp.pt", "resnet18")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in converted.items())


def test_deeplab_is_that_of_segmentation_models_pytorch():
    options = {"encoder_weights": None, "encoder_output_stride": 16, "decoder_aspp_separable": False, "classes": 4}
    model = smp.DeepLabV3Plus("resnet18", decoder_atrous_rates=(6, 12, 18), **options)
    encoder = smp.encoders.get_encoder("resnet18", weights=None, output_stride=16)
    network = DeepLabV3Plus(4, encoder=encoder, channels=list(encoder.out_channels), normalization=Normalization())
    network.load_state_dict({**network.state_dict(), **model.state_dict()})
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(image), model.eval()(network.normalization(image)))


def test_checkpoint_of_this_project_gives_its_encoder(tmp_path):
    trained = small(num_classes=7)
    torch.save(trained.state_dict(), tmp_path / "last.pt")
    assert same(convert(small(), tmp_path / "last.pt"), trained.encoder_state())


def test_files_without_step_counts_get_them(tmp_path):
    state = small().encoder_state()
    torch.save({name: value for name, value in state.items() if "num_batches" not in name}, tmp_path / "old.pt")
    assert convert(small(), tmp_path / "old.pt").keys() == state.keys()


def published_wideresnet38_names():
    """Return the names in the published file, typed from its layers."""
    blocks = [
        f"b{stage}{suffix}"
        for stage, count in ((2, 3), (3, 3), (4, 6), (5, 3))
        for suffix in ["", "_1", "_2", "_3", "_4", "_5"][:count]
    ]
    norm = ("weight", "bias", "running_mean", "running_var")
    names = ["conv1a.weight"] + [f"bn7.{tensor}" for tensor in norm]
    for block in [*blocks, "b6", "b7"]:
        branches = ["2a", "2b1", "2b2"] if block in ("b6", "b7") else ["2a", "2b1"]
        names += [f"{block}.conv_branch{branch}.weight" for branch in branches]
        names += [f"{block}.bn_branch{branch}.{tensor}" for branch in branches for tensor in norm]
        names += [f"{block}.conv_branch1.weight"] if block in ("b2", "b3", "b4", "b5", "b6", "b7") else []
    return names


def test_every_published_name_of_wideresnet38_has_its_place():
    expected = {name for name in WideResNet38(1).state_dict() if "num_batches" not in name}
    assert {wideresnet38_name(name) for name in published_wideresnet38_names()} == expected


def test_wideresnet38_file_is_converted_and_its_classifier_left_out(tmp_path):
    network = NETWORKS["wideresnet38"](2, width=1)
    places = {wideresnet38_name(name): name for name in published_wideresnet38_names()}
    encoder = network.encoder.state_dict()
    state = {places[name]: torch.rand_like(value) for name, value in encoder.items() if name in places}
    torch.save({**state, "linear1000.weight": torch.zeros(3)}, tmp_path / "a1.pth")
    converted = convert(network, tmp_path / "a1.pth", "wideresnet38")
    assert torch.equal(converted["encoder.stages.3.2.convs.1.weight"], state["b5_2.conv_branch2b1.weight"])
    assert torch.equal(converted["encoder.stages.5.norms.2.running_var"], state["b7.bn_branch2b2.running_var"])


def jax_arrays(state, heads):
    """Write the weights of a transformer as the arrays of its JAX original."""
    width = state["cls_token"].shape[-1]
    arrays = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
    }
    for index in range(4):
        block, prefix = f"blocks.{index}.", f"Transformer/encoderblock_{index}/"
        attention = prefix + "MultiHeadDotProductAttention_1/"
        weights = state[block + "attn.qkv.weight"].view(3, heads, width // heads, width)
        biases = state[block + "attn.qkv.bias"].view(3, heads, width // heads)
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            arrays |= {f"{attention}{name}/kernel": weight.permute(2, 0, 1), f"{attention}{name}/bias": bias}
        output = state[block + "attn.proj.weight"].view(width, heads, width // heads)
        arrays |= {attention + "out/kernel": output.permute(1, 2, 0), attention + "out/bias": state[block + "attn.proj.bias"]}
        for norm, layer in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            arrays |= {
                f"{prefix}{norm}/scale": state[f"{block}{layer}.weight"],
                f"{prefix}{norm}/bias": state[f"{block}{layer}.bias"],
            }
        for dense, layer in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
            arrays[f"{prefix}MlpBlock_3/{dense}/kernel"] = state[f"{block}mlp.{layer}.weight"].T
            arrays[f"{prefix}MlpBlock_3/{dense}/bias"] = state[f"{block}mlp.{layer}.bias"]
    return {name: value.numpy() for name, value in arrays.items()}


def test_arrays_of_the_jax_original_become_a_transformer(tmp_path):
    torch.manual_seed(0)
    trained = {name: torch.rand_like(value) for name, value in small_transformer(8).state_dict().items()}
    np.savez(tmp_path / "vit.npz", **jax_arrays(trained, heads=4))
    converted = convert(NETWORKS["small_segmenter"](2, width=8), tmp_path / "vit.npz")
    assert same(converted, {f"encoder.{name}": value for name, value in trained.items()})


def test_arrays_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="not the arrays of this transformer"):
        read_npz(tmp_path / "other.npz", small_transformer(8))


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "half.pth").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"half\.pth: holds no named tensors"):
        read_state(tmp_path / "half.pth")


def test_a_broken_safetensors_file_is_refused(tmp_path):
    (tmp_path / "half.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ValueError, match=r"half\.safetensors: holds no named tensors"):
        read_state(tmp_path / "half.safetensors")


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("executed",))


def test_code_inside_a_file_is_not_executed(tmp_path, capsys):
    torch.save({"weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="holds no named tensors"):
        read_state(tmp_path / "trap.pth")
    assert capsys.readouterr().out == ""


def test_wrappers_and_parallel_prefixes_are_taken_off():
    tensor = torch.zeros(2)
    assert unwrap({"model": {"module.conv.weight": tensor}}).keys() == {"conv.weight"}


def test_a_checkpoint_without_tensors_is_refused():
    with pytest.raises(ValueError, match="expected a dictionary of tensors"):
        unwrap({"epoch": 3})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth: no such file"):
        convert(small(), tmp_path / "gone.pth")


def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(FileNotFoundError, match=r"pipe\.pth: no such file"):
        convert(small(), tmp_path / "pipe.pth")


def test_weights_that_are_not_finite_are_refused():
    state = small().encoder_state()
    state["stride2.0.weight"][0] = torch.nan
    with pytest.raises(ValueError, match=r"1 not finite \(stride2\.0\.weight\)"):
        load_encoder(small(), state)
