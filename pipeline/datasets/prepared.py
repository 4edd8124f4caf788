"""The prepared archive: one file per split that stands between the raw layouts and everything else.

An uncompressed zip with the same bytes whenever it is rebuilt from the same data:

    index.csv              id,width,height,classes in the order of the split; `classes` are the class indices of the image,
                           separated by spaces (void left out); then `class` in a classification set and `group` in a set
                           of volumes
    meta.json              format, kind, task, split, has_background, class_names, palette, counts
    images/<id>.jpg|png    the photo's own bytes
    labels/<id>.png        palette PNG, class index or void; none in a classification set
    scribbles.json         strokes per image, where the set has any
    clicks.json            clicks per image, where the set has any
    sizes.json             annotated class sizes per image, where the set has any
    scribbles/<id>.png     drawn scribbles, where the set has any

A reader may open it as a *view*: some of the classes, renumbered, and the images that hold them, or the part of a trial.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset, Scribble, scribbles_from_json, scribbles_to_json
from pipeline.datasets.pictures import check_has_classes, decode_mask, decode_photo, encode_mask
from pipeline.datasets.raw_files import MALFORMED, DatasetError
from pipeline.files import atomic_file

FORMAT = 2
"""Number of the form described above; archives of another form are refused."""
BACKGROUND_COLOR = (0, 0, 0)
FEW_PX, FEW_POINTS = 16, 2
"""In smaller pictures, or of so few points, all may lie in the first pixel by chance."""
Images = Literal["containing", "all"]
"""Which images a selection of classes keeps: those that hold a pixel of at least one of them, or all."""
Part = Literal["train", "val"]
"""Parts of the training images in a trial."""

TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The same for every entry, so that equal data give equal bytes."""


def write_prepared(
    path: Path,
    dataset: RawDataset,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    images: Images = "containing",
    limit: int | None = None,
) -> dict[str, Any]:
    """Read one split, check every file, and write it as one archive.

    Args:
        path: archive to write; it appears only when complete.
        dataset: reader.
        split: "train" or "val".
        classes: classes to keep, as in `PreparedArchive`; the archive gets smaller. None: all classes.
        images: with `classes`, keep the images that hold a pixel of at least one ("containing"), or all.
        limit: keep the first so many images. None: all.

    Returns:
        Counts: "images", "pixels" and "images_with" (per class name), "void_pixels", "images_with_void",
        "images_without_background" (sets with a background), "strokes", "clicks", and "left_out_beside_the_picture", how many of
        them lie wholly outside, if any. In a classification set "images" and "images_with".

    Raises:
        DatasetError: a broken or missing file (named), an unknown class, or no image left.
    """
    selection = select_classes(dataset, classes, images, f"{dataset.root}: {dataset.name}")
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        writer = _Writer(archive, dataset, selection)
        for image_id in dataset.ids(split):
            if limit is not None and len(writer.rows) >= limit:
                break
            writer.add(image_id)
        if not writer.rows:
            wanted = "; check `source`" if classes is None else f" with a pixel of {', '.join(classes)}; check `classes`"
            raise DatasetError(f"{dataset.root}: split {split} has no image{wanted} of the data set")
        return writer.finish(split)


class Selection(NamedTuple):
    """A choice of classes and of images.

    Attributes:
        lookup: (256,) uint8, old pixel value -> new one; void stays void.
        class_names: names of the classes kept.
        palette: one RGB colour per class kept.
        has_background: class 0 is the background.
        wanted: old indices of the classes that an image must hold one of, or None for every image.
    """

    lookup: np.ndarray
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    has_background: bool
    wanted: frozenset[int] | None

    def renumber(self, classes: Sequence[int]) -> list[int]:
        """Return the new numbers of old classes, ascending, each once."""
        return sorted({int(self.lookup[index]) for index in classes})

    def keeps(self, classes: Sequence[int]) -> bool:
        """Return whether an image that holds these old classes is kept."""
        return self.wanted is None or not self.wanted.isdisjoint(classes)


