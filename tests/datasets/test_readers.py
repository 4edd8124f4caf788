"""One body of tests for all readers, on the raw layout each of them writes."""

import os
import shutil
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.scenes import SCENES


class Case(NamedTuple):
    """What is written for one kind."""

    class_indices: list
    size_px: tuple = (32, 24)
    train: int = 8
    val: int = 4


CASES = {
    "voc": Case([1, 2]),
    "coco": Case([1, 2]),
    "acdc": Case([1, 2, 3], (32, 28), train=14 * 6, val=2 * 6),
    "cityscapes": Case([0, 2, 10, 13], (48, 24)),
    "ade20k": Case([0, 3, 5, 19]),
    "natural_scene": Case([0, 1, 2, 3, 4, 5], (20, 20), train=12, val=6),
    "folder": Case([1, 2]),
}
SEGMENTATION = sorted(kind for kind in DATASETS if DATASETS[kind].task == "segmentation")
CLASSIFICATION = sorted(set(DATASETS) - set(SEGMENTATION))
PNG_MASKS = ["ade20k", "cityscapes", "folder", "voc"]


class Written:
    """The raw layout of one kind and the scenes in it, in the order that its reader must return."""

    def __init__(self, kind, root):
        case = CASES[kind]
        self.kind, self.root = kind, root
        self.scenes = {
            split: SCENES[kind](count, seed=3, class_indices=case.class_indices, size_px=case.size_px, split=split)
            for split, count in (("train", case.train), ("val", case.val))
        }
        DATASETS[kind].write(root, self.scenes)
        if DATASETS[kind].task == "classification":  # sorted by folder
            self.scenes = {split: sorted(scenes, key=lambda scene: scene.class_index) for split, scenes in self.scenes.items()}

    def read(self):
        return DATASETS[self.kind](self.root)

    def copy(self, folder):
        return DATASETS[self.kind](shutil.copytree(self.root, folder))


LAYOUTS = {}


def written(kind, factory):
    if kind not in LAYOUTS:
        LAYOUTS[kind] = Written(kind, factory.mktemp(kind))
    return LAYOUTS[kind]


@pytest.fixture(params=sorted(DATASETS))
def layout(request, tmp_path_factory):
    return written(request.param, tmp_path_factory)


@pytest.fixture(params=SEGMENTATION)
def segmentation(request, tmp_path_factory):
    return written(request.param, tmp_path_factory)


@pytest.fixture(params=CLASSIFICATION)
def classification(request, tmp_path_factory):
    return written(request.param, tmp_path_factory)


@pytest.fixture(params=PNG_MASKS)
def damaged(request, tmp_path_factory, tmp_path):
    return written(request.param, tmp_path_factory).copy(tmp_path / "copy")


def mask_paths(dataset, image_id):
    return [path for path in dataset.root.rglob(f"{image_id}*.png") if path != dataset.image_path(image_id)]


def snapshot(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*"))}


def test_every_reader_has_a_case_and_a_maker_of_pictures():
    assert set(CASES) == set(SCENES) == set(DATASETS)
    assert all(DATASETS[kind].name == kind for kind in DATASETS)


def test_verify_accepts_what_write_wrote(layout):
    layout.read().verify()


def test_lengths_are_those_written(layout):
    dataset = layout.read()
    assert {split: len(dataset.ids(split)) for split in dataset.splits} == {
        split: len(scenes) for split, scenes in layout.scenes.items()
    }


def test_ids_are_different_in_and_between_splits(layout):
    dataset = layout.read()
    ids = [*dataset.ids("train"), *dataset.ids("val")]
    assert len(set(ids)) == len(ids)


def test_masks_are_read_back_exactly(segmentation):
    dataset = segmentation.read()
    for split, scenes in segmentation.scenes.items():
        for image_id, scene in zip(dataset.ids(split), scenes):
            labels = dataset.read_labels(image_id)
            rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(labels.shape, scene.labels.shape))
            expected = scene.labels[rows.astype(int)][:, columns.astype(int)]  # of a reader that resizes, the nearest
            assert labels.dtype == np.uint8
            assert (labels == expected).mean() > (0.97 if labels.shape != scene.labels.shape else 1 - 1e-9)


def test_classes_are_read_back(classification):
    dataset = classification.read()
    for split, scenes in classification.scenes.items():
        assert [dataset.read_class(image_id) for image_id in dataset.ids(split)] == [scene.class_index for scene in scenes]


def test_photos_are_read_back_up_to_compression_and_size(layout):
    dataset = layout.read()
    for image_id, scene in zip(dataset.ids("val"), layout.scenes["val"]):
        image = dataset.read_image(image_id)
        height, width = image.shape[:2]
        expected = np.asarray(Image.fromarray(scene.image).resize((width, height), Image.Resampling.BILINEAR)).astype(int)
        assert image.dtype == np.uint8
        assert image.shape == (height, width, 3)
        assert np.abs(image - expected).mean() < 16


def test_photo_file_holds_the_photo(layout, tmp_path):
    dataset = layout.read()
    image_id = dataset.ids("train")[0]
    content, suffix = dataset.image_bytes(image_id)
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(content)
    with Image.open(path) as image:
        assert image.format == {".jpg": "JPEG", ".png": "PNG"}[suffix]
        assert np.array_equal(np.asarray(image.convert("RGB")), dataset.read_image(image_id))


def test_datasheet_is_complete(layout):
    dataset = layout.read()
    assert len(dataset.class_names) == len(dataset.palette) == len(set(dataset.class_names))
    assert len(set(dataset.palette)) == len(dataset.palette)
    assert dataset.has_background == (dataset.class_names[0] == "background")
    assert set(dataset.published) <= set(dataset.splits)
    sheet = (dataset.name, dataset.title, dataset.licence, dataset.citation, dataset.homepage, dataset.obtain, dataset.layout)
    assert all(sheet)


