"""The archive in which the PASCAL VOC server takes predictions on the test photos ([SIZE] Table 2, column "Test").

    results/VOC2012/Segmentation/comp6_test_cls/<id>.png       one per test photo, in a .tgz

Each file is an 8-bit palette PNG as large as the photo; its values are the classes 0..20, without void, and its palette is the
VOC colour map. comp6 is the competition that allows other training data, such as SBD and ImageNet.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.conventions import VOID
from pipeline.files import atomic_path

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
NUM_CLASSES = 21
PARENTS = ("results", "results/VOC2012", "results/VOC2012/Segmentation", FOLDER)
"""Entries that other programs add for the folders themselves."""


def write_submission(
    path: Path, predictions: Iterable[tuple[str, np.ndarray]], expected_sizes: Mapping[str, tuple[int, int]]
) -> None:
    """Write the predictions on all test photos; the file appears only when it is complete and checked.

    The same predictions give the same bytes, in whatever order they come.

    Args:
        path: the .tgz.
        predictions: image id and (H, W) integers in 0..20, one after the other; the ids are those of `expected_sizes`.
        expected_sizes: (width, height) of every test photo by image id.

    Raises:
        ValueError: a photo is missing, unknown or there twice, or a prediction has another size or a value out of range.
        OSError: the archive cannot be written; an older one stays.
    """
    files: dict[str, bytes] = {}
    for image_id, prediction in predictions:
        if image_id in files:
            raise ValueError(f"{image_id}: expected one prediction per photo, got a second one")
        if image_id not in expected_sizes:
            raise ValueError(f"{image_id}: expected one of the {len(expected_sizes)} test photos, got an unknown id")
        _check_prediction(image_id, prediction, expected_sizes[image_id])
        files[image_id] = _encode(prediction)
    _check_complete("predictions", files, expected_sizes)
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            _write_archive(file, files)
        check_submission(temporary, expected_sizes)


def check_submission(path: Path, expected_sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raise ValueError unless an archive holds what the server expects.

    Every test photo once and nothing else, under its path; 8-bit palette PNGs of the photo's size with values 0..20 and the VOC
    colours.

    Args:
        path: a .tgz, of `write_submission` or made elsewhere.
        expected_sizes: (width, height) of every test photo by image id.

    Raises:
        ValueError: names the archive, the file in it, what was expected and what is there.
    """
    found: set[str] = set()
    try:
        # Unpacked as a whole, because reading entry by entry never reaches the checksum at the end.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes())), mode="r:") as archive:
            for member in archive:
                if member.isdir() and member.name in PARENTS:
                    continue
                where = f"{path}, {member.name}"
                image_id = member.name.removeprefix(f"{FOLDER}/").removesuffix(".png")
                file = archive.extractfile(member) if member.isfile() else None
                if file is None or member.name != _member_name(image_id) or image_id not in expected_sizes:
                    raise ValueError(f"{where}: expected only files {_member_name('<id>')} of the test photos")
                if image_id in found:
                    raise ValueError(f"{where}: expected one file per photo, got a second one")
                found.add(image_id)
                _check_prediction(where, _decode(where, file.read()), expected_sizes[image_id])
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: expected a readable .tgz archive, got: {error}") from error
    _check_complete(str(path), found, expected_sizes)


def color_map() -> np.ndarray:
    """Return the VOC colours of all values, (256, 3) uint8: bits 3j + c of the value set bit 7 - j of channel c.

    >>> color_map()[:3].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    values = np.arange(256)
    bits = [(values >> (3 * j + np.arange(3)[:, None]) & 1) << (7 - j) for j in range(3)]
    return np.sum(bits, axis=0).T.astype(np.uint8)


def _member_name(image_id: str) -> str:
    return f"{FOLDER}/{image_id}.png"


def _check_prediction(where: str, prediction: np.ndarray, size: tuple[int, int]) -> None:
    """Raise ValueError unless `prediction` has the photo's size and holds nothing but classes."""
    width, height = size
    if prediction.shape != (height, width):
        raise ValueError(f"{where}: expected {width}x{height} pixels as the photo has, got shape {prediction.shape}")
    if prediction.dtype.kind not in "iu":
        raise ValueError(f"{where}: expected integers, got {prediction.dtype}")
    lowest, highest = int(prediction.min(initial=0)), int(prediction.max(initial=0))
    if lowest < 0 or highest >= NUM_CLASSES:
        note = " (void)" if highest == VOID else ""
        raise ValueError(f"{where}: expected values 0..{NUM_CLASSES - 1}, got {lowest}..{highest}{note}")


def _check_complete(where: str, found: Collection[str], expected: Collection[str]) -> None:
    missing = sorted(set(expected) - set(found))
    if missing:
        raise ValueError(
            f"{where}: expected all {len(expected)} test photos, got {len(found)}; the first missing is {missing[0]}"
        )


def _encode(prediction: np.ndarray) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(prediction, np.uint8), mode="L")
    # All 256 colours: with fewer than 17, PNG would be written with 4 bits per pixel.
    image.putpalette(color_map().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _decode(where: str, content: bytes) -> np.ndarray:
    """Return the values of a PNG after checking its kind and palette."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, mode, values = image.format, image.mode, np.asarray(image)
            palette = image.getpalette("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{where}: expected a readable PNG, got: {error}") from error
    # Byte 24 of a PNG is the bit depth; the library unpacks smaller depths without a word.
    if (kind, mode) != ("PNG", "P") or palette is None or content[24] != 8:
        depth = f", {content[24]} bits" if kind == "PNG" else ""
        raise ValueError(f"{where}: expected an 8-bit palette PNG, got {kind} of mode {mode}{depth}")
    wanted = color_map()[:NUM_CLASSES].ravel().tolist()
    if palette[: len(wanted)] != wanted:
        raise ValueError(f"{where}: expected the VOC colour map, got a palette that starts with {palette[:6]}, not {wanted[:6]}")
    return values


def _write_archive(file: io.BufferedIOBase, files: Mapping[str, bytes]) -> None:
    """Write a .tgz without times, owners and names of this machine."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for image_id in sorted(files):
            entry = tarfile.TarInfo(_member_name(image_id))
            entry.size = len(files[image_id])
            archive.addfile(entry, io.BytesIO(files[image_id]))
