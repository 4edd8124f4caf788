"""What kept features save on a CPU: `python -m pipeline.bench.features`.

Three ways to train the network of pipeline/own.yaml, one optimisation step each, with cross-entropy on full masks: on kept
features, read from their file at every step; with the frozen encoder run at every step; and with the encoder trained too (its
batch normalisation frozen). And what features cost, beside timm's own forward of the same encoder on the same pictures.

All in one process, in turn, in processor time of one thread. Pictures are procedural, weights random: neither changes times.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import timm
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.bench.clock import in_turn
from pipeline.bench.steps import make_batch
from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.features import KeptFeatures, write_features
from pipeline.files import write_csv
from pipeline.networks import build_network
from pipeline.networks.base import SegmentationNetwork
from pipeline.params import own_settings
from pipeline.training.loop import take_step
from pipeline.training.objectives import Batch, Objective
from pipeline.training.schedule import make_optimizer

TIMM = "tf_efficientnet_lite0"
"""timm's name of the encoder of pipeline/own.yaml."""
ENCODER = "efficientnet_lite0"


class Pictures:
    """A batch as a split."""

    def __init__(self, batch: Batch) -> None:
        self.ids = [str(number) for number in range(len(batch["image"]))]
        self._images = (batch["image"] * 255).byte().permute(0, 2, 3, 1).numpy()

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3)."""
        return cast("NDArray[np.uint8]", self._images[int(image_id)])


def training_steps(settings: dict[str, Any], batch: Batch, folder: Path) -> dict[str, Callable[[], object]]:
    """Return a function for each way to train that takes one step; a file of kept features is written into `folder`."""
    classes, size_px = batch["size_targets"].shape[1], batch["image"].shape[-1]
    ways = {
        "kept features": settings,
        "encoder at every step": settings,
        "encoder trained": {**settings, "freeze_encoder": False, "freeze_batch_norm": True},
    }
    steps: dict[str, Callable[[], object]] = {}
    for name, way in ways.items():
        torch.manual_seed(0)
        network = cast(SegmentationNetwork, build_network(way, classes))
        cast(Any, network).to(memory_format=torch.channels_last)
        rates = {"learning_rate": 1e-3, "head_lr_factor": 1.0, "momentum": 0.9, "weight_decay": 0.01}
        optimizer = make_optimizer(network, optimizer="adamw", **cast(Any, rates))
        kept: KeptFeatures | None = None
        if name == "kept features":
            pictures = Pictures(batch)
            path = folder / "train.safetensors"
            write_features(path, network.eval(), pictures, size_px=size_px)
            kept = KeptFeatures(path, network, size_px)
        network.train()
        steps[name] = partial(_step, network, optimizer, batch, kept)
    return steps


def _step(network: SegmentationNetwork, optimizer: torch.optim.Optimizer, batch: Batch, kept: KeptFeatures | None) -> None:
    shown = dict(batch)
    if kept is not None:
        rows = [kept.read(str(number), mirrored=False) for number in range(len(batch["image"]))]
        shown["features"] = [torch.stack(maps) for maps in zip(*rows)]
    take_step(network, network, Objective({"masks": 1.0}), optimizer, shown, "float32", torch.device("cpu"), 0, "bench")


def forwards(settings: dict[str, Any], batch: Batch) -> dict[str, Callable[[], object]]:
    """Return a function for the features of a batch and one for timm's forward."""
    network = cast(SegmentationNetwork, build_network(settings, 2).eval())
    plain = timm.create_model(TIMM, pretrained=False).eval()
    for one in (network, plain):
        cast(Any, one).to(memory_format=torch.channels_last)
    images = batch["image"].contiguous(memory_format=torch.channels_last)
    return {"features": lambda: network.features(images), f"timm {TIMM}": lambda: plain(images)}


def rows(taken: dict[str, list[float]], images: int) -> list[dict[str, Any]]:
    """Return a row per case: images per second in the median of its turns, and the ratio to the last case."""
    found = {name: statistics.median(times) for name, times in taken.items()}
    *_, last = found.values()
    return [
        {"case": name, "images_per_second": images / value, "ratio": last / value, "repeats": len(taken[name])}
        for name, value in found.items()
    ]


def main() -> None:
    """Run the benchmark."""
    parser = command_parser(__doc__, "pipeline.bench.features --batch 16 --size-px 256")
    parser.add_argument("--batch", type=int, default=16, help="pictures of a step (default: 16)")
    parser.add_argument("--size-px", type=int, default=256, help="their side (default: 256)")
    parser.add_argument("--repeats", type=int, default=7, help="turns, of which the median counts (default: 7)")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/features.csv"))
    arguments = parser.parse_args()
    with clear_errors():
        network = own_settings().network
        if network.encoder != ENCODER:
            raise ValueError(f"{paths.OWN}: network.encoder: timm's {TIMM} is the peer of {ENCODER}, got {network.encoder}")
        torch.set_num_threads(1)
        batch = make_batch(arguments.batch, arguments.size_px, 3)
        with tempfile.TemporaryDirectory() as folder:
            found = rows(in_turn(training_steps(network.model_dump(), batch, Path(folder)), arguments.repeats), arguments.batch)
        with torch.inference_mode():
            found += rows(in_turn(forwards(network.model_dump(), batch), arguments.repeats), arguments.batch)
        setting = {
            "batch": arguments.batch,
            "size_px": arguments.size_px,
            "device": "cpu, one thread",
            "torch": torch.__version__,
        }
        write_csv(arguments.out, [{**row, **setting} for row in found])
        print(pd.DataFrame(found).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