def test_bad_split_is_refused_with_the_known_ones(layout):
    with pytest.raises(DatasetError, match=r"no split 'test'; choose one of train, val"):
        layout.read().ids("test")


def test_missing_root_says_what_to_do(layout, tmp_path):
    with pytest.raises(DatasetError, match=r"not found.*check `source`"):
        DATASETS[layout.kind](tmp_path / "nowhere").verify()


def test_question_for_the_other_task_is_refused(layout):
    dataset = layout.read()
    ask = dataset.read_class if dataset.task == "segmentation" else dataset.read_labels
    with pytest.raises(DatasetError, match=rf"{layout.kind} is a {dataset.task} set"):
        ask(dataset.ids("train")[0])


def test_unknown_image_is_named(layout):
    dataset = layout.read()
    with pytest.raises(DatasetError, match="no_such_image"):
        dataset.read_image("no_such_image_0")


def test_truncated_photo_is_named(layout, tmp_path):
    dataset = layout.copy(tmp_path / "copy")
    image_id = dataset.ids("train")[2]
    path = dataset.image_path(image_id)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError, match=rf"{path.name}.*restore"):
        dataset.read_image(image_id)


def test_missing_photo_is_named_by_verify(segmentation, tmp_path):
    dataset = segmentation.copy(tmp_path / "copy")
    path = dataset.image_path(dataset.ids("val")[1])
    path.unlink()
    with pytest.raises(DatasetError, match=rf"{path.stem}.*(not found|there is no image)"):
        DATASETS[segmentation.kind](dataset.root).verify()


def test_raw_files_are_never_written(layout, tmp_path):
    root = layout.copy(tmp_path / "copy").root
    before = snapshot(root)
    for folder, _, files in os.walk(root):  # a superuser may write all the same, so the snapshot is compared too
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    dataset = DATASETS[layout.kind](root)
    dataset.verify()
    for split in dataset.splits:
        write_prepared(tmp_path / f"{split}.zip", dataset, split)
    assert snapshot(root) == before
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)


def test_prepared_archive_holds_what_the_reader_reads(layout, tmp_path):
    dataset = layout.read()
    write_prepared(tmp_path / "val.zip", dataset, "val")
    archive = PreparedArchive(tmp_path / "val.zip")
    assert archive.ids == dataset.ids("val")
    assert (archive.kind, archive.task, archive.has_background) == (dataset.name, dataset.task, dataset.has_background)
    assert (archive.class_names, archive.palette) == (dataset.class_names, dataset.palette)
    for image_id in archive.ids[:4]:
        image = archive.image(image_id)
        assert np.array_equal(image, dataset.read_image(image_id))
        assert archive.size(image_id) == (image.shape[1], image.shape[0])
        assert archive.group(image_id) == dataset.group(image_id)
        if dataset.task == "segmentation":
            assert np.array_equal(archive.labels(image_id), dataset.read_labels(image_id))
            assert archive.classes_in(image_id) == sorted(set(np.unique(archive.labels(image_id)).tolist()) - {VOID})
        else:
            assert archive.image_class(image_id) == dataset.read_class(image_id)


def test_same_pictures_are_written_as_the_same_bytes(layout, tmp_path):
    again = Written(layout.kind, tmp_path)
    files = [path.relative_to(again.root) for path in sorted(again.root.rglob("*")) if path.is_file()]
    assert files == [path.relative_to(layout.root) for path in sorted(layout.root.rglob("*")) if path.is_file()]
    assert all((again.root / path).read_bytes() == (layout.root / path).read_bytes() for path in files)


def test_broken_mask_is_named(damaged):
    image_id = damaged.ids("train")[2]
    for path in mask_paths(damaged, image_id):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=rf"{image_id}.*cannot be read as a mask"):
        damaged.read_labels(image_id)


def test_missing_mask_is_named_by_verify(damaged):
    image_id = damaged.ids("val")[0]
    for path in mask_paths(damaged, image_id):
        path.unlink()
    with pytest.raises(DatasetError, match=rf"{image_id}.*\.png: not found"):
        type(damaged)(damaged.root).verify()


def test_mask_of_another_size_is_named_by_verify(damaged):
    image_id = damaged.ids("train")[3]
    for path in mask_paths(damaged, image_id):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(path)
    with pytest.raises(DatasetError, match=rf"{image_id}.*7x5 pixels, but its photo"):
        damaged.verify()


def test_mask_value_that_is_no_class_is_named(damaged):
    image_id = damaged.ids("train")[3]
    for path in mask_paths(damaged, image_id):
        Image.fromarray(np.full((5, 7), 254, np.uint8)).save(path)
    with pytest.raises(DatasetError, match=rf"{image_id}.*value 254, which is neither a class"):
        damaged.read_labels(image_id)


def test_colour_mask_is_refused(damaged):
    image_id = damaged.ids("train")[3]
    for path in mask_paths(damaged, image_id):
        Image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(path)
    with pytest.raises(DatasetError, match=r"mode RGB"):
        damaged.read_labels(image_id)


@pytest.mark.parametrize("kind", ["voc", "folder"])
def test_grey_mask_is_read_by_value(kind, tmp_path_factory, tmp_path):
    dataset = written(kind, tmp_path_factory).copy(tmp_path / "copy")
    labels = np.array([[0, 1, VOID]], np.uint8)
    image_id = dataset.ids("train")[3]
    for path in mask_paths(dataset, image_id):
        Image.fromarray(labels).save(path)
    assert np.array_equal(dataset.read_labels(image_id), labels)
