"""Kept features: what a frozen encoder makes of every picture and of its mirror image, computed once, read at every step.

One file per split, in half precision and in the format of safetensors: a tensor `features` (images, 2, values), whose rows are
all maps of a picture one after the other, and those of its mirror image. Its header says what they were made from: digest of the
encoder's weights, side of the pictures, shapes of the maps, image ids. The file is mapped into memory: only rows that are asked
for are read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from pipeline.datasets.raw_files import MALFORMED
from pipeline.datasets.transforms import resize_image
from pipeline.files import atomic_file
from pipeline.networks.base import SegmentationNetwork

Shapes = list[list[int]]
BATCH_SIZE = 16


class Pictures(Protocol):
    """A split: ids and pictures (H, W, 3)."""

    @property
    def ids(self) -> Sequence[str]:
        """Image ids in order."""

    def image(self, image_id: str, /) -> NDArray[np.uint8]:
        """Return the picture."""


def encoder_digest(network: SegmentationNetwork) -> str:
    """Return a digest of all that a picture goes through before the head: constants of the colours and weights."""
    digest = hashlib.sha256()
    state = {**network.normalization.state_dict(prefix="normalization."), **network.encoder_state()}
    for name in sorted(state):
        digest.update(name.encode() + state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def feature_shapes(network: SegmentationNetwork, size_px: int) -> Shapes:
    """Return the shapes (D, h, w) of the maps of a picture of that side."""
    device = next(network.parameters()).device
    return [list(one.shape[1:]) for one in network.features(torch.zeros(1, 3, size_px, size_px, device=device))]


def write_features(path: Path, network: SegmentationNetwork, pictures: Pictures, *, size_px: int) -> None:
    """Compute the features of all pictures of a split and of their mirror images.

    Args:
        path: file to write; it appears only when complete.
        network: in evaluation mode, on its device.
        pictures: the split.
        size_px: side of the square that pictures are resized to, as in training.

    Raises:
        OSError: the disk is too small, or the file cannot be written.
        ValueError: a value is too large for half precision; names the picture.
    """
    shapes = feature_shapes(network, size_px)
    values = sum(math.prod(shape) for shape in shapes)
    count = len(pictures.ids)
    needed = count * 2 * values * 2
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"kept features of {count} pictures of {size_px} px take {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; free "
            "some, or take smaller or fewer pictures",
            str(path),
        )
    about = {"encoder": encoder_digest(network), "size_px": size_px, "shapes": shapes, "ids": list(pictures.ids)}
    with atomic_file(path) as file:
        file.write(_header(about, (count, 2, values)))
        for rows in tqdm(_rows(network, pictures, size_px), total=count, desc="features", unit="img", disable=None, leave=False):
            file.write(rows.tobytes())


@torch.inference_mode()
def _rows(network: SegmentationNetwork, pictures: Pictures, size_px: int) -> Iterator[NDArray[np.float16]]:
    """Yield (2, values) of each picture in order."""
    device = next(network.parameters()).device
    for start in range(0, len(pictures.ids), BATCH_SIZE):
        ids = pictures.ids[start : start + BATCH_SIZE]
        images = torch.stack([resize_image(pictures.image(image_id), (size_px, size_px)) for image_id in ids]).to(device)
        both = [network.features(one.contiguous(memory_format=torch.channels_last)) for one in (images, images.flip(-1))]
        rows = torch.stack([torch.cat([one.flatten(1) for one in maps], 1) for maps in both], 1).half()
        for image_id, row in zip(ids, rows.cpu()):
            if not row.isfinite().all():
                raise ValueError(f"{image_id}: a feature is too large for half precision; do not keep features of this network")
            yield row.numpy()


class KeptFeatures:
    """Reader of a file that `write_features` wrote.

    May be pickled and may be used in worker processes: each maps the file for itself on first use.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is cut off, or of another encoder, other weights or another size.
    """

    def __init__(self, path: Path, network: SegmentationNetwork, size_px: int) -> None:
        self.path = path
        about, shape, self._offset = _read_header(path)
        wanted = {"size_px": size_px, "encoder": encoder_digest(network), "shapes": feature_shapes(network, size_px)}
        names = {"size_px": "pictures of another size", "encoder": "other weights of the encoder", "shapes": "another network"}
        for key, value in wanted.items():
            if about[key] != value:
                raise ValueError(
                    f"{path}: kept features of {names[key]} ({_short(about[key])} instead of {_short(value)}); "
                    "delete the file and run `dvc repro` to make it anew"
                )
        self._shape = shape
        self._row = {image_id: row for row, image_id in enumerate(about["ids"])}
        self._shapes: Shapes = about["shapes"]
        self._mapped: np.memmap[Any, np.dtype[np.float16]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the mapping, which would be copied."""
        return {**self.__dict__, "_mapped": None}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._row

    def read(self, image_id: str, *, mirrored: bool) -> list[Tensor]:
        """Return the maps (D, h, w) of a picture or of its mirror image, in half precision."""
        if self._mapped is None:
            self._mapped = np.memmap(self.path, np.float16, "r", self._offset, self._shape)
        values = torch.from_numpy(np.array(self._mapped[self._row[image_id], int(mirrored)]))
        parts = values.split([math.prod(shape) for shape in self._shapes])
        return [part.view(*shape) for part, shape in zip(parts, self._shapes)]


def _header(about: dict[str, Any], shape: tuple[int, int, int]) -> bytes:
    tensor = {"dtype": "F16", "shape": list(shape), "data_offsets": [0, 2 * math.prod(shape)]}
    metadata = {key: json.dumps(value) for key, value in about.items()}
    text = json.dumps({"__metadata__": metadata, "features": tensor}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read_header(path: Path) -> tuple[dict[str, Any], tuple[int, int, int], int]:
    """Return what the file says about itself, the shape of its tensor and where that begins."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= path.stat().st_size else {}
        about = {key: json.loads(value) for key, value in header["__metadata__"].items()}
        count, two, values = header["features"]["shape"]
        if path.stat().st_size != 8 + length + 2 * count * two * values or two != 2 or min(count, values) < 1:
            raise ValueError("the end is missing")
        if len(set(about["ids"])) != count or not {"size_px", "encoder", "shapes"} <= set(about):
            raise ValueError("its header does not say whose features they are")
    except MALFORMED as error:
        raise ValueError(f"{path}: no complete file of kept features ({error}); delete it and run `dvc repro`") from None
    return about, (count, two, values), 8 + length


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
