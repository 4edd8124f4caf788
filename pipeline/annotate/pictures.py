"""Where the tool's pictures come from, and how a browser gets to see them.

A source knows its pictures when it is opened and hands out nothing else, so no request can reach another file.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from pipeline.conventions import VOID
from pipeline.datasets.base import UNREADABLE, DatasetError, read_mask
from pipeline.datasets.prepared import PreparedArchive
from pipeline.targets.annotations import BACKGROUND
from pipeline.targets.sizes import class_sizes

LONGEST_SIDE_PX = 1600
"""Larger pictures are shown scaled down to this."""
UNSAFE_FORMATS = {"EPS"}
"""Formats that Pillow hands to another program."""
ORIENTATION_TAG, TURNED = 0x0112, (5, 6, 7, 8)
"""EXIF's orientation, and its values that exchange width and height."""
ALPHA_GROUND = (128, 128, 128)
"""Grey behind transparent parts."""


class Pictures(Protocol):
    """Pictures by id, and their masks where these are known."""

    ids: list[str]

    def content(self, image_id: str) -> bytes:
        """Return the picture's file."""

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first, or None if there is no mask."""


class FolderPictures:
    """The pictures in a folder (not in its subfolders), in natural order; the id is the file name without suffix.

    Args:
        folder: holds the pictures.
        class_names: foreground classes.
        masks: folder of palette or grey PNGs `<id>.png`, or None.
        mask_values: class name -> pixel value in the masks. None: 1, 2, ... in the order of the classes.

    Raises:
        ValueError: no such folder, no picture in it, or two pictures with one id.
    """

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        masks: Path | None = None,
        mask_values: Mapping[str, int] | None = None,
    ) -> None:
        self._paths = _pictures_in(folder)
        self.ids = sorted(self._paths, key=natural_order)
        if masks is not None and not masks.is_dir():
            raise ValueError(f"{masks}: is no folder; give the folder that holds the masks <id>.png")
        self._masks = masks
        self._values = dict(mask_values or {name: value for value, name in enumerate(class_names, start=1)})
        self._class_names = list(class_names)

    def content(self, image_id: str) -> bytes:
        """Return the picture's file.

        Raises:
            DatasetError: it is gone or cannot be read.
        """
        try:
            return self._paths[image_id].read_bytes()
        except OSError as error:
            raise DatasetError(f"{self._paths[image_id]}: {error.strerror}; restore the file or skip the picture") from error

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first, or None if there is no mask; values of other classes are background.

        Raises:
            DatasetError: the mask cannot be read.
        """
        path = self._masks / f"{image_id}.png" if self._masks is not None else None
        if path is None or not path.is_file():
            return None
        lookup = np.zeros(256, np.uint8)
        lookup[VOID] = VOID
        for index, name in enumerate(self._class_names, start=1):
            lookup[self._values[name]] = index
        return class_sizes(lookup[read_mask(path, VOID)], len(self._class_names) + 1)


class ArchivePictures:
    """The pictures of a prepared archive, with their masks.

    Args:
        archive: of one split; a view of the classes to be annotated.

    Raises:
        ValueError: its class 0 is no background.
    """

    def __init__(self, archive: PreparedArchive) -> None:
        self._archive = archive
        self.ids = list(archive.ids)
        self.class_names = list(archive.class_names[1:])
        if archive.class_names[0] != BACKGROUND:
            raise ValueError(f"{archive.path}: class 0 is {archive.class_names[0]!r}, not background; sizes need a background")
        with zipfile.ZipFile(archive.path) as file:
            self._entries = {Path(name).stem: name for name in file.namelist() if name.startswith("images/")}

    def content(self, image_id: str) -> bytes:
        """Return the picture's file."""
        with zipfile.ZipFile(self._archive.path) as file:
            return file.read(self._entries[image_id])

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first."""
        return class_sizes(self._archive.labels(image_id), self._archive.num_classes)


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts img10 after img9.

    >>> sorted(["b10", "b9", "a"], key=natural_order)
    ['a', 'b9', 'b10']
    """
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))


def _pictures_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder; give the folder that holds the pictures")
    root = folder.resolve()
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in set(Image.OPEN) - UNSAFE_FORMATS}
    found: dict[str, Path] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() not in suffixes or stem.startswith(".") or not entry.is_file():
                continue
            path = folder / entry.name
            if entry.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            if stem in found:
                raise ValueError(
                    f"{folder}: {found[stem].name} and {entry.name} have the same name; rename or remove one of them"
                )
            found[stem] = path
    if not found:
        raise ValueError(f"{folder}: holds no picture that can be read; known suffixes are {', '.join(sorted(suffixes))}")
    return found


def upright_size(content: bytes, name: str) -> tuple[int, int]:
    """Return (width, height) of a picture turned upright by its EXIF rotation, from its header.

    Raises:
        DatasetError: it is not an image.
    """
    try:
        with Image.open(io.BytesIO(content), formats=sorted(set(Image.OPEN) - UNSAFE_FORMATS)) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION_TAG, 1) in TURNED
    except UNREADABLE as error:
        raise DatasetError(f"{name}: cannot be read as an image ({error}); restore the file or skip the picture") from error
    return (height, width) if turned else (width, height)


def render(content: bytes, name: str, longest_px: int = LONGEST_SIDE_PX) -> bytes:
    """Return a picture as a browser shows it: upright by its EXIF rotation, 8-bit RGB, as JPEG.

    Args:
        content: file in any format that Pillow reads; of several frames the first is taken.
        name: stands in errors.
        longest_px: larger pictures are scaled down until no side is longer.

    Raises:
        DatasetError: it is not an image, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(content), formats=sorted(set(Image.OPEN) - UNSAFE_FORMATS)) as image:
            image.draft("RGB", (longest_px, longest_px))
            upright = ImageOps.exif_transpose(image)
            shown = _as_rgb(upright)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{name}: cannot be read as an image ({error}); restore the file or skip the picture") from error
    shown.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()


def _as_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode; more than 8 bits per pixel are stretched from the darkest to the brightest value."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low or 1.0) * 255
        return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        ground = Image.new("RGB", image.size, ALPHA_GROUND)
        ground.paste(layered, mask=layered.getchannel("A"))
        return ground
    return image.convert("RGB")
