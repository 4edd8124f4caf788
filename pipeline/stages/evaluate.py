"""Stage `evaluate` of a family: score every run of the family on whole images and gather its curves.

Writes reports/FAMILY/results.csv (a row per run), reports/FAMILY/curves.csv (a row per run and epoch) and one JSON per run
under reports/metrics/FAMILY. Models of runs that are no longer in params.yaml are removed.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pipeline import paths
from pipeline.datasets.base import DatasetError
from pipeline.datasets.prepared import PreparedArchive
from pipeline.evaluation.score import Score, score
from pipeline.files import write_csv, write_json
from pipeline.networks import NETWORKS
from pipeline.params import Params, load_params
from pipeline.stages.common import clear_errors, lookup, stage_arguments
from pipeline.stages.device import select_device
from pipeline.training.checkpoint import load_state


class DecodedArchive:
    """A prepared archive whose pictures are decoded once and kept: the runs of a family share them."""

    def __init__(self, path: Path) -> None:
        archive = PreparedArchive(path)
        self.ids, self.num_classes, self.class_names = archive.ids, archive.num_classes, archive.class_names
        self.image = lru_cache(maxsize=2000)(archive.image)
        self.labels = lru_cache(maxsize=2000)(archive.labels)


def score_weights(weights: Path, record: dict[str, Any], images: DecodedArchive, device: torch.device) -> Score:
    """Score one set of weights on one split."""
    spec = dict(record["network"], weights=None)  # the run's own weights are loaded below
    network = NETWORKS[spec.pop("kind")](images.num_classes, **spec).to(device).eval()
    network.load_state_dict(load_state(weights, device))
    training = record["training"]
    resize_px = training["image_size_px"] if training["input"] == "resize" else None
    return score(network, images, resize_px=resize_px, device=device)


def describe(family: str, name: str, record: dict[str, Any], params: Params) -> dict[str, Any]:
    """Return the columns of results.csv that say what a run is."""
    run = record["run"]
    sizes, seeds = record["annotation"].get("sizes", {}), record["annotation"].get("seeds", {})
    labeling = record["objective"]["self_labeling"] or {}
    source = params.datasets[run["dataset"]].source
    return {
        "run": name,
        "family": family,
        "method": run["method"],
        "dataset": run["dataset"],
        "data": source if source in ("synthetic", "download") else "path",
        "network": run["network"],
        "supervision": run["supervision"],
        "objective": run["objective"],
        "seed": run["seed"],
        "profile": record["profile"],
        "device": record["device"],
        "sigma": sizes.get("sigma"),
        "mre": sizes.get("mre"),
        "noise_default": sizes.get("noise_default", False),
        "mre_all": sizes.get("mre_all"),
        "mre_foreground": sizes.get("mre_foreground"),
        "length_ratio": seeds.get("length_ratio"),
        "seeds_generated": seeds.get("generated", False),
        "cross_entropy": labeling.get("cross_entropy"),
        "relaxation": labeling.get("relaxation"),
        "neighborhood": labeling.get("neighborhood"),
        "labels": labeling.get("labels"),
        "entropy_term": labeling.get("entropy_weight", 0) > 0,
    }


def evaluate_run(
    family: str, name: str, params: Params, archives: dict[str, DecodedArchive], device: torch.device
) -> dict[str, Any]:
    """Score one run, write its metrics file and return its row of results.csv."""
    record = json.loads(paths.run_record(family, name).read_text())
    dataset = record["run"]["dataset"]
    splits = ["val", "train"] if record["run"]["score_train"] else ["val"]
    row = describe(family, name, record, params)
    row.update(mIoU_val=math.nan, mIoU_train=math.nan, mIoU_val_best=math.nan, background_share=math.nan)
    detail: dict[str, Any] = {}
    for split in splits:
        images = archives.setdefault(f"{dataset}/{split}", DecodedArchive(paths.prepared(dataset, split)))
        result = score_weights(paths.weights(family, name), record, images, device)
        row[f"mIoU_{split}"] = result.mean_iou
        classes = {
            key: None if math.isnan(value) else round(float(value), 6) for key, value in zip(images.class_names, result.iou)
        }
        detail[split] = {"mIoU": round(result.mean_iou, 6), "IoU": classes, "images": len(images.ids)}
        if split == "val":
            row["background_share"] = result.background_share
            best = paths.weights(family, name, "best")
            if best.exists():
                row["mIoU_val_best"] = score_weights(best, record, images, device).mean_iou
    write_json(paths.metrics(family, name), {**_finite(row), "splits": detail})
    return row


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with floats rounded and NaN as null, as JSON wants it."""
    return {
        key: (None if math.isnan(value) else round(value, 6)) if isinstance(value, float) else value for key, value in row.items()
    }


def gather_curves(family: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every epoch of every run's history; columns a run does not have stay empty."""
    gathered: list[dict[str, Any]] = []
    for row in rows:
        with paths.history(family, row["run"]).open(newline="") as file:
            gathered += [{"run": row["run"], "method": row["method"], **epoch} for epoch in csv.DictReader(file)]
    columns = list(dict.fromkeys(key for epoch in gathered for key in epoch))
    return [{column: epoch.get(column) for column in columns} for epoch in gathered]


def prune(family: str, runs: set[str]) -> None:
    """Remove models of runs that params.yaml no longer has: DVC hashes the whole folder."""
    for folder in Path("models", family).iterdir():
        if folder.name not in runs:
            shutil.rmtree(folder)


def main() -> None:
    """Run the stage."""
    family = stage_arguments(__doc__, family="key of `runs` in params.yaml").family
    with clear_errors(DatasetError):
        params = load_params()
        device = select_device(params.device)
        runs = lookup(params.runs, family, "runs")
        prune(family, set(runs))
        shutil.rmtree(paths.metrics(family, "any").parent, ignore_errors=True)
        archives: dict[str, DecodedArchive] = {}
        bar = tqdm(runs, desc=f"evaluate {family}", unit="run", disable=None)
        rows = [evaluate_run(family, name, params, archives, device) for name in bar]
        write_csv(paths.results(family), rows)
        write_csv(paths.curves(family), gather_curves(family, rows))


if __name__ == "__main__":
    main()