def select_classes(source: RawDataset | PreparedArchive, classes: Sequence[str] | None, images: Images, where: str) -> Selection:
    """Return the selection of some classes of a data set.

    In a segmentation set the classes become 1..n in the given order and all others become background (class 0), which a set
    without background gets anew. In a classification set the classes become 0..n-1.

    Args:
        source: what has class_names, palette, has_background and task.
        classes: names, or None for everything as it is.
        images: which images are kept.
        where: stands in errors.

    Raises:
        DatasetError: not one or more different foreground classes, or all images of a classification set.
        ValueError: `images` is neither of the two.
    """
    if images not in ("containing", "all"):
        raise ValueError(f"images: expected 'containing' or 'all', got {images!r}")
    lookup = np.arange(256, dtype=np.uint8)
    if classes is None:
        return Selection(lookup, tuple(source.class_names), tuple(source.palette), source.has_background, None)
    names = list(source.class_names)
    foreground = names[1:] if source.has_background else names
    if not classes or len(set(classes)) != len(classes) or not set(classes) <= set(foreground):
        raise DatasetError(
            f"{where}: classes {list(classes)} must be one or more different foreground classes; "
            f"choose from {', '.join(foreground)}"
        )
    chosen = [names.index(name) for name in classes]
    kept, colors = tuple(classes), tuple(source.palette[index] for index in chosen)
    wanted = frozenset(chosen) if images == "containing" else None
    if source.task == "classification":
        if images == "all":
            raise DatasetError(f"{where}: images of other classes have no class in a selection; use images 'containing'")
        lookup[: len(names)] = VOID
        lookup[chosen] = np.arange(len(chosen))
        return Selection(lookup, kept, colors, False, wanted)
    lookup[: len(names)] = 0
    lookup[chosen] = np.arange(1, len(chosen) + 1)
    background, black = (names[0], source.palette[0]) if source.has_background else ("background", BACKGROUND_COLOR)
    return Selection(lookup, (background, *kept), (black, *colors), True, wanted)


def part_of_trial(image_id: str) -> Part:
    """Return whether a trial trains on a training image or is scored on it, by chance that depends on its name alone."""
    return "val" if hashlib.sha256(image_id.encode()).digest()[0] < 0.3 * 256 else "train"


