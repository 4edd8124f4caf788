"""Made-up results of every run and made-up pictures, for the tests of artifacts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.conventions import VOID
from pipeline.report.artifact import Artifact, Data
from pipeline.report.artifacts import load
from pipeline.report.runs import Runs
from pipeline.stages.figure import drawn

NAN = float("nan")
LENGTHS = {f"len{round(100 * length):03d}": {"length_ratio": length} for length in (0.0, 0.5, 1.0)}
ERRORS = {
    f"mre{round(100 * mre):02d}": {"mre": mre, "sigma": 1.25 * mre, "supervision": f"voc-sizes-mre{round(100 * mre):02d}"}
    for mre in (0.0, 0.04, 0.08, 0.16, 0.32)
}
NOISES = {f"eta{round(100 * share):02d}": {"label_noise": share} for share in (0.0, 0.5)}
FULL_LENGTH = {"length_ratio": 1.0}
FIELDS = {
    name: None
    for names in (
        ("classes", "sigma", "mre", "annotation", "annotated_mre", "annotated_seconds", "length_ratio", "label_noise"),
        ("cross_entropy", "relaxation", "neighborhood", "labels", "solver", "solver_steps", "objective", "supervision"),
        ("training", "mIoU_val", "DSC_val", "accuracy_val", "mIoU_val_best"),
    )
    for name in names
}
COMMON = {"dataset": "voc", "network": "resnet101", "profile": "embedded", "device": "cpu", "seeds_generated": False}


def over(levels, name, **fields):
    """Runs of a curve: name of each level appended, its fields added."""
    return {f"{name}-{digits}": {**fields, **level} for digits, level in levels.items()}


def soft(relaxation, cross_entropy="cce", method="soft", **fields):
    """Fields of soft self-labelling on the grid."""
    labeling = {"relaxation": relaxation, "cross_entropy": cross_entropy, "neighborhood": "grid4", "labels": "soft"}
    return {"method": method, "solver": "gradient", "solver_steps": 20, **labeling, **fields}


def part(classes):
    """Fields of runs on a part of the classes."""
    return {"classes": classes, "several_classes": " " in classes}


def annotated(name, classes):
    """Runs of Table 1 for one class."""
    annotation = {"annotation": "simulated", "annotated_mre": 0.15, "annotated_seconds": 11.5}
    return {
        f"{name}-full": {"method": "full", **part(classes)},
        f"{name}-annotated": {"method": "annotated", **part(classes), **annotation},
    }


FAMILIES = {
    "size_noise": {
        "full": {"method": "full"},
        **over(ERRORS, "size", method="size"),
        **over(ERRORS, "size-crf", method="size_crf"),
    },
    "noise": {
        "size": {"method": "size", "mre": 0.0797885, "sigma": 0.1, "noise_default": True},
        "size-crf": {"method": "size_crf", "mre": 0.0797885, "sigma": 0.1, "noise_default": True},
    },
    "size_losses": {
        "forward-suppression": {"objective": "size-suppression"},
        **{
            name: {"objective": name}
            for loss in ("reverse-kl", "log-barrier", "flat-barrier")
            for name in (loss, f"{loss}-suppression")
        },
        "log-barrier-crf": {"objective": "log-barrier-crf"},
    },
    "scribble_sizes": {
        **over(LENGTHS, "pce-crf", method="pce_crf"),
        **{
            name: run
            for error in ("mre00", "mre08", "mre16")
            for name, run in over(LENGTHS, f"size-{error}", method="pce_size_crf", **ERRORS[error]).items()
        },
    },
    "annotated": {
        **annotated("animals", "cat dog bird"),
        **over(ERRORS, "animals-size", method="size_crf", **part("cat dog bird")),
        **{
            run: fields
            for name in ("cat", "dog", "bird")
            for run, fields in {
                **annotated(name, name),
                f"{name}-size": {"method": "size_crf", "mre": 0.0, **part(name)},
            }.items()
        },
    },
    "backbones": {
        "wideresnet38-size": {"method": "size_crf", "network": "wideresnet38"},
        "vit-size": {"method": "size_crf", "network": "vit"},
        "vit-full": {"method": "full", "network": "vit"},
        "coco-resnet101-size": {"method": "size_crf", "dataset": "coco"},
        "coco-resnet101-full": {"method": "full", "dataset": "coco"},
        "coco-vit-size": {"method": "size_crf", "dataset": "coco", "network": "vit"},
    },
    "acdc": {
        **{name: {"method": name.replace("-", "_")} for name in ("full", "pce", "barrier", "mean-size")},
        **over(ERRORS, "size", method="pce_size"),
    },
    "seeds": over(LENGTHS, "pce", method="pce"),
    "potts": {
        **{name: run for key in ("bl", "nq", "q", "cce", "cd", "lq") for name, run in over(LENGTHS, key, **soft(key)).items()},
        "exact-len100": soft("q", "quadratic", **FULL_LENGTH),
        "exact-entropy-len100": soft("q", "quadratic", "soft_entropy", entropy_term=True, **FULL_LENGTH),
    },
    "cross_entropies": {
        **over(LENGTHS, "ce", **soft("q", "ce")),
        **over(LENGTHS, "rce", **soft("q", "rce")),
        "hard-len100": {**soft("q"), "method": "hard_argmax", "labels": "hard", **FULL_LENGTH},
    },
    "methods": {
        name: run
        for method in ("gd-nn", "gd-dn", "hard-nn", "hard-dn", "soft-dn")
        for name, run in over(LENGTHS, method, method=method.replace("-", "_")).items()
    },
    "solvers": {
        "steps100-len100": soft("q", objective="soft-q-half", **{**FULL_LENGTH, "solver_steps": 10}),
        "fast-len100": soft("q", method="soft_fast", objective="soft-q-fast", **{**FULL_LENGTH, "solver": "fast"}),
        "fast-tuned-len100": soft("q", method="soft_fast", objective="soft-q-fast-tuned", **{**FULL_LENGTH, "solver": "fast"}),
    },
    "scribble_resnet": {
        f"{name}": {**fields, "training": training}
        for batch, training in (("12", "seeds"), ("16", "seeds-16"))
        for name, fields in {
            f"pce-{batch}": {"method": "pce"},
            f"full-{batch}": {"method": "full"},
            f"cd-{batch}-single": soft("cd"),
        }.items()
    },
    "scribble_resnet_potts": {
        **{
            f"{name}-12": {"method": method, "training": training}
            for name, method, training in (
                ("densecrf", "gd_dn", "potts"),
                ("nonlocalcrf", "gd_sn", "potts-gd"),
                ("gridcrf", "hard_nn", "potts"),
            )
        },
        "q-12": soft("q", training="potts"),
        "cd-12": soft("cd", training="potts"),
        "cd-16": soft("cd", training="potts-16"),
    },
    "blocks": {
        f"{dataset}-{name}": {"method": method, "dataset": dataset}
        for dataset in ("cityscapes", "ade20k")
        for name, method in (("full", "full"), ("densecrf", "gd_dn"), ("gridcrf", "gd_nn"), ("cd", "soft"))
    },
    "label_noise": {
        name: run
        for key in ("ce", "rce", "cce")
        for name, run in over(NOISES, key, method=f"labels_{key}", cross_entropy=key).items()
    },
    "cross_seeds": over(LENGTHS, "pce", method="pce"),
    "cross": {**over(LENGTHS, "soft", **soft("cd")), **over(LENGTHS, "soft-size", **soft("cd", method="soft_size"))},
}
"""Family to its runs, named as in params.yaml, with the fields in which they differ."""


def make_results(seeds=1):
    """Return results of all runs: the accuracy of seed 0 is another one for every run, each further seed has a hundredth more."""
    blank = {
        **dict.fromkeys(FIELDS),
        **COMMON,
        "noise_default": False,
        "entropy_term": False,
        "mre_all": NAN,
        "mre_foreground": NAN,
    }
    runs = [(family, name, fields) for family, of_family in FAMILIES.items() for name, fields in of_family.items()]
    rows = []
    for place, (family, name, fields) in enumerate(runs):
        for seed in range(seeds):
            accuracy = 0.4 + place / 1000 + seed / 100
            metrics = {
                "mIoU_val": accuracy,
                "mIoU_train": accuracy + 0.2,
                "background_share": 1 - accuracy,
                "absent_share": 1 - accuracy,
            }
            if family == "acdc":
                metrics["DSC_val"] = accuracy + 0.3
            if family == "label_noise":
                metrics = {"accuracy_val": accuracy}
            rows.append({**blank, **fields, **metrics, "family": family, "run": name, "seed": seed})
    return pd.DataFrame(rows)


def names(rows):
    """Return the name of the run of each row, "family/run"."""
    return rows["family"] + "/" + rows["run"]


def without(rows, name):
    """Return results without one run."""
    assert (names(rows) == name).any(), name
    return rows[names(rows) != name]


def changed(rows, name, by=0.0, **columns):
    """Return results in which all metrics of a run, or of several, are higher, and other columns of it have other values."""
    rows, chosen = rows.copy(), names(rows).isin([name] if isinstance(name, str) else list(name))
    assert chosen.any(), name
    for metric in ("mIoU_val", "mIoU_train", "DSC_val", "accuracy_val", "background_share", "absent_share"):
        rows.loc[chosen, metric] = rows.loc[chosen, metric].astype(float) + by
    for column, value in columns.items():
        rows.loc[chosen, column] = value
    return rows


def percent(rows, name, metric="mIoU_val"):
    """Return the mean over seeds of a metric of a run, in percent."""
    return 100 * rows.loc[names(rows) == name, metric].astype(float).mean()


class Drawn(NamedTuple):
    """An artifact made from made-up data."""

    artifact: Artifact
    data: Data
    frame: pd.DataFrame
    table: pd.DataFrame | None
    figure: Figure | None


def make_data(name, rows, published):
    """Return what an artifact sees of results."""
    return Data(Runs(rows, name, load(name).runs), published)


def make_artifact(name, rows, published):
    """Compute, tabulate and draw an artifact."""
    artifact, data = load(name), make_data(name, rows, published)
    frame = artifact.compute(data)
    table = artifact.tabulate(frame, data) if artifact.tabulate else None
    return Drawn(artifact, data, frame, table, drawn(artifact, frame, data))


def make_panels(runs: Sequence[str], class_names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Return an archive of panels: in each image the left half is class 1 and a corner void; run r has r wrong columns.

    Args:
        runs: "family/run".
        class_names: at least two, background first.
        sizes: (height, width) of each image.
    """
    colors = [(40 * index, 255 - 40 * index, 20 * index) for index in range(len(class_names))]
    arrays = {
        "ids": np.array([f"image {index}" for index in range(len(sizes))]),
        "class_names": np.array(class_names),
        "palette": np.array(colors, np.uint8),
        "runs": np.array(runs),
        "failed": np.zeros(len(runs), bool),
        "titles": np.array(runs),
        "profile": np.array("embedded"),
        "device": np.array("cpu"),
        "seed": np.array(0),
    }
    for index, (height, width) in enumerate(sizes):
        labels = np.zeros((height, width), np.uint8)
        labels[:, : width // 2] = 1
        arrays[f"image_{index}"] = np.full((height, width, 3), 100, np.uint8)
        for place in range(len(runs)):
            prediction = np.zeros((height, width), np.uint8)
            prediction[:, : width // 2 + place] = 1
            arrays[f"prediction_{place}_{index}"] = prediction
        labels[0, 0] = VOID
        arrays[f"labels_{index}"] = labels
    return arrays


def pictures_of(figure: Figure) -> list[np.ndarray]:
    """Return the pictures a figure shows, in order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
