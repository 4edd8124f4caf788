"""What a data set is before anything is prepared: photos, masks and annotations in the folder layout its authors published.

`RawDataset` is the contract of a reader; the helpers below it open single files and turn every failure into a `DatasetError`
that names the file, says what is wrong and what to do. A reader also knows how to *write* its layout from `Scene`s, so that
procedural pictures pass through the same code as the real ones.
"""

from __future__ import annotations

import io
import json
import math
import reprlib
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.conventions import VOID
from pipeline.files import Line, parse_json, read_table, read_text, walk, write_atomically

MADE_FROM = "made_from"
"""Name of the note in a mask."""
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
"""What systems put beside people's files, in small letters."""
UNSAFE_FORMATS = {"EPS"}
"""Formats that Pillow hands to another program."""
ALPHA_GROUND = (128, 128, 128)
"""Grey behind transparent parts."""
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation that a camera has noted -> what turns the picture upright."""
EXCHANGED = (5, 6, 7, 8)
"""Orientations that exchange width and height."""
PASSED_ON = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png"}
"""Formats whose files are passed on as they are, with their suffix; others are re-encoded without loss."""
TWELVE_BITS = 4096
OF_ONE_PICTURE = {"MPO", "PSD"}
"""Formats whose further frames are other views or layers of the first one."""
SUBFILE_TAG = 254
SMALLER_OR_MASK = 0b101
"""Bits in that tag of a page of a TIFF: it is a preview of another page, or says which of its pixels are transparent."""
FARTHEST_PX = 100_000
"""Coordinates beyond this cannot belong to a picture; drawing towards them takes memory without end."""
DRAWN_AT_MOST = 0.75
"""Share of a picture that drawn scribbles may cover, unless they say what the mask says."""
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What taking apart a JSON or YAML document raises when it is not of the expected form."""
NO_MASK = "is no PNG, whose values are classes; convert it or take it out of the folder"
"""What is said of other files in a folder of masks."""
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
        with _opened(content, str(path), "an image") as image:
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


