"""Join pictures with their supervision by image id: the map-style data set that loaders draw from.

Only what the annotator gave is attached: masks reach a sample only under full supervision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import DatasetError, Scribble
from pipeline.datasets.prepared import PreparedArchive

Vary = Callable[[int], dict[str, Any]]
"""From an augmentation seed to the tensors of a sample."""


class Transform(Protocol):
    """See `pipeline.datasets.transforms`."""

    def load(self, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None, scribbles: Sequence[Scribble] | None, /) -> Vary:
        """Do once what is the same for every seed; return the rest as a function."""


class AttachedImages:
    """Pictures of one split with the supervision of one variant.

    Args:
        archive: prepared pictures and masks.
        transform: from a decoded picture and its annotation to tensors.
        masks: attach ground-truth masks.
        scribbles: image id -> strokes, or None.
        size_targets: image id -> (C,) class fractions, or None.
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
        size_targets: Mapping[str, NDArray[np.float64]] | None = None,
        cache: bool = False,
    ) -> None:
        self.archive = archive
        self.transform = transform
        self.masks = masks
        self.scribbles = scribbles
        self.size_targets = size_targets
        self._loaded: dict[str, Vary] | None = {} if cache else None
        for name, given in (("size targets", size_targets), ("scribbles", scribbles)):
            missing = [image_id for image_id in archive.ids if given is not None and image_id not in given]
            if missing:
                raise DatasetError(
                    f"{name}: {len(missing)} of {len(archive.ids)} images have none, the first is {missing[0]}; "
                    "the supervision was made for other images: run `dvc repro` so that it is made anew"
                )

    def __len__(self) -> int:
        return len(self.archive.ids)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        """Return the sample of (index, augmentation seed)."""
        index, seed = key
        image_id = self.archive.ids[index]
        sample = self._load(image_id)(seed)
        if self.size_targets is not None:
            sample["size_targets"] = self.size_targets[image_id].astype(np.float32)
        return {**sample, "image_id": image_id}

    def _load(self, image_id: str) -> Vary:
        if self._loaded is not None and image_id in self._loaded:
            return self._loaded[image_id]
        labels = self.archive.labels(image_id) if self.masks else None
        strokes = None if self.scribbles is None else self.scribbles[image_id]
        loaded = self.transform.load(self.archive.image(image_id), labels, strokes)
        if self._loaded is not None:
            self._loaded[image_id] = loaded
        return loaded
