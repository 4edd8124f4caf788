"""The prepared archive: one file per split that stands between the raw layouts and everything else.

An uncompressed zip with the same bytes whenever it is rebuilt from the same data:

    index.csv              id,width,height, in the order of the split
    meta.json              kind, split, class_names, palette, counts
    images/<id>.jpg|png    the photo's own bytes
    labels/<id>.png        palette PNG, class index or void
    scribbles.json         strokes per image, where the set has any
    clicks.json            clicks per image, where the set has any
    scribbles/<id>.png     drawn scribbles, where the set has any
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import (
    DatasetError,
    RawDataset,
    Scribble,
    decode_mask,
    decode_photo,
    encode_mask,
    scribbles_from_json,
    scribbles_to_json,
)

TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The same for every entry, so that equal data give equal bytes."""


def write_prepared(
    path: Path, dataset: RawDataset, split: str, *, classes: Sequence[str] | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Read one split, check every file, and write it as one archive.

    Args:
        path: archive to write; it appears only when complete.
        dataset: reader.
        split: "train" or "val".
        classes: foreground classes to keep, which become 1..n in the given order. Images without a pixel of any are left
            out; other classes become background (0) in masks, scribbles and clicks; void stays void. None: all classes.
        limit: keep the first so many images. None: all.

    Returns:
        Counts: "images", "pixels" and "images_with" (per class name), "void_pixels", "images_with_void",
        "images_without_background", "strokes", "clicks".

    Raises:
        DatasetError: a broken or missing file (named), an unknown class, or no image left.
    """
    lookup, names, palette = _class_selection(dataset, classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    counter = _Counter(len(names))
    rows: list[tuple[str, int, int]] = []
    strokes: dict[str, list[Scribble]] = {}
    clicks: dict[str, list[Scribble]] = {}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for image_id in dataset.ids(split):
                if limit is not None and len(rows) >= limit:
                    break
                original = dataset.read_labels(image_id)
                labels = lookup[original]
                if classes is not None and not np.any((labels > 0) & (labels != VOID)):
                    continue
                image_path = dataset.image_path(image_id)
                image = dataset.read_image(image_id)
                height, width = labels.shape
                if image.shape[:2] != (height, width):
                    raise DatasetError(
                        f"{image_path}: photo is {image.shape[1]}x{image.shape[0]} pixels, but its mask is {width}x{height}; "
                        "restore both from the original archive"
                    )
                _add(archive, f"images/{image_id}{image_path.suffix.lower()}", image_path.read_bytes())
                _add(archive, f"labels/{image_id}.png", encode_mask(labels, palette))
                raster = dataset.read_scribble_raster(image_id)
                if raster is not None:
                    _add(archive, f"scribbles/{image_id}.png", encode_mask(lookup[raster], palette))
                for kept, found in ((strokes, dataset.read_scribbles(image_id)), (clicks, dataset.read_clicks(image_id))):
                    if found is not None:
                        kept[image_id] = [Scribble(int(lookup[stroke.class_index]), stroke.points) for stroke in found]
                counter.add(labels)
                rows.append((image_id, width, height))
            if not rows:
                wanted = "" if classes is None else f" with a pixel of {', '.join(classes)}"
                raise DatasetError(f"{dataset.root}: split {split} has no image{wanted}; check `classes` of the data set")
            counts = counter.result(names) | {
                "strokes": sum(map(len, strokes.values())),
                "clicks": sum(map(len, clicks.values())),
            }
            for name, annotation in (("scribbles.json", strokes), ("clicks.json", clicks)):
                if annotation:
                    _add(archive, name, scribbles_to_json(annotation).encode())
            index = io.StringIO()
            csv.writer(index, lineterminator="\n").writerows([("id", "width", "height"), *rows])
            _add(archive, "index.csv", index.getvalue().encode())
            meta = {"kind": dataset.name, "split": split, "class_names": names, "palette": palette, "counts": counts}
            _add(archive, "meta.json", json.dumps(meta, indent=1, sort_keys=True).encode())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return counts


class PreparedArchive:
    """Reader of a file that `write_prepared` wrote.

    May be pickled and may be used in worker processes, forked or spawned: each process opens the file for itself on first use.

    Attributes:
        path: the archive.
        ids: image ids in the order of the split.
        class_names: class names, background first.
        palette: one RGB colour per class.
        num_classes: C.
        counts: what `write_prepared` returned.

    Raises:
        DatasetError: the file is missing, truncated or of another form.
    """

    _remedy = "delete it and run `dvc repro` to prepare the data again"

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._owner = 0
        try:
            meta = json.loads(self._read("meta.json"))
            rows = list(csv.DictReader(io.StringIO(self._read("index.csv").decode())))
            self.class_names: tuple[str, ...] = tuple(meta["class_names"])
            self.palette: tuple[tuple[int, int, int], ...] = tuple((r, g, b) for r, g, b in meta["palette"])
            self.counts: dict[str, Any] = meta["counts"]
            self._sizes = {row["id"]: (int(row["width"]), int(row["height"])) for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{self.path}: is not a prepared archive ({error!r}); {self._remedy}") from error
        self.ids: list[str] = list(self._sizes)
        self.num_classes = len(self.class_names)
        self._names = set(self._open().namelist())

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_zip": None, "_owner": 0}

    def size(self, image_id: str) -> tuple[int, int]:
        """Return (width, height)."""
        if image_id not in self._sizes:
            raise DatasetError(f"{self.path}: holds no image '{image_id}'; {self._remedy}")
        return self._sizes[image_id]

    def image(self, image_id: str) -> np.ndarray:
        """Return the photo: (H, W, 3) uint8."""
        self.size(image_id)
        name = next((name for name in (f"images/{image_id}.jpg", f"images/{image_id}.png") if name in self._names), "")
        return decode_photo(self._read(name), f"{self.path}: {name}")

    def labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`."""
        self.size(image_id)
        name = f"labels/{image_id}.png"
        return decode_mask(self._read(name), self.num_classes, f"{self.path}: {name}")

    def scribbles(self) -> dict[str, list[Scribble]] | None:
        """Return the strokes per image, or None if the data set has none."""
        return self._annotation("scribbles.json")

    def clicks(self) -> dict[str, list[Scribble]] | None:
        """Return the clicks per image, or None if the data set has none."""
        return self._annotation("clicks.json")

    def scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, (H, W) uint8 with `VOID` where nothing is drawn, or None if the data set has none."""
        self.size(image_id)
        name = f"scribbles/{image_id}.png"
        return decode_mask(self._read(name), self.num_classes, f"{self.path}: {name}") if name in self._names else None

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        if self._zip is not None and self._owner == os.getpid():
            self._zip.close()
        self._zip = None

    def _annotation(self, name: str) -> dict[str, list[Scribble]] | None:
        if name not in self._names:
            return None
        return scribbles_from_json(self._read(name).decode(), f"{self.path}: {name}")

    def _open(self) -> zipfile.ZipFile:
        # A forked child shares the file position of its parent, so it must open the file anew.
        if self._zip is None or self._owner != os.getpid():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except FileNotFoundError as error:
                raise DatasetError(f"{self.path}: not found; run `dvc repro` to prepare the data") from error
            except (OSError, zipfile.BadZipFile) as error:
                raise DatasetError(f"{self.path}: truncated or not a prepared archive ({error}); {self._remedy}") from error
            self._owner = os.getpid()
        return self._zip

    def _read(self, name: str) -> bytes:
        try:
            return self._open().read(name)
        except (KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{self.path}: entry '{name}' is missing or broken ({error}); {self._remedy}") from error


class _Counter:
    """Pixels and images per class, collected image by image."""

    def __init__(self, num_classes: int) -> None:
        self.pixels = np.zeros(256, np.int64)
        self.images = np.zeros(256, np.int64)
        self.total = 0
        self.num_classes = num_classes

    def add(self, labels: np.ndarray) -> None:
        found = np.bincount(labels.ravel(), minlength=256)
        self.pixels += found
        self.images += found > 0
        self.total += 1

    def result(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "images": self.total,
            "pixels": {name: int(self.pixels[index]) for index, name in enumerate(names)},
            "images_with": {name: int(self.images[index]) for index, name in enumerate(names)},
            "void_pixels": int(self.pixels[VOID]),
            "images_with_void": int(self.images[VOID]),
            "images_without_background": int(self.total - self.images[0]),
        }


def _class_selection(
    dataset: RawDataset, classes: Sequence[str] | None
) -> tuple[np.ndarray, list[str], list[tuple[int, int, int]]]:
    """Return (old value -> new value, class names, palette) of the classes to keep."""
    lookup = np.arange(256, dtype=np.uint8)
    if classes is None:
        return lookup, list(dataset.class_names), list(dataset.palette)
    foreground = dataset.class_names[1:]
    wrong = [name for name in classes if name not in foreground]
    if wrong or not classes or len(set(classes)) != len(classes):
        raise DatasetError(
            f"{dataset.root}: classes {list(classes)} must be one or more different foreground classes of {dataset.name}; "
            f"choose from {', '.join(foreground)}"
        )
    chosen = [dataset.class_names.index(name) for name in classes]
    lookup[: len(dataset.class_names)] = 0
    lookup[chosen] = np.arange(1, len(chosen) + 1)
    kept = [0, *chosen]
    return lookup, [dataset.class_names[index] for index in kept], [dataset.palette[index] for index in kept]


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, content)
