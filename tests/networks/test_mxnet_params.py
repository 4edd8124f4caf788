"""MXNet's files of arrays, in all versions of the format, and the names of WideResNet-38 in its original."""

import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import outcome
from hypothesis import given
from hypothesis import strategies as st

from pipeline import paths
from pipeline.networks import NETWORKS
from pipeline.networks.mxnet_params import convert_params, published_name, read_params
from pipeline.networks.weights import load_encoder
from pipeline.params import Network
from pipeline.stages.weights import write_weights

FLAGS = {"<f4": 0, "<f8": 1, "<f2": 2, "<i4": 4}
VERSIONS = {"2016": None, "v1": 0xF993FAC8, "v2": 0xF993FAC9, "v3": 0xF993FACA}


def packed(array, version="v2", storage=0):
    """Return one array as MXNet writes it; "2016" begins with the number of dimensions."""
    if version == "2016":
        head = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    else:
        head = struct.pack("<I", VERSIONS[version]) + (struct.pack("<i", storage) if version != "v1" else b"")
        head += struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape)
    return head + struct.pack("<iii", 1, 0, FLAGS[array.dtype.str]) + array.tobytes()


def listed(arrays, names, magic=0x112):
    """Return a whole file of packed arrays."""
    words = [name.encode() for name in names]
    parts = [struct.pack("<QQQ", magic, 0, len(arrays)), *arrays, struct.pack("<Q", len(words))]
    return b"".join([*parts, *(struct.pack("<Q", len(word)) + word for word in words)])


def written(path, arrays, version="v2"):
    """Write a file of named arrays."""
    path.write_bytes(listed([packed(array, version) for array in arrays.values()], arrays))
    return path


