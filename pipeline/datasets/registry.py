"""All readers by the key `kind` of params.yaml.

A module of its own, not the package: importing the prepared archive must not make every reader part of a training's code.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets.acdc import Acdc
from pipeline.datasets.ade20k import Ade20k
from pipeline.datasets.base import RawDataset
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.coco import Coco
from pipeline.datasets.folder import Folder
from pipeline.datasets.natural_scene import NaturalScene
from pipeline.datasets.voc import Voc
from pipeline.files import read_json

DATASETS: dict[str, type[RawDataset]] = {
    "voc": Voc,
    "coco": Coco,
    "acdc": Acdc,
    "cityscapes": Cityscapes,
    "ade20k": Ade20k,
    "natural_scene": NaturalScene,
    "folder": Folder,
}


def open_raw(note: Path) -> tuple[RawDataset, str]:
    """Return the raw data set that a source.json describes, and what `source` it came from.

    Raises:
        OSError: the note is missing.
        ValueError: it is broken.
    """
    remedy = "run the stage `raw` of this data set again"
    said = read_json(note, remedy)
    kind, source, root = (said.get(key) for key in ("kind", "source", "root"))
    if kind not in list(DATASETS) or not isinstance(source, str) or not isinstance(root, str) or "\0" in root:
        raise ValueError(f"{note}: expected kind, source and root of a data set, got {kind!r}, {source!r}, {root!r}; {remedy}")
    return DATASETS[kind](note.parent / root), source
