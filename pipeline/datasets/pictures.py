"""Photos and masks as files: decoded as every part of this project sees them, and encoded.

Cameras, tools and people make many kinds of files; each that is no 8-bit photo, or no mask of class numbers, is either turned
into one without loss or refused by a `DatasetError` that names the file, the fault and the remedy.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.conventions import VOID
from pipeline.datasets.raw_files import DatasetError, require
from pipeline.files import write_atomically

MADE_FROM = "made_from"
"""Name of the note in a mask."""
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
NO_MASK = "is no PNG, whose values are classes; convert it or take it out of the folder"
"""What is said of other files in a folder of masks."""
VOID_COLOR = (224, 224, 192)
"""Colour of void pixels in palettes, as in PASCAL VOC."""


def color_map(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return the VOC colour map: bits 3j, 3j+1, 3j+2 of the class index set bit 7-j of red, green, blue.

    >>> color_map(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """

    def channel(index: int, offset: int) -> int:
        return sum(((index >> (3 * j + offset)) & 1) << (7 - j) for j in range(3))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count))


@cache
def picture_formats() -> dict[str, str]:
    """Return suffix -> format of the pictures that Pillow opens without another program."""
    known = {suffix.lower(): kind for suffix, kind in Image.registered_extensions().items()}  # this loads all plugins
    return {suffix: kind for suffix, kind in known.items() if kind in Image.OPEN and kind not in UNSAFE_FORMATS}


@contextmanager
def opened(source: Path | bytes, name: str, what: str) -> Iterator[ImageFile]:
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
    with opened(content, name, "an image") as image:
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
    with opened(content, name, "a mask") as image:
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
    with opened(content, name, "an image") as image:
        width, height = image.size
        return (height, width) if _orientation(image) in EXCHANGED else (width, height)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of a picture as `decode_photo` gives it, from its header where it lies upright already.

    Raises:
        DatasetError: missing or not an image.
    """
    require(path, "restore the file from the original archive, or take its id out of the list")
    with opened(path, str(path), "an image") as image:
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
