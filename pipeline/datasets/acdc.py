"""ACDC 2017: cardiac MRI volumes whose slices are the images, with the split of the size-loss literature ([SIZE] section 3.6).

Array order is kept as stored: the first axis of a volume is the image's vertical axis, the second its horizontal axis, the last
one counts the slices. Affines, voxel sizes and Info.cfg are ignored, because class fractions and scores do not need them.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset, Scene
from pipeline.datasets.pictures import encode_photo
from pipeline.datasets.raw_files import DatasetError, is_system_file, require
from pipeline.files import is_there, write_atomically

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

SIDE_PX = 256
"""Slices are resized to this side, [SIZE] section 3.1."""
UNLABELLED = 4
"""Code in scribble volumes for "nothing drawn"; 0 is background that was drawn."""
HELD_OUT = (25, 200)
"""Volumes of the validation split, of all volumes."""
FRAME_NAME = re.compile(r"(patient\d{3}_frame\d{2})\.nii(?:\.gz)?")
MOST_VOXELS = 2**30
BRIGHTEST = 1e6
"""Larger values are no grey values: one of them would leave the rest of its volume black."""
RESTORE = "restore the file from the original archive"


class Acdc(RawDataset):
    """ACDC 2017 training set: 100 patients with 2 frames each are 200 volumes of 6 to 18 slices, 1,902 slices in all.

    The 25 validation volumes are `random.seed(0); random.sample(sorted volumes, 25)`, as in the size-loss literature: 228
    slices, which leaves 1,674. Volumes were drawn, not patients, so the other frame of most patients is in training. A
    smaller set holds out one volume of eight by the same rule, at least one.

    The grey values of a whole volume are scaled from its minimum and maximum to 0..255, then each slice is resized to
    256x256 (bilinear; masks nearest neighbour). Many slices hold no heart at all. Time series (`*_4d`) are ignored. Image
    ids are patientXXX_frameYY_<slice>; the volume is the image's `group`. Experts' scribbles are optional.
    """

    name = "acdc"
    title = "ACDC 2017"
    class_names = ("background", "right_ventricle", "myocardium", "left_ventricle")
    palette = ((0, 0, 0), (70, 130, 220), (60, 190, 90), (220, 60, 60))
    licence = "CC BY-NC-SA 4.0, non-commercial research"
    citation = (
        "Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation, TMI 2018; "
        "scribbles: Valvano et al., Learning to Segment from Scribbles using Multi-scale Adversarial Attention Gates, TMI 2021"
    )
    homepage = "https://www.creatis.insa-lyon.fr/Challenge/acdc/"
    published: ClassVar[Mapping[str, int]] = {"train": 1674, "val": 228}
    obtain = (
        "Register at the homepage, accept the terms, download the training archive (100 patients), unpack it, and set "
        "`source` to the folder that holds `training`."
    )
    layout = """
