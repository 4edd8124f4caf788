"""Training on one's own photos: from whatever is given to a model that predicts, and what is said when something is missing."""

import fcntl
import itertools
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from pipeline import own, paths
from pipeline.annotate import export
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.datasets.prepared import PreparedArchive
from pipeline.params import read_yaml, resolve
from pipeline.predict import load_trained
from pipeline.profile import dump, put_profile
from pipeline.stages import evaluate, features, supervise, train, weights
from pipeline.targets.annotations import Annotation
from pipeline.targets.strokes import Draw, Stroke

REPOSITORY = Path(__file__).resolve().parent.parent
STAGES = {"supervise": supervise, "weights": weights, "features": features, "train": train, "evaluate": evaluate}
SMALL = ("--epochs", "1", "--batch-size", "2", "--image-size-px", "32")
MODEL = "models/own/model"


@pytest.fixture
def photos(tmp_path):
    """Return a folder of five photos: four with sizes, the last two of these also with masks; one without anything."""
    folder = tmp_path / "photos"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.yaml").write_text("names: [background, cat]\n")
    lines = ["image_id,background,cat"]
    for number in range(5):
        labels = np.zeros((24, 32), np.uint8)
        labels[:, : 8 + 4 * number] = 1
        Image.fromarray(np.stack([200 * labels, 90 + labels, 30 * labels], 2)).save(folder / f"images/p{number}.jpg")
        if number < 4:
            lines.append(f"p{number},{1 - labels.mean()},{labels.mean()}")
        if number in (2, 3):
            Image.fromarray(labels).save(folder / f"masks/p{number}.png")
    (folder / "sizes.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_own(folder, tree):
    """Put settings of one's own photos into a working folder."""
    (folder / paths.OWN).parent.mkdir()
    YAML().dump(tree, folder / paths.OWN)


def scribble(photos, *names):
    """Draw a stroke of each class on photos."""
    (photos / "scribbles").mkdir(exist_ok=True)
    for name in names:
        drawn = np.full((24, 32), 255, np.uint8)
        drawn[5:8, 1:5], drawn[5:8, 26:30] = 1, 0
        Image.fromarray(drawn).save(photos / f"scribbles/{name}.png")


def draw(photos, *names, stem="annotations"):
    """Draw strokes on photos in the annotation tool."""
    store = StrokeStore(photos / f"{stem}.strokes.jsonl")
    for number, (name, (label, x)) in enumerate(itertools.product(names, [("cat", 3), ("background", 28)])):
        stroke = Stroke(id=f"{number:016x}", class_name=label, width_px=2, points=((x, 4), (x, 20)), size_px=(32, 24))
        store.append([Draw(stroke=stroke, image_id=name, annotator="Ada", seconds=1, timestamp=store.timestamp())])


def answer(photos, sizes):
    """Give sizes of cats in the annotation tool."""
    store = AnnotationStore(photos / "annotations.csv")
    for name, size in sizes.items():
        store.append([Annotation(name, "cat", size, 1.0, "none", "Ada", store.timestamp(), "percent")])


def sizes_alone(photos):
    shutil.rmtree(photos / "masks")


def scribbles_alone(photos):
    sizes_alone(photos)
    (photos / "sizes.csv").unlink()
    scribble(photos, "p0", "p4")


def clicks_alone(photos):
    sizes_alone(photos)
    (photos / "sizes.csv").unlink()
    (photos / "clicks.csv").write_text("image_id,class,x,y\np1,cat,2,2\n")


def masks_alone(photos):
    (photos / "sizes.csv").unlink()


def some_scribbles(photos):
    sizes_alone(photos)
    scribble(photos, "p4")


def masks_held_back(photos):
    (photos / "splits").mkdir()
    (photos / "splits/val.txt").write_text("p2\np3\n")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs the command line in this process."""

    def start(photos, *words, out=tmp_path / "model"):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["own", str(photos), "--out", str(out), *words])
        own.main()

    return start


@pytest.fixture
def refusal(run, capsys):
    """Return a function that runs the command line, which must fail, and returns its message."""

    def start(photos, *words, **options):
        with pytest.raises(SystemExit) as stop:
            run(photos, *words, **options)
        assert stop.value.code == 1
        return capsys.readouterr().err

    return start


@pytest.fixture
def stages(monkeypatch):
    """Return the list of stages started, none of which does anything but leave what the next step looks for."""
    started = []

    def pretend(name, argument):
        started.append(name)
        places = {"train": f"models/{argument}/run.json", "evaluate": "reports/metrics/own/model.json"}
        if name in places:
            Path(places[name]).parent.mkdir(parents=True, exist_ok=True)
            val = {"mIoU": 0.5, "IoU": {"background": 0.6, "cat": 0.4}, "images": 1}
            Path(places[name]).write_text(json.dumps({"repetitions": [{"val": val}]}))

    monkeypatch.setattr(own, "stage", pretend)
    return started


def test_photos_become_a_model_that_says_how_good_it_is(run, photos, tmp_path, capfd, monkeypatch):
    def in_this_process(name, argument):
        monkeypatch.setattr(sys, "argv", [name, argument])
        STAGES[name].main()

    monkeypatch.setattr(own, "stage", in_this_process)  # a process for each takes most of the time
    scribble(photos, "p0")
    (photos / "clicks.csv").write_text("image_id,class,x,y\np1,cat,2,2\np4,cat,3,3\n")
    before = sorted((path, path.stat().st_mtime_ns) for path in photos.rglob("*"))
    run(photos, *SMALL)
    printed = capfd.readouterr().out
    assert "given: masks of 1, scribbles of 1, clicks of 2, sizes of 3\n" in printed
    first = "partial cross-entropy on known pixels + sizes"
    second = f"{first} + soft self-labelling (H_CCE + P_CD)"
    assert f"objective: {first}, then {second}, as pixels of 4 photos are known; --objective takes another\n" in printed
    assert "validation: mIoU" in printed
    assert load_trained(tmp_path / "model" / MODEL, device=torch.device("cpu")).class_names == ("background", "cat")
    assert sorted((path, path.stat().st_mtime_ns) for path in photos.rglob("*")) == before
    table = (tmp_path / "model/data/supervision/own/own/sizes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["image_id", "p0", "p1", "p2", "p4"]
    assert table[-1] == "p4,,"


def test_interrupted_stage_may_take_its_time_to_save(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\ntrap 'sleep 0.7; touch saved; exit 1' TERM\ntouch started\nwhile :; do sleep 0.02; done\n")
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))

    def press_ctrl_c():
        while not Path("started").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background leaves it ignored
    try:
        threading.Thread(target=press_ctrl_c).start()
        with pytest.raises(SystemExit, match="stopped at train; the same command goes on from here"):
            own.stage("train", "own/model")
    finally:
        signal.signal(signal.SIGINT, before)
    assert Path("saved").exists()


def test_path_that_settings_cannot_hold_is_named(refusal, photos, tmp_path):
    renamed = tmp_path / "K\udcfche"
    photos.rename(renamed)
    assert r"K\udcfche': a name on this path is not UTF-8, and settings cannot hold it" in refusal(renamed)


def test_folder_in_which_another_command_trains_is_left_alone(refusal, photos, tmp_path):
    (tmp_path / "model").mkdir()
    with (tmp_path / "model/.own.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "model: another command trains in this folder; wait for it, or choose another --out" in refusal(photos)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [".own.lock"]


def test_stage_that_the_system_ended_is_told_with_what_may_help(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -KILL $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(
        SystemExit, match="train was ended by SIGKILL, perhaps for lack of memory, of which a smaller --batch-size"
    ):
        own.stage("train", "own/model")


def test_settings_end_in_the_models_own_params(run, stages, photos, tmp_path):
    chosen = ("--network", "resnet101", "--objective", "size", "--training", "size")
    run(photos, *chosen, *SMALL, "--learning-rate", "0.5")
    made, base = read_yaml(tmp_path / "model/params.yaml"), read_yaml(REPOSITORY / "params.yaml")
    expected = {"epochs": 1, "batch_size": 2, "image_size_px": 32, "learning_rate": 0.5, "cache_images": False}
    assert made["training"]["own"] == base["training"]["base"] | base["training"]["size"] | expected
    run_made = read_yaml(tmp_path / "model" / paths.family_runs("own"))["runs"]["model"]
    assert (run_made["network"], run_made["objective"]) == ("resnet101", "size")
    assert "features" not in run_made


@pytest.mark.parametrize("profile", [None, "paper"])
def test_settings_of_its_own_hold_in_every_profile(run, stages, photos, tmp_path, profile):
    tree = YAML().load(REPOSITORY / "params.yaml")
    own_settings = read_yaml(REPOSITORY / paths.OWN)
    if profile is not None:
        put_profile(tree, profile)
    (tmp_path / "params.yaml").write_bytes(dump(tree))
    run(photos)
    made = resolve(read_yaml(tmp_path / "model/params.yaml"), {})
    assert made.networks["own"].model_dump(include=set(own_settings["network"])) == own_settings["network"]
    for family, stage in zip(("own_1", "own"), own_settings["seeds"], strict=True):
        objective, training = made.objectives[family], made.training[family]
        assert set(objective.terms) == set(stage["objective"])
        assert objective.size.loss == stage["objective"]["size"]["loss"]
        expected = own_settings["training"] | {"epochs": training.epochs}
        expected["learning_rate"] *= stage.get("rate_factor", 1)
        assert training == own.Training.model_validate(expected)


@pytest.mark.parametrize(
    ("arrange", "expected"),
    [
        (sizes_alone, {"own": {"size", "dense_crf"}}),
        (masks_held_back, {"own": {"size", "dense_crf"}}),
        (scribbles_alone, {"own_1": {"seeds"}, "own": {"seeds", "self_labeling"}}),
        (clicks_alone, {"own_1": {"seeds"}, "own": {"seeds", "self_labeling"}}),
        (masks_alone, {"own_1": {"seeds"}, "own": {"seeds", "self_labeling"}}),
        (some_scribbles, {"own_1": {"seeds", "size"}, "own": {"seeds", "size", "self_labeling"}}),
    ],
)
def test_objective_fits_what_is_given(run, stages, photos, tmp_path, arrange, expected):
    arrange(photos)
    run(photos)
    model = tmp_path / "model"
    families = {path.parent.name: read_yaml(path) for path in (model / paths.EXPERIMENTS).glob("*/runs.yaml")}
    made = resolve(read_yaml(model / "params.yaml"), families)
    assert {family: set(made.objectives[family].terms) for family in families} == expected
    if len(expected) > 1:
        assert made.run("own", "model").start == "own_1/model"


def test_another_objective_may_be_chosen(run, stages, photos, tmp_path):
    run(photos, "--objective", "masks")
    assert read_yaml(tmp_path / "model" / paths.family_runs("own"))["runs"]["model"]["objective"] == "masks"
    assert stages.count("train") == 1


def archived(tmp_path):
    """Return what the prepared archive holds of each photo."""
    archive = PreparedArchive(tmp_path / "model/data/prepared/own/train.zip")
    sizes = {name: values.tolist() for name, values in archive.sizes().items()}
    return sizes, {name: archive.scribble_raster(name).tolist() for name in archive.ids}


def test_files_of_the_annotation_tool_are_read_as_what_its_export_makes_of_them(run, stages, photos, tmp_path):
    masks_alone(photos)
    draw(photos, "p0", "p4")
    answer(photos, {"p1": 0.25, "p4": 0.5})
    run(photos)
    read = archived(tmp_path)
    (photos / "annotations.csv").rename(tmp_path / "annotations.csv")
    (photos / "annotations.strokes.jsonl").rename(tmp_path / "annotations.strokes.jsonl")
    words = [str(tmp_path / "annotations.csv"), "--images", str(photos / "images"), "--classes", "cat", "--leave-out"]
    words += ["--out", str(photos / "sizes.csv"), "--scribbles", str(photos / "scribbles")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", *words])
        export.main()
    shutil.rmtree(tmp_path / "model")
    run(photos)
    assert archived(tmp_path) == read
    assert read[0] == {"p1": [0.75, 0.25], "p4": [0.5, 0.5]}


def test_exported_scribbles_go_before_the_tools_own_file(run, stages, photos, tmp_path):
    scribble(photos, "p0")
    draw(photos, "p1")
    run(photos)
    known = [name for name, raster in archived(tmp_path)[1].items() if np.min(raster) < 255]
    assert known == ["p0"]


def test_first_stage_is_not_trained_again_when_the_second_was_stopped(run, stages, photos, monkeypatch):
    pretend = own.stage

    def stop_second(name, argument):
        if argument == "own/model":
            raise SystemExit("stopped")
        pretend(name, argument)

    with monkeypatch.context() as patch:
        patch.setattr(own, "stage", stop_second)
        with pytest.raises(SystemExit):
            run(photos)
    assert stages.count("train") == 1
    run(photos)
    assert stages.count("train") == 2


def test_stages_of_other_photos_are_forgotten(run, stages, photos, monkeypatch, tmp_path):
    """The second stage was stopped, then sizes were all that was left."""
    pretend = own.stage

    def stop_second(name, argument):
        if argument == "own/model":
            raise SystemExit("stopped")
        pretend(name, argument)

    with monkeypatch.context() as patch:
        patch.setattr(own, "stage", stop_second)
        with pytest.raises(SystemExit):
            run(photos)
    sizes_alone(photos)
    run(photos)
    model = tmp_path / "model"
    assert not (model / "models/own_1").exists()
    assert [path.parent.name for path in (model / paths.EXPERIMENTS).glob("*/runs.yaml")] == ["own"]


@pytest.mark.parametrize(("shown", "epochs"), [(3, 10), (90, 30), (91, 31)])
def test_fewer_photos_get_more_epochs(run, stages, photos, tmp_path, shown, epochs):
    tree = read_yaml(REPOSITORY / paths.OWN)
    tree["sizes"][0]["photos_shown"] = shown
    tree["training"]["epochs"] = 10
    write_own(tmp_path, tree)
    masks_held_back(photos)
    (photos / "sizes.csv").write_text((photos / "sizes.csv").read_text() + "p4,0.5,0.5\n")
    run(photos)
    assert read_yaml(tmp_path / "model/params.yaml")["training"]["own"]["epochs"] == epochs


def test_features_that_are_there_are_not_computed_again(run, stages, photos, tmp_path, monkeypatch):
    """The command was stopped while the head was trained."""

    def stop_training(name, argument):
        stages.append(name)
        if name == "features":
            place = Path("data/features/own/train.safetensors")
            place.parent.mkdir(parents=True)
            place.touch()
        if name == "train":
            raise SystemExit("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(own, "stage", stop_training)
        with pytest.raises(SystemExit):
            run(photos)
    run(photos)
    assert stages.count("features") == 1
    assert not (tmp_path / "model/data/features/own").exists()


def test_random_weights_are_said_to_be_useless(run, stages, photos, capsys):
    run(photos, "--network", "mobilenet", "--training", "size", *SMALL)
    assert "network 'mobilenet' started from random weights, so its masks will not be useful" in capsys.readouterr().out


def test_pretrained_weights_are_not(run, stages, photos, capsys):
    run(photos, *SMALL)
    assert "random weights" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("training", "epoch", 3, "training.epoch: unknown key; remove it or correct its spelling (known keys: epochs, "),
        ("network", "kind", "lite", "network.kind: Input should be"),
        ("training", "learning_rate", 0.0, "training.learning_rate: Input should be greater than 0, got 0.0"),
        ("sizes", None, [], "sizes: List should have at least 1 item"),
        (
            "seeds",
            None,
            [
                {
                    "objective": {"seeds": 1.0, "self_labeling": {"cross_entropy": "cce", "relaxation": "cd", "solver": "fasst"}},
                    "photos_shown": 8,
                }
            ],
            "seeds.0.objective.self_labeling.solver = 'fasst' names nothing in solver (there: dense, exact, fast, half, paper)",
        ),
    ],
)
def test_settings_that_cannot_be_name_file_and_key(refusal, photos, tmp_path, section, key, value, message):
    tree = read_yaml(REPOSITORY / paths.OWN)
    if key is None:
        tree[section] = value
    else:
        tree[section][key] = value
    write_own(tmp_path, tree)
    assert f"{paths.OWN}: 1 problem\n  {message}" in refusal(photos)


def test_finished_model_is_not_trained_again(run, stages, photos, capsys):
    run(photos, *SMALL)
    assert stages == ["supervise", "weights", "features", "train", "train", "evaluate"]
    run(photos, *SMALL)
    assert len(stages) == 6
    assert "mIoU 50.0% on 1 photos (background 60.0%, cat 40.0%)" in capsys.readouterr().out


def test_without_masks_nothing_is_validated(run, stages, photos):
    sizes_alone(photos)
    run(photos)
    assert stages == ["supervise", "weights", "features", "train"]


@pytest.mark.parametrize("change", ["settings", "sizes", "photo", "strokes"])
def test_model_of_other_photos_or_settings_is_not_mixed(run, refusal, stages, photos, change, tmp_path):
    draw(photos, "p0")
    run(photos, *SMALL)
    params = (tmp_path / "model/params.yaml").read_text()
    words = (*SMALL, "--learning-rate", "0.3") if change == "settings" else SMALL
    if change == "sizes":
        table = (photos / "sizes.csv").read_text().splitlines()
        (photos / "sizes.csv").write_text("\n".join([*table[:-1], "p3,0.25,0.75"]) + "\n")
    elif change == "strokes":
        draw(photos, "p1")
    elif change == "photo":
        (photos / "images/p0.jpg").write_bytes((photos / "images/p1.jpg").read_bytes())
    assert "holds a model of other photos or settings; choose another --out" in refusal(photos, *words)
    assert (tmp_path / "model/params.yaml").read_text() == params


def test_folder_of_something_else_is_left_alone(refusal, photos, tmp_path):
    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    assert "has a params.yaml that is not of this command" in refusal(photos, out=tmp_path)
    assert (tmp_path / "params.yaml").read_bytes() == (REPOSITORY / "params.yaml").read_bytes()


def test_photo_turned_by_the_camera_is_prepared_upright(run, stages, photos, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (32, 24)).save(photos / "images/p0.jpg", exif=turned)
    run(photos)
    archive = own.PreparedArchive(tmp_path / "model/data/prepared/own/train.zip")
    assert archive.size("p0") == (24, 32)
    assert archive.image("p0").shape == (32, 24, 3)


def test_answers_that_an_export_hides_are_told(photos, capsys):
    scribble(photos, "p0")
    answer(photos, {"p0": 0.5})
    draw(photos, "p4")
    read = own.Photos(photos)
    told = capsys.readouterr().out
    assert "annotations.csv is not read, as sizes.csv is there; export it again" in told
    assert "annotations.strokes.jsonl is not read, as scribbles/ is there" in told
    assert read.read_sizes("p0")[1] == pytest.approx(0.25)


def answers(photos):
    (photos / "sizes.csv").write_text("image_id,class,size_fraction,seconds\n")


def no_classes(photos):
    (photos / "classes.yaml").unlink()


def nothing_to_train_on(photos):
    shutil.rmtree(photos / "masks")
    (photos / "sizes.csv").unlink()


def only_mask_is_kept(photos):
    (photos / "sizes.csv").unlink()
    (photos / "masks/p2.png").unlink()


def several_logs(photos):
    draw(photos, "p0")
    draw(photos, "p0", stem="others")


def stroke_of_unknown_class(photos):
    draw(photos, "p0")
    (photos / "sizes.csv").unlink()
    (photos / "classes.yaml").write_text("names: [background, cow]\n")


def stroke_on_missing_photo(photos):
    draw(photos, "p9")


def no_background(photos):
    (photos / "classes.yaml").write_text("names: [background, cat]\nbackground: false\n")


def unknown_class(photos):
    (photos / "sizes.csv").write_text("image_id,background,cow\np0,0.5,0.5\n")


def too_large(photos):
    (photos / "sizes.csv").write_text("image_id,background,cat\np0,0.5,0.7\n")


def missing_photo(photos):
    (photos / "sizes.csv").write_text("image_id,background,cat\nq,0.5,0.5\n")


def broken_photo(photos):
    content = (photos / "images/p1.jpg").read_bytes()
    (photos / "images/p1.jpg").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "photos: is no folder; expected one with classes.yaml"),
        (answers, "sizes.csv: holds answers of the annotation tool, not sizes"),
        (no_classes, 'classes.yaml: not found; write it with the one line  names: ["background", "cat"]'),
        (nothing_to_train_on, "photos: nothing says what the photos show; expected sizes.csv, scribbles/, clicks.csv"),
        (only_mask_is_kept, "none of the 4 photos that are not kept for validation comes with a size, scribble"),
        (several_logs, "photos: holds annotations.strokes.jsonl and others.strokes.jsonl; leave the file"),
        (stroke_of_unknown_class, "strokes: image p0, annotator Ada: unknown class 'cat'; the classes are background, cow"),
        (stroke_on_missing_photo, "strokes: image p9, annotator Ada: unknown image"),
        (no_background, "classes.yaml: photos of one's own need a background"),
        (unknown_class, "sizes.csv, line 1: expected the columns image_id,background,cat, got image_id,background,cow"),
        (too_large, "sizes.csv, line 2: sizes must be at least 0 and sum to 1, but sum to 1.2"),
        (missing_photo, "sizes.csv, line 2: there is no image 'q'"),
        (broken_photo, "p1.jpg: cannot be read as an image"),
    ],
)
def test_error_names_file_and_remedy(refusal, stages, photos, spoil, message):
    spoil(photos)
    assert message in refusal(photos)
    assert stages == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--network", "mobil"), "--network: expected one of mobilenet,"),
        (("--objective", "sizes"), "--objective: expected one of"),
        (("--training", "sizes"), "--training: expected one of base, size,"),
        (("--image-size-px", "50"), "training.own.image_size_px: segmentation needs a multiple of 16, got 50"),
        (("--objective", "labels-ce"), "objective 'labels-ce' needs image_labels"),
        (("--epochs", "0"), "training.own.epochs"),
        (("--learning-rate", "inf"), "training.own.learning_rate: Input should be a finite number, got inf"),
    ],
)
def test_wrong_settings_end_before_anything_is_trained(refusal, stages, photos, tmp_path, words, message):
    assert message in refusal(photos, *words)
    assert not (tmp_path / "model/params.yaml").exists()


def test_model_may_not_lie_among_the_photos(refusal, photos):
    assert "--out: expected a folder outside" in refusal(photos, out=photos / "model")
    assert not (photos / "model").exists()


def test_failed_stage_ends_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(SystemExit, match="supervise failed for the reason above; when that is mended"):
        own.stage("supervise", own.NAME)


def test_archives_of_other_photos_are_not_kept(run, stages, photos, tmp_path, monkeypatch):
    """The command was stopped between taking note of changed photos and preparing them."""
    run(photos, *SMALL)
    shutil.rmtree(tmp_path / "model/models")
    Image.new("RGB", (70, 50), "blue").save(photos / "images/p0.jpg")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(own, "write_prepared", stop)
        with pytest.raises(SystemExit):
            run(photos, *SMALL)
    run(photos, *SMALL)
    assert PreparedArchive(tmp_path / "model/data/prepared/own/train.zip").size("p0") == (70, 50)


def test_masks_that_show_no_class_stop_nothing(run, stages, photos, capsys):
    for path in (photos / "masks").glob("*.png"):
        Image.new("L", Image.open(path).size).save(path)
    run(photos, *SMALL)
    assert "none of the 1 photos shows a class, so that nothing is validated" in capsys.readouterr().out
    assert "evaluate" not in stages
