"""MS COCO 2014 as semantic segmentation: 80 classes of things, masks made from the instances ([SIZE] section 3.1)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pipeline.datasets.base import FARTHEST_PX, RawDataset, Scene
from pipeline.datasets.pictures import color_map, encode_photo, picture_size
from pipeline.datasets.raw_files import MALFORMED, DatasetError, file_id, read_json, whole_number
from pipeline.files import write_atomically

CLASS_NAMES = (
    "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear",
    "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball",
    "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip
UNUSED_CATEGORIES = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in UNUSED_CATEGORIES)
"""Published category ids in the order of classes 1..80: they have gaps."""
CLASS_OF_CATEGORY = {category: index for index, category in enumerate(CATEGORY_IDS, start=1)}
RESTORE = "restore it from annotations_trainval2014.zip"
LOOKED_AT = 100
FEW_SIDES = 16
"""So many annotations, with more coordinates than that, tell whether these are pixels."""
CROWD_EVERY = 5
"""One written object in so many is a crowd region."""


class Instance(NamedTuple):
    """One annotation: class index, published area (0: not stated), and polygons or run lengths as in the file."""

    class_index: int
    area: float
    segmentation: Any


class Entry(NamedTuple):
    """One image of an annotation file."""

    file_name: str
    width: int
    height: int
    instances: list[Instance]


class Coco(RawDataset):
    """MS COCO 2014 (82,783 train and 40,504 val photos): 80 classes of things and background, no void.

    Masks do not exist as files: the instances of an image, crowd regions included, are drawn on each other, and where two
    overlap the one of smaller published area wins (of fewer pixels where none is published). Category ids 1..90 have gaps and
    become 1..80 in ascending order; a file that numbers its categories otherwise is read by their names. Images
    without any annotation are skipped, as the published lists of peers do, which leaves 82,081 and 40,137.

    Image ids are the file names without suffix, in the order of the numeric ids. An annotation file is read once, at the
    first use of its split; that of "train" takes about 2 GB of memory.
    """

    name = "coco"
    title = "MS COCO 2014"
    class_names = CLASS_NAMES
    palette = color_map(len(CLASS_NAMES))
    licence = "annotations CC BY 4.0; photos under the Flickr terms of each"
    citation = "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014"
    homepage = "https://cocodataset.org/"
    published: ClassVar[Mapping[str, int]] = {"train": 82081, "val": 40137}
    obtain = "`source: download` fetches train2014.zip, val2014.zip and annotations_trainval2014.zip (19 GB)."
    layout = """
