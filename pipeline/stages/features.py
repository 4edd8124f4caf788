"""Stage `features@NAME`: compute what a frozen encoder makes of every training picture and its mirror image, once for all runs.

Training then reads data/features/NAME/train.safetensors and runs the head only; see `pipeline.features`.
"""

from __future__ import annotations

import shutil
from typing import Any, cast

import torch

from pipeline import paths
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.features import write_features
from pipeline.networks import build_network
from pipeline.networks.base import SegmentationNetwork
from pipeline.params import Params, load_params
from pipeline.stages.common import lookup, stage_arguments
from pipeline.stages.device import select_device


def make_features(name: str, params: Params) -> None:
    """Write the kept features of a name.

    Raises:
        DatasetError: a picture is broken (named).
        OSError: the disk is too small.
        ValueError: a feature is too large for half precision.
    """
    spec = lookup(params.features, name, "features")
    view = {} if spec.subset is None else spec.subset.model_dump()
    archive = PreparedArchive(paths.prepared(spec.dataset, "train"), **view)
    settings = params.networks[spec.network].model_dump()
    network = build_network(settings, 2, weights=paths.pretrained_weights(spec.network))
    network = cast(SegmentationNetwork, network.to(select_device(params.device)).eval())
    cast(Any, network).to(memory_format=torch.channels_last)
    final = paths.kept_features(name)
    shutil.rmtree(final.parent, ignore_errors=True)
    write_features(final, network, archive, size_px=spec.image_size_px)


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, name="key of `features` in params.yaml").name
    with clear_errors(DatasetError):
        make_features(name, load_params())


if __name__ == "__main__":
    main()
