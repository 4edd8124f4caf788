"""What is special about Cityscapes: raw label ids, cities, and no background."""

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.raw_files import DatasetError


def write(root, raw, image_id="aachen_000000_000019", split="train"):
    for folder, ending, content in (
        ("leftImg8bit", "leftImg8bit", np.zeros((*raw.shape, 3), np.uint8)),
        ("gtFine", "gtFine_labelIds", raw.astype(np.uint8)),
    ):
        path = root / folder / split / "aachen" / f"{image_id}_{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path)
    for folder in ("leftImg8bit", "gtFine"):
        for other in ("train", "val"):
            (root / folder / other).mkdir(exist_ok=True)
    return Cityscapes(root)


def test_evaluated_ids_become_the_nineteen_classes_in_order(tmp_path):
    evaluated = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    dataset = write(tmp_path, np.array([evaluated]))
    assert dataset.read_labels("aachen_000000_000019").tolist() == [list(range(19))]


def test_all_other_ids_become_void(tmp_path):
    others = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
    labels = write(tmp_path, np.array([others])).read_labels("aachen_000000_000019")
    assert (labels == VOID).all()


def test_class_names_go_with_their_ids():
    names = Cityscapes.class_names
    assert (names[0], names[10], names[13], names[18]) == ("road", "sky", "car", "bicycle")


def test_file_of_train_ids_or_colours_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="value 40, which is neither a class"):
        write(tmp_path, np.array([[40]])).read_labels("aachen_000000_000019")


def test_ids_are_sorted_by_city_and_name(tmp_path):
    for image_id in ("aachen_000002_000019", "aachen_000001_000019"):
        dataset = write(tmp_path, np.array([[7]]), image_id)
    assert dataset.ids("train") == ["aachen_000001_000019", "aachen_000002_000019"]
    assert dataset.ids("val") == []
