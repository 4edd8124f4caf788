"""Fetch published archives and unpack them into the raw layout.

Archives are checked against their published checksums and stay in a folder of their own, so that nothing is fetched twice.
A data set is assembled in a temporary folder beside its place and renamed when complete.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.datasets.base import DatasetError, read_list, require, write_mask
from pipeline.datasets.voc import Voc

TIMEOUT_S = 60


class Archive(NamedTuple):
    """One published file."""

    url: str
    md5: str

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


VOC_ARCHIVE = Archive(
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd"
)
SBD_ARCHIVE = Archive(
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    "82b4d87ceb2ed10f6038a1cba92111cb",
)


def download_voc(root: Path, archives: Path, *, voc: Archive = VOC_ARCHIVE, sbd: Archive = SBD_ARCHIVE) -> None:
    """Make `root`/VOCdevkit from VOC 2012 (2 GB) and SBD (1.4 GB): official masks, SBD masks as PNG, and the list train_aug.

    The list is VOC train, then the images of SBD (train and val) that VOC has neither in train nor in val: 10,582 ids. An
    image with an official mask keeps it. Does nothing if VOCdevkit is there.

    Args:
        root: folder to make; it holds VOCdevkit afterwards.
        archives: folder that keeps the downloaded files; files put there by hand are used.
        voc: the VOC archive.
        sbd: the SBD archive.

    Raises:
        DatasetError: no connection, a wrong checksum, or an archive of another form. Nothing half-made is left.
    """
    final = Path(root) / "VOCdevkit"
    if final.exists():
        return
    files = [fetch(archive, archives) for archive in (voc, sbd)]
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".unpacking-", suffix=".tmp") as folder:
        work = Path(folder)
        for file in files:
            unpack(file, work)
        base = require(work / "VOCdevkit" / "VOC2012", f"{files[0]} holds no VOC 2012; delete it and run again")
        _add_sbd(base, require(work / "benchmark_RELEASE" / "dataset", f"{files[1]} holds no SBD; delete it and run again"))
        os.replace(work / "VOCdevkit", final)


DOWNLOADS: dict[str, Callable[[Path, Path], None]] = {"voc": download_voc}
"""(root, archives) -> None by the key `kind` of params.yaml."""


def download(kind: str, folder: Path, archives: Path | None = None) -> None:
    """Make the raw layout of a data set in `folder` from its published archives.

    Args:
        kind: key of `DOWNLOADS`.
        folder: where the layout goes.
        archives: where downloaded files are kept; None: `.archives` beside `folder`.

    Raises:
        DatasetError: the kind cannot be downloaded, or one of the reasons of its function.
    """
    if kind not in DOWNLOADS:
        known = ", ".join(DOWNLOADS)
        raise DatasetError(f"{folder}: '{kind}' cannot be downloaded, only {known}; set `source` to the path of a copy")
    DOWNLOADS[kind](folder, archives or folder.parent / ".archives")


def fetch(archive: Archive, folder: Path) -> Path:
    """Return the path of an archive in `folder`, downloaded if it is not there, with the right checksum in any case.

    Raises:
        DatasetError: the server cannot be reached, or the checksum is wrong.
    """
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT_S)
    try:
        path = pooch.retrieve(archive.url, f"md5:{archive.md5}", fname=archive.file_name, path=folder, downloader=downloader)
    except ValueError as error:
        raise DatasetError(
            f"{archive.url}: the file received has not the published checksum md5:{archive.md5}; run again, "
            f"or fetch it by other means into {folder}"
        ) from error
    except OSError as error:  # every exception of requests is one
        raise DatasetError(
            f"{archive.url}: download failed ({error}); check the connection and run again, put the file into {folder} by hand, "
            "or set `source` of the data set to the path of an existing copy"
        ) from error
    return Path(path)


def unpack(file: Path, folder: Path) -> None:
    """Extract a tar archive, refusing members that point outside `folder`.

    Raises:
        DatasetError: broken archive or unsafe member.
    """
    try:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DatasetError(f"{file}: cannot be extracted ({error}); free some disk space, or delete it and run again") from error


def read_sbd_mask(path: Path) -> np.ndarray:
    """Return a class mask of SBD: (H, W) uint8, 0..20, never void.

    Raises:
        DatasetError: not a MATLAB file with GTcls.Segmentation.
    """
    from scipy.io import loadmat

    require(path, "SBD is incomplete; delete its archive and run again")
    try:
        return np.ascontiguousarray(loadmat(path)["GTcls"][0, 0]["Segmentation"], np.uint8)
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError, OSError) as error:
        raise DatasetError(f"{path}: holds no GTcls.Segmentation ({error!r}); delete the SBD archive and run again") from error


def _add_sbd(base: Path, sbd: Path) -> None:
    """Write SegmentationClassAug and train_aug.txt into `base`, the folder VOC2012."""
    lists = base / "ImageSets" / "Segmentation"
    train, val = read_list(lists / "train.txt"), read_list(lists / "val.txt")
    official = set(train) | set(val)
    extra = sorted((set(read_list(sbd / "train.txt")) | set(read_list(sbd / "val.txt"))) - official)
    extended = base / "SegmentationClassAug"
    extended.mkdir()
    for image_id in (*train, *val):
        mask = require(base / "SegmentationClass" / f"{image_id}.png", "VOC is incomplete; delete its archive and run again")
        shutil.copyfile(mask, extended / mask.name)
    for image_id in extra:
        photo = base / "JPEGImages" / f"{image_id}.jpg"
        if not photo.exists():
            shutil.copyfile(require(sbd / "img" / photo.name, "SBD is incomplete; delete its archive and run again"), photo)
        write_mask(extended / f"{image_id}.png", read_sbd_mask(sbd / "cls" / f"{image_id}.mat"), Voc.palette)
    (lists / "train_aug.txt").write_text("".join(f"{image_id}\n" for image_id in (*train, *extra)))
