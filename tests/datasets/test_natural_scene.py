"""What is special about Natural Scene: classes are folders or a table, and sizes are not assumed."""

import pytest
from PIL import Image

from pipeline.datasets.natural_scene import CLASS_NAMES, NaturalScene
from pipeline.datasets.raw_files import DatasetError


def write(root, inner=True, size=(4, 4)):
    for name in ("seg_train", "seg_test"):
        for label in CLASS_NAMES:
            folder = root / name / (name if inner else ".") / label
            folder.mkdir(parents=True)
            for number in ("10006", "1001"):
                Image.new("RGB", size).save(folder / f"{number}.jpg")
    return NaturalScene(root)


def write_table(root, count=34, labels=None):
    (root / "train").mkdir(parents=True)
    labels = labels or [number % 6 for number in range(count)]
    for number in range(count):
        Image.new("RGB", (4, 4)).save(root / "train" / f"{number}.jpg")
    rows = "".join(f"{number}.jpg,{label}\n" for number, label in enumerate(labels))
    (root / "train.csv").write_text(f"image_name,label\n{rows}")
    return NaturalScene(root)


@pytest.mark.parametrize("inner", [True, False])
def test_class_is_the_folder(tmp_path, inner):
    dataset = write(tmp_path, inner)
    assert dataset.ids("val")[:3] == ["val_buildings_10006", "val_buildings_1001", "val_forest_10006"]
    assert [dataset.read_class(image_id) for image_id in dataset.ids("train")] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_same_file_name_in_both_splits_is_two_images(tmp_path):
    dataset = write(tmp_path)
    assert dataset.image_path("train_sea_1001") != dataset.image_path("val_sea_1001")


def test_long_pictures_are_mentioned_but_accepted(tmp_path):
    dataset = write(tmp_path, size=(9, 4))
    dataset.verify()
    assert "24 pictures are more than 2 times longer than wide" in str(dataset.account())


def test_a_picture_under_two_classes_is_mentioned(tmp_path):
    dataset = write(tmp_path)
    for number, image_id in enumerate(dataset.ids("train") + dataset.ids("val")):
        Image.new("RGB", (4, 4), (9 * number, 0, 0)).save(dataset.image_path(image_id))
    assert "more than one class" not in str(dataset.account())
    dataset.image_path("val_sea_1001").write_bytes(dataset.image_path("train_forest_1001").read_bytes())
    assert "1 pictures stand under more than one class, the first as train_forest_1001 and val_sea_1001" in str(dataset.account())


def test_unknown_folder_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "seg_train/seg_train/desert").mkdir()
    with pytest.raises(DatasetError, match=r"desert: is no class; the folders are buildings, forest"):
        NaturalScene(tmp_path).ids("train")


def test_table_gives_classes_and_a_share_for_validation(tmp_path):
    dataset = write_table(tmp_path / "train-scene classification")
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (28, 6)
    assert all(dataset.read_class(image_id) == int(image_id) % 6 for split in dataset.splits for image_id in dataset.ids(split))


def test_table_is_found_in_a_folder_below(tmp_path):
    write_table(tmp_path / "train-scene classification")
    NaturalScene(tmp_path).verify()


def test_table_splits_the_same_way_again(tmp_path):
    assert write_table(tmp_path).ids("val") == NaturalScene(tmp_path).ids("val")


def test_label_out_of_range_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"train\.csv, line 3: 1\.jpg has the label 6"):
        write_table(tmp_path, 2, [0, 6]).ids("train")


def test_broken_table_is_named(tmp_path):
    write_table(tmp_path)
    (tmp_path / "train.csv").write_text("name,class\n1.jpg,0\n")
    with pytest.raises(DatasetError, match=r"train\.csv: is not of the form image_name,label"):
        NaturalScene(tmp_path).ids("train")


def test_line_given_twice_is_refused(tmp_path):
    dataset = write_table(tmp_path)
    path = tmp_path / "train.csv"
    path.write_text(path.read_text() + "3.jpg,5\n")
    with pytest.raises(DatasetError, match=r"line 36: 3\.jpg has the same id as 3\.jpg, which has a line already"):
        dataset.ids("train")
