"""Kept features as a stage: runs on them are those with the encoder run at every step, and parts that do not fit are named."""

import csv
import sys

import pytest
import torch
import yaml
from ruamel.yaml import YAML
from safetensors.torch import load_file

from pipeline import paths
from pipeline.import_graph import REPOSITORY
from pipeline.params import ParamsError, load_params, resolve
from pipeline.runs import Job
from pipeline.stages import features, prepare, raw, supervise, train, weights
from pipeline.training.checkpoint import load_state
from pipeline.wiring import family_pipeline

FROZEN = {"kind": "small", "width": 4, "weights": "random", "freeze_encoder": True}
SHORT = {"epochs": 2, "batch_size": 2, "image_size_px": 32, "optimizer": "adamw", "schedule": "one_cycle"}
RUN = {"method": "full", "supervision": "voc-masks", "network": "frozen", "objective": "masks", "training": "short"}
KEPT = {"dataset": "voc", "network": "frozen", "image_size_px": 32}


def tree(**changes):
    """Return the committed settings with a frozen network, its kept features and short trainings, parts of them changed."""
    made = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text())
    made["datasets"]["voc"]["synthetic"].update(train=4, val=1)
    made["networks"]["frozen"] = FROZEN | changes.get("network", {})
    made["training"]["short"] = SHORT | changes.get("training", {})
    made["features"] = {"kept": KEPT | changes.get("features", {})}
    return made


def families(*runs):
    """Return the family of a run that keeps features, and that of one that does not, which has more runs if asked."""
    return {"kept": {"runs": {"full": RUN | {"features": "kept"}, **dict(runs)}}, "plain": {"runs": {"full": RUN}}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder in which both runs were trained."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        paths.RECORDED.mkdir(parents=True)
        contents = {paths.PARAMS: tree(), **{paths.family_runs(name): content for name, content in families().items()}}
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content))
        for name in families():
            paths.code("train", name).parent.mkdir(parents=True, exist_ok=True)
            paths.code("train", name).write_text("code\n")
        steps = [(raw, "voc"), (prepare, "voc"), (supervise, "voc"), (weights, "frozen"), (features, "kept")]
        for stage, argument in [*steps, (train, "kept/full"), (train, "plain/full")]:
            patch.setattr(sys, "argv", ["stage", argument])
            stage.main()
    return folder


def losses(folder, family):
    with (folder / paths.history(family, "full", 0)).open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_run_on_kept_features_is_the_run_with_the_encoder(trained):
    assert losses(trained, "kept") == pytest.approx(losses(trained, "plain"), rel=2e-3)


def test_its_weights_hold_the_encoder_that_the_features_are_of(trained, monkeypatch):
    monkeypatch.chdir(trained)
    found = load_state(paths.weights("kept", "full", 0))
    encoder = load_file(paths.pretrained_weights("frozen"))
    assert encoder
    assert all(torch.equal(found[name], value) for name, value in encoder.items())


def test_other_features_are_another_unfinished_run(trained, monkeypatch):
    monkeypatch.chdir(trained)
    job = Job("kept", "full", load_params())
    before, path = job.unfinished(), paths.kept_features("kept")
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b'"encoder": "\\"', b'"encoder": "\\"f', 1))
        assert job.unfinished() != before
    finally:
        path.write_bytes(content)
    assert job.unfinished() == before


def test_finished_run_keeps_nothing_of_what_was_cut(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(trained)
    scratch = tmp_path / "0.unfinished"
    (scratch / "proposals-3").mkdir(parents=True)
    for name in (".history.csv.1.tmp", "proposals-3/0.png", "proposals-2.zip"):
        (scratch / name).write_bytes(b"cut")
    train.run_repetition(Job("kept", "full", load_params()), tmp_path / "0", torch.device("cpu"), show_progress=False)
    assert not scratch.exists()
    assert {path.name for path in (tmp_path / "0").iterdir()} <= {"last.pt", "best.pt", "history.csv"}


def test_features_of_other_weights_stop_the_training(trained, monkeypatch):
    monkeypatch.chdir(trained)
    params = tree(features={"image_size_px": 48}, training={"image_size_px": 48})
    job = Job("kept", "full", resolve(params, families()))
    with pytest.raises(ValueError, match=r"kept features of pictures of another size \(32 instead of 48\); delete the file"):
        train.run_repetition(job, trained / "scratch/0", torch.device("cpu"), show_progress=False)


def test_pipeline_of_a_family_names_the_features_it_reads(trained, monkeypatch):
    monkeypatch.chdir(trained)
    params = load_params()
    stage = yaml.safe_load(family_pipeline(params, "kept"))["stages"]["train"]
    assert stage["foreach"]["full"]["features"] == "kept"
    assert f"{paths.features('${item.features}')}" in stage["do"]["deps"]


def test_stage_declares_what_it_reads_and_writes():
    stage = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]["features"]
    assert stage["foreach"] == "${features}"
    assert stage["do"]["outs"] == [str(paths.features("${key}"))]
    reads = {str(paths.prepared("${item.dataset}", "train")), str(paths.pretrained("${item.network}"))}
    assert reads <= set(stage["do"]["deps"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"freeze_encoder": False}}, "features.kept.network: set networks.frozen.freeze_encoder to true"),
        ({"network": {"weights": None}}, "networks.frozen has no `weights`, so that every run has another encoder"),
        ({"network": {"kind": "small_classifier"}}, "features are kept of segmentation networks, 'frozen' is a classifier"),
        ({"features": {"network": "gone"}}, "features.kept.network = 'gone' names nothing in networks"),
        ({"features": {"image_size_px": 48}}, "features.kept.image_size_px is 48, but this run has 32"),
        ({"features": {"dataset": "coco"}}, "features.kept.dataset is 'coco', but this run has 'voc'"),
        ({"training": {"input": "crop"}}, "training.short.input must be 'resize', its augmentation.color_jitter 0"),
        ({"training": {"augmentation": {"color_jitter": 0.1}}}, "kept features know a picture and its mirror image only"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ParamsError) as error:
        resolve(tree(**changes), families())
    assert message in str(error.value)


def test_run_of_the_same_pictures_network_and_size_reads_them_unasked():
    params = resolve(tree(), families(("more", RUN)))
    [found] = {run.features for runs in params.runs.values() for name, run in runs.items() if name == "more"}
    assert found == "kept"


@pytest.mark.parametrize("other", [{"network": "mobilenet"}, {"training": "size"}, {"supervision": "coco-masks"}])
def test_run_of_others_does_not(other):
    made = families()
    made["plain"] = {"runs": {"full": RUN | other}}
    assert resolve(tree(), made).runs["plain"]["full"].features is None


def test_run_with_features_that_are_not_there_is_rejected():
    with pytest.raises(ParamsError, match="features = 'gone' names nothing in features"):
        resolve(tree(), families(("more", RUN | {"features": "gone"})))
