"""Makers of procedural pictures by the key `kind` of params.yaml: what `source: synthetic` writes in the layout of each set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.datasets.base import Scene
from pipeline.datasets.synthetic import make_coco_scenes, make_scenes
from pipeline.datasets.synthetic_cardiac import make_cardiac_scenes
from pipeline.datasets.synthetic_places import make_natural_scenes, make_room_scenes, make_street_scenes


class SceneMaker(Protocol):
    """Return pictures numbered start..start+count-1 of a split; each depends on seed, split and its number alone.

    `class_indices` are indices into the reader's class names, `size_px` is a nominal (width, height). Raises ValueError for
    an argument out of range.
    """

    def __call__(
        self,
        count: int,
        *,
        seed: int,
        class_indices: Sequence[int],
        size_px: tuple[int, int] = ...,
        start: int = 0,
        split: str = "train",
    ) -> list[Scene]:
        """Make the pictures."""


SCENES: dict[str, SceneMaker] = {
    "voc": make_scenes,
    "coco": make_coco_scenes,
    "acdc": make_cardiac_scenes,
    "cityscapes": make_street_scenes,
    "ade20k": make_room_scenes,
    "natural_scene": make_natural_scenes,
    "folder": make_scenes,
}
