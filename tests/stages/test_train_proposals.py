"""Hard proposals while training: a round that was interrupted goes on where it was, the one before stays until the next."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.params import load_params
from pipeline.stages import train as stage
from pipeline.training.loop import Interrupted

IDS = ["a/1", "a/2", "b"]


class Pictures:
    """Three grey pictures; what is attached is noted."""

    archive = SimpleNamespace(ids=IDS)

    def __init__(self):
        self.attached = None

    def annotated(self, draw, ids):
        """Yield pictures without seeds."""
        for image_id in ids:
            yield image_id, np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 255, np.uint8)

    def attach_rasters(self, name, rasters):
        """Note what training would read."""
        self.attached = {image_id: rasters[image_id] for image_id in rasters}


@pytest.fixture
def round_of(tmp_path, monkeypatch):
    """Return a function that makes the proposals of a period, all pixels being the period, and the list of images asked for."""
    asked = []

    def propose(images, predict, **settings):
        for image_id, picture, _ in images:
            asked.append(image_id)
            yield image_id, np.full(picture.shape[:2], predict([picture])[0], np.uint8)

    monkeypatch.setattr(stage, "proposer", lambda: propose)
    monkeypatch.setattr(stage, "predict_logits", lambda network, pictures, **settings: [network for _ in pictures])
    params = load_params()
    name = next(name for name, objective in params.objectives.items() if objective.proposals is not None)
    family, run = next((family, run) for family, runs in params.runs.items() for run in runs if runs[run].objective == name)
    job = stage.Job(family, run, params)
    pictures = Pictures()

    def make(period, stop=lambda: False):
        del asked[:]
        refresh = stage.make_refresh(job, pictures, tmp_path, torch.device("cpu"))
        refresh.make(period, period, stop)
        return {image_id: int(labels[0, 0]) for image_id, labels in pictures.attached.items()}

    return make, asked, tmp_path


def test_every_image_gets_its_proposal_of_this_period(round_of):
    make, asked, _ = round_of
    assert make(3) == dict.fromkeys(IDS, 3)
    assert asked == IDS


def test_finished_round_is_not_made_again(round_of):
    make, asked, _ = round_of
    make(0)
    assert make(0) == dict.fromkeys(IDS, 0)
    assert asked == []


def test_interrupted_round_goes_on_with_the_images_left(round_of):
    make, asked, folder = round_of
    with pytest.raises(Interrupted, match="stopped while making proposals; run the same command again"):
        make(1, stop=lambda: len(asked) == 2)
    assert not (folder / "proposals-1.zip").exists()
    assert make(1) == dict.fromkeys(IDS, 1)
    assert asked == IDS[2:]


def test_round_before_stays_until_the_next(round_of):
    make, _, folder = round_of
    for period in range(3):
        make(period)
    assert sorted(path.name for path in folder.iterdir()) == ["proposals-1.zip", "proposals-2.zip"]
