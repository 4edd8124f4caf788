"""Stage `evaluate` of a family: score every run of the family on whole images and gather its curves.

Writes reports/FAMILY/results.csv (a row per run and repetition), reports/FAMILY/curves.csv (a row per epoch of each) and one
JSON per run under reports/metrics/FAMILY; families that `figures.headline` names also get reports/FAMILY/confusion.csv, the
confusion matrices of the runs it names. Models of runs that the family no longer has are removed. Scores are kept in the scratch
folder: weights that did not change since are not scored again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from pipeline import paths
from pipeline.datasets.prepared import Part, PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.evaluation.accuracy import accuracy
from pipeline.evaluation.score import score
from pipeline.features import encoder_digest
from pipeline.files import read_json, read_table, write_csv, write_json
from pipeline.kept import digest_of
from pipeline.networks.base import SegmentationNetwork
from pipeline.params import Params, load_params
from pipeline.runs import Trained
from pipeline.stages.common import stage_arguments
from pipeline.stages.device import select_device

Memory = dict[tuple[str, str], list[torch.Tensor]]
"""What frozen encoders made of batches: digest of the encoder and of the batch to its maps."""
REMEMBERED_BYTES = 2 * 2**30


class DecodedArchive:
    """A prepared archive whose pictures are decoded once and kept, with their maps: the runs of a family share them."""

    def __init__(self, archive: PreparedArchive) -> None:
        self.maps: Memory = {}
        self.path = archive.path
        self.ids, self.num_classes, self.class_names = archive.ids, archive.num_classes, archive.class_names
        self.task, self.has_background, self.group = archive.task, archive.has_background, archive.group
        # Room for all validation photos of PASCAL; bounded, as decoded pictures are large.
        self.image = lru_cache(maxsize=2000)(archive.image)
        self.labels = lru_cache(maxsize=2000)(archive.labels)
        self.image_class = archive.image_class


Archives = dict[str, DecodedArchive]


def remember_features(network: SegmentationNetwork, memory: Memory) -> None:
    """Let networks of one frozen encoder share what it makes of a batch: all runs of a family see the same pictures."""
    encoder, compute = encoder_digest(network), network.features

    def features(image: torch.Tensor) -> list[torch.Tensor]:
        # By content, as every run makes its batches anew.
        key = (encoder, hashlib.sha256(image.cpu().numpy().tobytes()).hexdigest())
        if key in memory:
            return memory[key]
        maps = compute(image)
        # Nothing is thrown out for it: runs ask in the same order, so that the oldest is the next to be asked for.
        if sum(one.nbytes for known in memory.values() for one in known) < REMEMBERED_BYTES:
            memory[key] = maps
        return maps

    network.features = features  # type: ignore[method-assign]


def open_archive(archives: Archives, trained: Trained, split: Part) -> DecodedArchive:
    """Return a split as a run saw it, shared with other runs of the same view."""
    # The splits of a trial are other pictures.
    key = f"{trained.dataset}/{split}/{trained.subset}/{trained.record['run']['trial'] is not None}"
    if key not in archives:
        archives[key] = DecodedArchive(trained.archive(split))
    return archives[key]


Confusions = dict[str, tuple[Sequence[str], np.ndarray]]
"""Class names and (C, C) pixel counts per run, rows are truth, summed over repetitions."""


def score_weights(
    weights: Path, trained: Trained, images: DecodedArchive, device: torch.device
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return the metrics of one set of weights on one split, and the confusion matrix of segmentation.

    The metrics are mIoU and DSC of segmentation, accuracy of classification.
    """
    network = trained.network(images.num_classes, weights, device)
    if trained.record["network"]["freeze_encoder"] and isinstance(network, SegmentationNetwork):
        remember_features(network, images.maps)
    if images.task == "classification":
        return {"accuracy": accuracy(network, images, resize_px=trained.record["training"]["image_size_px"], device=device)}, None
    result = score(network, images, resize_px=trained.resize_px, device=device)
    classes = {key: None if math.isnan(value) else round(float(value), 6) for key, value in zip(images.class_names, result.iou)}
    metrics: dict[str, Any] = {"mIoU": result.mean_iou, "IoU": classes}
    if images.has_background:
        metrics["background_share"] = result.background_share
        metrics["absent_share"] = result.absent_share
    if images.num_classes == 2:
        metrics["DSC"] = result.mean_dsc
        groups = [group for image_id in images.ids if (group := images.group(image_id)) is not None]
        if groups:
            metrics["DSC_volumes"] = result.volume_dsc(groups)
    return metrics, result.confusion