training/patient001/patient001_frame01.nii.gz             volume, slices on the last axis
training/patient001/patient001_frame01_gt.nii.gz          mask, 0..3
training/patient001/patient001_frame01_scribble.nii.gz    0..3 drawn, 4 = nothing drawn (optional)
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        homes = (self.root / "training", self.root / "database" / "training", self.root)
        self.base = next((home for home in homes if home.is_dir()), homes[0])
        self._slices: dict[str, int] | None = None
        self._cache: dict[Path, np.ndarray] = {}

    def verify(self) -> None:
        """Check that each mask has a volume and each volume a mask, and that volume, mask and scribbles are equally large."""
        volumes = self.volumes()
        for path in sorted(self.base.glob("patient*/*_gt.nii*")):
            volume = path.name.partition("_gt.nii")[0]
            if not is_system_file(path.name) and volume not in volumes:
                raise DatasetError(f"{self._path(volume)}: not found, but its mask {path.name} is there; {RESTORE}")
        for volume in volumes:
            first, *others = (self._path(volume, suffix) for suffix in ("", "_gt", "_scribble"))
            shape = _load(first).shape
            if len(shape) != 3:
                raise DatasetError(f"{first}: has {len(shape)} axes, not 3 (x, y, slice); {RESTORE}")
            for path in (first, *others):
                if path == others[-1] and not is_there(path):  # scribbles
                    continue
                if path.suffix == ".gz" and path.with_suffix("").exists():
                    raise DatasetError(f"{path}: lies beside {path.with_suffix('').name}; keep one of the two")
                found = _load(path).shape
                if found != shape:
                    raise DatasetError(f"{path}: has the shape {found}, but its volume {first.name} has {shape}; {RESTORE}")

    def volumes(self) -> list[str]:
        """Return the names of all volumes, sorted: patientXXX_frameYY.

        Raises:
            DatasetError: the folder is not there or holds no volume.
        """
        found = {match[1] for path in self.base.glob("patient*/*") if (match := FRAME_NAME.fullmatch(path.name))}
        if not found:
            raise DatasetError(
                f"{self.base}: not found, or holds no patientXXX/patientXXX_frameYY.nii.gz; the path must hold the folder "
                "`training` of the ACDC archive; check `source` of the data set"
            )
        return sorted(found)

    def ids(self, split: str) -> list[str]:
        """Return the slice ids of a split, by volume, then from the first slice to the last."""
        self.check_split(split)
        if self._slices is None:
            self._slices = {volume: _load(self._path(volume)).shape[-1] for volume in self.volumes()}
        names = sorted(self._slices)
        held_out = {names[position] for position in held_out_positions(len(names))}
        chosen = [name for name in names if (name in held_out) == (split == "val")]
        return [f"{name}_{index}" for name in chosen for index in range(self._slices[name])]

    def image_path(self, image_id: str) -> Path:
        """Return the file of the volume that the slice belongs to."""
        return self._path(_parse(image_id)[0])

    def image_bytes(self, image_id: str) -> tuple[bytes, str]:
        """Return the slice as a grey PNG."""
        return encode_photo(self._image_slice(image_id), "PNG"), ".png"

    def read_image(self, image_id: str) -> np.ndarray:
        """Return the slice: (256, 256, 3) uint8, the three channels equal."""
        return np.repeat(self._image_slice(image_id)[..., None], 3, axis=2)

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (256, 256) uint8, class index."""
        volume, _ = _parse(image_id)
        return _resize(self._slice(self._codes(self._path(volume, "_gt"), len(self.class_names)), image_id), order=0)

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return the experts' scribbles, (256, 256) uint8 with `VOID` where nothing is drawn; None where there is no file."""
        path = self._path(_parse(image_id)[0], "_scribble")
        if not is_there(path):
            return None
        codes = _resize(self._slice(self._codes(path, UNLABELLED + 1), image_id), order=0)
        return np.where(codes == UNLABELLED, np.uint8(VOID), codes)

    def annotation_paths(self, image_id: str) -> list[Path]:
        """Return where the volumes of masks and scribbles lie."""
        return [self._path(_parse(image_id)[0], suffix) for suffix in ("_gt", "_scribble")]

    def group(self, image_id: str) -> str:
        """Return the volume of the slice."""
        return _parse(image_id)[0]

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes as volumes: consecutive scenes of one `group` are its slices, equally large.

        Patients are numbered so that the reader's rule holds out exactly the volumes of "val". Void becomes background.

        Raises:
            DatasetError: the number of volumes for "val" is not the one that the rule holds out.
        """
        volumes = {split: _by_group(splits.get(split, ())) for split in cls.splits}
        total = sum(map(len, volumes.values()))
        held_out = set(held_out_positions(total))
        if len(volumes["val"]) != len(held_out):
            raise DatasetError(
                f"{root}: {cls.name} holds out one volume of eight, so {total} volumes need {len(held_out)} for validation, got "
                f"{len(volumes['val'])}; change the number of pictures"
            )
        waiting = {split: iter(scenes) for split, scenes in volumes.items()}
        for position in range(total):
            name = f"patient{position // 2 + 1:03d}_frame{('01', '12')[position % 2]}"
            scenes = next(waiting["val" if position in held_out else "train"])
            images = np.stack([scene.image.mean(2).round().astype(np.uint8) for scene in scenes], axis=-1)
            masks = np.stack([np.where(scene.labels == VOID, np.uint8(0), scene.labels) for scene in scenes], axis=-1)
            folder = Path(root) / "training" / name.partition("_")[0]
            write_volume(folder / f"{name}.nii.gz", images)
            write_volume(folder / f"{name}_gt.nii.gz", masks)

    def _path(self, volume: str, suffix: str = "") -> Path:
        folder = self.base / volume.partition("_")[0]
        packed = folder / f"{volume}{suffix}.nii.gz"
        plain = packed.with_suffix("")
        return plain if plain.exists() and not packed.exists() else packed

    def _array(self, path: Path) -> np.ndarray:
        """Return the voxels of a file; volume, mask and scribbles of the latest volume stay in memory."""
        if path not in self._cache:
            if len(self._cache) == 3:
                self._cache.pop(next(iter(self._cache)))
            self._cache[path] = read_volume(path)
        return self._cache[path]

    def _codes(self, path: Path, count: int) -> np.ndarray:
        codes = self._array(path)
        if codes.min() < 0 or codes.max() >= count or (codes.dtype.kind == "f" and not np.array_equal(codes, codes.round())):
            raise DatasetError(f"{path}: holds values from {codes.min()} to {codes.max()}, not classes 0..{count - 1}; {RESTORE}")
        return codes.astype(np.uint8, copy=False)

    def _image_slice(self, image_id: str) -> np.ndarray:
        path = self.image_path(image_id)
        voxels = self._array(path)
        low, high = float(voxels.min()), float(voxels.max())
        if low == high:
            raise DatasetError(f"{path}: shows nothing, all voxels are {low:g}; {RESTORE}")
        grey = 255 * (self._slice(voxels, image_id).astype(np.float64) - low) / (high - low)
        return _resize(grey.round().astype(np.uint8), order=1)

    def _slice(self, voxels: np.ndarray, image_id: str) -> np.ndarray:
        volume, index = _parse(image_id)
        if voxels.ndim != 3 or index >= voxels.shape[-1]:
            raise DatasetError(f"{self._path(volume)}: has no slice {index}, its shape is {voxels.shape}; {RESTORE}")
        return voxels[..., index]


def held_out_positions(count: int) -> list[int]:
    """Return which of `count` sorted volumes are the validation split.

    >>> sorted(held_out_positions(200))[:4]
    [10, 24, 25, 35]
    """
    held_out = max(1, count * HELD_OUT[0] // HELD_OUT[1])
    return random.Random(0).sample(range(count), min(held_out, count))


def read_volume(path: Path) -> np.ndarray:
    """Return the voxels of a NIfTI file, in array order as stored.

    Raises:
        DatasetError: missing, truncated or not NIfTI, or with voxels that are no finite grey values.
    """
    image = _load(path)
    try:
        voxels = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel raises what it stumbles over
        raise DatasetError(f"{path}: cannot be read ({error}); {RESTORE}") from error
    if voxels.dtype.kind not in "biuf":
        raise DatasetError(f"{path}: has voxels of the type {voxels.dtype}, not grey values; {RESTORE}")
    odd = np.argwhere(~(np.abs(voxels) <= BRIGHTEST))
    if len(odd):
        place = tuple(map(int, odd[0]))
        raise DatasetError(f"{path}: {len(odd)} voxels are no grey value, the first is {voxels[place]} at {place}; {RESTORE}")
    return voxels


def write_volume(path: Path, voxels: np.ndarray) -> None:
    """Write voxels as packed NIfTI with the identity as affine; equal voxels give equal bytes."""
    from nibabel.nifti1 import Nifti1Image

    content = Nifti1Image(np.ascontiguousarray(voxels), np.eye(4)).to_bytes()
    write_atomically(path, gzip.compress(content, compresslevel=6, mtime=0))


def _load(path: Path) -> Nifti1Image:
    """Return a NIfTI file of which only the header is read."""
    from nibabel.nifti1 import load

    require(path, RESTORE)
    try:
        image = load(path)
        size = int(np.prod(image.shape, dtype=np.float64))
    except Exception as error:  # nibabel raises what it stumbles over
        raise DatasetError(f"{path}: cannot be read as NIfTI ({error}); {RESTORE}") from error
    if not 0 < size <= MOST_VOXELS:
        raise DatasetError(f"{path}: cannot be read, its header says {image.shape} voxels; {RESTORE}")
    return image


def _parse(image_id: str) -> tuple[str, int]:
    """Return (volume, slice) of an image id."""
    volume, _, index = image_id.rpartition("_")
    if not index.isdecimal():
        raise DatasetError(f"'{image_id}' is no slice of ACDC; ids have the form patientXXX_frameYY_<slice>")
    return volume, int(index)


def _resize(values: np.ndarray, order: int) -> np.ndarray:
    from skimage.transform import resize

    if values.shape == (SIDE_PX, SIDE_PX):
        return values
    resized = resize(values, (SIDE_PX, SIDE_PX), order=order, mode="constant", preserve_range=True, anti_aliasing=False)
    return resized.round().astype(np.uint8)


def _by_group(scenes: Sequence[Scene]) -> list[list[Scene]]:
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(scene.group or scene.image_id, []).append(scene)
    return list(groups.values())
