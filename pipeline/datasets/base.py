"""What a data set is before anything is prepared: photos, masks and annotations in the folder layout its authors published.

`RawDataset` is the contract of a reader. A reader also knows how to *write* its layout from `Scene`s, so that procedural pictures
pass through the same code as the real ones. `raw_files` and `pictures` open single files for it.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.pictures import PASSED_ON, decode_photo, encode_photo, opened, picture_size, read_photo
from pipeline.datasets.raw_files import MALFORMED, DatasetError, is_system_file, require, whole_number
from pipeline.files import parse_json, walk

FARTHEST_PX = 100_000
"""Coordinates beyond this cannot belong to a picture; drawing towards them takes memory without end."""
DRAWN_AT_MOST = 0.75
"""Share of a picture that drawn scribbles may cover, unless they say what the mask says."""


@dataclass(frozen=True)
class Scribble:
    """One stroke of an annotator, or a click if it has a single point.

    Attributes:
        class_index: class of the stroke, 0 for background.
        points: (x, y) in pixels of the original image, x to the right, y down; the point lies in pixel floor(x), floor(y).
    """

    class_index: int
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not all(abs(x) <= FARTHEST_PX and abs(y) <= FARTHEST_PX for x, y in self.points):  # NaN compares as false
            raise ValueError(f"points: expected finite coordinates within {FARTHEST_PX} pixels, got {self.points}")


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


class Account(NamedTuple):
    """What became of the files of a copy.

    Attributes:
        found: files below its root.
        used: those that its reader reads.
        left_out: reason -> the others.
        notes: what else people should know of the files used.
    """

    found: int
    used: int
    left_out: dict[str, list[Path]]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.found} files found, {self.used} used, {self.found - self.used} left out"]
        lines += [f"  left out: {len(paths)} {reason}, the first is {paths[0]}" for reason, paths in self.left_out.items()]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


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
        content = path.read_bytes()
        with opened(content, str(path), "an image") as image:
            suffix = PASSED_ON.get(image.format or "")
        return (content, suffix) if suffix else (encode_photo(decode_photo(content, str(path)), "PNG"), ".png")

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

    def read_drawn(self, image_id: str, labels: np.ndarray) -> np.ndarray | None:
        """Return what `read_scribble_raster` does, checked against the mask `labels` of the image.

        Raises:
            DatasetError: not as large as the mask, or nearly every pixel is drawn, and not as the mask says: then 0 seems to
                stand for "nothing drawn".
        """
        raster = self.read_scribble_raster(image_id)
        if raster is None:
            return None
        where = f"{self.root}: drawn scribbles of image {image_id}"
        if raster.shape != labels.shape:
            raise DatasetError(
                f"{where}: are {raster.shape[1]}x{raster.shape[0]} pixels, but the image is {labels.shape[1]}x{labels.shape[0]}; "
                "export them again at the size of the photo"
            )
        drawn, known = raster != VOID, labels != VOID
        if drawn.mean() > DRAWN_AT_MOST and (not known.any() or (raster != labels)[drawn & known].any()):
            raise DatasetError(
                f"{where}: {drawn.mean():.0%} of the pixels count as drawn, {(raster == 0).mean():.0%} as class 0; "
                f"where nothing is drawn the value must be {VOID}"
            )
        return raster

    def read_clicks(self, image_id: str) -> list[Scribble] | None:
        """Return the clicks of one image (perhaps none: []), or None if the set has no clicks at all."""
        return None

    def annotation_paths(self, image_id: str) -> Iterable[Path]:
        """Return the files beside the photo that are read for one image, whether they are there or not."""
        return ()

    def tables(self) -> Iterable[Path]:
        """Return the files that are read for all images: lists, tables, annotation files."""
        return ()

    def account(self) -> Account:
        """Return what became of every file below the root."""
        used = set(self.tables())
        for split in self.splits:
            for image_id in self.ids(split):
                used |= {self.image_path(image_id), *self.annotation_paths(image_id)}
        read = {path.suffix.lower() for path in used}
        found, left_out = 0, dict[str, list[Path]]()
        for path in walk(self.root):
            found += 1
            if path in used:
                continue
            place = path.relative_to(self.root)
            if any(map(is_system_file, place.parts)):
                reason = "hidden or made by the operating system"
            elif path.suffix.lower() in read:
                reason = f"{path.suffix} belonging to no image of a split"
            else:
                reason = f"{path.suffix or 'without suffix'}, which is not read"
            left_out.setdefault(reason, []).append(place)
        return Account(found, found - sum(map(len, left_out.values())), left_out)

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


def scribbles_to_json(scribbles: Mapping[str, Sequence[Scribble]]) -> str:
    """Return strokes per image as JSON, one line per image: id -> [{"class": k, "points": [[x, y], ...]}, ...].

    Coordinates are rounded to 1/100 pixel, within their pixel.
    """

    def rounded(value: float) -> float:
        near = round(float(value), 2)
        return near if math.floor(near) == math.floor(value) else round(near - 0.01, 2)

    lines = []
    for image_id in sorted(scribbles):
        strokes = [
            {"class": int(stroke.class_index), "points": [[rounded(x), rounded(y)] for x, y in stroke.points]}
            for stroke in scribbles[image_id]
        ]
        lines.append(f"{json.dumps(image_id)}: {json.dumps(strokes, separators=(',', ':'))}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def scribbles_from_json(text: str | bytes, name: str) -> dict[str, list[Scribble]]:
    """Return the strokes that `scribbles_to_json` wrote; `name` stands in errors.

    Raises:
        DatasetError: not JSON, or not of that structure.
    """
    try:
        return {
            str(image_id): [
                Scribble(whole_number(stroke["class"]), tuple((float(x), float(y)) for x, y in stroke["points"]))
                for stroke in strokes
            ]
            for image_id, strokes in parse_json(text).items()
        }
    except MALFORMED as error:
        raise DatasetError(
            f'{name}: is not of the form {{"<id>": [{{"class": 1, "points": [[x, y], ...]}}, ...]}} ({error!r}); '
            "run the stage again that writes it"
        ) from error
