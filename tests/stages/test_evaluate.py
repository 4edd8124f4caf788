"""Confusion matrices of the headline runs."""

import csv

import numpy as np
import pytest

from pipeline import paths
from pipeline.stages.evaluate import CONFUSION_COLUMNS, confusion_rows, write_confusions

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
