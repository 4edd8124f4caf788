"""Confusion matrices of the headline runs, and trainings that failed."""

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline import paths
from pipeline.networks.small import SmallNetwork
from pipeline.stages import evaluate
from pipeline.stages.evaluate import (
    CONFUSION_COLUMNS,
    confusion_rows,
    kept_scores,
    remember_features,
    repetition_failed,
    training_failed,
    write_confusions,
)

NAMES = ["background", "cat", "dog"]
COUNTS = np.array([[6, 2, 0], [0, 3, 1], [0, 0, 0]])


def read(family):
    with paths.confusion(family).open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_normalised_by_the_true_class():
    shares = {(row["truth"], row["predicted"]): row["share_percent"] for row in confusion_rows("seeds/full", NAMES, COUNTS)}
    assert shares["background", "cat"] == 25
    assert shares["cat", "dog"] == 25
    assert sum(share for (truth, _), share in shares.items() if truth == "cat") == pytest.approx(100)


def test_a_class_that_does_not_occur_has_no_rows():
    assert {row["truth"] for row in confusion_rows("seeds/full", NAMES, COUNTS)} == {"background", "cat"}


def test_pixels_are_kept_beside_their_share():
    assert sum(row["pixels"] for row in confusion_rows("seeds/full", NAMES, COUNTS)) == COUNTS.sum()


def test_only_headline_runs_of_the_family_are_written_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matrices = dict.fromkeys(["other", "full", "pce"], (NAMES, COUNTS))
    write_confusions("seeds", ["acdc/other", "seeds/pce", "seeds/full"], matrices)
    assert list(dict.fromkeys(row["run"] for row in read("seeds"))) == ["seeds/pce", "seeds/full"]


def test_a_family_without_headline_run_gets_the_same_columns_and_no_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_confusions("seeds", ["seeds/pce"], {"pce": (NAMES, COUNTS)})
    assert tuple(read("seeds")[0]) == CONFUSION_COLUMNS
    write_confusions("seeds", ["acdc/full"], {"pce": (NAMES, COUNTS)})
    assert paths.confusion("seeds").read_text() == ",".join(CONFUSION_COLUMNS) + "\n"


def record(start=None, **objective):
    return {"objective": {"masks": None, "seeds": None, **objective}, "run": {"start": start}}


def epochs(*losses, **last):
    """Rows of a history with these losses; terms of the last epoch as given."""
    rows = [{"loss": str(loss), "loss_masks": "", "loss_seeds": ""} for loss in losses]
    return [*rows[:-1], rows[-1] | {f"loss_{name}": str(value) for name, value in last.items()}]


@pytest.mark.parametrize(("seeds", "failed"), [(48.1, True), (1.39, True), (1.38, False), (0.001, False)])
def test_a_training_failed_whose_cross_entropy_ends_at_twice_that_of_a_guess(seeds, failed):
    assert training_failed(epochs(88.6, 48.2, seeds=seeds), record(seeds=1.0), classes=2) == failed


def test_the_weight_of_a_cross_entropy_does_not_hide_that_it_failed():
    assert training_failed(epochs(9.0, 1.0, seeds=0.2), record(seeds=0.1), classes=2)
    assert not training_failed(epochs(9.0, 1.0, masks=2.0), record(masks=10.0), classes=2)


def test_a_training_failed_whose_loss_did_not_fall():
    assert training_failed(epochs(0.3, 0.2, 0.3), record(), classes=4)
    assert not training_failed(epochs(0.3, 0.5, 0.2), record(), classes=4)


def test_a_second_stage_may_begin_where_it_ends():
    assert not training_failed(epochs(3.60, 3.61), record(start="seeds/pce"), classes=4)


@pytest.mark.parametrize("content", ["", "epoch,loss\n", "epoch\n1\n", "epoch,loss\n1,x\n", "epoch,loss\n1,2\n"])
def test_a_history_without_losses_is_named(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    place = paths.history("potts", "cd", 0)
    place.parent.mkdir(parents=True)
    place.write_text(content)
    with pytest.raises(ValueError, match=r"history\.csv: lacks the losses of this run .*; train the run again"):
        repetition_failed("potts", "cd", 0, record(masks=1.0), classes=2)


def test_one_epoch_has_nothing_to_be_compared_with():
    assert not training_failed(epochs(3.6), record(), classes=4)


def test_networks_of_one_encoder_share_what_it_makes_of_a_batch(monkeypatch):
    torch.manual_seed(0)
    first, second, other = (SmallNetwork(3, width=4).eval() for _ in range(3))
    second.load_state_dict(first.state_dict())
    second.classifier.weight.data += 1  # another head on the same encoder
    asked = []
    compute = SmallNetwork.features
    monkeypatch.setattr(SmallNetwork, "features", lambda self, image: asked.append(self) or compute(self, image))
    image, memory = torch.rand(2, 3, 32, 32), {}
    with torch.inference_mode():
        wanted = [network(image) for network in (first, second, other)]
        asked.clear()
        for network in (first, second, other):
            remember_features(network, memory)
        found = [network(image) for network in (first, second, other)]
    assert asked == [first, other]
    assert all(torch.equal(one, two) for one, two in zip(found, wanted))


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Return the files that a score is of, a function that asks for it, and a list that grows with every scoring."""
    monkeypatch.chdir(tmp_path)
    files = {"weights": Path("last.pt"), "data": Path("val.txt"), "code": paths.code("evaluate", "seeds")}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    done = []

    def score_weights(*_):
        done.append(None)
        return {"mIoU": len(done) / 3, "DSC": math.nan}, COUNTS

    monkeypatch.setattr(evaluate, "score_weights", score_weights)

    def ask(ids=("a",), **record):
        trained, images = SimpleNamespace(record=record), SimpleNamespace(path=files["data"], ids=ids)
        return kept_scores("seeds", files["weights"], trained, images, torch.device("cpu"))

    return files, ask, done


def test_unchanged_weights_are_scored_once(scored):
    _, ask, done = scored
    (first, confusion), (second, again) = ask(), ask()
    assert len(done) == 1
    assert first == second == {"mIoU": 1 / 3, "DSC": None}
    assert np.array_equal(confusion, COUNTS)
    assert np.array_equal(again, COUNTS)


def test_another_part_of_the_same_pictures_is_scored_for_itself(scored):
    _, ask, done = scored
    ask(ids=("a",))
    ask(ids=("b",))
    assert len(done) == 2


@pytest.mark.parametrize("changed", ["weights", "data", "code"])
def test_what_a_score_is_of_has_changed_and_it_is_made_again(scored, changed):
    files, ask, done = scored
    ask()
    files[changed].write_text("behind")
    ask()
    assert len(done) == 2
    files[changed].write_text("before")
    assert ask()[0]["mIoU"] == 1 / 3


def test_weights_of_another_record_are_scored_again(scored):
    _, ask, done = scored
    ask(training={"image_size_px": 64})
    ask(training={"image_size_px": 32})
    assert len(done) == 2


def test_scores_are_not_kept_where_nobody_says_what_the_code_is(scored):
    files, ask, done = scored
    files["code"].unlink()
    ask()
    ask()
    assert len(done) == 2
