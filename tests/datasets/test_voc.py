"""What is special about PASCAL VOC: the two kinds of masks, the lists, scribbles and clicks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc, color_map, read_scribble_xml

SCENES = make_scenes(8, seed=1, class_indices=[8, 12], size_px=(32, 24))
STROKES = (Scribble(0, ((1.5, 2.25), (9.0, 3.0))), Scribble(20, ((4.0, 4.0),)))


def write(root, scenes=SCENES, val=()):
    Voc.write(root, {"train": scenes, "val": val or make_scenes(2, seed=1, class_indices=[8], size_px=(32, 24), split="val")})
    return root


def test_color_map_is_the_published_one():
    colors = color_map(256)
    assert colors[15] == (192, 128, 128)
    assert colors[20] == (0, 64, 128)
    assert colors[255] == (224, 224, 192)


def test_masks_are_palette_files_with_the_colour_map(tmp_path):
    root = write(tmp_path)
    with Image.open(root / "VOCdevkit/VOC2012/SegmentationClassAug/2007_000000.png") as mask:
        assert mask.mode == "P"
        assert tuple(mask.getpalette()[3 * 8 : 3 * 8 + 3]) == color_map(9)[8]
        assert tuple(mask.getpalette()[-3:]) == (224, 224, 192)


def test_only_official_scenes_get_an_official_mask_and_list_entry(tmp_path):
    base = write(tmp_path) / "VOCdevkit/VOC2012"
    official = [scene.image_id for scene in SCENES if scene.official]
    assert 0 < len(official) < len(SCENES)
    assert (base / "ImageSets/Segmentation/train.txt").read_text().split() == official
    assert {path.stem for path in (base / "SegmentationClass").glob("2007*")} == set(official)


def test_trainval_is_train_and_val(tmp_path):
    lists = write(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    parts = [(lists / f"{name}.txt").read_text() for name in ("train", "val", "trainval")]
    assert parts[0] + parts[1] == parts[2]


def test_test_photos_are_listed_and_have_no_masks(tmp_path):
    hidden = make_scenes(3, seed=1, class_indices=[8, 12], size_px=(32, 24), split="test")
    Voc.write(tmp_path, {"train": SCENES, "val": (), "test": hidden})
    base = tmp_path / "VOCdevkit/VOC2012"
    ids = (base / "ImageSets/Segmentation/test.txt").read_text().split()
    assert ids == [scene.image_id for scene in hidden]
    assert all((base / f"JPEGImages/{image_id}.jpg").is_file() for image_id in ids)
    assert not [path for path in tmp_path.rglob("*.png") if path.stem in ids]
    assert not set(ids) & {scene.image_id for scene in SCENES}


def test_there_is_no_test_list_without_test_photos(tmp_path):
    assert not (write(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").exists()


def test_root_may_be_the_devkit_itself(tmp_path):
    write(tmp_path)
    assert Voc(tmp_path / "VOCdevkit").ids("train") == Voc(tmp_path).ids("train")


def test_train_is_the_official_list_without_extended_masks(tmp_path):
    base = write(tmp_path) / "VOCdevkit/VOC2012"
    (base / "SegmentationClassAug").rename(base / "Elsewhere")
    assert Voc(tmp_path).ids("train") == [scene.image_id for scene in SCENES if scene.official]


def test_official_mask_goes_before_the_extended_one(tmp_path):
    base = write(tmp_path) / "VOCdevkit/VOC2012"
    Image.fromarray(np.zeros_like(SCENES[0].labels)).save(base / "SegmentationClassAug/2007_000000.png")
    assert np.array_equal(Voc(tmp_path).read_labels("2007_000000"), SCENES[0].labels)


def test_train_image_in_val_is_refused(tmp_path):
    lists = write(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "val.txt").write_text("2007_000001\n")
    with pytest.raises(DatasetError, match=r"train_aug\.txt: 1 images are in the val list too"):
        Voc(tmp_path).verify()


def test_repeated_id_is_refused(tmp_path):
    lists = write(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "val.txt").write_text("a\nb\na\n")
    with pytest.raises(DatasetError, match=r"lists a more than once"):
        Voc(tmp_path).ids("val")


def test_empty_list_is_refused(tmp_path):
    lists = write(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "val.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"lists no image"):
        Voc(tmp_path).ids("val")


def test_set_without_annotations_says_so(tmp_path):
    dataset = Voc(write(tmp_path))
    assert dataset.read_scribbles("2007_000000") is None
    assert dataset.read_scribble_raster("2007_000000") is None
    assert dataset.read_clicks("2007_000000") is None


def test_scribble_xml_is_read_back(tmp_path):
    dataset = Voc(write(tmp_path, [replace(SCENES[0], scribbles=STROKES), *SCENES[1:]]))
    assert dataset.read_scribbles("2007_000000") == list(STROKES)


def test_image_without_scribble_file_has_no_strokes(tmp_path):
    dataset = Voc(write(tmp_path, [replace(SCENES[0], scribbles=STROKES), *SCENES[1:]]))
    assert dataset.read_scribbles("2007_000001") == []


@pytest.mark.parametrize(
    ("word", "index"),
    [("background", 0), ("plane", 1), ("bike", 2), ("table", 11), ("motorbike", 14), ("plant", 16), ("monitor", 20), ("cow", 10)],
)
def test_scribble_words_are_understood(tmp_path, word, index):
    path = tmp_path / "a.xml"
    path.write_text(
        f"<annotation><size><width>9</width></size><polygon><tag>{word}</tag>"
        "<point><X>3</X><Y>4</Y></point><point><X>5</X><Y>4</Y></point></polygon></annotation>"
    )
    assert read_scribble_xml(path, Voc.class_names) == [Scribble(index, ((3.0, 4.0), (5.0, 4.0)))]


def test_unknown_scribble_word_is_named(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<annotation><polygon><tag>unicorn</tag></polygon></annotation>")
    with pytest.raises(DatasetError, match=r"a\.xml: unknown class word 'unicorn'"):
        read_scribble_xml(path, Voc.class_names)


def test_broken_scribble_xml_is_named(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<annotation><polygon>")
    with pytest.raises(DatasetError, match=r"a\.xml: is not a ScribbleSup file"):
        read_scribble_xml(path, Voc.class_names)


def test_scribble_raster_keeps_255_as_nothing_drawn(tmp_path):
    dataset = Voc(write(tmp_path))
    raster = np.array([[VOID, 0, 8]], np.uint8)
    (tmp_path / "pascal_2012_scribble").mkdir()
    Image.fromarray(raster).save(tmp_path / "pascal_2012_scribble/2007_000000.png")
    assert np.array_equal(dataset.read_scribble_raster("2007_000000"), raster)


def test_clicks_are_read_back_objects_first(tmp_path):
    clicks = (Scribble(0, ((1.0, 2.0),)), Scribble(8, ((3.5, 4.5),)))
    dataset = Voc(write(tmp_path, [replace(SCENES[0], clicks=clicks), *SCENES[1:]]))
    assert dataset.read_clicks("2007_000000") == [clicks[1], clicks[0]]


def test_clicks_outside_the_photo_are_dropped_and_counted(tmp_path):
    height, width = SCENES[0].labels.shape
    points = [(0.0, 0.0), (width - 0.5, 1.0), (float(width), 1.0), (-0.5, 3.0), (1.0, float(height))]
    scene = replace(SCENES[0], clicks=tuple(Scribble(8, (point,)) for point in points))
    dataset = Voc(write(tmp_path, [scene, *SCENES[1:]]))
    assert [click.points[0] for click in dataset.read_clicks("2007_000000")] == points[:2]
    assert dataset.clicks_dropped == {"2007_000000": 3}


def test_empty_click_list_is_allowed(tmp_path):
    dataset = Voc(write(tmp_path, [replace(SCENES[0], clicks=()), *SCENES[1:]]))
    assert dataset.read_clicks("2007_000000") == []


@pytest.mark.parametrize("content", ["[1", '{"a": [{"x": 1}]}', '{"a": [{"x": 1, "y": 1, "cls": 21}]}'])
def test_broken_click_file_is_named(tmp_path, content):
    write(tmp_path)
    path = tmp_path / "points/voc_whats_the_point.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"voc_whats_the_point\.json.*restore the published file"):
        Voc(tmp_path).read_clicks("2007_000000")


def test_published_click_form_with_rank_is_read(tmp_path):
    write(tmp_path)
    path = tmp_path / "points/voc_whats_the_point.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"2007_000000": [{"y": 3, "x": 2.5, "rank": 1, "cls": 12}]}))
    assert Voc(tmp_path).read_clicks("2007_000000") == [Scribble(12, ((2.5, 3.0),))]


def test_line_of_a_list_is_a_whole_name(tmp_path):
    scenes = [replace(SCENES[0], image_id="IMG"), replace(SCENES[1], image_id="IMG 2")]
    lists = write(tmp_path, scenes) / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "train_aug.txt").write_bytes(b"\xef\xbb\xbfIMG 2\r\n")
    assert Voc(tmp_path).ids("train") == ["IMG 2"]


def test_names_of_scribble_xml_may_lie_in_a_namespace(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text('<annotation xmlns="http://x"><polygon><tag>cat</tag><point><X>3</X><Y>4</Y></point></polygon></annotation>')
    assert read_scribble_xml(path, Voc.class_names) == [Scribble(8, ((3.0, 4.0),))]
