"""Data sets that can be fetched without an account: their published archives, and how the raw layout is made of them.

Archives stay in a folder of their own, so that nothing is fetched twice. A data set is assembled in a temporary folder beside its
place and renamed when complete.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.datasets.fetch import Archive, assembled, fetch, unpack
from pipeline.datasets.pictures import write_mask
from pipeline.datasets.raw_files import DatasetError, read_list, require
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.voc import RASTER_FOLDER, Voc

LOG = logging.getLogger(__name__)

VOC_TEST = "VOC2012test.tar"
"""Test photos of VOC 2012, which only registered users of the evaluation server can fetch."""
ARCHIVES: dict[str, Archive] = {
    "voc": Archive(
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar", "md5:6cd6e144f989b92b3379bac3b3de84fd"
    ),
    "sbd": Archive(
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
        "md5:82b4d87ceb2ed10f6038a1cba92111cb",
    ),
    "voc_scribbles": Archive("https://cs.uwaterloo.ca/~m62tang/rloss/pascal_2012_scribble.zip"),
    "voc_masks": Archive("https://www.dropbox.com/s/oeu149j8qtbs1x0/SegmentationClassAug.zip?dl=1"),
    "coco_train": Archive(
        "http://images.cocodataset.org/zips/train2014.zip",
        "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    "coco_val": Archive(
        "http://images.cocodataset.org/zips/val2014.zip",
        "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    ),
    "coco_annotations": Archive(
        "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
        "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    ),
    "ade20k": Archive(
        "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip", "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"
    ),
}
"""Checksums as public code states them: VOC and SBD in torchvision, COCO in TensorFlow Datasets, ADE20K in GluonCV. `voc_masks`,
the ready-made SegmentationClassAug, serves when SBD's own server does not answer."""
FOLDERS = {
    "coco": {"train2014": "coco_train", "val2014": "coco_val", "annotations": "coco_annotations"},
    "ade20k": {"ADEChallengeData2016": "ade20k"},
}
"""Kind of data set to its folders, and the archives that hold each, alone: 20 GB and 1 GB."""


def download_voc(root: Path, archives: Path, sources: Mapping[str, Archive] = ARCHIVES) -> None:
    """Make `root`/VOCdevkit from VOC 2012 (2 GB) and SBD (1.4 GB): official masks, SBD masks as PNG, and the list train_aug.

    The list is VOC train, then the images of SBD (train and val) that VOC has neither in train nor in val: 10,582 ids. An
    image with an official mask keeps it. ScribbleSup's scribbles are added if they can be had; otherwise a warning says so,
    and scribbles are generated from masks later. So are the test photos where `archives` holds `VOC_TEST`, put there by hand.
    Does nothing if VOCdevkit is there.

    Arguments and errors are those of `download`.
    """
    final = root / "VOCdevkit"
    if final.exists():
        return
    voc, (masks, is_sbd) = fetch(sources["voc"], archives), _fetch_masks(archives, sources)
    scribbles = _fetch_scribbles(archives, sources)
    with assembled(final) as work:
        unpack(voc, work)
        base = require(work / final.name / "VOC2012", f"{voc} holds no VOC 2012; delete it and run again")
        if (test := archives / VOC_TEST).exists():
            unpack(test, work)
            require(base / "ImageSets/Segmentation/test.txt", f"{test} holds no test list of VOC 2012; delete it and run again")
        unpack(masks, work)
        if is_sbd:
            _add_sbd(base, require(work / "benchmark_RELEASE" / "dataset", f"{masks} holds no SBD; delete it and run again"))
        else:
            _add_ready_masks(base, require(work / "SegmentationClassAug", f"{masks} holds no masks; delete it and run again"))
        if scribbles is not None:
            unpack(scribbles, work)
            require(work / RASTER_FOLDER, f"{scribbles} holds no {RASTER_FOLDER}; delete it and run again")
            os.replace(work / RASTER_FOLDER, work / final.name / RASTER_FOLDER)


