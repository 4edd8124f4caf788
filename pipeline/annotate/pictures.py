"""Where the tool's pictures come from, and how a browser gets to see them.

A source knows its pictures when it is opened and hands out nothing else, so no request can reach another file.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.pictures import NO_MASK, decode_photo, picture_formats, read_mask
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError, file_id, files_by_id
from pipeline.files import read_bytes, real_path
from pipeline.targets.annotations import BACKGROUND
from pipeline.targets.sizes import class_sizes

LONGEST_SIDE_PX = 1600
"""Larger pictures are shown scaled down to this."""
MASKS_TRIED = 20
"""So many masks are looked at before anybody annotates."""


class Pictures(Protocol):
    """Pictures by id, and their masks where these are known."""

    ids: list[str]

    def content(self, image_id: str) -> bytes:
        """Return the picture's file."""

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first, or None if there is no mask."""


class FolderPictures:
    """The pictures in a folder (not in its subfolders), in natural order; the id is the file name without suffix, in NFC.

    Args:
        folder: holds the pictures.
        class_names: foreground classes.
        masks: folder of palette or grey PNGs `<id>.png`, or None.
        mask_values: class name -> pixel value in the masks. None: 1, 2, ... in the order of the classes.

    Attributes:
        ids: of the pictures.
        left_out: reason -> names of files that are no pictures of this project, or masks of others.

    Raises:
        ValueError: no such folder, no picture in it, two pictures with one id, or masks of none of them.
        DatasetError: a picture whose name cannot stand in a table, or a folder of masks with other files or two of one id.
    """

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        masks: Path | None = None,
        mask_values: Mapping[str, int] | None = None,
    ) -> None:
        self._paths, self.left_out = _pictures_in(folder)
        self.ids = sorted(self._paths, key=natural_order)
        if masks is not None and not masks.is_dir():
            raise ValueError(f"{masks}: is no folder; give the folder that holds the masks <id>.png")
        self._masks = {} if masks is None else files_by_id(masks, (".png",), NO_MASK)
        if masks is not None and not self._masks.keys() & self._paths.keys():
            raise ValueError(f"{masks}: holds no mask named as one of the {len(self.ids)} pictures, <id>.png; check the folder")
        if others := sorted(self._masks.keys() - self._paths.keys()):
            self.left_out["masks of no picture here"] = [self._masks[image_id].name for image_id in others]
        self._counted = mask_values is None
        self._values = dict(mask_values or {name: value for value, name in enumerate(class_names, start=1)})
        self._class_names = list(class_names)

    def content(self, image_id: str) -> bytes:
        """Return the picture's file.

        Raises:
            DatasetError: it is gone or cannot be read.
        """
        try:
            return read_bytes(self._paths[image_id])
        except OSError as error:
            raise DatasetError(f"{self._paths[image_id]}: {error.strerror}; restore the file or skip the picture") from error

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first, or None if there is no mask.

        Where values were given for the classes, all others but void are background.

        Raises:
            DatasetError: the mask cannot be read, or has other values than those of the classes.
            ValueError: all of it is void.
        """
        path = self._masks.get(image_id)
        if path is None:
            return None
        labels = read_mask(path, VOID)
        self._check_values(path, labels)
        lookup = np.zeros(256, np.uint8)
        lookup[VOID] = VOID
        for index, name in enumerate(self._class_names, start=1):
            lookup[self._values[name]] = index
        return class_sizes(lookup[labels], len(self._class_names) + 1)

    def check_masks(self) -> None:
        """Raise DatasetError if the first masks fit the classes so badly that no exact size could be shown."""
        problems, tried = [], [image_id for image_id in self.ids if image_id in self._masks][:MASKS_TRIED]
        for image_id in tried:
            try:
                self.exact_sizes(image_id)
            except (DatasetError, ValueError) as error:
                problems.append(str(error))
        if tried and len(problems) == len(tried):
            raise DatasetError(problems[0])

    def _check_values(self, path: Path, labels: np.ndarray) -> None:
        present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()) - {0, *self._values.values()}
        if present == {VOID} and labels.max(initial=0, where=labels != VOID) == 0:
            raise DatasetError(
                f"{path}: holds the values 0 and {VOID} alone, and {VOID} is void, no class; if it is the object here, say so: "
                f"--mask-values {self._class_names[0]}={VOID}"
            )
        if self._counted and present - {VOID}:
            raise DatasetError(
                f"{path}: holds the value {max(present - {VOID})}, and the classes have 1 to {len(self._class_names)}; "
                "say which values they have with --mask-values"
            )


class ArchivePictures:
    """The pictures of a prepared archive, with their masks.

    Args:
        archive: of one split; a view of the classes to be annotated.

    Raises:
        ValueError: its class 0 is no background.
    """

    def __init__(self, archive: PreparedArchive) -> None:
        self._archive = archive
        self._stored = {file_id(image_id, str(archive.path)): image_id for image_id in archive.ids}
        self.ids = list(self._stored)
        self.class_names = list(archive.class_names[1:])
        if archive.class_names[0] != BACKGROUND:
            raise ValueError(f"{archive.path}: class 0 is {archive.class_names[0]!r}, not background; sizes need a background")
        with zipfile.ZipFile(archive.path) as file:
            self._entries = {PurePosixPath(name).stem: name for name in file.namelist() if name.startswith("images/")}

    def content(self, image_id: str) -> bytes:
        """Return the picture's file."""
        with zipfile.ZipFile(self._archive.path) as file:
            return file.read(self._entries[self._stored[image_id]])

    def exact_sizes(self, image_id: str) -> np.ndarray | None:
        """Return (C,) exact sizes, background first."""
        return class_sizes(self._archive.labels(self._stored[image_id]), self._archive.num_classes)


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts img10 after img9.

    >>> sorted(["b10", "b9", "a"], key=natural_order)
    ['a', 'b9', 'b10']
    """
    parts = re.split(r"([0-9]+)", name)  # every second part is digits; other alphabets' and raised ones are letters here
    return tuple((int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts))


def _pictures_in(folder: Path) -> tuple[dict[str, Path], dict[str, list[str]]]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder; give the folder that holds the pictures")
    root = real_path(folder)
    suffixes = picture_formats()
    found: dict[str, Path] = {}
    left_out: dict[str, list[str]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            path = folder / entry.name
            if stem.startswith("."):
                continue
            if not path.is_file():  # of a link to itself, the entry raises
                left_out.setdefault("folders, or links to nothing", []).append(entry.name)
            elif suffix.lower() not in suffixes:
                left_out.setdefault("of no format that can be read", []).append(entry.name)
            elif entry.is_symlink() and not real_path(path).is_relative_to(root):
                left_out.setdefault("links that lead outside", []).append(entry.name)
            else:
                image_id = file_id(stem, ascii(str(path)))
                if image_id in found:
                    raise ValueError(
                        f"{folder}: {found[image_id].name} and {entry.name} have the same name; rename or remove one of them"
                    )
                found[image_id] = path
    if not found:
        raise ValueError(f"{folder}: holds no picture that can be read; known suffixes are {', '.join(sorted(suffixes))}")
    return found, left_out


def render(content: bytes, name: str, longest_px: int = LONGEST_SIDE_PX) -> bytes:
    """Return a picture as the network sees it (`decode_photo`), as JPEG.

    Raises:
        DatasetError: it is not an image, or a damaged one.
    """
    shown = Image.fromarray(decode_photo(content, name, longest_px))
    shown.thumbnail((longest_px, longest_px))
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
