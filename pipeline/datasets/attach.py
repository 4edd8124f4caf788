"""Join pictures with their supervision by image id: the map-style data set that loaders draw from.

Only what the annotator gave is attached: masks reach a sample only under full supervision.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError

if TYPE_CHECKING:
    from torch import Tensor

Vary = Callable[[int], dict[str, Any]]
"""From an augmentation seed to the tensors of a sample."""


class Transform(Protocol):
    """See `pipeline.datasets.transforms`."""

    def load(
        self,
        image: NDArray[np.uint8],
        rasters: Mapping[str, NDArray[np.uint8]],
        scribbles: Sequence[Scribble] | None,
        features: Callable[[bool], list[Tensor]] | None,
        /,
    ) -> Vary:
        """Do once what is the same for every seed; return the rest as a function."""


class Kept(Protocol):
    """See `pipeline.features`."""

    def __contains__(self, image_id: object, /) -> bool:
        """Return whether there are features of this image."""

    def read(self, image_id: str, /, *, mirrored: bool) -> list[Tensor]:
        """Return the maps (D, h, w) of an image or of its mirror image."""


class AttachedImages:
    """Pictures of one split with the supervision of one variant.

    Args:
        archive: prepared pictures and masks.
        transform: from a decoded picture and its annotation to tensors.
        masks: attach ground-truth masks.
        scribbles: image id -> strokes, or None; drawn where a raster `seeds` says nothing.
        rasters: name -> image id -> (H, W) class index or `VOID`: seeds that are regions, or proposals.
        vectors: name -> image id -> (C,): size targets, tags, soft class labels.
        features: kept features of a frozen encoder.
        cache: keep loaded pictures in memory.

    Raises:
        DatasetError: an image has no entry in the supervision; names it.
    """

    def __init__(
        self,
        archive: PreparedArchive,
        transform: Transform,
        *,
        masks: bool = False,
        scribbles: Mapping[str, Sequence[Scribble]] | None = None,
        rasters: Mapping[str, Mapping[str, NDArray[np.uint8]]] | None = None,
        vectors: Mapping[str, Mapping[str, NDArray[np.float64]]] | None = None,
        features: Kept | None = None,
        cache: bool = False,
    ) -> None:
        self.archive = archive
        self.transform = transform
        self.masks = masks
        self.scribbles = scribbles
        self.rasters = dict(rasters or {})
        self.vectors = dict(vectors or {})
        self.features = features
        self._loaded: dict[str, Vary] | None = {} if cache else None
        attached: dict[str, Container[str]] = {**self.rasters, **self.vectors}
        if scribbles is not None:
            attached["scribbles"] = scribbles
        if features is not None:
            attached["kept_features"] = features
        for name, given in attached.items():
            self._check(name, given)

    def attach_rasters(self, name: str, rasters: Mapping[str, NDArray[np.uint8]]) -> None:
        """Attach or exchange rasters of that name; what was kept in memory is loaded anew.

        Raises:
            DatasetError: an image has no entry; names it.
        """
        self._check(name, rasters)
        self.rasters[name] = rasters
        if self._loaded is not None:
            self._loaded = {}

    def annotated(
        self,
        draw: Callable[[Sequence[Scribble], tuple[int, int], tuple[int, int]], NDArray[np.uint8]],
        ids: Iterable[str] | None = None,
    ) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
        """Yield id, picture (H, W, 3) and seeds (H, W) of images at their own size, strokes drawn by `draw` as by `rasterize`."""
        for image_id in self.archive.ids if ids is None else ids:
            picture = self.archive.image(image_id)
            size = (picture.shape[1], picture.shape[0])
            regions = self.rasters["seeds"][image_id] if "seeds" in self.rasters else np.full(size[::-1], VOID, np.uint8)
            strokes = regions if self.scribbles is None else draw(self.scribbles[image_id], size, size)
            yield image_id, picture, np.where(regions == VOID, strokes, regions)

    def _check(self, name: str, given: Container[str]) -> None:
        missing = [image_id for image_id in self.archive.ids if image_id not in given]
        if missing:
            raise DatasetError(
                f"{name.replace('_', ' ')}: {len(missing)} of {len(self.archive.ids)} images have none, the first is "
                f"{missing[0]}; they were made for other images: run `dvc repro` so that they are made anew"
            )

    def __len__(self) -> int:
        return len(self.archive.ids)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        """Return the sample of (index, augmentation seed)."""
        index, seed = key
        image_id = self.archive.ids[index]
        sample = self._load(image_id)(seed)
        for name, vectors in self.vectors.items():
            sample[name] = vectors[image_id].astype(np.float32)
        return {**sample, "image_id": image_id}

    def _load(self, image_id: str) -> Vary:
        if self._loaded is not None and image_id in self._loaded:
            return self._loaded[image_id]
        rasters = {name: given[image_id] for name, given in self.rasters.items()}
        if self.masks:
            rasters["labels"] = self.archive.labels(image_id)
        strokes = None if self.scribbles is None else self.scribbles[image_id]
        features = None if self.features is None else partial(_read, self.features, image_id)
        loaded = self.transform.load(self.archive.image(image_id), rasters, strokes, features)
        if self._loaded is not None:
            self._loaded[image_id] = loaded
        return loaded


def _read(features: Kept, image_id: str, mirrored: bool) -> list[Tensor]:
    return features.read(image_id, mirrored=mirrored)
