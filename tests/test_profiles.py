"""Profiles: each gives a valid file, the embedded one undoes every other, and the papers' settings are the published ones."""

import shutil
import subprocess
import sys

import pytest
from import_graph import REPOSITORY
from ruamel.yaml import YAML

from pipeline.params import load_params

PROFILES = sorted(path.stem for path in (REPOSITORY / "pipeline/profiles").glob("*.yaml"))


def leaves(tree, prefix=()):
    """Return the paths of all values of a tree."""
    if not isinstance(tree, dict):
        return {prefix}
    return set().union(*(leaves(value, (*prefix, key)) for key, value in tree.items()))


def overlay(name):
    """Return the content of one profile."""
    return YAML(typ="safe").load((REPOSITORY / f"pipeline/profiles/{name}.yaml").read_text())


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Return a folder with a copy of params.yaml, to be changed by the command."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))

    def switch(name):
        subprocess.run([sys.executable, "-m", "pipeline.profile", name], cwd=tmp_path, check=True, capture_output=True)
        return load_params(tmp_path / "params.yaml")

    switch.path = tmp_path / "params.yaml"
    return switch


@pytest.mark.parametrize("name", PROFILES)
def test_profile_gives_valid_params(workspace, name):
    assert workspace(name).profile == name


@pytest.mark.parametrize("name", PROFILES)
def test_embedded_brings_the_committed_file_back(workspace, name):
    workspace("paper")
    workspace(name)
    workspace("embedded")
    assert workspace.path.read_text() == (REPOSITORY / "params.yaml").read_text()


@pytest.mark.parametrize("name", PROFILES)
def test_embedded_names_every_key_that_a_profile_changes(name):
    replaced = {path[:-1] for path in leaves(overlay(name)) if path[-1:] == ("synthetic",)}  # null for a whole section
    known = leaves(overlay("embedded"))
    missing = {path for path in leaves(overlay(name)) - known if path[:-1] not in replaced}
    assert not missing, f"add to embedded.yaml: {sorted(missing)}"


PUBLISHED = [
    # (key path, value, where the paper says so)
    (("training", "size", "epochs"), 60, "[SIZE] 3.1"),
    (("training", "size", "batch_size"), 16, "[SIZE] 3.1"),
    (("training", "size", "learning_rate"), 0.005, "[SIZE] 3.1"),
    (("training", "size", "power"), 0.9, "[SIZE] 3.1"),
    (("training", "size", "image_size_px"), 512, "[SIZE] 3.1"),
    (("training", "size", "input"), "resize", "[SIZE] 3.1"),
    (("training", "full", "learning_rate"), 0.007, "[SIZE] A.1, DeepLabV3+'s rate"),
    (("training", "seeds", "learning_rate"), 0.007, "[SSL] appendix C, first stage"),
    (("training", "potts", "learning_rate"), 0.0007, "[SSL] appendix C, second stage"),
    (("training", "potts", "epochs"), 60, "[SSL] appendix C"),
    (("training", "potts", "batch_size"), 12, "[SSL] appendix C"),
    (("solver", "paper", "steps"), 200, "[SSL] appendix B"),
    (("solver", "paper", "learning_rate"), 0.075, "[SSL] appendix B"),
    (("objectives", "soft-cd", "self_labeling", "unary_weight"), 0.3, "[SSL] appendix C, eta"),
    (("objectives", "soft-cd", "self_labeling", "pairwise_weight"), 6.0, "[SSL] appendix C, lambda"),
    (("objectives", "soft-cd", "self_labeling", "sigma_rgb"), 9.0, "[SSL] appendix C, bandwidth on PASCAL"),
    (("objectives", "size-crf", "dense_crf", "sigma_rgb"), 15.0, "rloss, U7"),
    (("objectives", "size-crf", "dense_crf", "sigma_xy_px"), 100.0, "rloss, U7"),
    (("objectives", "size-crf", "dense_crf", "scale_factor"), 0.5, "rloss, U7"),
    (("networks", "resnet101", "encoder"), "resnet101", "[SIZE] 3.1"),
    (("networks", "mobilenet", "encoder"), "mobilenet_v2", "[SSL] appendix C"),
]


@pytest.mark.parametrize(("key", "value", "place"), PUBLISHED, ids=[".".join(key) for key, _, _ in PUBLISHED])
def test_paper_profile_has_the_published_value(workspace, key, value, place):
    found = workspace("paper").model_dump()
    for part in key:
        found = found[part]
    assert found == value, place


def test_all_relaxations_share_the_published_weights(workspace):
    objectives = workspace("paper").objectives
    weights = {
        (item.self_labeling.unary_weight, item.self_labeling.pairwise_weight, item.self_labeling.sigma_rgb)
        for item in objectives.values()
        if item.self_labeling is not None
    }
    assert weights == {(0.3, 6.0, 9.0)}
