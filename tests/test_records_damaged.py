"""JSON and YAML that is read back, damaged by anything: it is right, or the error names the file."""

import contextlib
import io
import json
import math
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from damage import damaged_bytes, damaged_tree, outcome, places
from hypothesis import given, reject
from hypothesis import strategies as st
from ruamel.yaml import YAML
from safetensors.torch import save

from pipeline import paths
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import open_raw
from pipeline.features import KeptFeatures, write_features
from pipeline.import_graph import REPOSITORY
from pipeline.networks import NETWORKS
from pipeline.networks.weights import convert
from pipeline.params import ParamsError, load_params, read_yaml
from pipeline.predict import load_trained
from pipeline.runs import Scored, read_record
from pipeline.stages.summary import read_scores
from pipeline.training.checkpoint import save_state

RECORD = {
    "class_names": ["background", "cat"],
    "palette": [[0, 0, 0], [128, 0, 0]],
    "network": {"kind": "small", "width": 4},
    "training": {"image_size_px": 32, "input": "resize"},
}
SOURCE = {"kind": "folder", "source": "synthetic", "root": "."}


def damaged_json(tree):
    """Return bytes of a JSON file that says `tree`, but for some damage."""
    return st.one_of(
        damaged_tree(tree).map(lambda changed: json.dumps(changed).encode()), damaged_bytes(json.dumps(tree, indent=1).encode())
    )


@cache
def weights():
    """Return a file of weights that fits the record."""
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder) / "last.pt", NETWORKS["small"](2, width=4).state_dict())
        return (Path(folder) / "last.pt").read_bytes()


SCORED = {
    **RECORD,
    "profile": "smoke",
    "device": "cpu",
    "repetitions": 1,
    "annotation": {"sizes": {"mre": 0.08}},
    "run": dict.fromkeys(("dataset", "supervision", "network", "objective", "training"), "a") | {"start": None},
    "objective": {"masks": None, "seeds": 1.0, "image_labels": None, "potts": None, "self_labeling": {"relaxation": "q"}},
    "supervision": {"subset": None, "seeds": {"kind": "scribbles", "width_px": 1}},
}
METRICS = {"repetitions": [{"seed": 0, "val": {"mIoU": 0.5, "IoU": {"background": 0.9, "cat": None}, "images": 3}}]}


def loaded(record, content):
    """Load a network from the two files; return it, or None when the error names one of them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.json").write_bytes(record)
        (Path(folder) / "last.pt").write_bytes(content)
        trained, problem = outcome(lambda: load_trained(Path(folder), device=torch.device("cpu")), ValueError)
        assert problem is None or problem.startswith(folder)
        return trained


@given(damaged_json(RECORD))
def test_damaged_record_of_a_run_is_read_or_named(record):
    trained = loaded(record, weights())
    assert trained is None or len(set(trained.class_names)) == len(trained.palette) == 2


@given(damaged_json(SCORED))
def test_damaged_record_is_read_or_named_by_the_stages_after_training(record):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run.json"
        place.write_bytes(record)
        found, problem = outcome(lambda: read_record(place, Scored), ValueError)
    assert problem is None or problem.startswith(str(place))
    assert found is None or set(SCORED) <= set(found)


@given(damaged_json(METRICS))
def test_damaged_scores_are_read_or_named(content):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        place = paths.metrics("potts", "cd")
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        found, problem = outcome(lambda: read_scores("potts/cd"), ValueError)
    assert problem is None or problem.startswith(str(place))
    assert found is None or all(isinstance(one.mIoU, float) for one in found)


@given(st.integers(0, 3000), st.integers(1, 40), st.binary(max_size=40))
def test_damaged_weights_are_read_or_named(start, count, put):
    content = weights()
    trained = loaded(json.dumps(RECORD).encode(), content[:start] + put + content[start + count :])
    assert trained is None or all(value.isfinite().all() for value in trained.network.state_dict().values())


@cache
def kept():
    """Return a network whose encoder is frozen, and a file of its features of one picture."""
    network = NETWORKS["small"](2, width=4)
    image = np.zeros((8, 12, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        write_features(Path(folder) / "kept", network, SimpleNamespace(ids=["a"], image=lambda image_id: image), size_px=32)
        return network, (Path(folder) / "kept").read_bytes()


@given(st.data())
def test_damaged_features_are_read_or_named(data):
    network, content = kept()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = {key: json.loads(value) for key, value in header["__metadata__"].items()}
    if data.draw(st.booleans()):
        about = data.draw(damaged_tree(about))
        header["__metadata__"] = {key: json.dumps(value) for key, value in about.items()} if isinstance(about, dict) else about
    else:
        header = data.draw(damaged_tree(header))
    text = data.draw(st.one_of(st.just(json.dumps(header).encode()), damaged_bytes(json.dumps(header).encode())))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 40]))
    content = len(text).to_bytes(8, "little") + text + content[8 + length : len(content) - cut]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept"
        path.write_bytes(content[: data.draw(st.sampled_from([3, 20, None, None, None]))])
        found, problem = outcome(lambda: KeptFeatures(path, network, 32), ValueError)
        assert problem is None or problem.startswith(str(path))
        if found is not None:
            assert all(part.isfinite().all() for image_id in about["ids"] for part in found.read(image_id, mirrored=True))


@cache
def encoder(suffix):
    """Return a network and a file of weights for its encoder."""
    network = NETWORKS["small"](2, width=4)
    if suffix == ".safetensors":
        return network, save(network.encoder_state())
    buffer = io.BytesIO()
    torch.save(network.encoder_state(), buffer)
    return network, buffer.getvalue()


@given(st.sampled_from([".pt", ".safetensors"]), st.integers(0, 3000), st.integers(0, 40), st.binary(max_size=40), st.booleans())
def test_damaged_weights_of_an_encoder_are_read_or_named(suffix, start, count, put, cut):
    network, content = encoder(suffix)
    content = content[:start] if cut else content[:start] + put + content[start + count :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"weights{suffix}"
        path.write_bytes(content)
        found, problem = outcome(lambda: convert(network, path), ValueError)
    assert problem is None or problem.startswith(str(path))
    assert found is None or all(value.isfinite().all() for value in found.values())


@given(damaged_json(SOURCE))
def test_damaged_note_of_the_source_is_read_or_named(content):
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "source.json"
        note.write_bytes(content)
        (Path(folder) / "images").mkdir()
        (Path(folder) / "classes.yaml").write_text("names: [background, cat]\n")
        _, problem = outcome(lambda: open_raw(note)[0].root, ValueError, DatasetError)
        assert problem is None or problem.startswith("/")  # the note, or the folder that it points to


@cache
def params():
    """Return the committed params.yaml as tree and as text."""
    path = REPOSITORY / "params.yaml"
    return read_yaml(path), path.read_bytes()


def dumped(tree):
    """Return YAML of a tree; halves of characters cannot be written."""
    text = io.StringIO()
    try:
        YAML(typ="safe").dump(tree, text)
    except UnicodeEncodeError:
        reject()
    return text.getvalue().encode("utf-8", "surrogatepass")


@given(st.one_of(st.deferred(lambda: damaged_tree(params()[0]).map(dumped)), st.deferred(lambda: damaged_bytes(params()[1]))))
def test_damaged_params_are_read_or_named(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(content)
        read, problem = outcome(lambda: load_params(path), ParamsError)
    if read is None:
        assert problem.startswith(str(path))
        return
    tree = read.model_dump()
    for place in places(tree):
        node = tree
        for key in place:
            node = node[key]
        assert not isinstance(node, float) or math.isfinite(node), place
