"""What a data set is before anything is prepared: photos, masks and annotations in the folder layout its authors published.

`RawDataset` is the contract of a reader; the helpers below it open single files and turn every failure into a `DatasetError`
that names the file, says what is wrong and what to do. A reader also knows how to *write* its layout from `Scene`s, so that
procedural pictures pass through the same code as the real ones.
"""

from __future__ import annotations

import io
import json
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.conventions import VOID
from pipeline.files import write_atomically

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that it cannot decode."""
MADE_FROM = "made_from"
"""Name of the note in a mask."""
VOID_COLOR = (224, 224, 192)
"""Colour of void pixels in palettes, as in PASCAL VOC."""


class DatasetError(Exception):
    """A file of a data set is missing, broken or inconsistent. The message names the file, the fault and the remedy."""


@dataclass(frozen=True)
class Scribble:
    """One stroke of an annotator, or a click if it has a single point.

    Attributes:
        class_index: class of the stroke, 0 for background.
        points: (x, y) in pixels of the original image, x to the right, y down; the point lies in pixel floor(x), floor(y).
    """

    class_index: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scene:
    """One picture with its ground truth, as it is written into a raw layout.

    Attributes:
        image_id: file name without suffix.
        image: (H, W, 3) uint8.
        labels: (H, W) uint8, class index or `VOID`.
        official: part of the official lists (masks with void borders) rather than of an extension set.
        scribbles: strokes of this image, or None where the set has none.
        clicks: clicks of this image, or None where the set has none.
        instances: (H, W) int32, number of the object that each pixel belongs to, 0 for none; None where objects of one class
            are not told apart.
        class_index: class of the whole picture in a classification set.
        group: name of the volume that the picture is a slice of.
    """

    image_id: str
    image: np.ndarray
    labels: np.ndarray
    official: bool = True
    scribbles: tuple[Scribble, ...] | None = None
    clicks: tuple[Scribble, ...] | None = None
    instances: np.ndarray | None = None
    class_index: int | None = None
    group: str | None = None


class RawDataset(ABC):
    """Reader of one raw layout. The class attributes are its datasheet."""

    name: str
    task: Literal["segmentation", "classification"] = "segmentation"
    class_names: tuple[str, ...]
    has_background: bool = True
    """Class 0 is the background; False: every class is a thing or a stuff of its own."""
    palette: tuple[tuple[int, int, int], ...]
    """One RGB colour per class."""
    title: str
    """Name for people."""
    licence: str
    citation: str
    homepage: str
    splits: tuple[str, ...] = ("train", "val")
    published: ClassVar[Mapping[str, int]] = {}
    """Images per split in the complete set."""
    obtain: str
    """How to get a copy, in one or two sentences."""
    layout: str
    """The folder tree that the reader expects under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @abstractmethod
    def verify(self) -> None:
        """Check layout, lists, that every listed file is there, and that photo and mask are equally large.

        Raises:
            DatasetError: the first fault found.
        """

    @abstractmethod
    def ids(self, split: str) -> list[str]:
        """Return the image ids of `split` ("train" or "val") in the order of the published list."""

    @abstractmethod
    def image_path(self, image_id: str) -> Path:
        """Return the file that holds the photo."""

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`.

        Raises:
            DatasetError: broken or missing file, or a classification set.
        """
        raise DatasetError(f"{self.root}: {self.name} is a {self.task} set, which has no masks")

    def read_class(self, image_id: str) -> int:
        """Return the class index of the whole image in a classification set.

        Raises:
            DatasetError: a segmentation set.
        """
        raise DatasetError(f"{self.root}: {self.name} is a {self.task} set; its images have masks, not one class each")

    def classes_in(self, image_id: str, labels: np.ndarray) -> list[int]:
        """Return the classes that the image is known to hold, ascending: those of its mask `labels`."""
        present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
        return [int(index) for index in present if index != VOID]

    def image_bytes(self, image_id: str) -> tuple[bytes, str]:
        """Return the photo as an encoded file and its suffix (".jpg" or ".png"): the file's own bytes where it is one."""
        path = self.image_path(image_id)
        require(path, "restore the photo from the original archive, or take its id out of the list")
        return path.read_bytes(), path.suffix.lower()

    def read_image(self, image_id: str) -> np.ndarray:
        """Return the photo: (H, W, 3) uint8."""
        return read_photo(self.image_path(image_id))

    def group(self, image_id: str) -> str | None:
        """Return the volume that the image is a slice of, or None if the set has single images."""
        return None

    def read_sizes(self, image_id: str) -> np.ndarray | None:
        """Return annotated class sizes, (C,) fractions of the image that sum to 1, or None where there are none."""
        return None

    def read_scribbles(self, image_id: str) -> list[Scribble] | None:
        """Return the strokes of one image (perhaps none: []), or None if the set has no strokes at all."""
        return None

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, (H, W) uint8 with `VOID` where nothing is drawn, or None if the set has none."""
        return None

    def read_clicks(self, image_id: str) -> list[Scribble] | None:
        """Return the clicks of one image (perhaps none: []), or None if the set has no clicks at all."""
        return None

    @classmethod
    @abstractmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes in the raw layout, so that `cls(root)` reads them back.

        Args:
            root: folder to create.
            splits: scenes per split; the keys are among `cls.splits`.
        """

    def check_pairs(self, labels_path: Callable[[str], Path]) -> None:
        """Check that each image is in one split only, that photo and mask are there, and that they are equally large.

        Args:
            labels_path: image id -> file of its mask.

        Raises:
            DatasetError: the first fault found.
        """
        seen: dict[str, str] = {}
        for split in self.splits:
            for image_id in self.ids(split):
                if image_id in seen:
                    raise DatasetError(f"{self.root}: image {image_id} is in {seen[image_id]} and in {split}; take it out of one")
                seen[image_id] = split
                photo, mask = self.image_path(image_id), labels_path(image_id)
                photo_size, mask_size = picture_size(photo), picture_size(mask)
                if photo_size != mask_size:
                    raise DatasetError(
                        f"{mask}: is {mask_size[0]}x{mask_size[1]} pixels, but its photo {photo.name} is "
                        f"{photo_size[0]}x{photo_size[1]}; restore both from the original archive"
                    )

    def check_split(self, split: str) -> None:
        """Raise DatasetError unless `split` is one of `splits`."""
        if split not in self.splits:
            raise DatasetError(f"{self.root}: {self.name} has no split '{split}'; choose one of {', '.join(self.splits)}")


def color_map(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return the VOC colour map: bits 3j, 3j+1, 3j+2 of the class index set bit 7-j of red, green, blue.

    >>> color_map(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """

    def channel(index: int, offset: int) -> int:
        return sum(((index >> (3 * j + offset)) & 1) << (7 - j) for j in range(3))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count))


def require(path: Path, remedy: str) -> Path:
    """Return `path` if it exists, else raise DatasetError with the remedy."""
    if not path.exists():
        raise DatasetError(f"{path}: not found; {remedy}")
    return path


def file_id(name: str, where: str) -> str:
    """Return the id in a file name or a line of a list, its accents composed: macOS takes letters and accents apart.

    Args:
        name: file name without suffix, or text of a line.
        where: stands in errors.

    Raises:
        DatasetError: no name that a file may have everywhere: empty, not UTF-8, with a control character or a slash.
    """
    if not name or name in (".", "..") or "/" in name or any(unicodedata.category(one) in ("Cc", "Cs") for one in name):
        raise DatasetError(
            f"{where}: {name!a} is no name of an image: empty, not UTF-8, or with a slash or control character; rename it"
        )
    return unicodedata.normalize("NFC", name)


def read_list(path: Path) -> list[str]:
    """Return the first word of every non-empty line: the image ids of a list file.

    Raises:
        DatasetError: the file is missing, not text, empty, or names an id twice.
    """
    require(path, "restore the list from the original archive or check the data set's path")
    try:
        ids = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not a text file ({error}); restore it from the original archive") from error
    if not ids:
        raise DatasetError(f"{path}: lists no image; restore it from the original archive")
    if len(set(ids)) != len(ids):
        repeated = next(image_id for position, image_id in enumerate(ids) if image_id in ids[:position])
        raise DatasetError(f"{path}: lists {repeated} more than once; remove the repeated line")
    return ids


def read_photo(path: Path) -> np.ndarray:
    """Return a photo as (H, W, 3) uint8.

    Raises:
        DatasetError: missing, truncated or not an image.
    """
    require(path, "restore the photo from the original archive, or take its id out of the list")
    return decode_photo(path.read_bytes(), str(path))


def decode_photo(content: bytes, name: str) -> np.ndarray:
    """Return an encoded photo as (H, W, 3) uint8; `name` stands in errors."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise DatasetError(f"{name}: cannot be read as an image ({error}); restore the file from the original archive") from error


def read_mask(path: Path, num_classes: int) -> np.ndarray:
    """Return a mask, (H, W) uint8: the pixel values of a palette or grey PNG, checked.

    The value of a palette PNG is the class; its colour means nothing, so it is never converted.

    Args:
        path: 8-bit PNG of mode P or L.
        num_classes: values allowed are 0..num_classes-1 and `VOID`.

    Raises:
        DatasetError: missing, broken, of another mode, or with a value that is no class.
    """
    require(path, "restore the mask from the original archive, or take its id out of the list")
    return decode_mask(path.read_bytes(), num_classes, str(path))


def decode_mask(content: bytes, num_classes: int, name: str) -> np.ndarray:
    """Return an encoded mask as (H, W) uint8, checked as in `read_mask`; `name` stands in errors."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode, labels = image.mode, np.asarray(image)
    except UNREADABLE as error:
        raise DatasetError(f"{name}: cannot be read as a mask ({error}); restore the file from the original archive") from error
    if mode not in ("P", "L"):
        raise DatasetError(f"{name}: mask has mode {mode}, not P (palette) or L; use the original PNG, whose values are classes")
    present = np.bincount(labels.ravel(), minlength=256)
    present[VOID] = 0
    highest = int(np.flatnonzero(present).max(initial=0))
    if highest >= num_classes:
        raise DatasetError(
            f"{name}: mask holds the value {highest}, which is neither a class (0..{num_classes - 1}) nor void ({VOID}); "
            "use the original PNG, not one converted to grey or with other class numbers"
        )
    return labels.astype(np.uint8)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from a picture's header.

    Raises:
        DatasetError: missing or not an image.
    """
    require(path, "restore the file from the original archive, or take its id out of the list")
    try:
        with Image.open(path) as image:
            return image.size
    except UNREADABLE as error:
        raise DatasetError(f"{path}: cannot be read as an image ({error}); restore the file from the original archive") from error


def encode_mask(labels: np.ndarray, palette: Sequence[tuple[int, int, int]], made_from: str = "") -> bytes:
    """Return a mask as a palette PNG: values are classes, colours those of `palette`, void pale yellow.

    `made_from` is kept in the file, for `read_made_from`.
    """
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    colors[VOID] = VOID_COLOR
    image = Image.fromarray(np.ascontiguousarray(labels, np.uint8), mode="L")
    image.putpalette(colors.tobytes())
    buffer = io.BytesIO()
    notes = PngInfo()
    if made_from:
        notes.add_text(MADE_FROM, made_from)
    image.save(buffer, format="PNG", optimize=False, compress_level=6, pnginfo=notes)
    return buffer.getvalue()


def read_made_from(path: Path) -> str | None:
    """Return what a mask or an overlay says it was made from; None if it is not there, damaged or silent."""
    try:
        with Image.open(path) as image:
            note = image.info.get(MADE_FROM, image.info.get("comment"))
            image.verify()
    except Exception:  # Pillow's plugins raise what they stumble over; what cannot be read is made anew
        return None
    return note.decode("ascii", "replace") if isinstance(note, bytes) else note


def encode_photo(image: np.ndarray, form: Literal["JPEG", "PNG"], made_from: str = "") -> bytes:
    """Return a picture, (H, W, 3) or (H, W) uint8, as a file; a JPEG keeps `made_from`, for `read_made_from`."""
    buffer = io.BytesIO()
    settings: dict[str, Any] = {"optimize": False, "compress_level": 6}
    if form == "JPEG":
        settings = {"quality": 95} | ({"comment": made_from} if made_from else {})
    Image.fromarray(np.ascontiguousarray(image, np.uint8)).save(buffer, format=form, **settings)
    return buffer.getvalue()


def write_mask(path: Path, labels: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> None:
    """Write a mask as a palette PNG."""
    write_atomically(path, encode_mask(labels, palette))


def scribbles_to_json(scribbles: Mapping[str, Sequence[Scribble]]) -> str:
    """Return strokes per image as JSON, one line per image: id -> [{"class": k, "points": [[x, y], ...]}, ...].

    Coordinates are rounded to 1/100 pixel.
    """
    lines = []
    for image_id in sorted(scribbles):
        strokes = [
            {"class": int(stroke.class_index), "points": [[round(float(x), 2), round(float(y), 2)] for x, y in stroke.points]}
            for stroke in scribbles[image_id]
        ]
        lines.append(f"{json.dumps(image_id)}: {json.dumps(strokes, separators=(',', ':'))}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def scribbles_from_json(text: str, name: str) -> dict[str, list[Scribble]]:
    """Return the strokes that `scribbles_to_json` wrote; `name` stands in errors.

    Raises:
        DatasetError: not JSON, or not of that structure.
    """
    try:
        return {
            str(image_id): [
                Scribble(int(stroke["class"]), tuple((float(x), float(y)) for x, y in stroke["points"])) for stroke in strokes
            ]
            for image_id, strokes in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f'{name}: is not of the form {{"<id>": [{{"class": 1, "points": [[x, y], ...]}}, ...]}} ({error!r}); '
            "run the stage again that writes it"
        ) from error
