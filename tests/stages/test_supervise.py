"""What annotators give is one thing per data set, whatever part of it a supervision variant looks at."""

import csv

import pytest

from pipeline import paths
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.params import SizeTargets
from pipeline.stages.supervise import Truth, annotated_sizes


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Voc.write(tmp_path / "raw", {"train": make_scenes(24, seed=1, class_indices=[3, 8, 12], size_px=(32, 24)), "val": []})
    write_prepared(tmp_path / "train.zip", Voc(tmp_path / "raw"), "train", classes=["bird", "cat", "dog"])
    return tmp_path / "train.zip"


def answers(prepared, name, classes):
    truth = Truth(PreparedArchive(prepared, classes=classes))
    sizes, _ = annotated_sizes(truth, f"voc/{name}", SizeTargets(source="annotations"), seed=0)
    with paths.annotation_errors(f"voc/{name}").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "cat"]
    return dict(zip(truth.archive.ids, sizes)), [(row["image_id"], row["size_fraction"], row["seconds"]) for row in rows]


def test_the_error_of_every_answer_names_the_grid_it_was_given_with(prepared):
    answers(prepared, "animals", ["dog", "cat", "bird"])
    with paths.annotation_errors("voc/animals").open(newline="") as file:
        assert {row["grid"] for row in csv.DictReader(file)} <= {"5x4", "3x3", "none"}


def test_one_simulated_annotator_answers_for_all_views_of_a_data_set(prepared):
    of_cats, cats = answers(prepared, "cat", ["cat"])
    of_animals, animals = answers(prepared, "animals", ["dog", "cat", "bird"])
    assert len(cats) >= 3
    assert cats == animals
    assert [of_cats[image][1] for image, *_ in cats] == [of_animals[image][2] for image, *_ in cats]
