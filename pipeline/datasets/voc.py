"""PASCAL VOC 2012 segmentation with the SBD extension, ScribbleSup scribbles and What's-the-Point clicks.

The optional annotation folders may lie in <root>, in VOCdevkit or in VOC2012.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np

from pipeline.datasets.base import RawDataset, Scene, Scribble
from pipeline.datasets.pictures import color_map, encode_photo, picture_formats, picture_size, read_mask, write_mask
from pipeline.datasets.raw_files import MALFORMED, DatasetError, files_by_id, read_json, read_list, require, whole_number
from pipeline.files import is_there, write_atomically

LOG = logging.getLogger(__name__)

CLASS_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
SCRIBBLE_WORDS = {
    "plane": "aeroplane", "bike": "bicycle", "table": "diningtable", "plant": "pottedplant", "monitor": "tvmonitor",
    "mbike": "motorbike", "tv": "tvmonitor",
}  # fmt: skip
"""Words of ScribbleSup files that differ from the class names; the class names are read as well."""
SCRIBBLE_FOLDERS = ("scribbles", "scribble_annotation/pascal_2012", "ScribbleAnnotation/pascal_2012", "pascal_2012")
RASTER_FOLDER = "pascal_2012_scribble"
LISTS = ("train", "val", "trainval", "train_aug", "test")
CLICK_FORM = '{"<id>": [{"x": .., "y": .., "cls": ..}, ...]}'
CLICK_FILES = ("points/voc_whats_the_point.json", "points/voc_whats_the_point_bg_from_scribbles.json")


class Voc(RawDataset):
    """PASCAL VOC 2012 (1,464 train and 1,449 val photos) and SBD (9,118 more masks): 20 classes and background.

    Photos are JPEG, at most 500 pixels wide and high. Masks are 8-bit palette PNGs whose pixel *value* is the class,
    0 background, 255 void; only official masks have void (object borders and difficult areas), those of SBD never. Ten
    photos have no background pixel. Split "train" is the extended list (train_aug) where its masks are there, else the
    official train list.

    `root` is the folder that holds VOCdevkit, or VOCdevkit itself.
    """

    name = "voc"
    title = "PASCAL VOC 2012 with SBD"
    class_names = CLASS_NAMES
    palette = color_map(len(CLASS_NAMES))
    licence = "Flickr terms of use; research only"
    citation = (
        "Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015; "
        "Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011; "
        "Lin et al., ScribbleSup, CVPR 2016; Bearman et al., What's the Point, ECCV 2016"
    )
    homepage = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
    published: ClassVar[Mapping[str, int]] = {"train": 10582, "val": 1449}
    obtain = (
        "`source: download` fetches VOCtrainval_11-May-2012.tar and the SBD archive and makes the list train_aug. The test "
        "photos, for the evaluation server only, are in VOC2012test.tar behind its registration: see docs/predict.md."
    )
    layout = """
