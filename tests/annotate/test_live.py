"""What the page knows of the training process: predictions, the order of pictures, and that nothing it does harms annotation."""

import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from pipeline.annotate import live
from pipeline.annotate.live import Live, Told
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.targets.annotations import Annotation
from pipeline.targets.rasters import encode_raster
from pipeline.targets.strokes import Draw, Stroke

LABELS = np.array([[0, 1]], np.uint8)


def learn_at_once(pipe, pictures, class_names, folder):
    """Be a training process that is sure of what is drawn on and of nothing else."""
    (folder / "features").touch()
    while True:
        lesson = pipe.recv()
        for image_id in pictures.ids:
            uncertainty = {image_id: 0.1 if image_id in lesson.strokes else 0.9 if image_id != "b" else 0.8}
            pipe.send(Told(lesson.number, "", "looking", {image_id: encode_raster(LABELS)}, uncertainty))
        pipe.send(Told(lesson.number, f"sizes: {sorted(lesson.sizes)}, first: {lesson.shown}", "idle"))


def learn_for_ever(pipe, pictures, class_names, folder):
    """Be a training process that ends when it is stopped, and still says something about the lesson before."""
    try:
        number = pipe.recv().number
        pipe.send(Told(number - 1, "of before", "idle", {"a": encode_raster(LABELS)}, {"a": 0.5}))
        time.sleep(60)
    except KeyboardInterrupt:
        pipe.send(Told(number, "stopped", "idle"))
        time.sleep(60)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that returns `Live` on three pictures, with a training process of the test's."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"images/{name}.png")
    made = []

    def begin(work=learn_at_once, **options):
        monkeypatch.setattr(live, "work", work)
        stores = AnnotationStore(tmp_path / "a.csv"), StrokeStore(tmp_path / "a.strokes.jsonl")
        made.append(Live(FolderPictures(tmp_path / "images", ["cat"]), ["cat"], *stores, **options))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def draw(network, image_id="a", number=1):
    stroke = Stroke(id=f"{number:016x}", class_name="cat", width_px=2, points=((2, 2),), size_px=(8, 8))
    store = network._strokes
    store.append([Draw(stroke=stroke, image_id=image_id, annotator="Ada", seconds=1, timestamp=store.timestamp())])


def reaches(network, state):
    """Wait for a state, and return what is told then."""
    until = time.monotonic() + 60
    while network.status()["state"] != state:
        assert time.monotonic() < until, network.status()
        time.sleep(0.01)
    return network.status()["text"]


def test_nothing_given_is_nothing_to_train_on(start):
    with pytest.raises(ValueError, match="Nothing is drawn yet"):
        start().train()


def test_what_is_learnt_is_predicted_with_the_most_uncertain_picture_first(start):
    network = start()
    draw(network)
    network._store.append([Annotation("b", "cat", 0.25, 1.0, "none", "Ada", network._store.timestamp(), "percent")])
    assert (network.version, network.labels("a"), network.order("abc")) == (0, None, ["a", "b", "c"])
    network.train("b")
    assert reaches(network, "idle") == "sizes: ['b'], first: b"
    assert network.version == 3
    assert network.labels("c").tolist() == LABELS.tolist()
    assert network.order("abc") == ["c", "b", "a"]


def test_second_press_does_not_disturb_a_training_and_it_can_be_stopped(start):
    network = start(learn_for_ever)
    draw(network)
    network.train()
    network.train()
    while network.version == 0:
        time.sleep(0.01)
    assert network.status()["state"] == "busy", "news of the lesson before end nothing"
    until = time.monotonic() + 60
    while network.status()["state"] == "busy":  # pressed again and again, as people do
        assert time.monotonic() < until
        network.stop()
        time.sleep(0.5)
    assert network.status() == {"state": "idle", "text": "stopped"}


def test_training_of_a_tool_in_the_background_of_a_shell_can_be_stopped(start):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        network = start(learn_for_ever)
        draw(network)
        network.train()
        while network.version == 0:
            time.sleep(0.01)
        network.stop()
        assert reaches(network, "idle") == "stopped"
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_process_that_dies_is_told_and_replaced(start):
    network = start(learn_for_ever)
    draw(network)
    network.train()
    os.kill(network._process.pid, signal.SIGKILL)
    assert reaches(network, "failed") == "Training failed: its process ended with status -9."
    draw(network, "b", 2)
    network.train()
    assert network.status()["state"] == "busy"


def test_what_was_kept_is_removed_at_the_end(start):
    network = start()
    draw(network)
    network.train()
    reaches(network, "idle")
    folder = network._folder
    assert list(folder.iterdir())
    network.close()
    assert not folder.exists()


def test_automatic_training_waits_for_something_new(start):
    network = start(automatic=True)
    network.done("b")
    assert network.status()["state"] == "idle"
    draw(network)
    network.done("b")
    assert reaches(network, "idle") == "sizes: [], first: b"
    version = network.version
    network.done("c")
    assert (network.status()["state"], network.version) == ("idle", version)


def test_without_being_asked_to_nothing_is_trained(start):
    network = start()
    draw(network)
    network.done("b")
    assert (network.status()["state"], network._process) == ("idle", None)
