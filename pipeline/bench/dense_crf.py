"""Time and accuracy of the dense CRF loss: `python -m pipeline.bench.dense_crf [--images DIR]`.

The peer is what the published implementation does: one permutohedral lattice for each image, then one class after another.
Our lattice gives its numbers, so that both run in one process on the same pictures: mode "lattice" called for one class at a
time. Pictures are brought to twice the size and reduced to nearest pixels, as the loss does with a 512-pixel crop.

Times are those of this process on the CPU (best of `--repeats`, the methods taking turns), with which other processes
interfere little; on a GPU they are wall-clock times of finished work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from pipeline.bench.clock import in_turn
from pipeline.command import command_parser
from pipeline.crf.dense import DenseKernel, bilateral_features
from pipeline.crf.nystrom import GOLDEN_RATIO, exponent_factors, gaussian
from pipeline.datasets.synthetic import make_scenes
from pipeline.files import write_csv

SIGMA_RGB = 15.0
SIGMA_XY_PX = 50.0
"""The published 100 pixels, at half the size."""
RANKS = (64, 128, 256, 512)
PEER = "lattice, class by class"
COMPARED_PIXELS = 2048
"""Pixels of each picture at which the exact sum over all others is made."""

Row = dict[str, Any]


def read_pictures(directory: Path | None, count: int, size_px: int) -> Tensor:
    """Return `count` pictures (n, 3, size, size) in [0, 1], spread over a sorted directory or else procedural ones."""
    large = (2 * size_px, 2 * size_px)
    if directory is None:
        scenes = make_scenes(count, seed=0, class_indices=range(1, 21), size_px=large)
        pictures = [Image.fromarray(scene.image) for scene in scenes]
    else:
        files = sorted(path for path in directory.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if len(files) < count:
            raise ValueError(f"--images {directory}: expected at least {count} JPEG or PNG files, got {len(files)}")
        pictures = [Image.open(files[index * len(files) // count]).convert("RGB") for index in range(count)]
    arrays = [np.asarray(picture.resize(large))[::2, ::2] for picture in pictures]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255


def made_up_predictions(pictures: Tensor, classes: int) -> Tensor:
    """Return soft predictions (B, `classes`, H, W) that follow places and colours, like a network's.

    Class k is likely near the colour and place of its own pixel, with four times the bandwidths of the kernel.
    """
    features = bilateral_features(pictures, SIGMA_RGB, SIGMA_XY_PX) / 4
    own = ((torch.arange(1, classes + 1, dtype=torch.float64) * GOLDEN_RATIO).frac() * features.shape[1]).long()
    left, right = exponent_factors(features, features[:, own.to(features.device)])
    return (left @ right).softmax(2).transpose(1, 2).reshape(len(pictures), classes, *pictures.shape[2:])


def value_and_gradient(kernel: DenseKernel, probs: Tensor, class_by_class: bool = False) -> tuple[Tensor, Tensor]:
    """Return the loss (B,) and its gradient (B, C, H, W)."""
    if class_by_class:
        filtered = torch.cat([kernel.filter(probs[:, index : index + 1]) for index in range(probs.shape[1])], dim=1)
    else:
        filtered = kernel.filter(probs)
    return -(probs * filtered).sum((1, 2, 3)), -2 * filtered


def methods() -> dict[str, tuple[Callable[[Tensor], DenseKernel], bool]]:
    """Return by name how each method builds its kernel and whether it takes one class at a time."""

    def build(mode: str, landmarks: int, pictures: Tensor) -> DenseKernel:
        valid = torch.ones(len(pictures), *pictures.shape[2:], dtype=torch.bool, device=pictures.device)
        return DenseKernel.build(pictures, valid, SIGMA_RGB, SIGMA_XY_PX, mode, landmarks)

    low_rank = {f"nystrom, {rank} landmarks": (partial(build, "nystrom", rank), False) for rank in RANKS}
    lattice = partial(build, "lattice", 1)
    return {PEER: (lattice, True), "lattice": (lattice, False), **low_rank}


def exact_rows(pictures: Tensor, probs: Tensor, pixels: Tensor) -> Tensor:
    """Return A S at `pixels` only, (B, C, n), over all pairs."""
    left, right = exponent_factors(bilateral_features(pictures, SIGMA_RGB, SIGMA_XY_PX))
    signal = probs.flatten(2).transpose(1, 2)
    return torch.cat([gaussian(left[:, part], right) @ signal for part in pixels.split(128)], dim=1).transpose(1, 2)


def accuracy(filtered: Tensor, exact: Tensor) -> Row:
    """Return the relative error (Euclidean norm) as it is and after the best scale, and that scale, over a batch."""
    scale = (filtered * exact).sum() / filtered.square().sum()
    norm = exact.norm()
    return {
        "error": ((filtered - exact).norm() / norm).item(),
        "scaled_error": ((scale * filtered - exact).norm() / norm).item(),
        "scale": scale.item(),
    }


def measure(pictures: Tensor, probs: Tensor, repeats: int) -> list[Row]:
    """Return one row for each method: milliseconds with and without building the kernel, and errors."""
    device, pixel_count = pictures.device, probs[0, 0].numel()
    count = min(COMPARED_PIXELS, pixel_count)
    pixels = torch.arange(count, device=device) * (pixel_count // count)
    exact = exact_rows(pictures, probs, pixels)
    kernels: dict[str, DenseKernel] = {}
    cases: dict[tuple[str, str], Callable[[], object]] = {}
    for name, (build, class_by_class) in methods().items():
        cases[name, "build"] = partial(lambda name, build: kernels.update({name: build(pictures)}), name, build)
        cases[name, "use"] = partial(lambda name, alone: value_and_gradient(kernels[name], probs, alone), name, class_by_class)
    best_ms = {case: 1000 * min(times) for case, times in in_turn(cases, repeats, device, warm_up=0).items()}
    peer_ms = best_ms[PEER, "build"] + best_ms[PEER, "use"]
    rows = []
    for name, kernel in kernels.items():
        total_ms, reused_ms = best_ms[name, "build"] + best_ms[name, "use"], best_ms[name, "use"]
        errors = accuracy(kernel.filter(probs).flatten(2)[..., pixels], exact)
        row = {"method": name, "total_ms": total_ms, "reused_ms": reused_ms, **errors}
        rows.append({**row, "speedup": peer_ms / total_ms, "reused_speedup": peer_ms / reused_ms})
    return rows


def summary(rows: list[Row]) -> str:
    """Return a table of the medians over pictures, of the largest errors, and of errors relative to those of the lattice."""
    frame = pd.DataFrame(rows)
    lattice = frame.loc[frame["method"] == "lattice", "scaled_error"].to_numpy()
    frame["to_lattice"] = frame.groupby("method")["error"].transform(lambda errors: errors.to_numpy() / lattice)
    found = frame.groupby("method", sort=False).agg(
        **{
            "total ms": ("total_ms", "median"),
            "speed-up": ("speedup", "median"),
            "reused ms": ("reused_ms", "median"),
            "reused speed-up": ("reused_speedup", "median"),
            "error": ("error", "median"),
            "worst": ("error", "max"),
            "scaled": ("scaled_error", "median"),
            "worst scaled": ("scaled_error", "max"),
            "scale": ("scale", "median"),
            "error / lattice's scaled": ("to_lattice", "median"),
            "worst / lattice's scaled": ("to_lattice", "max"),
        }
    )
    return found.to_string(float_format="{:.4g}".format)


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.bench.dense_crf --images photos")
    parser.add_argument("--images", type=Path, metavar="DIR", help="photographs; procedural pictures without it")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/dense_crf.csv"), help="one line per picture and method")
    parser.add_argument("--count", type=int, default=8, help="number of pictures (of batches with --batch)")
    parser.add_argument("--batch", type=int, default=1, help="pictures handled together")
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="side of the pictures as the kernel sees them")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pictures = read_pictures(arguments.images, arguments.count * arguments.batch, arguments.size)
    rows: list[Row] = []
    setting = {"size_px": arguments.size, "classes": arguments.classes, "batch": arguments.batch, "threads": arguments.threads}
    setting |= {"device": arguments.device, "torch": torch.__version__}
    for index, batch in enumerate(pictures.to(arguments.device).split(arguments.batch)):
        probs = made_up_predictions(batch, arguments.classes)
        rows += [{"picture": index, **row, **setting} for row in measure(batch, probs, arguments.repeats)]
    write_csv(arguments.out, rows)
    print(summary(rows))
    print(f"\n{arguments.out}: {len(rows)} lines")


if __name__ == "__main__":
    main()
