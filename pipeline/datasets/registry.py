"""All readers by the key `kind` of params.yaml.

A module of its own, not the package: importing the prepared archive must not make every reader part of a training's code.
"""

from __future__ import annotations

from pipeline.datasets.acdc import Acdc
from pipeline.datasets.ade20k import Ade20k
from pipeline.datasets.base import RawDataset
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.coco import Coco
from pipeline.datasets.folder import Folder
from pipeline.datasets.natural_scene import NaturalScene
from pipeline.datasets.voc import Voc

DATASETS: dict[str, type[RawDataset]] = {
    "voc": Voc,
    "coco": Coco,
    "acdc": Acdc,
    "cityscapes": Cityscapes,
    "ade20k": Ade20k,
    "natural_scene": NaturalScene,
    "folder": Folder,
}
