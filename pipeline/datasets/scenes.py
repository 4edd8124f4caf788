"""Makers of procedural pictures by the key `kind` of params.yaml: what `source: synthetic` writes in the layout of each set."""

from __future__ import annotations

from pipeline.datasets.synthetic import SceneMaker, make_coco_scenes, make_scenes
from pipeline.datasets.synthetic_cardiac import make_cardiac_scenes
from pipeline.datasets.synthetic_places import make_natural_scenes, make_room_scenes, make_street_scenes

SCENES: dict[str, SceneMaker] = {
    "voc": make_scenes,
    "coco": make_coco_scenes,
    "acdc": make_cardiac_scenes,
    "cityscapes": make_street_scenes,
    "ade20k": make_room_scenes,
    "natural_scene": make_natural_scenes,
    "folder": make_scenes,
}