annotations/instances_{train,val}2014.json
train2014/COCO_train2014_<12 digits>.jpg       or images/train2014
val2014/COCO_val2014_<12 digits>.jpg           or images/val2014
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._entries: dict[str, dict[str, Entry]] = {}

    def verify(self) -> None:
        """Check that both annotation files can be read and that each photo is there and has the stated size."""
        for image_id in self._split("val"):
            if image_id in self._split("train"):
                raise DatasetError(f"{self.root}: image {image_id} is in train and in val; take it out of one")
        for split in self.splits:
            for image_id, entry in self._split(split).items():
                photo = self.image_path(image_id)
                size = picture_size(photo)
                if size != (entry.width, entry.height):
                    raise DatasetError(
                        f"{photo}: is {size[0]}x{size[1]} pixels, but {self._annotations(split).name} says "
                        f"{entry.width}x{entry.height}; restore the photo from the original archive"
                    )

    def ids(self, split: str) -> list[str]:
        """Return the ids of the annotated images, in the order of their numeric ids."""
        self.check_split(split)
        return list(self._split(split))

    def image_path(self, image_id: str) -> Path:
        """Return where the photo lies."""
        split, entry = self._find(image_id)
        homes = (self.root / f"{split}2014", self.root / "images" / f"{split}2014")
        return next((home for home in homes if home.is_dir()), homes[0]) / entry.file_name

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index."""
        split, entry = self._find(image_id)
        labels = np.zeros((entry.height, entry.width), np.uint8)
        where = f"{self._annotations(split)}: image {image_id}"
        objects = []
        for position, (class_index, area, segmentation) in enumerate(entry.instances):
            mask = decode_segmentation(segmentation, entry.height, entry.width, where)
            objects.append((area or float(mask.sum()), position, class_index, mask))
        for _, _, class_index, mask in sorted(objects, key=lambda one: one[:2])[::-1]:  # painted from large to small
            labels[mask] = class_index
        return labels

    def tables(self) -> list[Path]:
        """Return the annotation files."""
        return [self._annotations(split) for split in self.splits]

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes: pixel outlines as polygons, run lengths for objects with holes and for some crowd regions.

        Every annotation file ends with one more photo that has no annotation, as the real ones have many.
        """
        for split in cls.splits:
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            scenes = splits.get(split, ())
            bare = [Scene("", scene.image[::-1], np.zeros_like(scene.labels)) for scene in scenes[:1]]
            for number, scene in enumerate((*scenes, *bare), start=1):
                height, width = scene.labels.shape
                file_name = f"COCO_{split}2014_{number:012d}.jpg"
                write_atomically(Path(root) / f"{split}2014" / file_name, encode_photo(scene.image, "JPEG"))
                images.append({"id": number, "file_name": file_name, "width": width, "height": height})
                for class_index, mask in _objects(scene):
                    position = len(annotations)
                    annotations.append(_annotation(position, number, CATEGORY_IDS[class_index - 1], mask))
            categories = [{"id": number, "name": name} for number, name in zip(CATEGORY_IDS, CLASS_NAMES[1:])]
            document = {"images": images, "annotations": annotations, "categories": categories}
            path = Path(root) / "annotations" / f"instances_{split}2014.json"
            write_atomically(path, json.dumps(document, separators=(",", ":")).encode())

    def _annotations(self, split: str) -> Path:
        return self.root / "annotations" / f"instances_{split}2014.json"

    def _split(self, split: str) -> dict[str, Entry]:
        if split not in self._entries:
            self._entries[split] = _read_annotations(self._annotations(split))
        return self._entries[split]

    def _find(self, image_id: str) -> tuple[str, Entry]:
        for split in sorted(self.splits, key=lambda name: name not in self._entries):  # do not read a file without need
            entry = self._split(split).get(image_id)
            if entry is not None:
                return split, entry
        raise DatasetError(f"{self.root}: has no annotated image '{image_id}'; take its id out of the list")


def decode_segmentation(segmentation: Any, height: int, width: int, where: str) -> np.ndarray:
    """Return the pixels of one annotation: (H, W) bool.

    Args:
        segmentation: list of polygons [x1, y1, x2, y2, ...] in pixels from the top left corner of the image (polygons of fewer
            than three points cover nothing), or {"size": [H, W], "counts": run lengths in column order}, plain or compressed.
        height: H.
        width: W.
        where: stands in errors.

    Raises:
        DatasetError: of another form, or not of this size.
    """
    from pycocotools import mask as runs

    try:
        if isinstance(segmentation, list):
            polygons = [np.array(polygon, np.float64) for polygon in segmentation]
            for polygon in polygons:  # the compiled code behind them believes every number
                if polygon.ndim != 1 or len(polygon) % 2 or not (np.abs(polygon) <= FARTHEST_PX).all():
                    raise ValueError(f"a polygon is not x1, y1, x2, y2, ... of finite numbers within {FARTHEST_PX} pixels")
                x, y = polygon[::2], polygon[1::2]
                if len(x) and (max(x.min() - width, y.min() - height) > 0 or min(x.max(), y.max()) < 0):
                    raise ValueError(f"a polygon lies outside the {width}x{height} pixels")
            polygons = [polygon for polygon in polygons if len(polygon) >= 6]
            if not polygons:
                return np.zeros((height, width), bool)
            segmentation = runs.merge(runs.frPyObjects([polygon.tolist() for polygon in polygons], height, width))
        counts, pixels = segmentation["counts"], height * width
        lengths = np.array(counts) if isinstance(counts, list) else unpack_runs(counts)
        fits = lengths.dtype.kind == "i" and lengths.min() >= 0 and lengths.max() <= pixels and lengths.sum() == pixels
        if list(segmentation["size"]) != [height, width] or not fits:
            raise ValueError(f"run lengths are not those of {height} rows and {width} columns")
        return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T
    except MALFORMED as error:
        raise DatasetError(f"{where}: cannot be read as a mask ({error!r}); {RESTORE}") from error


