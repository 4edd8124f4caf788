"""All readers by the key `kind` of params.yaml.

A module of its own, not the package: importing the prepared archive must not make every reader part of a training's code.
"""

from __future__ import annotations

from pipeline.datasets.base import RawDataset
from pipeline.datasets.voc import Voc

DATASETS: dict[str, type[RawDataset]] = {"voc": Voc}
