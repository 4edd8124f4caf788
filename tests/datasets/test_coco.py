"""What is special about MS COCO: masks drawn from instances, category ids with gaps, images without annotation."""

import json

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.coco import CATEGORY_IDS, CLASS_NAMES, Coco, decode_segmentation, outline, unpack_runs
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_coco_scenes

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]


def annotation(segmentation, category=1, area=9.0, **extra):
    return {"id": 7, "image_id": 1, "category_id": category, "area": area, "segmentation": segmentation, **extra}


def write(root, annotations, images=None):
    images = images or [{"id": 1, "file_name": "COCO_val2014_000000000001.jpg", "width": 8, "height": 6}]
    (root / "annotations").mkdir(exist_ok=True)
    document = {"images": images, "annotations": annotations}
    (root / "annotations/instances_val2014.json").write_text(json.dumps(document))
    (root / "val2014").mkdir(exist_ok=True)
    for image in images:
        Image.new("RGB", (image["width"], image["height"])).save(root / "val2014" / image["file_name"])
    return Coco(root)


def labels(root, *annotations):
    dataset = write(root, list(annotations))
    return dataset.read_labels(dataset.ids("val")[0])


def test_category_ids_have_the_published_gaps():
    assert len(CATEGORY_IDS) == 80
    published = dict(zip(CLASS_NAMES[1:], CATEGORY_IDS, strict=True))
    assert [published[name] for name in ("person", "stop sign", "tv", "toothbrush")] == [1, 13, 72, 90]


@pytest.mark.parametrize(("category", "index"), [(1, 1), (11, 11), (13, 12), (90, 80)])
def test_category_ids_become_consecutive_classes(tmp_path, category, index):
    assert set(np.unique(labels(tmp_path, annotation([SQUARE], category)))) == {0, index}


def test_polygon_covers_the_pixels_inside(tmp_path):
    expected = np.zeros((6, 8))
    expected[1:4, 1:4] = 1
    assert np.array_equal(labels(tmp_path, annotation([SQUARE])), expected)


def test_polygons_of_one_object_are_united(tmp_path):
    assert (labels(tmp_path, annotation([SQUARE, [5, 0, 7, 0, 7, 2, 5, 2]])) == 1).sum() == 13


@pytest.mark.parametrize("reverse", [False, True])
def test_smaller_area_wins_whatever_the_order(tmp_path, reverse):
    large, small = annotation([[0, 0, 8, 0, 8, 6, 0, 6]], 2, 48.0), annotation([SQUARE], 3, 9.0)
    result = labels(tmp_path, *((small, large) if reverse else (large, small)))
    assert (result == 3).sum() == 9
    assert (result == 2).sum() == 39


def test_published_area_counts_not_the_pixels(tmp_path):
    large, small = annotation([[0, 0, 8, 0, 8, 6, 0, 6]], 2, 1.0), annotation([SQUARE], 3, 9.0)
    assert set(np.unique(labels(tmp_path, large, small))) == {2}


def test_crowd_regions_are_kept_and_run_down_the_columns(tmp_path):
    runs = {"size": [6, 8], "counts": [1, 2, 45]}
    result = labels(tmp_path, annotation(runs, iscrowd=1))
    assert np.argwhere(result == 1).tolist() == [[1, 0], [2, 0]]


def test_compressed_runs_are_read(tmp_path):
    runs = {"size": [6, 8], "counts": "12]1"}
    assert unpack_runs("12]1").tolist() == [1, 2, 45]
    assert np.argwhere(labels(tmp_path, annotation(runs)) == 1).tolist() == [[1, 0], [2, 0]]


def test_polygon_of_two_points_covers_nothing(tmp_path):
    assert not labels(tmp_path, annotation([[1, 1, 4, 4]])).any()


def test_images_without_annotation_are_skipped_and_ids_are_sorted(tmp_path):
    images = [{"id": number, "file_name": f"COCO_val2014_{number:012d}.jpg", "width": 8, "height": 6} for number in (9, 2, 5)]
    given = [annotation([SQUARE]) | {"image_id": number} for number in (9, 2)]
    assert write(tmp_path, given, images).ids("val") == ["COCO_val2014_000000000002", "COCO_val2014_000000000009"]


def test_other_split_is_not_read_without_need(tmp_path):
    dataset = write(tmp_path, [annotation([SQUARE])])  # there is no annotation file for training
    assert dataset.read_labels(dataset.ids("val")[0]).any()


def test_photos_may_lie_in_a_folder_images(tmp_path):
    write(tmp_path, [annotation([SQUARE])])
    (tmp_path / "images").mkdir()
    (tmp_path / "val2014").rename(tmp_path / "images/val2014")
    dataset = Coco(tmp_path)
    assert dataset.image_path(dataset.ids("val")[0]).exists()


def test_file_of_stuff_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"annotation 7 has the category 92.*use the file instances"):
        write(tmp_path, [annotation([SQUARE], 92)]).ids("val")


def test_category_of_another_name_is_refused_whatever_its_number(tmp_path):
    write(tmp_path, [annotation([SQUARE])])
    path = tmp_path / "annotations/instances_val2014.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"categories": [{"id": 1, "name": "widget"}]}))
    with pytest.raises(DatasetError, match="annotation 7 has the category 1, which is none of the 80 things"):
        Coco(tmp_path).ids("val")


def test_box_without_an_outline_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="annotation 7 has no outline, and a box is no mask; export polygons"):
        labels(tmp_path, annotation([], bbox=[1, 1, 3, 3]))