def unpack_runs(counts: str | bytes) -> np.ndarray:
    """Return the run lengths in a compressed string of COCO.

    Each number is a sequence of characters that hold five bits each, lowest first, above character 48; bit 5 says that
    another one follows, and bit 4 of the last one is the sign. From the fourth number on, the number before last is added.

    >>> unpack_runs("52203").tolist()
    [5, 2, 2, 2, 5]
    """
    codes = np.frombuffer(counts.encode() if isinstance(counts, str) else counts, np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("run lengths are broken off or no COCO string")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.r_[0, last[:-1] + 1]
    place = np.arange(codes.size) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((codes & 31) << 5 * place, first)
    values -= ((codes[last] & 16) > 0) * (1 << 5 * (place[last] + 1))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def outline(mask: np.ndarray) -> list[list[tuple[int, int]]] | None:
    """Return the closed pixel outlines of a region, as corners (x, y), one list per part; None if a part has a hole.

    Args:
        mask: (H, W) bool. Pixels that touch in a corner only are parts of their own.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # The four sides of a pixel as (neighbour beyond it, start, end), clockwise, relative to the pixel's top left corner.
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for beyond, start, end in sides:
        for y, x in np.argwhere(inside & ~beyond).tolist():
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    loops = []
    while following:
        first = here = next(iter(following))
        before: tuple[int, int] | None = None
        loop: list[tuple[int, int]] = []
        while not loop or here != first:
            ends = following[here]
            # Where two pixels touch in a corner, turning right stays with the same pixel.
            right = None if before is None else (here[0] - (here[1] - before[1]), here[1] + (here[0] - before[0]))
            chosen = right if right in ends else ends[0]
            ends.remove(chosen)
            if not ends:
                del following[here]
            loop.append(here)
            before, here = here, chosen
        x, y = np.array(loop).T
        if np.dot(x, np.roll(y, -1)) < np.dot(y, np.roll(x, -1)):
            return None
        corners = (np.roll(x, 1) != np.roll(x, -1)) & (np.roll(y, 1) != np.roll(y, -1))
        loops.append([(int(a), int(b)) for a, b in zip(x[corners], y[corners])])
    return loops


def _read_annotations(path: Path) -> dict[str, Entry]:
    remedy = "the path must hold annotations/instances_{train,val}2014.json; check `source` of the data set, or restore the file"
    document = read_json(path, "COCO instances", remedy)
    where = f"{path}"  # what is being read when it turns out not to be of the form
    try:
        classes = _class_numbers(document, path)
        photos: dict[Any, dict[str, Any]] = {}
        for image in document["images"]:
            if image["id"] in photos:
                raise DatasetError(f"{path}: the image id {image['id']} is listed twice; remove one of the two")
            photos[image["id"]] = image
        instances: dict[Any, list[Instance]] = {}
        for place, one in enumerate(document["annotations"], start=1):
            where = f"{path}: annotations, entry {place}"
            where = f"{path}: annotation {one['id']}"  # as people know it, where it has one
            if one["category_id"] not in classes:
                raise DatasetError(
                    f"{where} has the category {one['category_id']}, which is none of the 80 things; use the file "
                    "instances_*.json, not that of stuff or panoptic segmentation, and `kind: folder` for classes of your own"
                )
            if one["image_id"] not in photos:
                raise DatasetError(f"{where} belongs to the image {one['image_id']!r}, which is not listed; {RESTORE}")
            if not one["segmentation"]:
                raise DatasetError(f"{where} has no outline, and a box is no mask; export polygons or run lengths, or remove it")
            area = float(one.get("area") or 0)
            if not 0 <= area < math.inf:
                raise DatasetError(f"{where}: area: expected a number of pixels, got {one['area']!r}; {RESTORE}")
            instance = Instance(classes[one["category_id"]], area, one["segmentation"])
            instances.setdefault(one["image_id"], []).append(instance)
        shown = [one["segmentation"] for one in document["annotations"][:LOOKED_AT]]
        polygons = [polygon for outline in shown if isinstance(outline, list) for polygon in outline if isinstance(polygon, list)]
        sides = [value for polygon in polygons for value in polygon if isinstance(value, int | float)]
        if len(sides) > FEW_SIDES and max(sides) <= 1:
            raise DatasetError(f"{path}: its polygons are fractions of their pictures; multiply them by width and height")
        entries: dict[str, Entry] = {}
        for number in sorted(instances):
            where, image = f"{path}: image {number}", photos[number]
            name = PurePosixPath(image["file_name"])
            image_id = file_id(name.stem, where)
            if name.is_absolute() or ".." in name.parts:
                raise DatasetError(f"{where}: file_name must stay in the folder of photos, got {name}; {RESTORE}")
            if image_id in entries:
                raise DatasetError(
                    f"{path}: {entries[image_id].file_name} and {name} would both be the image {image_id}; rename one of them"
                )
            width, height = (_side(image[side], f"{where}: {side}") for side in ("width", "height"))
            entries[image_id] = Entry(str(name), width, height, instances[number])
    except MALFORMED as error:
        raise DatasetError(f"{where}: is not of the form of COCO instances ({error!r}); {RESTORE}") from error
    if not entries:
        raise DatasetError(f"{path}: has no annotated image; {RESTORE}")
    return entries


def _class_numbers(document: dict[str, Any], path: Path) -> dict[Any, int]:
    """Return category id -> class index, by the names that the file gives; the published ids where it gives none."""
    classes: dict[Any, int] = {}
    categories = document.get("categories", ())
    for category in categories:
        number, name = category["id"], category["name"]
        if number in classes:
            raise DatasetError(f"{path}: the category id {number} is listed twice; {RESTORE}")
        if name in CLASS_NAMES[1:]:
            classes[number] = CLASS_NAMES.index(name)
    return classes if categories else CLASS_OF_CATEGORY


def _side(value: Any, where: str) -> int:
    """Return a width or height."""
    try:
        side = whole_number(value)
    except (ValueError, OverflowError):
        side = 0
    if not 0 < side <= FARTHEST_PX:
        raise DatasetError(f"{where}: expected a whole number of pixels, got {value!r}; {RESTORE}")
    return side


def _objects(scene: Scene) -> list[tuple[int, np.ndarray]]:
    """Return (class, pixels) of the objects in a scene."""
    if scene.instances is None:
        present = np.unique(scene.labels[(scene.labels > 0) & (scene.labels < len(CLASS_NAMES))])
        return [(int(index), scene.labels == index) for index in present]
    masks = [scene.instances == number for number in np.unique(scene.instances[scene.instances > 0])]
    return [(int(scene.labels[mask][0]), mask) for mask in masks]


def _annotation(position: int, image: int, category: int, mask: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask as runs

    crowd = position % CROWD_EVERY == CROWD_EVERY - 1
    loops = outline(mask)
    segmentation: Any
    if crowd:
        flat = mask.ravel(order="F")
        borders = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *borders, flat.size]).tolist()
        segmentation = {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}
    elif loops is None:
        packed = runs.encode(np.asfortranarray(mask, np.uint8))
        segmentation = {"size": list(mask.shape), "counts": packed["counts"].decode()}
    else:
        segmentation = [[float(value) for corner in loop for value in corner] for loop in loops]
    return {
        "id": position + 1,
        "image_id": image,
        "category_id": category,
        "iscrowd": int(crowd),
        "area": float(mask.sum()),
        "segmentation": segmentation,
    }