ARRAYS = {
    "arg:a_weight": np.arange(24, dtype="<f4").reshape(2, 3, 2, 2),
    "aux:a_moving_mean": np.array([0.5, -1.0], "<f4"),
    "arg:double": np.array([[1e-300]], "<f8"),
    "arg:half": np.array([0.25, 2.0, 3.0], "<f2"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_arrays_come_back_with_their_names(tmp_path, version):
    read = read_params(written(tmp_path / "a.params", ARRAYS, version))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)


def test_versions_may_be_mixed(tmp_path):
    arrays = [packed(array, version) for array, version in zip(ARRAYS.values(), VERSIONS, strict=True)]
    (tmp_path / "a.params").write_bytes(listed(arrays, ARRAYS))
    assert np.array_equal(read_params(tmp_path / "a.params")["arg:half"], ARRAYS["arg:half"])


WHOLE = listed([packed(array) for array in ARRAYS.values()], ARRAYS)


@given(st.integers(0, len(WHOLE)), st.integers(0, 9), st.binary(max_size=9), st.booleans())
def test_file_with_any_bytes_changed_is_read_or_named(start, count, put, cut):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.params"
        path.write_bytes(WHOLE[:start] if cut else WHOLE[:start] + put + WHOLE[start + count :])
        read, problem = outcome(lambda: read_params(path), ValueError)
        assert read is None or len(read) == len(ARRAYS)
        assert problem is None or problem.startswith(str(path))


ONE = np.ones((2, 2), "<f4")
BROKEN = {
    "another file": (b"PK\x03\x04 and more", "expected the magic number 0x112, got"),
    "nothing": (b"", "is cut off: 8 more bytes expected at 0, got 0"),
    "no names": (listed([packed(ONE)], []), "expected a name for each of the 1 arrays, got 0 names"),
    "twice": (listed([packed(ONE)] * 2, ["a", "a"]), "expected 2 different names and nothing after, got 1 and 0 more"),
    "more": (listed([packed(ONE)], ["a"]) + b"12", "nothing after, got 1 and 2 more bytes"),
    "name": (listed([packed(ONE)], ["a"])[:-1] + b"\xff", "utf-8"),
    "integers": (listed([packed(ONE.astype("<i4"))], ["a"]), r"array 1 of 1: expected type 0, 1 or 2 .*, got 4"),
    "sparse": (listed([packed(ONE), packed(ONE, storage=1)], ["a", "b"]), r"array 2 of 2: expected dense storage \(0\), got 1"),
    "version": (listed([struct.pack("<I", 0xF993FAFF)], ["a"]), "expected a version of MXNet's arrays, got 0xf993faff"),
    "empty": (listed([struct.pack("<IiI", 0xF993FAC9, 0, 0)], ["a"]), "expected 1 to 8 dimensions, got 0"),
    "shape": (listed([struct.pack("<IIq", 0xF993FAC8, 1, -2)], ["a"]), r"expected a shape, got \(-2,\)"),
    "huge": (listed([struct.pack("<IIqiii", 0xF993FAC8, 1, 2**60, 1, 0, 0)], ["a"]), "array 1 of 1: is cut off"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_named_with_its_fault(tmp_path, fault):
    content, message = BROKEN[fault]
    (tmp_path / "bad.params").write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.params: .*{message}"):
        read_params(tmp_path / "bad.params")


def test_a_file_cut_anywhere_is_refused(tmp_path):
    content = listed([packed(ONE), packed(ONE, "2016")], ["a", "b"])
    for length in range(len(content)):
        (tmp_path / "cut.params").write_bytes(content[:length])
        with pytest.raises(ValueError, match="is cut off"):
            read_params(tmp_path / "cut.params")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.params: no such file"):
        read_params(tmp_path / "gone.params")


def original_shapes(width=64, classes=1000):
    """Return the names and shapes in the original, typed from its definition of model A1."""
    shapes = {"arg:conv1a_weight": (width, 3, 3, 3)}

    def norm(name, channels):
        kinds = {"arg": ("gamma", "beta"), "aux": ("moving_mean", "moving_var")}
        shapes.update({f"{kind}:{name}_{tensor}": (channels,) for kind, tensors in kinds.items() for tensor in tensors})

    def block(name, inputs, outputs, sides, projected):
        source = inputs
        for branch, target, side in zip(("2a", "2b1", "2b2"), outputs, sides):
            norm(f"bn{name}_branch{branch}", source)
            shapes[f"arg:res{name}_branch{branch}_weight"] = (target, source, side, side)
            source = target
        if projected:
            shapes[f"arg:res{name}_branch1_weight"] = (source, inputs, 1, 1)

    channels = width
    for stage, blocks, factors in ((2, 3, (2, 2)), (3, 3, (4, 4)), (4, 6, (8, 8)), (5, 3, (8, 16))):
        for number in range(blocks):
            outputs = [width * factor for factor in factors]
            block(f"{stage}b{number}" if number else f"{stage}a", channels, outputs, (3, 3), number == 0)
            channels = outputs[-1]
    block("6a", 16 * width, [8 * width, 16 * width, 32 * width], (1, 3, 1), True)
    block("7a", 32 * width, [16 * width, 32 * width, 64 * width], (1, 3, 1), True)
    norm("bn7", 64 * width)
    return {**shapes, f"arg:linear{classes}_weight": (classes, 64 * width), f"arg:linear{classes}_bias": (classes,)}


@pytest.fixture
def original(tmp_path):
    """Return a file like the published one, of four channels and with random numbers, and its arrays."""
    random = np.random.default_rng(0)
    arrays = {name: random.random(shape, np.float32) for name, shape in original_shapes(width=4).items()}
    return written(tmp_path / "a1.params", arrays, "2016"), arrays


def test_names_and_shapes_of_the_original_are_those_of_the_network_at_its_published_width():
    with torch.device("meta"):
        network = NETWORKS["wideresnet38"](2, width=64)
    expected = sum(value.numel() for name, value in network.encoder_state().items() if "num_batches" not in name)
    classifier = 1000 * 4096 + 1000
    assert sum(int(np.prod(shape)) for shape in original_shapes().values()) == expected + classifier


def test_every_tensor_finds_its_place(original):
    path, arrays = original
    network = NETWORKS["wideresnet38"](2, width=4)
    load_encoder(network, state := convert_params(network, path))
    assert state["encoder.stem.weight"].tolist() == arrays["arg:conv1a_weight"].tolist()
    assert state["encoder.stages.2.5.convs.1.weight"].tolist() == arrays["arg:res4b5_branch2b1_weight"].tolist()
    assert state["encoder.stages.3.0.projection.weight"].tolist() == arrays["arg:res5a_branch1_weight"].tolist()
    assert state["encoder.stages.4.norms.2.weight"].tolist() == arrays["arg:bn6a_branch2b2_gamma"].tolist()
    assert state["encoder.stages.5.norms.1.bias"].tolist() == arrays["arg:bn7a_branch2b1_beta"].tolist()
    assert state["encoder.norm.running_mean"].tolist() == arrays["aux:bn7_moving_mean"].tolist()
    assert state["encoder.norm.running_var"].tolist() == arrays["aux:bn7_moving_var"].tolist()


def test_the_stage_takes_the_original_from_its_place(original, tmp_path):
    spec = Network(kind="wideresnet38", weights=str(original[0]), width=4)
    note = write_weights(spec, tmp_path, seed=0)
    network = NETWORKS["wideresnet38"](2, width=4, weights=tmp_path / paths.pretrained_weights("any").name)
    assert network.state_dict()["encoder.stem.weight"].tolist() == original[1]["arg:conv1a_weight"].tolist()
    assert (note["file"], note["tensors"]) == ("a1.params", len(network.encoder_state()))


def test_a_missing_array_is_named(original):
    path, arrays = original
    written(path, {name: array for name, array in arrays.items() if "bn7_" not in name})
    with pytest.raises(ValueError, match=r"a1\.params: .*4 missing \(encoder\.norm\.weight"):
        convert_params(NETWORKS["wideresnet38"](2, width=4), path)


def test_another_width_is_refused_with_both_shapes(original):
    with pytest.raises(ValueError, match=r"encoder\.stem\.weight \(4, 3, 3, 3\) instead of \(8, 3, 3, 3\)"):
        convert_params(NETWORKS["wideresnet38"](2, width=8), original[0])


@pytest.mark.parametrize("name", ["arg:fc1_weight", "arg:res2a_branch2a", "arg:conv0_gamma"])
def test_another_network_is_refused_by_its_names(name):
    with pytest.raises(ValueError, match=f"expected the names of WideResNet-38 .*, got {name}"):
        published_name(name)
