"""What is special about ADE20K: 0 is unlabelled, 150 classes, and no background."""

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.ade20k import Ade20k
from pipeline.datasets.raw_files import DatasetError


def write(root, numbers):
    for kind, suffix, content in (
        ("images", "jpg", np.zeros((*numbers.shape, 3), np.uint8)),
        ("annotations", "png", numbers.astype(np.uint8)),
    ):
        for folder in ("training", "validation"):
            (root / "ADEChallengeData2016" / kind / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(root / f"ADEChallengeData2016/{kind}/training/ADE_train_00000001.{suffix}")
    return Ade20k(root)


def test_numbers_become_classes_from_zero_and_zero_becomes_void(tmp_path):
    assert write(tmp_path, np.array([[0, 1, 150]])).read_labels("ADE_train_00000001").tolist() == [[VOID, 0, 149]]


@pytest.mark.parametrize(("number", "message"), [(151, "value 151"), (255, "0 is unlabelled here")])
def test_mask_of_another_numbering_is_refused(tmp_path, number, message):
    with pytest.raises(DatasetError, match=message):
        write(tmp_path, np.array([[number]])).read_labels("ADE_train_00000001")


def test_names_are_those_of_the_published_list():
    names = Ade20k.class_names
    assert len(names) == 150
    assert [names[index] for index in (0, 12, 58, 123, 149)] == ["wall", "person", "screen door", "trade name", "flag"]


def test_root_may_be_the_inner_folder(tmp_path):
    write(tmp_path, np.array([[1]]))
    assert Ade20k(tmp_path / "ADEChallengeData2016").ids("train") == ["ADE_train_00000001"]