class PreparedArchive:
    """Reader of a file that `write_prepared` wrote, or a view of it with some of its classes.

    May be pickled and may be used in worker processes, forked or spawned: each process opens the file for itself on first use.
    A view costs nothing: no file is copied, and no mask is decoded before it is asked for.

    Args:
        path: the archive.
        classes: foreground classes of a view, which become 1..n in the given order; others become background in masks,
            scribbles, clicks and sizes. In a classification set the classes become 0..n-1. None: the archive as it is.
        images: with `classes`, show the images that hold a pixel of at least one ("containing"), or all.
        part: of these images, the seven tenths that a trial trains on ("train"), or the others, which it is scored on ("val").
            None: all.

    Attributes:
        path: the archive.
        ids: image ids in the order of the split.
        other_part: the images that `part` leaves out.
        kind: name of the data set.
        task: "segmentation" or "classification".
        class_names: class names, background first where there is one.
        has_background: class 0 is the background.
        palette: one RGB colour per class.
        num_classes: C.
        counts: what `write_prepared` returned: of the whole archive, in a view too.

    Raises:
        DatasetError: the file is missing, truncated or of another form, a class is unknown, or no image is left.
    """

    _remedy = "delete it and run `dvc repro` to prepare the data again"

    def __init__(
        self, path: Path, classes: Sequence[str] | None = None, images: Images = "containing", part: Part | None = None
    ) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._owner = 0
        try:
            meta = json.loads(self._read("meta.json"))
            if meta["format"] != FORMAT:
                raise ValueError(f"format {meta['format']}, expected {FORMAT}")
            self.kind: str = meta["kind"]
            self.task: Literal["segmentation", "classification"] = meta["task"]
            self.has_background: bool = meta["has_background"]
            self.class_names: tuple[str, ...] = tuple(meta["class_names"])
            self.palette: tuple[tuple[int, int, int], ...] = tuple((r, g, b) for r, g, b in meta["palette"])
            self.counts: dict[str, Any] = meta["counts"]
            rows = {row["id"]: row for row in csv.DictReader(io.StringIO(self._read("index.csv").decode(), newline=""))}
            present = {image_id: [int(index) for index in row["classes"].split()] for image_id, row in rows.items()}
            sizes = {image_id: (int(row["width"]), int(row["height"])) for image_id, row in rows.items()}
            groups = {image_id: row["group"] for image_id, row in rows.items() if row.get("group")}
        except MALFORMED as error:
            raise DatasetError(f"{self.path}: is not a prepared archive ({error!r}); {self._remedy}") from error
        self._stored_classes = len(self.class_names)
        selection = select_classes(self, classes, images, str(self.path))
        self._lookup = None if classes is None else selection.lookup
        self.class_names, self.palette = selection.class_names, selection.palette
        self.has_background = selection.has_background
        kept = [image_id for image_id in rows if selection.keeps(present[image_id])]
        self.ids: list[str] = [image_id for image_id in kept if part in (None, part_of_trial(image_id))]
        self.other_part = frozenset(kept) - frozenset(self.ids)
        if not kept:
            raise DatasetError(f"{self.path}: holds no image with a pixel of {', '.join(classes or ())}; choose other classes")
        if not self.ids:
            raise DatasetError(f"{self.path}: {len(kept)} images are too few for a trial; use more training images")
        self.num_classes = len(self.class_names)
        self._sizes = {image_id: sizes[image_id] for image_id in self.ids}
        self._present = {image_id: selection.renumber(present[image_id]) for image_id in self.ids}
        self._groups = {image_id: groups[image_id] for image_id in self.ids if image_id in groups}
        self._names = set(self._open().namelist())
        self._images = {name[len("images/") :].rpartition(".")[0]: name for name in self._names if name.startswith("images/")}

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
        name = self._images.get(image_id, f"images/{image_id}")
        return decode_photo(self._read(name), f"{self.path}: {name}")

    def labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`."""
        self.size(image_id)
        return self._mask(f"labels/{image_id}.png")

    def classes_in(self, image_id: str) -> list[int]:
        """Return the classes that the image holds, ascending, void left out; no mask is decoded."""
        self.size(image_id)
        return self._present[image_id]

    def image_class(self, image_id: str) -> int:
        """Return the class index of the whole image.

        Raises:
            DatasetError: a segmentation set.
        """
        if self.task != "classification":
            raise DatasetError(f"{self.path}: {self.kind} is a segmentation set; its images have masks, not one class each")
        return self.classes_in(image_id)[0]

    def group(self, image_id: str) -> str | None:
        """Return the volume that the image is a slice of, or None if the data set has single images."""
        self.size(image_id)
        return self._groups.get(image_id)

    def scribbles(self) -> dict[str, list[Scribble]] | None:
        """Return the strokes per image, or None if the data set has none."""
        return self._annotation("scribbles.json")

    def clicks(self) -> dict[str, list[Scribble]] | None:
        """Return the clicks per image, or None if the data set has none."""
        return self._annotation("clicks.json")

    def sizes(self) -> dict[str, np.ndarray] | None:
        """Return annotated sizes per image, (C,) fractions that sum to 1, or None if the data set has none."""
        if "sizes.json" not in self._names:
            return None
        try:
            stored = {image_id: np.array(values, np.float64) for image_id, values in json.loads(self._read("sizes.json")).items()}
            merged = np.arange(self._stored_classes) if self._lookup is None else self._lookup[: self._stored_classes]
            return {
                image_id: np.bincount(merged, weights=values, minlength=self.num_classes)
                for image_id, values in stored.items()
                if image_id in self._sizes
            }
        except MALFORMED as error:
            raise DatasetError(f"{self.path}: sizes.json is broken ({error!r}); {self._remedy}") from error

    def scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, (H, W) uint8 with `VOID` where nothing is drawn, or None if the data set has none."""
        self.size(image_id)
        name = f"scribbles/{image_id}.png"
        return self._mask(name) if name in self._names else None

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        if self._zip is not None and self._owner == os.getpid():
            self._zip.close()
        self._zip = None

    def _mask(self, name: str) -> np.ndarray:
        labels = decode_mask(self._read(name), self._stored_classes, f"{self.path}: {name}")
        return labels if self._lookup is None else self._lookup[labels]

    def _annotation(self, name: str) -> dict[str, list[Scribble]] | None:
        if name not in self._names:
            return None
        stored = scribbles_from_json(self._read(name), f"{self.path}: {name}")
        shown = {image_id: stored[image_id] for image_id in self.ids if image_id in stored}
        return shown if self._lookup is None else {key: _renumbered(strokes, self._lookup) for key, strokes in shown.items()}

    def _open(self) -> zipfile.ZipFile:
        # A forked child shares the file position of its parent, so it must open the file anew.
        if self._zip is None or self._owner != os.getpid():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except FileNotFoundError as error:
                raise DatasetError(f"{self.path}: not found; run `dvc repro` to prepare the data") from error
            except Exception as error:
                raise DatasetError(f"{self.path}: truncated or not a prepared archive ({error}); {self._remedy}") from error
            self._owner = os.getpid()
        return self._zip

    def _read(self, name: str) -> bytes:
        try:
            return self._open().read(name)
        except DatasetError:
            raise
        except Exception as error:  # of a damaged archive, zipfile and zlib raise what they stumble over
            raise DatasetError(f"{self.path}: entry '{name}' is missing or broken ({error}); {self._remedy}") from error


class _Writer:
    """Adds images to an archive one by one and writes the index at the end."""

    def __init__(self, archive: zipfile.ZipFile, dataset: RawDataset, selection: Selection) -> None:
        self.archive = archive
        self.dataset = dataset
        self.selection = selection
        self.rows: list[dict[str, object]] = []
        self.counter = _Counter()
        self.values = np.zeros(256, np.int64)
        self.strokes: dict[str, list[Scribble]] = {}
        self.clicks: dict[str, list[Scribble]] = {}
        self.sizes: dict[str, list[float]] = {}
        self.outside = 0

    def add(self, image_id: str) -> None:
        """Add one image with everything known of it, unless the selection leaves it out."""
        add = self._add_classified if self.dataset.task == "classification" else self._add_segmented
        row = add(image_id)
        if row is not None:
            group = self.dataset.group(image_id)
            self.rows.append(row if group is None else row | {"group": group})

    def finish(self, split: str) -> dict[str, Any]:
        """Write index, annotations and meta data; return the counts."""
        dataset, selection = self.dataset, self.selection
        if dataset.has_background and split == "train":
            check_has_classes(self.values, f"{dataset.root}: {dataset.name}")
        counts = self.counter.result(selection, dataset.task)
        if dataset.task == "segmentation":
            counts |= {name: sum(map(len, kept.values())) for name, kept in (("strokes", self.strokes), ("clicks", self.clicks))}
            counts |= {"left_out_beside_the_picture": self.outside} if self.outside else {}
        for name, annotation in (("scribbles.json", self.strokes), ("clicks.json", self.clicks)):
            if annotation:
                self._check_unit(annotation, name.removesuffix(".json"))
                _add(self.archive, name, scribbles_to_json(annotation).encode())
        if self.sizes:
            _add(self.archive, "sizes.json", json.dumps(self.sizes, indent=1, sort_keys=True).encode())
        index = io.StringIO(newline="")
        writer = csv.DictWriter(index, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        _add(self.archive, "index.csv", index.getvalue().encode())
        meta = {
            "format": FORMAT,
            "kind": dataset.name,
            "task": dataset.task,
            "split": split,
            "has_background": selection.has_background,
            "class_names": selection.class_names,
            "palette": selection.palette,
            "counts": counts,
        }
        _add(self.archive, "meta.json", json.dumps(meta, indent=1, sort_keys=True).encode())
        return counts

    def _check_unit(self, annotation: Mapping[str, Sequence[Scribble]], what: str) -> None:
        """Raise DatasetError if coordinates seem to be fractions of the picture, as some tools write them."""
        large = {str(row["id"]) for row in self.rows if min(int(str(row["width"])), int(str(row["height"]))) > FEW_PX}
        found = [point for name, strokes in annotation.items() if name in large for one in strokes for point in one.points]
        if len(found) > FEW_POINTS and max(map(max, found)) <= 1:
            raise DatasetError(
                f"{self.dataset.root}: all {len(found)} points of {what} lie within the first pixel of their pictures; "
                "coordinates are pixels, so multiply fractions by width and height"
            )

    def _add_segmented(self, image_id: str) -> dict[str, object] | None:
        dataset, lookup = self.dataset, self.selection.lookup
        original = dataset.read_labels(image_id)
        values = np.bincount(original.ravel(), minlength=256)
        self.values += values * (values[VOID] < values.sum())  # a mask of void alone says nothing
        present = dataset.classes_in(image_id, original)
        if not self.selection.keeps(present):
            return None
        labels = lookup[original]
        height, width = labels.shape
        shown = self._add_image(image_id)
        if shown != (width, height):
            raise DatasetError(
                f"{dataset.image_path(image_id)}: photo is {shown[0]}x{shown[1]} pixels, but its mask is {width}x{height}; "
                "restore both from the original archive"
            )
        _add(self.archive, f"labels/{image_id}.png", encode_mask(labels, self.selection.palette))
        raster = dataset.read_drawn(image_id, original)
        if raster is not None:
            _add(self.archive, f"scribbles/{image_id}.png", encode_mask(lookup[raster], self.selection.palette))
        for kept, found in ((self.strokes, dataset.read_scribbles(image_id)), (self.clicks, dataset.read_clicks(image_id))):
            if found is not None:
                inside = [stroke for stroke in found if _meets(stroke, width, height)]
                self.outside += len(found) - len(inside)
                kept[image_id] = _renumbered(inside, lookup)
        sizes = dataset.read_sizes(image_id)
        if sizes is not None:
            count = len(self.selection.class_names)
            self.sizes[image_id] = np.bincount(lookup[: len(sizes)], weights=sizes, minlength=count).tolist()
        self.counter.add(labels)
        return _row(image_id, (width, height), self.selection.renumber(present))

    def _add_classified(self, image_id: str) -> dict[str, object] | None:
        original = self.dataset.read_class(image_id)
        if not self.selection.keeps([original]):
            return None
        class_index = int(self.selection.lookup[original])
        size = self._add_image(image_id)
        self.counter.add(np.array([class_index]))
        return _row(image_id, size, [class_index]) | {"class": class_index}

    def _add_image(self, image_id: str) -> tuple[int, int]:
        """Add the photo, decoded once to be sure that it can be; return (width, height)."""
        content, suffix = self.dataset.image_bytes(image_id)
        height, width = decode_photo(content, str(self.dataset.image_path(image_id))).shape[:2]
        _add(self.archive, f"images/{image_id}{suffix}", content)
        return width, height


def _meets(stroke: Scribble, width: int, height: int) -> bool:
    """Return whether anything of a stroke can lie in its picture."""
    xs, ys = zip(*stroke.points) if stroke.points else ((-1.0,), (-1.0,))
    return max(xs) >= 0 and min(xs) < width and max(ys) >= 0 and min(ys) < height


class _Counter:
    """Pixels and images per class, collected image by image."""

    def __init__(self) -> None:
        self.pixels = np.zeros(256, np.int64)
        self.images = np.zeros(256, np.int64)
        self.total = 0

    def add(self, labels: np.ndarray) -> None:
        found = np.bincount(labels.ravel(), minlength=256)
        self.pixels += found
        self.images += found > 0
        self.total += 1

    def result(self, selection: Selection, task: str) -> dict[str, Any]:
        names = selection.class_names
        images_with = {name: int(self.images[index]) for index, name in enumerate(names)}
        counts: dict[str, Any] = {"images": self.total, "images_with": images_with}
        if task == "classification":
            return counts
        counts["pixels"] = {name: int(self.pixels[index]) for index, name in enumerate(names)}
        counts["void_pixels"] = int(self.pixels[VOID])
        counts["images_with_void"] = int(self.images[VOID])
        if selection.has_background:
            counts["images_without_background"] = int(self.total - self.images[0])
        return counts


def _row(image_id: str, size: tuple[int, int], classes: Sequence[int]) -> dict[str, object]:
    return {"id": image_id, "width": size[0], "height": size[1], "classes": " ".join(map(str, classes))}


def _renumbered(strokes: Sequence[Scribble], lookup: np.ndarray) -> list[Scribble]:
    return [Scribble(int(lookup[stroke.class_index]), stroke.points) for stroke in strokes]


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, content)