def test_outline_beside_the_picture_is_refused(tmp_path):
    assert labels(tmp_path, annotation([[-3, -3, 2, -3, 2, 2]])).sum() > 0
    with pytest.raises(DatasetError, match="a polygon lies outside the 8x6 pixels"):
        labels(tmp_path, annotation([[9, 1, 12, 1, 12, 4]]))


@pytest.mark.parametrize(("key", "value"), [("image_id", [1]), ("category_id", {})])
def test_annotation_of_another_form_is_named(tmp_path, key, value):
    with pytest.raises(DatasetError, match="annotation 7: is not of the form of COCO instances"):
        labels(tmp_path, annotation([SQUARE]) | {key: value})


@pytest.mark.parametrize("area", [-1, "nan", "inf"])
def test_area_that_is_none_is_refused(tmp_path, area):
    with pytest.raises(DatasetError, match="annotation 7: area: expected a number of pixels, got"):
        labels(tmp_path, annotation([SQUARE], area=area))


@pytest.mark.parametrize("content", ["{", "[]", '{"annotations": [], "images": []}', '{"annotations": [{"category_id": 1}]}'])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2014.json").write_text(content)
    with pytest.raises(DatasetError, match=r"instances_val2014\.json.*restore"):
        Coco(tmp_path).ids("val")


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [6, 8], "counts": [1, 2]},
        {"size": [8, 6], "counts": [48]},
        {"size": [6, 8], "counts": [50, -2]},
        {"size": [6, 8], "counts": ""},
        {"size": [6, 8], "counts": "\u00ff"},
        {"size": [6, 8], "counts": "1R"},
        {"counts": [48]},
        7,
    ],
)
def test_broken_segmentation_is_named(segmentation):
    with pytest.raises(DatasetError, match=r"image 1: cannot be read as a mask"):
        decode_segmentation(segmentation, 6, 8, "image 1")


def test_photo_of_another_size_is_named_by_verify(tmp_path):
    write(tmp_path, [annotation([SQUARE])])
    path = tmp_path / "annotations"
    (path / "instances_train2014.json").write_text((path / "instances_val2014.json").read_text().replace("val", "train"))
    (tmp_path / "train2014").mkdir()
    Image.new("RGB", (9, 6)).save(tmp_path / "train2014/COCO_train2014_000000000001.jpg")
    with pytest.raises(DatasetError, match=r"000000000001\.jpg: is 9x6 pixels, but instances_train2014\.json says 8x6"):
        Coco(tmp_path).verify()


def test_outline_follows_the_pixels():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 1:5] = mask[3, 1] = True
    assert outline(mask) == [[(1, 1), (5, 1), (5, 3), (2, 3), (2, 4), (1, 4)]]


def test_outline_separates_pixels_that_touch_in_a_corner():
    assert sorted(map(len, outline(np.eye(2, dtype=bool)))) == [4, 4]


def test_region_with_a_hole_has_no_outline():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert outline(ring) is None


def test_all_forms_of_segmentation_are_written(tmp_path):
    Coco.write(tmp_path, {"train": make_coco_scenes(6, seed=0, class_indices=[2, 4, 57], size_px=(48, 36))})
    document = json.loads((tmp_path / "annotations/instances_train2014.json").read_text())
    forms = {type(one["segmentation"].get("counts")) if one["iscrowd"] else "no crowd" for one in document["annotations"]}
    assert forms == {list, "no crowd"}
    assert {type(one["segmentation"]) for one in document["annotations"]} == {list, dict}
    assert len(document["images"]) == 7


def test_objects_without_area_are_ordered_by_their_pixels(tmp_path):
    large, small = annotation([[0, 0, 8, 0, 8, 6, 0, 6]], 2, 0), annotation([SQUARE], 3, None)
    assert (labels(tmp_path, small, large) == 3).sum() == 9


def test_photos_of_one_name_are_refused(tmp_path):
    images = [{"id": number, "file_name": name, "width": 8, "height": 6} for number, name in enumerate(["a.jpg", "a.png"])]
    with pytest.raises(DatasetError, match=r"a\.jpg and a\.png would both be the image a; rename"):
        write(tmp_path, [annotation([SQUARE]) | {"image_id": number} for number in (0, 1)], images).ids("val")


def test_file_name_that_leads_outside_is_refused(tmp_path):
    images = [{"id": 1, "file_name": "../a.jpg", "width": 8, "height": 6}]
    with pytest.raises(DatasetError, match="file_name must stay in the folder of photos"):
        write(tmp_path, [annotation([SQUARE])], images).ids("val")


@pytest.mark.parametrize(("width", "right"), [(8.0, True), (8.5, False), (1e9, False), (0, False), ("8", False)])
def test_width_is_a_whole_number_of_pixels(tmp_path, width, right):
    write(tmp_path, [annotation([SQUARE])])
    path = tmp_path / "annotations/instances_val2014.json"
    path.write_text(path.read_text().replace('"width": 8', f'"width": {json.dumps(width)}'))
    if right:
        assert Coco(tmp_path).ids("val")
    else:
        with pytest.raises(DatasetError, match="image 1: width: expected a whole number of pixels"):
            Coco(tmp_path).ids("val")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, -1e9])
def test_polygon_that_leads_nowhere_is_refused(value):
    with pytest.raises(DatasetError, match="finite numbers within 100000 pixels"):
        decode_segmentation([[value, 5, 7, 5, 7, 1]], 6, 8, "image 1")


def test_polygons_as_fractions_of_the_picture_are_refused(tmp_path):
    objects = [annotation([[0.1, 0.1, 0.9, 0.1, 0.9, 1.0]]) | {"id": number} for number in range(3)]
    with pytest.raises(DatasetError, match=r"instances_val2014\.json: its polygons are fractions of their pictures; multiply"):
        labels(tmp_path, *objects)