def color_map(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return the VOC colour map: bits 3j, 3j+1, 3j+2 of the class index set bit 7-j of red, green, blue.

    >>> color_map(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """

    def channel(index: int, offset: int) -> int:
        return sum(((index >> (3 * j + offset)) & 1) << (7 - j) for j in range(3))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count))


def require(path: Path, remedy: str) -> Path:
    """Return `path` if it is a file or a folder, else raise DatasetError with the remedy: reading a pipe would never end."""
    if not (path.is_file() or path.is_dir()):
        told = "is no ordinary file" if path.exists() else "not found"
        raise DatasetError(f"{path}: {told}; {remedy}")
    return path


def is_system_file(name: str) -> bool:
    """Return whether a file or folder is hidden (as `._a.jpg` of macOS) or put there by an operating system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


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


def check_class_names(names: Iterable[object]) -> None:
    """Raise ValueError unless names can stand in tables: words without spaces around them, different in more than capitals."""
    seen: dict[str, object] = {}
    for name in names:
        text = unicodedata.normalize("NFC", name).casefold() if isinstance(name, str) else ""
        if not text or text.strip() != text or not text.isprintable() or text == "image_id":
            shown = reprlib.repr(name)
            raise ValueError(f"{shown} is no name of a class; quote numbers, dates, yes and no, and leave no spaces around names")
        if text in seen:
            raise ValueError(f"{name!r} and {seen[text]!r} are one name, but for capitals and accents; rename one of them")
        seen[text] = name


@cache
def picture_formats() -> dict[str, str]:
    """Return suffix -> format of the pictures that Pillow opens without another program."""
    known = {suffix.lower(): kind for suffix, kind in Image.registered_extensions().items()}  # this loads all plugins
    return {suffix: kind for suffix, kind in known.items() if kind in Image.OPEN and kind not in UNSAFE_FORMATS}


def files_by_id(folder: Path, suffixes: Iterable[str], others: str | None = None) -> dict[str, Path]:
    """Return id -> file of one folder, sorted by id. The id is the file name without its last suffix.

    Args:
        folder: searched without the folders in it.
        suffixes: those that count, in small letters; files may have capitals.
        others: what to do about other files; None: they are left out, as files of operating systems are in any case.

    Raises:
        DatasetError: no folder, two files of one id, a link to nothing, a pipe, or with `others` a file of another kind.
    """
    remedy = "restore the folder from the original archive; check `source` of the data set"
    if not require(folder, remedy).is_dir():
        raise DatasetError(f"{folder}: is no folder; {remedy}")
    wanted, found = set(suffixes), dict[str, Path]()
    for path in sorted(folder.iterdir()):
        if is_system_file(path.name):
            continue
        if path.suffix.lower() not in wanted or path.is_dir():
            if others is not None:
                raise DatasetError(f"{path}: {others}")
            continue
        if not path.is_file():
            raise DatasetError(f"{path}: is a link to nothing, or no ordinary file; restore it, or take it away")
        image_id = file_id(path.stem, str(path))
        if image_id in found:
            raise DatasetError(f"{path}: has the same id as {found[image_id].name}; rename or remove one of them")
        found[image_id] = path
    return dict(sorted(found.items()))


def read_list(path: Path) -> list[str]:
    """Return the lines that are not empty: the image ids of a list file.

    Raises:
        DatasetError: the file is missing, not text, empty, or names an id twice.
    """
    require(path, "restore the list from the original archive or check the data set's path")
    with named_errors():
        lines = [line.strip() for line in read_text(path).split("\n")]
    ids = [file_id(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    if not ids:
        raise DatasetError(f"{path}: lists no image; restore it from the original archive")
    if len(set(ids)) != len(ids):
        repeated = next(image_id for image_id, count in Counter(ids).items() if count > 1)
        raise DatasetError(f"{path}: lists {repeated} more than once; remove the repeated line")
    return ids


@contextmanager
def named_errors(where: str | None = None) -> Iterator[None]:
    """Turn a ValueError into a DatasetError that starts with `where`; without it the message names the file already."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise DatasetError(str(error) if where is None else f"{where}: {error}") from error


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place for errors, row) of a table that must have exactly these columns, in any order.

    Raises:
        DatasetError: names the file, the line and what to do.
    """
    header: list[str]
    lines: list[Line]
    with named_errors():
        header, lines = read_table(path)
    if sorted(header) != sorted(columns):
        raise DatasetError(f"{path}, line 1: expected the columns {','.join(columns)}, got {','.join(header)}; rename them")
    for where, cells in lines:
        yield where, dict(zip(header, cells))


def whole_number(value: Any) -> int:
    """Return a whole number of a JSON document; export tools write 40.0 for 40.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(value)


def read_json(path: Path, form: str, remedy: str) -> Any:
    """Return a JSON document, as `parse_json` does.

    Raises:
        DatasetError: not JSON; `form` and `remedy` stand in it.
    """
    require(path, remedy)
    try:
        return parse_json(path.read_bytes())
    except (OSError, *MALFORMED) as error:
        raise DatasetError(f"{path}: is not of the form {form} ({error!r}); {remedy}") from error


@contextmanager
def _opened(source: Path | bytes, name: str, what: str) -> Iterator[ImageFile]:
    """Open a picture; whatever goes wrong inside becomes a DatasetError: Pillow's plugins raise what they stumble over."""
    try:
        formats = sorted(set(picture_formats().values()))
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as image:
            if (count := _pages(image)) > 1:
                raise DatasetError(
                    f"{name}: holds {count} pages or frames ({image.format}), and one picture a file is read; save each that is "
                    "wanted as a file of its own"
                )
            yield image
    except DatasetError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow's own rule, which protects from small files that fill the memory
        raise DatasetError(
            f"{name}: has more than the {most / 1e6:.0f} million pixels that are read; make it smaller, or cut it into parts"
        ) from error
    except Exception as error:
        told = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
        remedy = "check its permissions" if isinstance(error, PermissionError) else "restore the file"
        raise DatasetError(f"{name}: cannot be read as {what} ({told}); {remedy} or leave it out") from error


def _pages(image: Image.Image) -> int:
    """Return how many pictures a file holds; other views, layers, previews and masks belong to theirs."""
    count: int = getattr(image, "n_frames", 1)
    if not isinstance(image, TiffImageFile):
        return 1 if image.format in OF_ONE_PICTURE else count
    for page in range(1, count):
        image.seek(page)
        count -= bool(image.tag_v2.get(SUBFILE_TAG, 0) & SMALLER_OR_MASK)
    image.seek(0)
    return count


def _orientation(image: Image.Image) -> int:
    """Return the orientation that the file notes, 2 to 8, or 1 where there is none that can be read."""
    try:
        noted = image.getexif().get(ORIENTATION_TAG)
    except Exception:  # a broken block of a camera's notes says nothing, and the picture is fine without
        return 1
    return noted if isinstance(noted, int) and noted in UPRIGHT else 1


def _png_notes(path: Path) -> bool:
    """Return whether a PNG holds a camera's notes, which may stand behind the pixels: Pillow decodes them all to look for it."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            if head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def read_photo(path: Path) -> np.ndarray:
    """Return a photo as `decode_photo` does.

    Raises:
        DatasetError: missing, truncated or not an image.
    """
    require(path, "restore the photo from the original archive, or take its id out of the list")
    return decode_photo(path.read_bytes(), str(path))


def decode_photo(content: bytes, name: str, at_least_px: int | None = None) -> np.ndarray:
    """Return an encoded picture as every part of this project sees it: (H, W, 3) uint8, upright as its camera noted.

    Transparent parts lie on grey. 16 bits per channel keep their upper eight.

    Args:
        content: file in any format that Pillow reads by itself.
        name: stands in errors.
        at_least_px: a JPEG may be decoded at a smaller size whose sides are not below this: for display only.

    Raises:
        DatasetError: no picture or a damaged one, more than one (pages, frames of an animation), 32 bits per value, or 16 of
            which only the lower twelve are used.
    """
    with _opened(content, name, "an image") as image:
        if at_least_px is not None:
            image.draft("RGB", (at_least_px, at_least_px))
        deep = any(";16" in str(tile) for tile in image.tile)  # of colours, Pillow reads the upper eight bits alone
        image.load()  # a TIFF is turned while it is loaded and then notes no orientation any more
        turn = UPRIGHT.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
        if upright.mode in ("I", "F"):
            raise DatasetError(f"{name}: has 32 bits per value, whose range is unknown; export it with 8 bits")
        if upright.mode.startswith("I;16"):
            upright, deep = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8)), True
        if deep and np.asarray(upright.convert("RGB")).max() < TWELVE_BITS >> 8:
            raise DatasetError(
                f"{name}: has more than 8 bits per channel but no value above {TWELVE_BITS - 1}, so that its range is unknown "
                "and 8 bits would be nearly black; export it with 8 bits"
            )
        if upright.has_transparency_data:
            layered = upright.convert("RGBA")
            upright = Image.new("RGB", layered.size, ALPHA_GROUND)
            upright.paste(layered, mask=layered.getchannel("A"))
        return np.asarray(upright.convert("RGB"))


def read_mask(path: Path, num_classes: int) -> np.ndarray:
    """Return a mask, (H, W) uint8: the pixel values of a palette or grey PNG, checked.

    The value of a palette PNG is the class; its colour means nothing, so it is never converted.

    Args:
        path: PNG of mode P or L with up to 8 bits.
        num_classes: values allowed are 0..num_classes-1 and `VOID`.

    Raises:
        DatasetError: missing, broken, of another kind, or with a value that is no class.
    """
    require(path, "restore the mask from the original archive, or take its id out of the list")
    return decode_mask(path.read_bytes(), num_classes, str(path))


def decode_mask(content: bytes, num_classes: int, name: str) -> np.ndarray:
    """Return an encoded mask as (H, W) uint8, checked as in `read_mask`; `name` stands in errors."""
    with _opened(content, name, "a mask") as image:
        if image.format != "PNG":
            raise DatasetError(f"{name}: is a {image.format} file; masks are PNG, which keeps every pixel's value: convert it")
        mode, labels = image.mode, np.asarray(image)
        if mode not in ("P", "L", "1"):
            raise DatasetError(
                f"{name}: mask has mode {mode}, not P (palette) or L; use the original PNG, whose values are classes"
            )
        if _orientation(image) != 1:
            raise DatasetError(f"{name}: mask notes an orientation to be turned to; export it upright and without that note")
        depth = content[24]  # of the PNG's header; Pillow spreads grey of fewer than 8 bits over 0..255
        if mode != "P" and depth < 8:
            labels = np.asarray(image.convert("L")) // (255 // (2**depth - 1))
    present = np.bincount(labels.ravel(), minlength=256)
    present[VOID] = 0
    highest = int(np.flatnonzero(present).max(initial=0))
    if highest >= num_classes:
        raise DatasetError(
            f"{name}: mask holds the value {highest}, which is neither a class (0..{num_classes - 1}) nor void ({VOID}); "
            "use the original PNG, not one converted to grey or with other class numbers"
        )
    return labels.astype(np.uint8)


def check_has_classes(counts: np.ndarray, name: str) -> None:
    """Check that masks are not the black and white ones of many tools, in which {VOID} stands for the object.

    Args:
        counts: (256,) pixels per value in one mask or in all.
        name: stands in errors.

    Raises:
        DatasetError: every pixel is 0 or 255, and some are 255.
    """
    if counts[VOID] and not counts[1:VOID].any():
        raise DatasetError(
            f"{name}: the masks hold the values 0 and {VOID} alone, and {VOID} is void, no class; "
            "save the object with its class number (1, 2, ...) in place of 255"
        )


def upright_size(content: bytes, name: str) -> tuple[int, int]:
    """Return (width, height) of an encoded picture as `decode_photo` turns it, from its header.

    Raises:
        DatasetError: it is not an image.
    """
    with _opened(content, name, "an image") as image:
        width, height = image.size
        return (height, width) if _orientation(image) in EXCHANGED else (width, height)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of a picture as `decode_photo` gives it, from its header where it lies upright already.

    Raises:
        DatasetError: missing or not an image.
    """
    require(path, "restore the file from the original archive, or take its id out of the list")
    with _opened(path, str(path), "an image") as image:
        if (image.format == "PNG" and not _png_notes(path)) or _orientation(image) == 1:
            return image.size
    height, width = read_photo(path).shape[:2]
    return width, height


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
