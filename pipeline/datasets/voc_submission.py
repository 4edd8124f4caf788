"""The archive in which the PASCAL VOC server takes predictions on the test photos ([SIZE] Table 2, column "Test").

    results/VOC2012/Segmentation/comp6_test_cls/<id>.png       one per test photo, in a .tgz

Each file is an 8-bit palette PNG as large as the photo; its values are the classes 0..20, without void, and its palette is the
VOC colour map. comp6 is the competition that allows other training data, such as SBD and ImageNet.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.pictures import color_map, encode_mask
from pipeline.files import atomic_file

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"
NUM_CLASSES = 21


def write_submission(
    path: Path, predictions: Iterable[tuple[str, np.ndarray]], expected_sizes: Mapping[str, tuple[int, int]]
) -> None:
    """Write the predictions on all test photos; the file appears only when it is complete.

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
    colors = color_map(256)  # all of them: with fewer than 17, PNG would be written with 4 bits per pixel
    for image_id, prediction in predictions:
        if image_id in files:
            raise ValueError(f"{image_id}: expected one prediction per photo, got a second one")
        if image_id not in expected_sizes:
            raise ValueError(f"{image_id}: expected one of the {len(expected_sizes)} test photos, got an unknown id")
        _check_prediction(image_id, prediction, expected_sizes[image_id])
        files[image_id] = encode_mask(prediction, colors)
    if missing := sorted(set(expected_sizes) - set(files)):
        raise ValueError(
            f"predictions: expected all {len(expected_sizes)} test photos, got {len(files)}; the first missing is {missing[0]}"
        )
    with (
        atomic_file(path) as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,  # without times, owners and names of this machine
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for image_id in sorted(files):
            entry = tarfile.TarInfo(f"{FOLDER}/{image_id}.png")
            entry.size = len(files[image_id])
            archive.addfile(entry, io.BytesIO(files[image_id]))


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
