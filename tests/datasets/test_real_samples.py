"""The readers on real files; skipped unless the environment variable SIZESEG_REAL_DATA names a folder that holds them.

The folder holds acdc/ (the complete training set), intel-scenes/ (6,000 pictures), samples/{cityscapes,ade20k,coco},
voc2012-mini/ (3,468 photos) and voc2012-original/ (100 photos). The numbers below were counted independently.
"""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.acdc import UNLABELLED, Acdc, read_volume
from pipeline.datasets.ade20k import Ade20k
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.coco import CLASS_OF_CATEGORY, Coco, decode_segmentation
from pipeline.datasets.inventory import count_split
from pipeline.datasets.natural_scene import NaturalScene
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.voc import Voc

DATA = Path(os.environ.get("SIZESEG_REAL_DATA", "not-given"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SIZESEG_REAL_DATA names no folder")

MINI_TRAIN = [3150, 0, 8, 15, 5, 46, 3, 71, 1000, 108, 262, 20, 1177, 444, 9, 603, 59, 299, 91, 2, 38]
MINI_VAL = [313, 0, 3, 2, 1, 1, 3, 4, 67, 10, 49, 3, 85, 66, 2, 70, 3, 41, 12, 0, 2]
ORIGINAL_TRAIN = [73, 0, 5, 7, 3, 13, 2, 9, 20, 12, 10, 11, 16, 10, 7, 27, 10, 11, 10, 2, 10]
VALIDATION_VOLUMES = (
    "006_01 013_01 013_14 018_10 019_11 028_09 033_01 034_01 037_01 039_10 040_13 046_10 050_01 052_09 054_12 062_01 063_01 "
    "065_14 066_01 069_01 075_06 078_01 080_01 093_14 098_01"
)


@pytest.fixture(scope="module")
def acdc():
    return Acdc(DATA / "acdc")


@pytest.fixture(scope="module")
def mini():
    return Voc(DATA / "voc2012-mini")


def test_voc_holds_the_counted_images_per_class(mini):
    mini.verify()
    train, val = count_split(mini, "train"), count_split(mini, "val")
    assert (train.images, val.images) == (3154, 314)
    assert train.images_with.tolist() == MINI_TRAIN
    assert val.images_with.tolist() == MINI_VAL
    assert (train.images_with_void, val.images_with_void) == (440, 314)
    shares = 100 * train.pixels / train.pixels.sum()
    assert [round(float(shares[index]), 2) for index in (0, 8, 12, 15)] == [66.41, 10.90, 9.73, 3.13]


def test_voc_at_original_size_holds_the_counted_images_per_class():
    dataset = Voc(DATA / "voc2012-original")
    dataset.verify()
    counts = count_split(dataset, "train")
    assert counts.images_with.tolist() == ORIGINAL_TRAIN
    assert [round(float(100 * counts.pixels[index] / counts.pixels.sum()), 2) for index in (0, 15)] == [67.42, 4.30]


def test_voc_images_without_background_are_the_known_ones(mini):
    for image_id in ("2009_002972", "2010_001347", "2011_000758", "2011_001855", "2008_006981"):
        assert not (mini.read_labels(image_id) == 0).any()


def test_voc_clicks_are_all_read(mini):
    ids = [*mini.ids("train"), *mini.ids("val")]
    classes = Counter(click.class_index > 0 for image_id in ids for click in mini.read_clicks(image_id))
    assert classes == {True: 7256, False: 9242}
    assert not mini.clicks_dropped


def test_voc_view_of_three_classes_holds_their_images(mini, tmp_path):
    write_prepared(tmp_path / "val.zip", mini, "val")
    archive = PreparedArchive(tmp_path / "val.zip")
    view = PreparedArchive(tmp_path / "val.zip", classes=["cat", "dog", "bird"])
    expected = [image_id for image_id in archive.ids if {3, 8, 12} & set(archive.classes_in(image_id))]
    assert view.ids == expected
    assert [sum(index in view.classes_in(image_id) for image_id in view.ids) for index in (1, 2, 3)] == [67, 85, 2]


def test_acdc_has_the_published_split(acdc):
    acdc.verify()
    assert (len(acdc.volumes()), len(acdc.ids("train")), len(acdc.ids("val"))) == (200, 1674, 228)
    held_out = {acdc.group(image_id) for image_id in acdc.ids("val")}
    assert held_out == {f"patient{name.replace('_', '_frame')}" for name in VALIDATION_VOLUMES.split()}


def test_acdc_slices_hold_the_counted_class_sets(acdc):
    ids = [*acdc.ids("train"), *acdc.ids("val")]
    sets = Counter("".join(map(str, np.unique(acdc.read_labels(image_id)))) for image_id in ids)
    assert sets == {"0123": 1543, "023": 265, "0": 61, "02": 18, "01": 13, "012": 2}


def test_acdc_scribbles_hold_the_counted_voxels(acdc):
    voxels, agreeing = np.zeros(UNLABELLED + 1, np.int64), np.zeros(UNLABELLED, np.int64)
    for volume in acdc.volumes():
        path = acdc.base / volume[:10] / f"{volume}_scribble.nii.gz"
        codes, mask = read_volume(path), read_volume(path.with_name(f"{volume}_gt.nii.gz"))
        voxels += np.bincount(codes.ravel(), minlength=UNLABELLED + 1)
        agreeing += np.bincount(codes[codes == mask], minlength=UNLABELLED)[:UNLABELLED]
    assert voxels[:UNLABELLED].tolist() == [651502, 125261, 185773, 126590]
    assert (100 * agreeing / voxels[:UNLABELLED]).round(2).tolist() == [100, 99.98, 99.96, 99.98]


def test_acdc_scribble_raster_holds_drawn_background_and_void(acdc):
    for image_id in acdc.ids("val")[:40]:
        found = set(np.unique(acdc.read_scribble_raster(image_id)).tolist())
        assert {0, VOID} <= found <= {0, 1, 2, 3, VOID}


def test_intel_scenes_hold_the_counted_images_per_class():
    dataset = NaturalScene(DATA / "intel-scenes")
    dataset.verify()
    assert count_split(dataset, "train").images_with.tolist() == [800] * 6
    assert count_split(dataset, "val").images_with.tolist() == [200] * 6
    assert dataset.read_image("val_buildings_20805").shape == (64, 64, 3)


def test_cityscapes_masks_hold_evaluated_classes_and_void():
    dataset = Cityscapes(DATA / "samples/cityscapes")
    assert dataset.ids("train") == ["aachen_000000_000019", "aachen_000005_000019"]
    for image_id in dataset.ids("train"):
        labels = dataset.read_labels(image_id)
        assert labels.shape == dataset.read_image(image_id).shape[:2] == (1024, 2048)
        assert (labels == VOID).any()
        assert {0, 2, 8, 10} <= set(np.unique(labels).tolist()) <= {*range(19), VOID}


def test_ade20k_is_read_with_unlabelled_pixels_as_void():
    dataset = Ade20k(DATA / "samples/ade20k")
    dataset.verify()
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (1, 3)
    for image_id in (*dataset.ids("train"), *dataset.ids("val")):
        assert 0.01 < (dataset.read_labels(image_id) == VOID).mean() < 0.11


def test_ade20k_names_are_the_first_words_of_the_published_list():
    lines = (DATA / "samples/ade20k/ADEChallengeData2016/objectInfo150.txt").read_text().splitlines()[1:]
    assert Ade20k.class_names == tuple(line.split("\t")[4].split(",")[0].strip() for line in lines)


def test_coco_polygons_become_the_two_persons(tmp_path):
    (tmp_path / "annotations").mkdir()
    source = DATA / "samples/coco/annotations/instances_val2017_139_person_polygons.json"
    (tmp_path / "annotations/instances_val2014.json").write_text(source.read_text())
    dataset = Coco(tmp_path)
    (image_id,) = dataset.ids("val")
    labels = dataset.read_labels(image_id)
    areas = [one["area"] for one in json.loads(source.read_text())["annotations"]]
    assert set(np.unique(labels).tolist()) == {0, 1}
    assert (labels == 1).sum() == pytest.approx(sum(areas), rel=0.05)


def test_coco_compressed_runs_cover_their_published_area():
    document = json.loads((DATA / "samples/coco/annotations/panoptic_coco_detection_format.json").read_text())
    assert len(document["annotations"]) == 50
    for one in document["annotations"]:
        height, width = one["segmentation"]["size"]
        mask = decode_segmentation(one["segmentation"], height, width, "sample")
        assert mask.sum() == one["area"]
        x, y, w, h = one["bbox"]
        rows, columns = np.nonzero(mask)
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)


def test_coco_things_of_the_samples_are_read_as_classes(tmp_path):
    document = json.loads((DATA / "samples/coco/annotations/panoptic_coco_detection_format.json").read_text())
    document["annotations"] = [one for one in document["annotations"] if one["category_id"] in CLASS_OF_CATEGORY]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2014.json").write_text(json.dumps(document))
    dataset = Coco(tmp_path)
    for image_id, number in zip(dataset.ids("val"), (142238, 439180)):
        things = {CLASS_OF_CATEGORY[one["category_id"]] for one in document["annotations"] if one["image_id"] == number}
        assert set(np.unique(dataset.read_labels(image_id)).tolist()) == things | {0}