VOCdevkit/VOC2012/JPEGImages/<id>.jpg
VOCdevkit/VOC2012/SegmentationClass/<id>.png            official masks
VOCdevkit/VOC2012/SegmentationClassAug/<id>.png         SBD masks (optional)
VOCdevkit/VOC2012/ImageSets/Segmentation/{train,val,trainval,train_aug,test}.txt   test and its photos: optional
scribbles/<id>.xml                                      ScribbleSup poly-lines (optional)
pascal_2012_scribble/<id>.png                           ScribbleSup drawn, 255 = nothing drawn (optional)
points/voc_whats_the_point{,_bg_from_scribbles}.json    clicks on objects and on background (optional)
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        devkit = self.root if (self.root / "VOC2012").is_dir() else self.root / "VOCdevkit"
        self.base = devkit / "VOC2012"
        self._annotation_homes = (devkit.parent, devkit, self.base)
        self._files = cache(files_by_id)  # folders of thousands of files are listed once
        self.clicks_dropped: dict[str, int] = {}
        """Clicks outside their photo, per image read so far."""

    def verify(self) -> None:
        """Check layout, lists, that every listed photo and mask is there, and that they are equally large."""
        require(self.base, "the path must hold VOCdevkit/VOC2012 (or be VOCdevkit); check `source` of the data set")
        for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            require(self.base / folder, "extract the complete archive VOCtrainval_11-May-2012.tar")
        train, val = self.ids("train"), self.ids("val")
        shared = set(train) & set(val)
        if shared:
            raise DatasetError(
                f"{self._list_path(self._list_name('train'))}: {len(shared)} images are in the val list too "
                f"(first {min(shared)}); take them out of the training list"
            )
        self.check_pairs(self.labels_path)

    def ids(self, split: str) -> list[str]:
        """Return the ids of "train" (train_aug where its masks are there, else the official list) or "val"."""
        self.check_split(split)
        return read_list(self._list_path(self._list_name(split)))

    def image_path(self, image_id: str) -> Path:
        """Return where the photo lies."""
        folder = self.base / "JPEGImages"
        return self._files(folder, tuple(picture_formats())).get(image_id, folder / f"{image_id}.jpg")

    def labels_path(self, image_id: str) -> Path:
        """Return where the mask lies: the official one where there is one, else that of SBD."""
        homes = [self.base / folder for folder in ("SegmentationClass", "SegmentationClassAug")]
        found = (self._files(home, (".png",)).get(image_id) for home in homes if is_there(home))
        return next((path for path in found if path is not None), homes[0] / f"{image_id}.png")

    def annotation_paths(self, image_id: str) -> list[Path]:
        """Return where mask, scribbles and drawn scribbles lie."""
        given = [self.labels_path(image_id), self._scribble_files.get(image_id), self._raster_path(image_id)]
        extended = self.base / "SegmentationClassAug" / f"{image_id}.png"  # hidden by the official one
        return [path for path in (*given, extended) if path is not None]

    def tables(self) -> list[Path]:
        """Return the lists and the files of clicks."""
        return [*map(self._list_path, LISTS), *filter(None, map(self._find, CLICK_FILES))]

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`."""
        return read_mask(self.labels_path(image_id), len(self.class_names))

    def read_scribbles(self, image_id: str) -> list[Scribble] | None:
        """Return the ScribbleSup poly-lines of one image, [] for an image without a file, None without the folder."""
        if not self._scribble_files:
            return None
        path = self._scribble_files.get(image_id)
        return [] if path is None else read_scribble_xml(path, self.class_names)

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return the drawn ScribbleSup scribbles of one image, `VOID` where nothing is drawn; None without the folder."""
        path = self._raster_path(image_id)
        return None if path is None else read_mask(path, len(self.class_names))

    def read_clicks(self, image_id: str) -> list[Scribble] | None:
        """Return the clicks that lie inside the photo, objects first, then background; None without the files.

        The published files hold points outside their photo; those are dropped, logged and counted in `clicks_dropped`.
        """
        clicks = self._clicks
        if clicks is None:
            return None
        width, height = picture_size(self.image_path(image_id))
        given = clicks.get(image_id, [])
        inside = [click for click in given if 0 <= click.points[0][0] < width and 0 <= click.points[0][1] < height]
        if len(inside) < len(given):
            self.clicks_dropped[image_id] = len(given) - len(inside)
            LOG.info("%s: dropped %d of %d clicks that lie outside the photo", image_id, len(given) - len(inside), len(given))
        return inside

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes as VOC 2012 with SBD: scenes that are not `official` only get a mask in SegmentationClassAug.

        Scribbles and clicks are written in the published forms where a scene has them. Of a split "test" only the list and
        the photos are written: its masks are not public.
        """
        base = Path(root) / "VOCdevkit" / "VOC2012"
        folder = base / "SegmentationClass"
        train, val, test = (list(splits.get(split, ())) for split in ("train", "val", "test"))
        for scene in [*train, *val, *test]:
            write_atomically(base / "JPEGImages" / f"{scene.image_id}.jpg", encode_photo(scene.image, "JPEG"))
        for scene in [*train, *val]:
            write_mask(base / "SegmentationClassAug" / f"{scene.image_id}.png", scene.labels, cls.palette)
            if scene.official:
                write_mask(folder / f"{scene.image_id}.png", scene.labels, cls.palette)
            if scene.scribbles is not None:
                height, width = scene.labels.shape
                document = scribble_xml(scene.image_id, scene.scribbles, (width, height), cls.class_names)
                write_atomically(Path(root) / SCRIBBLE_FOLDERS[0] / f"{scene.image_id}.xml", document)
        folder.mkdir(parents=True, exist_ok=True)
        official = [scene.image_id for scene in train if scene.official]
        held_out = [scene.image_id for scene in val]
        lists = {
            "train": official,
            "val": held_out,
            "trainval": [*official, *held_out],
            "train_aug": [scene.image_id for scene in train],
        }
        if test:
            lists["test"] = [scene.image_id for scene in test]
        for name, ids in lists.items():
            write_atomically(base / "ImageSets" / "Segmentation" / f"{name}.txt", "".join(f"{i}\n" for i in ids).encode())
        _write_clicks(Path(root), [*train, *val])

    def _list_name(self, split: str) -> str:
        extended = split == "train" and is_there(self._list_path("train_aug")) and is_there(self.base / "SegmentationClassAug")
        return "train_aug" if extended else split

    def _list_path(self, name: str) -> Path:
        return self.base / "ImageSets" / "Segmentation" / f"{name}.txt"

    def _find(self, relative: str) -> Path | None:
        return next((home / relative for home in self._annotation_homes if is_there(home / relative)), None)

    @cached_property
    def _scribble_files(self) -> dict[str, Path]:
        homes = [home for home in map(self._find, SCRIBBLE_FOLDERS) if home is not None and home.is_dir()]
        return next(filter(None, (files_by_id(home, (".xml",)) for home in homes)), {})

    def _raster_path(self, image_id: str) -> Path | None:
        home = self._find(RASTER_FOLDER)
        return None if home is None else self._files(home, (".png",)).get(image_id, home / f"{image_id}.png")

    @cached_property
    def _clicks(self) -> dict[str, list[Scribble]] | None:
        files = [path for path in map(self._find, CLICK_FILES) if path is not None]
        clicks: dict[str, list[Scribble]] = {}
        for path in files:
            for image_id, points in _read_click_file(path, len(self.class_names)).items():
                clicks.setdefault(image_id, []).extend(points)
        return clicks if files else None


def read_scribble_xml(path: Path, class_names: Sequence[str]) -> list[Scribble]:
    """Return the strokes of one ScribbleSup file.

    Args:
        path: XML of the form annotation / polygon / (tag, point / (X, Y)).
        class_names: class names; the keys of `SCRIBBLE_WORDS` are accepted beside them.

    Raises:
        DatasetError: not XML, an unknown word, or a coordinate that is no number.
    """
    words = {name.lower(): index for index, name in enumerate(class_names)}
    words |= {word: words[name] for word, name in SCRIBBLE_WORDS.items() if name in words}
    scribbles = []
    try:
        document = ElementTree.fromstring(path.read_bytes())
        for node in document.iter():
            node.tag = node.tag.rpartition("}")[2]  # names may lie in a namespace
        if document.tag != "annotation":
            raise ValueError(f"expected the root 'annotation', got '{document.tag}'")
        for polygon in document.iter("polygon"):
            word = polygon.findtext("tag", "").strip().lower()
            if word not in words:
                raise DatasetError(f"{path}: unknown class word '{word}'; known words are {', '.join(words)}")
            points = tuple((float(point.findtext("X", "")), float(point.findtext("Y", ""))) for point in polygon.iter("point"))
            if points:
                scribbles.append(Scribble(words[word], points))
    except (ElementTree.ParseError, LookupError, OSError, *MALFORMED) as error:
        raise DatasetError(f"{path}: is not a ScribbleSup file ({error}); restore it from the original archive") from error
    return scribbles


def scribble_xml(image_id: str, scribbles: Sequence[Scribble], size: tuple[int, int], class_names: Sequence[str]) -> bytes:
    """Return strokes in the form `read_scribble_xml` reads; `size` is (width, height)."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{image_id}.jpg"
    size_node = ElementTree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*size, 3)):
        ElementTree.SubElement(size_node, tag).text = str(value)
    for stroke in scribbles:
        polygon = ElementTree.SubElement(root, "polygon")
        ElementTree.SubElement(polygon, "tag").text = class_names[stroke.class_index]
        for x, y in stroke.points:
            point = ElementTree.SubElement(polygon, "point")
            ElementTree.SubElement(point, "X").text = f"{x:.10g}"
            ElementTree.SubElement(point, "Y").text = f"{y:.10g}"
    ElementTree.indent(root)
    return ElementTree.tostring(root)


def _read_click_file(path: Path, num_classes: int) -> dict[str, list[Scribble]]:
    remedy = "restore the published file"
    try:
        clicks = {
            image_id: [Scribble(whole_number(point["cls"]), ((float(point["x"]), float(point["y"])),)) for point in points]
            for image_id, points in read_json(path, CLICK_FORM, remedy).items()
        }
    except MALFORMED as error:
        raise DatasetError(f"{path}: is not of the form {CLICK_FORM} ({error!r}); {remedy}") from error
    for image_id, points in clicks.items():
        for click in points:
            if not 0 <= click.class_index < num_classes:
                raise DatasetError(
                    f"{path}: image {image_id} has a click of class {click.class_index}, not in 0..{num_classes - 1}; "
                    "restore the published file"
                )
    return clicks


def _write_clicks(root: Path, scenes: Sequence[Scene]) -> None:
    given = [(scene.image_id, scene.clicks) for scene in scenes if scene.clicks is not None]
    if not given:
        return
    objects: dict[str, list[dict[str, float]]] = {}
    background: dict[str, list[dict[str, float]]] = {}
    for image_id, clicks in given:
        objects[image_id], background[image_id] = [], []
        for click in clicks:
            (x, y), *_ = click.points
            target = objects if click.class_index else background
            target[image_id].append({"x": x, "y": y, "cls": click.class_index})
    for name, content in zip(CLICK_FILES, (objects, background)):
        write_atomically(root / name, json.dumps(content, sort_keys=True).encode())
