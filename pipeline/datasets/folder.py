"""A user's own images in one folder, with whatever annotation there is: masks, drawn scribbles, clicks, class sizes."""

from __future__ import annotations

import csv
import io
import math
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset, Scene, Scribble
from pipeline.datasets.pictures import (
    NO_MASK,
    check_has_classes,
    color_map,
    encode_photo,
    picture_formats,
    picture_size,
    read_mask,
    write_mask,
)
from pipeline.datasets.raw_files import (
    MALFORMED,
    DatasetError,
    check_class_names,
    file_id,
    files_by_id,
    named_errors,
    read_columns,
    read_list,
    require,
)
from pipeline.files import finite_number, is_there, read_text, write_atomically

BACKGROUND = "background"
VAL_EVERY = 5
"""Without lists, one masked image in so many is for validation."""
SUM_TOLERANCE = 1e-3
"""How far the sizes of one image may sum from 1; they are divided by their sum."""


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
        self._images = files_by_id(
            self.root / "images",
            picture_formats(),
            "is no picture that can be read; convert it to PNG or take it out of the folder",
        )
        self._masks, self._scribbles = (
            files_by_id(folder, (".png",), NO_MASK) if is_there(folder) else {}
            for folder in (self.root / "masks", self.root / "scribbles")
        )
        self._clicks = self._read_clicks(self.root / "clicks.csv")
        self._sizes = self._read_sizes(self.root / "sizes.csv")

    def verify(self) -> None:
        """Check that every annotation belongs to an image, that masks and scribbles fit, and that clicks lie inside."""
        if not self._images:
            raise DatasetError(f"{self.root / 'images'}: holds no picture; put your images there")
        for folder, files in (("masks", self._masks), ("scribbles", self._scribbles)):
            for image_id, path in files.items():
                self._known(image_id, str(path), f"take it out of {folder} or rename it to the image's name")
                size, expected = picture_size(path), picture_size(self._images[image_id])
                if size != expected:
                    raise DatasetError(
                        f"{path}: is {size[0]}x{size[1]} pixels, but its photo {self._images[image_id].name} is "
                        f"{expected[0]}x{expected[1]} (upright); export it again at the size of the photo"
                    )
        for image_id, clicks in (self._clicks or {}).items():
            width, height = picture_size(self._images[image_id])
            pixels: dict[tuple[int, int], int] = {}
            for click in clicks:
                x, y = click.points[0]
                if pixels.setdefault((math.floor(x), math.floor(y)), click.class_index) != click.class_index:
                    raise DatasetError(
                        f"{self.root / 'clicks.csv'}: two clicks of {image_id} at {x:g}, {y:g} differ in their class; remove one"
                    )
                if not (0 <= x < width and 0 <= y < height):
                    raise DatasetError(
                        f"{self.root / 'clicks.csv'}: a click of {image_id} at {x:g}, {y:g} is outside its "
                        f"{width}x{height} pixels; correct or remove it"
                    )
        counts = np.zeros(256, np.int64)
        for path in self._masks.values() if self.has_background else ():
            found = np.bincount(read_mask(path, len(self.class_names)).ravel(), minlength=256)
            counts += found * (found[VOID] < found.sum())  # a mask of void alone says nothing
        check_has_classes(counts, str(self.root / "masks"))
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
        given = {name: self._read_list(self._list_path(name)) for name in self.splits}
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

    def annotation_paths(self, image_id: str) -> list[Path]:
        """Return where mask and drawn scribbles lie."""
        return [files[image_id] for files in (self._masks, self._scribbles) if image_id in files]

    def tables(self) -> list[Path]:
        """Return classes.yaml, clicks.csv, sizes.csv and the lists."""
        names = ("classes.yaml", "clicks.csv", "sizes.csv")
        return [*(self.root / name for name in names), *map(self._list_path, self.splits)]

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`; `VOID` everywhere for an image without a mask."""
        return read_mask(self._masks[image_id], len(self.class_names)) if image_id in self._masks else self._void(image_id)

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, `VOID` where nothing is drawn, or None without the folder."""
        if image_id in self._scribbles:
            return read_mask(self._scribbles[image_id], len(self.class_names))
        return self._void(image_id) if self._scribbles else None

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
        text = io.StringIO()
        YAML(typ="safe").dump(classes, text)
        write_atomically(root / "classes.yaml", text.getvalue().encode())
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
            alike = (
                one for one in self._images if one.casefold() in (image_id.strip().casefold(), Path(image_id).stem.casefold())
            )
            hint = f" (did you mean '{found}'?)" if (found := next(alike, None)) is not None else ""
            raise DatasetError(f"{where}: there is no image '{image_id}' in {self.root / 'images'}{hint}; {remedy}")
        return require(self._images[image_id], "restore the photo")

    def _void(self, image_id: str) -> np.ndarray:
        width, height = picture_size(self.image_path(image_id))
        return np.full((height, width), VOID, np.uint8)

    def _list_path(self, split: str) -> Path:
        return self.root / "splits" / f"{split}.txt"

    def _read_list(self, path: Path) -> list[str] | None:
        if not is_there(path):
            return None
        ids = read_list(path)
        for image_id in ids:
            self._known(image_id, str(path), "correct the line; ids are file names without suffix")
        return ids

    def _rows(self, path: Path, columns: Sequence[str]) -> Iterable[tuple[str, str, dict[str, str]]]:
        """Yield place for errors, image id and row of a table, if it is there."""
        for where, row in read_columns(path, columns) if is_there(path) else ():
            image_id = file_id(row["image_id"], where)
            self._known(image_id, where, "correct or remove the line; ids are file names without suffix")
            yield where, image_id, row

    def _read_clicks(self, path: Path) -> dict[str, list[Scribble]] | None:
        if not is_there(path):
            return None
        clicks: dict[str, list[Scribble]] = {}
        for where, image_id, row in self._rows(path, ("image_id", "class", "x", "y")):
            if row["class"] not in self.class_names:
                known = ", ".join(self.class_names)
                raise DatasetError(f"{where}: unknown class '{row['class']}'; known classes are {known}")
            with named_errors(where):
                point = (finite_number(row["x"]), finite_number(row["y"]))
                click = Scribble(self.class_names.index(row["class"]), (point,))
            clicks.setdefault(image_id, []).append(click)
        return clicks

    def _read_sizes(self, path: Path) -> dict[str, np.ndarray]:
        sizes: dict[str, np.ndarray] = {}
        for where, image_id, row in self._rows(path, ("image_id", *self.class_names)):
            values = np.zeros(len(self.class_names))
            for place, name in enumerate(self.class_names):
                with named_errors(f"{where}: {name}"):
                    values[place] = finite_number(row[name])
            total = float(values.sum())
            rule = f"{where}: sizes must be at least 0 and sum to 1"
            if values.min() < 0:
                lowest = int(values.argmin())
                raise DatasetError(f"{rule}, but {self.class_names[lowest]} has {values[lowest]:g}; correct the line")
            if not abs(total - 1) <= SUM_TOLERANCE:
                remedy = "write 0.25 for 25 %" if abs(total - 100) < 1 else "correct the line"
                raise DatasetError(f"{rule}, but sum to {total:.8g}, off by more than {SUM_TOLERANCE:g}; {remedy}")
            if image_id in sizes:
                raise DatasetError(f"{where}: image {image_id} has a line already; keep one of the two")
            sizes[image_id] = values / total
        return sizes


def _read_classes(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...], bool]:
    """Return class names, palette and whether class 0 is the background."""
    require(path, "the path must hold classes.yaml and images/ (see docs/data.md); check `source` of the data set")
    with named_errors():
        text = read_text(path)
    try:
        content: Any = YAML(typ="safe", pure=True).load(text)  # YAML 1.2, and a key twice is an error
        names = _in_order(content["names"])
        colors = tuple((r, g, b) for r, g, b in content.get("colors", color_map(len(names))))
        unknown = sorted(set(content) - {"names", "colors", "background"})
    except (YAMLError, *MALFORMED) as error:
        told = " ".join(str(error).split())
        raise DatasetError(f"{path}: expected 'names: [background, ...]' ({told}); see docs/data.md") from error
    if unknown:
        raise DatasetError(f"{path}: unknown key '{unknown[0]}'; known keys are names, colors, background")
    with named_errors(f"{path}: names"):
        check_class_names(names)
        if not 2 <= len(names) <= VOID:
            raise ValueError(f"expected 2 to {VOID}, got {len(names)}; the first is the background")
    if len(colors) != len(names) or not all(type(value) is int and 0 <= value <= 255 for rgb in colors for value in rgb):
        raise DatasetError(f"{path}: colors must be one [red, green, blue] of 0..255 per name ({len(names)})")
    names = tuple(unicodedata.normalize("NFC", name) for name in names)
    return names, colors, _has_background(content.get("background"), names, path)


def _in_order(names: Any) -> tuple[Any, ...]:
    """Return the names in the order of their class numbers; other tools write {0: name, ...} or {name: 0, ...}."""
    if isinstance(names, Mapping):
        numbered = dict(names) if all(type(key) is int for key in names) else {value: key for key, value in names.items()}
        if len(numbered) != len(names) or set(numbered) != set(range(len(names))):
            raise ValueError(
                f"names: expected the class numbers 0 to {len(names) - 1}, each once, got {reprlib.repr(dict(names))}"
            )
        return tuple(numbered[number] for number in range(len(names)))
    if not isinstance(names, list):
        raise ValueError(f"names: expected a list, got {reprlib.repr(names)}")
    return tuple(names)


def _has_background(stated: Any, names: tuple[str, ...], path: Path) -> bool:
    """Return whether class 0 is the background, as its name says, or the key `background` for another name."""
    if stated is not None and not isinstance(stated, bool):
        raise DatasetError(f"{path}: background must be true or false, got {reprlib.repr(stated)}")
    place = next((number for number, name in enumerate(names) if name.lower() == BACKGROUND), None)
    if place:
        raise DatasetError(f"{path}: '{names[place]}' is class {place}; a background must be class 0: move it to the front")
    if place is None and stated is None:
        raise DatasetError(
            f"{path}: no class is named '{BACKGROUND}'; write `background: true` if '{names[0]}' (class 0) is the background, "
            "or `background: false` if there is none"
        )
    return stated is not False
