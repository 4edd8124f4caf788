"""One body of tests for all readers, on the raw layout each of them writes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.base import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.synthetic import make_scenes

TRAIN = make_scenes(8, seed=3, class_indices=[1, 2], size_px=(32, 24))
VAL = make_scenes(4, seed=3, class_indices=[1, 2], size_px=(32, 24), split="val")


@pytest.fixture(scope="module", params=sorted(DATASETS))
def written(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    DATASETS[request.param].write(root, {"train": TRAIN, "val": VAL})
    return request.param, root


@pytest.fixture
def dataset(written):
    kind, root = written
    return DATASETS[kind](root)


@pytest.fixture
def damaged(written, tmp_path):
    kind, root = written
    return DATASETS[kind](shutil.copytree(root, tmp_path / "copy"))


def mask_paths(dataset, image_id):
    return [path for path in dataset.root.rglob(f"{image_id}.png") if path != dataset.image_path(image_id)]


def test_verify_accepts_what_write_wrote(dataset):
    dataset.verify()


def test_lengths_are_those_written(dataset):
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (8, 4)


def test_ids_keep_the_order_of_the_list(dataset):
    assert dataset.ids("train") == [scene.image_id for scene in TRAIN]


def test_masks_are_read_back_exactly(dataset):
    for scene in (*TRAIN, *VAL):
        assert np.array_equal(dataset.read_labels(scene.image_id), scene.labels)


def test_photos_are_read_back_up_to_compression(dataset):
    for scene in VAL:
        image = dataset.read_image(scene.image_id)
        assert image.dtype == np.uint8
        assert image.shape == scene.image.shape
        assert np.abs(image.astype(int) - scene.image).mean() < 12


def test_datasheet_has_a_name_and_a_colour_per_class(dataset):
    assert len(dataset.class_names) == len(dataset.palette) == len(set(dataset.class_names))
    assert len(set(dataset.palette)) == len(dataset.palette)
    assert dataset.class_names[0] == "background"
    assert all((dataset.name, dataset.licence, dataset.citation, dataset.homepage))


def test_bad_split_is_refused_with_the_known_ones(dataset):
    with pytest.raises(DatasetError, match=r"no split 'test'; choose one of train, val"):
        dataset.ids("test")


def test_missing_root_says_what_to_do(written, tmp_path):
    with pytest.raises(DatasetError, match=r"not found; .*check `source`"):
        DATASETS[written[0]](tmp_path / "nowhere").verify()


def test_truncated_photo_is_named(damaged):
    path = damaged.image_path("2007_000002")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"2007_000002.*restore"):
        damaged.read_image("2007_000002")


def test_broken_mask_is_named(damaged):
    for path in mask_paths(damaged, "2007_000002"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"2007_000002.*cannot be read as a mask"):
        damaged.read_labels("2007_000002")


def test_missing_photo_is_named_by_verify(damaged):
    damaged.image_path("2008_000001").unlink()
    with pytest.raises(DatasetError, match=r"2008_000001.*not found"):
        damaged.verify()


def test_missing_mask_is_named_by_verify(damaged):
    for path in mask_paths(damaged, "2007_000003"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"2007_000003\.png: not found"):
        damaged.verify()


def test_mask_of_another_size_is_named_by_verify(damaged):
    for path in mask_paths(damaged, "2007_000003"):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(path)
    with pytest.raises(DatasetError, match=r"2007_000003.*7x5 pixels, but its photo"):
        damaged.verify()


def test_mask_value_that_is_no_class_is_named(damaged):
    for path in mask_paths(damaged, "2007_000003"):
        Image.fromarray(np.full((5, 7), 254, np.uint8)).save(path)
    with pytest.raises(DatasetError, match=r"2007_000003.*value 254, which is neither a class"):
        damaged.read_labels("2007_000003")


def test_colour_mask_is_refused(damaged):
    for path in mask_paths(damaged, "2007_000003"):
        Image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(path)
    with pytest.raises(DatasetError, match=r"mode RGB"):
        damaged.read_labels("2007_000003")


def test_grey_mask_is_read_by_value(damaged):
    labels = np.array([[0, 1, VOID]], np.uint8)
    for path in mask_paths(damaged, "2007_000003"):
        Image.fromarray(labels).save(path)
    assert np.array_equal(damaged.read_labels("2007_000003"), labels)