def download(kind: str, folder: Path, archives: Path, sources: Mapping[str, Archive] = ARCHIVES) -> None:
    """Make the raw layout of a data set in `folder` from its published archives, as far as it is not there.

    Args:
        kind: "voc" or a key of `FOLDERS`.
        folder: where the layout goes.
        archives: folder that keeps the downloaded files; files put there by hand are used.
        sources: published files by name.

    Raises:
        DatasetError: the set cannot be downloaded without an account (says how to get it), no connection, a wrong checksum, or an
            archive of another form. Nothing half-made is left.
    """
    if kind == "voc":
        return download_voc(folder, archives, sources)
    if kind not in FOLDERS:
        known = ", ".join(("voc", *FOLDERS))
        how = DATASETS[kind].obtain if kind in DATASETS else "no such data set"
        raise DatasetError(f"{folder}: '{kind}' cannot be downloaded, only {known}. How to get it: {how}")
    missing = {name: source for name, source in FOLDERS[kind].items() if not (folder / name).exists()}
    files = {name: fetch(sources[source], archives) for name, source in missing.items()}
    for name, file in files.items():
        with assembled(folder / name) as work:
            unpack(file, work)
            require(work / name, f"{file} holds no {name}; delete it and run again")


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


def _fetch_masks(archives: Path, sources: Mapping[str, Archive]) -> tuple[Path, bool]:
    """Return SBD's archive and True, or the ready-made masks and False if SBD cannot be had."""
    try:
        return fetch(sources["sbd"], archives), True
    except DatasetError as error:
        try:
            ready = fetch(sources["voc_masks"], archives)
        except DatasetError:
            raise error from None
        LOG.warning("%s. Taking the ready-made masks of %s", error, sources["voc_masks"].url)
        return ready, False


def _fetch_scribbles(archives: Path, sources: Mapping[str, Archive]) -> Path | None:
    """Return the archive of drawn scribbles, or None with a warning if it cannot be had."""
    try:
        return fetch(sources["voc_scribbles"], archives)
    except DatasetError as error:
        LOG.warning("%s. Going on without the published scribbles: they will be generated from masks", error)
        return None


def _add_sbd(base: Path, sbd: Path) -> None:
    """Write SegmentationClassAug and train_aug.txt into `base`, the folder VOC2012, from SBD's MATLAB files."""
    extended = base / "SegmentationClassAug"
    extended.mkdir()
    for image_id in _extend(base, {*read_list(sbd / "train.txt"), *read_list(sbd / "val.txt")}):
        photo = base / "JPEGImages" / f"{image_id}.jpg"
        if not photo.exists():
            shutil.copyfile(require(sbd / "img" / photo.name, "SBD is incomplete; delete its archive and run again"), photo)
        write_mask(extended / f"{image_id}.png", read_sbd_mask(sbd / "cls" / f"{image_id}.mat"), Voc.palette)


def _add_ready_masks(base: Path, masks: Path) -> None:
    """Put ready-made masks into `base` as SegmentationClassAug and write train_aug.txt."""
    os.replace(masks, base / "SegmentationClassAug")
    _extend(base, {mask.stem for mask in (base / "SegmentationClassAug").glob("*.png")})


def _extend(base: Path, available: set[str]) -> list[str]:
    """Write train_aug.txt and copy official masks into SegmentationClassAug; return the ids that extend the official ones."""
    lists = base / "ImageSets" / "Segmentation"
    train, val = read_list(lists / "train.txt"), read_list(lists / "val.txt")
    extra = sorted(available - {*train, *val})
    for image_id in (*train, *val):
        mask = require(base / "SegmentationClass" / f"{image_id}.png", "VOC is incomplete; delete its archive and run again")
        shutil.copyfile(mask, base / "SegmentationClassAug" / mask.name)
    (lists / "train_aug.txt").write_text("".join(f"{image_id}\n" for image_id in (*train, *extra)))
    return extra
