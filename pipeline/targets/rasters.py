"""Seeds that are regions rather than strokes (eroded objects, blocks, drawn scribbles): one small picture per image.

They are kept in one zip per supervision variant, the same bytes whenever it is made again.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.files import write_atomically

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write_rasters(path: Path, rasters: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write (image id, (H, W) uint8 class index or `VOID`) pairs, one grey PNG each."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for image_id, raster in rasters:
            archive.writestr(zipfile.ZipInfo(f"{image_id}.png", _TIMESTAMP), encode_raster(raster))
    write_atomically(path, content.getvalue())


def encode_raster(raster: np.ndarray) -> bytes:
    """Return (H, W) uint8 as a grey PNG."""
    picture = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(raster, np.uint8), mode="L").save(picture, format="PNG")
    return picture.getvalue()


def decode_raster(content: bytes) -> np.ndarray:
    """Return the (H, W) uint8 of a grey PNG."""
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture, np.uint8)


class RasterArchive(Mapping[str, np.ndarray]):
    """Image id -> (H, W) uint8, read from a file of `write_rasters` when asked for.

    Raises:
        ValueError: the file is missing or damaged; names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._names = {name.removesuffix(".png"): name for name in archive.namelist()}
        except Exception as error:
            raise ValueError(f"{path}: cannot be read ({error}); run the stage again that makes this supervision") from error

    def __getitem__(self, image_id: str) -> np.ndarray:
        name = self._names[image_id]
        try:
            with zipfile.ZipFile(self.path) as archive:
                return decode_raster(archive.read(name))
        except Exception as error:  # of a damaged archive, zipfile and Pillow raise what they stumble over
            raise ValueError(
                f"{self.path}: {name} cannot be read ({error}); run the stage again that makes this supervision"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