def kept_scores(
    family: str, weights: Path, trained: Trained, images: DecodedArchive, device: torch.device
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return what `score_weights` does, or did when weights, record, pictures and code were the same as now."""
    code = paths.code("evaluate", family)
    if not code.exists():  # outside the DAG nobody says whether the code has changed
        return score_weights(weights, trained, images, device)
    # With ids, as the digest of the archive is the same for every view of it.
    made_of = {"device": device.type, "record": trained.record, "images": images.ids}
    place = paths.scores(digest_of(made_of, [weights, images.path, code]))
    if not place.exists():
        metrics, confusion = score_weights(weights, trained, images, device)
        # `read_json` refuses NaN.
        known = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in metrics.items()}
        write_json(place, {"metrics": known, "confusion": None if confusion is None else confusion.tolist()})
    # Read back even when new: the tables must not depend on what was kept.
    kept = read_json(place, "delete it and run again")
    return kept["metrics"], None if kept["confusion"] is None else np.array(kept["confusion"])


def describe(family: str, name: str, record: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Return the columns of results.csv that say what a run is."""
    run, annotation, supervision = record["run"], record["annotation"], record["supervision"]
    sizes, seeds, labels = (annotation.get(key, {}) for key in ("sizes", "seeds", "labels"))
    labeling = record["objective"]["self_labeling"] or {}
    solver = labeling.get("solver", {})
    source = params.datasets[run["dataset"]].source
    trial = run["trial"] or {}
    return {
        "run": name,
        "family": family,
        "method": params.run(family, name).method,
        "dataset": run["dataset"],
        "data": source if source in ("synthetic", "download") else "path",  # not the path itself, which says nothing elsewhere
        "classes": "" if supervision["subset"] is None else " ".join(supervision["subset"]["classes"]),
        "several_classes": supervision["subset"] is not None and len(supervision["subset"]["classes"]) > 1,
        "network": run["network"],
        "supervision": run["supervision"],
        "objective": run["objective"],
        "training": run["training"],
        "batch_size": record["training"]["batch_size"],
        "start": run["start"] or "",
        "rate_factor": trial.get("rate_factor"),
        "weight_factor": trial.get("weight_factor"),
        "seed": 0,  # each repetition puts its own number here
        "profile": record["profile"],
        "device": record["device"],
        "sigma": sizes.get("sigma"),
        "mre": sizes.get("mre"),
        "noise_default": sizes.get("noise_default", False),
        "mre_all": sizes.get("mre_all"),
        "mre_foreground": sizes.get("mre_foreground"),
        "annotation": sizes.get("annotation"),
        "annotated_mre": sizes.get("annotated_mre"),
        "annotated_seconds": sizes.get("annotated_seconds"),
        "length_ratio": seeds.get("length_ratio"),
        "block_ratio": seeds.get("block_ratio"),
        "drawn_seconds": seeds.get("drawn_seconds"),
        "seeds_generated": seeds.get("generated", False),
        "seed_kind": (supervision["seeds"] or {}).get("kind"),
        "label_noise": labels.get("corrupted"),
        "cross_entropy": labeling.get("cross_entropy") or record["objective"]["image_labels"],
        "relaxation": labeling.get("relaxation"),
        "neighborhood": (labeling or record["objective"]["potts"] or {}).get("neighborhood"),
        "labels": labeling.get("labels"),
        "entropy_term": labeling.get("entropy_weight", 0) > 0,
        "solver": solver.get("kind"),
        "solver_steps": solver.get("steps"),
    }


METRICS = ("mIoU", "DSC", "accuracy")
SHARES = ("background_share", "absent_share")
FAILED_AT = 2.0
"""A training failed whose cross-entropy with known labels ends above so many times ln C, that of an even guess."""


def read_history(family: str, name: str, repetition: int) -> list[dict[str, str]]:
    """Return the epochs of a training: column of its history to text, empty where there is no number.

    Raises:
        OSError: there is no history.
        ValueError: it is no table (named).
    """
    header, lines = read_table(paths.history(family, name, repetition))
    return [dict(zip(header, line.cells)) for line in lines]


def training_failed(history: Sequence[Mapping[str, str]], record: Mapping[str, Any], classes: int) -> bool:
    """Return whether the loss of a training says that it failed.

    It did if the cross-entropy with masks or seeds ends above `FAILED_AT` times that of an even guess, or if the total loss of a
    network that was trained from the beginning ends no lower than it began.

    Args:
        history: rows of history.csv, one per epoch.
        record: what the run was trained with.
        classes: C, with background.
    """
    first, last = history[0], history[-1]
    for term in ("masks", "seeds"):
        weight = record["objective"].get(term)
        # The history holds weighted terms.
        if weight and float(last[f"loss_{term}"]) / weight > FAILED_AT * math.log(classes):
            return True
    # A second stage may end where it began.
    return not record["run"]["start"] and len(history) > 1 and not float(last["loss"]) < float(first["loss"])


def repetition_failed(family: str, name: str, repetition: int, record: Mapping[str, Any], classes: int) -> bool:
    """Return what `training_failed` says of the history of a repetition.

    Raises:
        OSError: there is no history.
        ValueError: it is broken (named).
    """
    try:
        return training_failed(read_history(family, name, repetition), record, classes)
    except (LookupError, ValueError) as error:
        place = paths.history(family, name, repetition)
        raise ValueError(f"{place}: lacks the losses of this run ({error!r}); train the run again") from error


def evaluate_run(
    family: str, name: str, params: Params, archives: Archives, confusions: Confusions, device: torch.device
) -> list[dict[str, Any]]:
    """Score all repetitions of a run, write its metrics file and return its rows of results.csv.

    The confusion matrix on the validation images is added to `confusions`.
    """
    trained = Trained.of(family, name)
    splits: list[Part] = ["val", "train"] if params.run(family, name).score_train else ["val"]
    described = describe(family, name, trained.record, params)
    rows, details = [], []
    for repetition in range(trained.record["repetitions"]):
        row = {**described, "seed": repetition}
        # Empty first, so that every family has the same columns in the same order.
        row.update({f"{metric}_{column}": math.nan for metric in METRICS for column in ("val", "train", "val_best")})
        row.update(dict.fromkeys(SHARES, math.nan))
        classes = open_archive(archives, trained, "val").num_classes
        row["failed"] = repetition_failed(family, name, repetition, trained.record, classes)
        detail: dict[str, Any] = {"seed": repetition, "failed": row["failed"]}
        for split in splits:
            images = open_archive(archives, trained, split)
            result, confusion = kept_scores(family, paths.weights(family, name, repetition), trained, images, device)
            row.update({f"{metric}_{split}": result[metric] for metric in METRICS if metric in result})
            detail[split] = {**_finite(result), "images": len(images.ids)}
            if split == "val":
                if confusion is not None:
                    before = confusions[name][1] if name in confusions else 0
                    confusions[name] = (images.class_names, before + confusion)
                row.update({share: result.get(share, math.nan) for share in SHARES})
                best = paths.weights(family, name, repetition, "best")
                if best.exists():
                    result, _ = kept_scores(family, best, trained, images, device)
                    row.update({f"{metric}_val_best": result[metric] for metric in METRICS if metric in result})
        rows.append(row)
        details.append(detail)
    columns = {key: value for key, value in described.items() if key != "seed"}
    write_json(paths.metrics(family, name), {**_finite(columns), "repetitions": details})
    return rows


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with floats rounded and NaN as null, as JSON wants it."""
    return {
        key: (None if math.isnan(value) else round(value, 6)) if isinstance(value, float) else value for key, value in row.items()
    }


def confusion_rows(run: str, class_names: Sequence[str], confusion: np.ndarray) -> list[dict[str, Any]]:
    """Return a confusion matrix as rows of a table, normalised per true class.

    Args:
        run: family/run.
        class_names: names of the C classes.
        confusion: (C, C) pixel counts, rows are truth.

    Returns:
        A row per pair of classes: pixels of `truth` that are predicted as `predicted`, and their share of all pixels of `truth`
        in percent, which sums to 100 over the predictions. A class that does not occur has no share and no rows.
    """
    return [
        {
            "run": run,
            "truth": truth,
            "predicted": predicted,
            "share_percent": round(100 * int(pixels) / int(counts.sum()), 3),
            "pixels": int(pixels),
        }
        for truth, counts in zip(class_names, confusion)
        if counts.any()
        for predicted, pixels in zip(class_names, counts)
    ]


CONFUSION_COLUMNS = ("run", "truth", "predicted", "share_percent", "pixels")


def write_confusions(family: str, headline: list[str], confusions: Confusions) -> None:
    """Write the confusion matrices of the runs of `headline` that belong to the family; only the header if none does."""
    named = [name.partition("/")[2] for name in headline if name.partition("/")[0] == family]
    rows = [row for name in named if name in confusions for row in confusion_rows(f"{family}/{name}", *confusions[name])]
    write_csv(paths.confusion(family), rows, CONFUSION_COLUMNS)


def gather_curves(family: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every epoch of every run's history."""
    gathered: list[dict[str, Any]] = []
    for row in rows:
        epochs = read_history(family, row["run"], row["seed"])  # the column `seed` counts repetitions
        gathered += [{"run": row["run"], "method": row["method"], "seed": row["seed"], **epoch} for epoch in epochs]
    return gathered


def prune(family: str, runs: set[str]) -> None:
    """Remove models of runs that the family no longer has: DVC hashes the whole folder."""
    for folder in Path("models", family).iterdir():
        if folder.name not in runs:
            shutil.rmtree(folder)


def main() -> None:
    """Run the stage."""
    family = stage_arguments(__doc__, family="folder of pipeline/experiments").family
    with clear_errors(DatasetError):
        params = load_params()
        device = select_device(params.device)
        runs = params.family(family)
        prune(family, set(runs))
        # Files of runs that the family no longer has go with the folder.
        shutil.rmtree(paths.metrics(family, "any").parent, ignore_errors=True)
        archives: Archives = {}
        confusions: Confusions = {}
        bar = tqdm(runs, desc=f"evaluate {family}", unit="run", disable=None)
        rows = [row for name in bar for row in evaluate_run(family, name, params, archives, confusions, device)]
        write_csv(paths.results(family), rows)
        write_csv(paths.curves(family), gather_curves(family, rows))
        # Only where `pipeline.wiring` has declared the file as an output.
        if family in {run.split("/")[0] for run in params.figures.headline}:
            write_confusions(family, params.figures.headline, confusions)


if __name__ == "__main__":
    main()
