"""A user's own images in one folder, with whatever annotation there is: masks, drawn scribbles, clicks, class sizes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageOps

from pipeline.conventions import VOID
from pipeline.datasets.base import (
    UNREADABLE,
    DatasetError,
    RawDataset,
    Scene,
    Scribble,
    color_map,
    encode_photo,
    picture_size,
    read_mask,
    require,
    write_mask,
)
from pipeline.files import write_atomically

VAL_EVERY = 5
"""Without lists, one masked image in so many is for validation."""
SUM_TOLERANCE = 1e-3
"""How far the sizes of one image may sum from 1; they are divided by their sum."""
KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Files that are passed on as they are; others are re-encoded without loss."""
IGNORED_FILES = ("thumbs.db", "desktop.ini")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
ORIENTATION_TAG = 0x0112


class Folder(RawDataset):
    """Images of any format that Pillow reads, with masks, scribbles, clicks or sizes for some or all of them.

    The image id is the file name without its last suffix; capitals, spaces, dots and other alphabets are allowed. Photos
    are turned upright where a camera has noted their orientation, and masks belong to the upright photo. An image without
    a mask may be used for training: its mask is void everywhere, and its classes are those of its sizes, scribbles and
    clicks. Without lists, every fifth of the masked images (by sorted id, at least one) is for validation.
    """

    name = "folder"
    title = "Your own images"
    class_names: tuple[str, ...] = ("background", "plane", "bicycle", "bird")
    palette = color_map(len(class_names))
    licence = "yours"
    citation = "none"
    homepage = "docs/data.md"
    obtain = "Lay out your files as below and set `source` to the folder."
    layout = """
classes.yaml              names: [background, cat, dog]; optional colors: [[0, 0, 0], ...], background: false
images/<id>.<suffix>      any format that Pillow reads
masks/<id>.png            class index per pixel, 255 = void (optional, also for some images only)
scribbles/<id>.png        class index where drawn, 255 = nothing drawn (optional)
clicks.csv                image_id,class,x,y with class names (optional)
sizes.csv                 image_id and one column per class, fractions that sum to 1 (optional)
splits/{train,val}.txt    one id per line (optional)
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.class_names, self.palette, self.has_background = _read_classes(self.root / "classes.yaml")
        self._images = _pictures(self.root / "images")
        self._masks = _pngs(self.root / "masks")
        self._scribbles = _pngs(self.root / "scribbles")
        self._clicks = self._read_clicks(self.root / "clicks.csv")
        self._sizes = self._read_sizes(self.root / "sizes.csv")

    def verify(self) -> None:
        """Check that every annotation belongs to an image, that masks and scribbles fit, and that clicks lie inside."""
        if not self._images:
            raise DatasetError(f"{self.root / 'images'}: holds no picture; put your images there")
        for folder, files in (("masks", self._masks), ("scribbles", self._scribbles)):
            for image_id, path in files.items():
                self._known(image_id, str(path), f"take it out of {folder} or rename it to the image's name")
                size, expected = picture_size(path), self._size(image_id)
                if size != expected:
                    raise DatasetError(
                        f"{path}: is {size[0]}x{size[1]} pixels, but its photo {self._images[image_id].name} is "
                        f"{expected[0]}x{expected[1]} (upright); export it again at the size of the photo"
                    )
        for image_id, clicks in (self._clicks or {}).items():
            width, height = self._size(image_id)
            for click in clicks:
                x, y = click.points[0]
                if not (0 <= x < width and 0 <= y < height):
                    raise DatasetError(
                        f"{self.root / 'clicks.csv'}: a click of {image_id} at {x:g}, {y:g} is outside its "
                        f"{width}x{height} pixels; correct or remove it"
                    )
        for split in self.splits if self._masks else ("train",):  # without any mask there is nothing to validate with
            if not self.ids(split):
                raise DatasetError(
                    f"{self.root}: the split '{split}' is empty; validation needs images with masks: add some to masks/, or "
                    "list the ids in splits/train.txt and splits/val.txt"
                )
        shared = sorted(set(self.ids("train")) & set(self.ids("val")))
        if shared:
            raise DatasetError(f"{self.root / 'splits'}: image {shared[0]} is in both lists; take it out of one")
        for image_id in self.ids("val"):
            if image_id not in self._masks:
                raise DatasetError(f"{self.root / 'masks'}: {image_id}.png: not found; an image for validation needs a mask")

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split: its list where there is one, else what the other list or the rule leaves."""
        self.check_split(split)
        given = {name: self._read_list(self.root / "splits" / f"{name}.txt") for name in self.splits}
        listed = given[split]
        if listed is not None:
            return listed
        if split == "val":
            masked = [image_id for image_id in self._images if image_id in self._masks]
            if given["train"] is not None:
                taken = set(given["train"])
                return [image_id for image_id in masked if image_id not in taken]
            return masked[VAL_EVERY - 1 :: VAL_EVERY] or masked[-1:]
        held_out = set(self.ids("val"))
        return [image_id for image_id in self._images if image_id not in held_out]

    def image_path(self, image_id: str) -> Path:
        """Return where the photo lies."""
        return self._known(image_id, str(self.root / "images"), "correct the id")

    def image_bytes(self, image_id: str) -> tuple[bytes, str]:
        """Return the photo's own bytes if it is an upright JPEG or PNG, else the upright photo as PNG."""
        path = self.image_path(image_id)
        with _open(path) as image:
            plain = path.suffix.lower() in KEPT_SUFFIXES and image.format in ("JPEG", "PNG") and not _is_turned(image)
        if plain:
            return path.read_bytes(), ".png" if image.format == "PNG" else ".jpg"
        return encode_photo(self.read_image(image_id), "PNG"), ".png"

    def read_image(self, image_id: str) -> np.ndarray:
        """Return the photo, upright: (H, W, 3) uint8."""
        path = self.image_path(image_id)
        with _open(path) as image:
            if image.mode in DEEP_MODES:
                raise DatasetError(f"{path}: has more than 8 bits per channel (mode {image.mode}); export it with 8 bits")
            try:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            except UNREADABLE as error:
                raise DatasetError(f"{path}: cannot be read as an image ({error}); restore or export it again") from error

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`; `VOID` everywhere for an image without a mask."""
        return self._raster(self._masks, image_id)

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, `VOID` where nothing is drawn, or None without the folder."""
        return self._raster(self._scribbles, image_id) if self._scribbles else None

    def read_clicks(self, image_id: str) -> list[Scribble] | None:
        """Return the clicks of one image (perhaps none: []), or None without clicks.csv."""
        return None if self._clicks is None else self._clicks.get(image_id, [])

    def read_sizes(self, image_id: str) -> np.ndarray | None:
        """Return the class sizes of one image, (C,) fractions that sum to 1, or None where it has no line."""
        return self._sizes.get(image_id)

    def classes_in(self, image_id: str, labels: np.ndarray) -> list[int]:
        """Return the classes of the mask or, without a mask, those of sizes, scribbles and clicks."""
        if image_id in self._masks:
            return super().classes_in(image_id, labels)
        found = {click.class_index for click in self.read_clicks(image_id) or ()}
        raster, sizes = self.read_scribble_raster(image_id), self.read_sizes(image_id)
        if raster is not None:
            found |= set(super().classes_in(image_id, raster))
        if sizes is not None:
            found |= set(np.flatnonzero(sizes > 0).tolist())
        return sorted(found)

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes with masks, lists and, where they have any, clicks."""
        root = Path(root)
        classes = {"names": list(cls.class_names), "colors": [list(color) for color in cls.palette]}
        write_atomically(root / "classes.yaml", yaml.safe_dump(classes, default_flow_style=None, sort_keys=False).encode())
        rows = []
        for split in cls.splits:
            scenes = splits.get(split, ())
            for scene in scenes:
                write_atomically(root / "images" / f"{scene.image_id}.jpg", encode_photo(scene.image, "JPEG"))
                write_mask(root / "masks" / f"{scene.image_id}.png", scene.labels, cls.palette)
                for click in scene.clicks or ():
                    rows.append((scene.image_id, cls.class_names[click.class_index], *click.points[0]))
            write_atomically(root / "splits" / f"{split}.txt", "".join(f"{scene.image_id}\n" for scene in scenes).encode())
        if rows:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows([("image_id", "class", "x", "y"), *rows])
            write_atomically(root / "clicks.csv", text.getvalue().encode())

    def _known(self, image_id: str, where: str, remedy: str) -> Path:
        if image_id not in self._images:
            raise DatasetError(f"{where}: there is no image '{image_id}' in {self.root / 'images'}; {remedy}")
        return require(self._images[image_id], "restore the photo")

    def _size(self, image_id: str) -> tuple[int, int]:
        with _open(self.image_path(image_id)) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(ORIENTATION_TAG, 1) >= 5 else (width, height)

    def _raster(self, files: Mapping[str, Path], image_id: str) -> np.ndarray:
        if image_id in files:
            return read_mask(files[image_id], len(self.class_names))
        width, height = self._size(image_id)
        return np.full((height, width), VOID, np.uint8)

    def _read_list(self, path: Path) -> list[str] | None:
        if not path.exists():
            return None
        ids = [line.strip() for line in _text(path).splitlines() if line.strip()]
        for image_id in ids:
            self._known(image_id, str(path), "correct the line; ids are file names without suffix")
        if len(set(ids)) != len(ids):
            raise DatasetError(f"{path}: lists {next(one for one in ids if ids.count(one) > 1)} more than once; remove one line")
        return ids

    def _read_clicks(self, path: Path) -> dict[str, list[Scribble]] | None:
        if not path.exists():
            return None
        clicks: dict[str, list[Scribble]] = {}
        for where, row in _rows(path, ("image_id", "class", "x", "y")):
            self._known(row["image_id"], where, "correct or remove the line")
            if row["class"] not in self.class_names:
                known = ", ".join(self.class_names)
                raise DatasetError(f"{where}: unknown class '{row['class']}'; known classes are {known}")
            point = (_number(row["x"], where), _number(row["y"], where))
            clicks.setdefault(row["image_id"], []).append(Scribble(self.class_names.index(row["class"]), (point,)))
        return clicks

    def _read_sizes(self, path: Path) -> dict[str, np.ndarray]:
        sizes: dict[str, np.ndarray] = {}
        for where, row in _rows(path, ("image_id", *self.class_names)) if path.exists() else ():
            image_id = row["image_id"]
            self._known(image_id, where, "correct or remove the line")
            values = np.array([_number(row[name], where) for name in self.class_names])
            total = float(values.sum())
            if values.min() < 0 or abs(total - 1) > SUM_TOLERANCE:
                raise DatasetError(f"{where}: sizes must be at least 0 and sum to 1, but sum to {total:.6g}; correct the line")
            if image_id in sizes:
                raise DatasetError(f"{where}: image {image_id} has a line already; keep one of the two")
            sizes[image_id] = values / total
        return sizes


def _read_classes(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...], bool]:
    """Return class names, palette and whether class 0 is the background."""
    require(path, "the path must hold classes.yaml and images/ (see docs/data.md); check `source` of the data set")
    try:
        content: Any = yaml.safe_load(_text(path))
        names = tuple(content["names"])
        background = content.get("background", True)
        colors = tuple((r, g, b) for r, g, b in content.get("colors", color_map(len(names))))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: expected 'names: [background, ...]' ({error}); see docs/data.md") from error
    unknown = sorted(set(content) - {"names", "colors", "background"})
    if unknown:
        raise DatasetError(f"{path}: unknown key '{unknown[0]}'; known keys are names, colors, background")
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names) or not 2 <= len(names) <= VOID:
        raise DatasetError(
            f"{path}: names must be 2 to {VOID} different words, got {list(names)}; put numbers and yes/no in quotes"
        )
    if len(colors) != len(names) or not all(isinstance(value, int) and 0 <= value <= 255 for rgb in colors for value in rgb):
        raise DatasetError(f"{path}: colors must be one [red, green, blue] of 0..255 per name ({len(names)})")
    if not isinstance(background, bool):
        raise DatasetError(f"{path}: background must be true or false, got {background!r}")
    return names, colors, background


def _pictures(folder: Path) -> dict[str, Path]:
    """Return id -> picture, sorted by id."""
    require(folder, "the path must hold classes.yaml and images/ (see docs/data.md); check `source` of the data set")
    Image.init()
    known = {suffix.lower() for suffix in Image.registered_extensions()}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in IGNORED_FILES:
            continue
        if not path.is_file() or path.suffix.lower() not in known:
            raise DatasetError(f"{path}: is no picture that can be read; convert it to PNG or take it out of the folder")
        if path.stem in found:
            raise DatasetError(f"{path}: has the same id as {found[path.stem].name}; rename one of them")
        found[path.stem] = path
    return dict(sorted(found.items()))


def _pngs(folder: Path) -> dict[str, Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in paths if path.suffix.lower() == ".png" and not path.name.startswith(".")}


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UNREADABLE as error:
        raise DatasetError(f"{path}: cannot be read as an image ({error}); restore or export it again") from error


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(ORIENTATION_TAG, 1) != 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from error


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place for errors, row) of a table that must have exactly these columns, in any order."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    header = list(reader.fieldnames or ())
    if sorted(header) != sorted(columns):
        raise DatasetError(f"{path}, line 1: expected the columns {','.join(columns)}, got {','.join(header)}; rename them")
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise DatasetError(f"{where}: expected {len(columns)} values; complete the line")
        yield where, row


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{where}: '{text}' is no number; correct the line")
    return value
