"""Every file that passes between stages, as functions of data set, variant, run or artefact.

All paths are relative to the repository root, which is the working directory of every DVC stage. `dvc.yaml` repeats these
patterns as templates; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
PUBLISHED = Path("reports/published.csv")
SUMMARY = Path("reports/metrics.json")
SCRATCH = Path(".scratch")
"""Ignored by git and DVC: checkpoints of unfinished runs. Safe to delete when nothing is running."""


def raw(dataset: str) -> Path:
    """Return the folder a data set is written or downloaded to (or that points to an existing copy)."""
    return Path("data/raw") / dataset


def raw_source(dataset: str) -> Path:
    """Return the small file inside `raw(dataset)` that says where the data lie and how they came there."""
    return raw(dataset) / "source.json"


def prepared(dataset: str, split: str) -> Path:
    """Return the archive of one split: images, masks and annotations in one file."""
    return Path("data/prepared") / dataset / f"{split}.zip"


def supervision(variant: str) -> Path:
    """Return the folder of one supervision variant; `size_targets`, `seeds` and `supervision_summary` lie in it."""
    return Path("data/supervision") / variant


def size_targets(variant: str) -> Path:
    """Return the table of size targets: one row per image, one column per class."""
    return supervision(variant) / "sizes.csv"


def seeds(variant: str) -> Path:
    """Return the scribbles or clicks of a variant as poly-lines per image."""
    return supervision(variant) / "seeds.json"


def supervision_summary(variant: str) -> Path:
    """Return what was made: noise, realised errors, pixels annotated, seed."""
    return supervision(variant) / "summary.json"


def model(family: str, run: str) -> Path:
    """Return the folder of one trained run."""
    return Path("models") / family / run


def family_pipeline(family: str) -> Path:
    """Return the DVC pipeline of one family of runs."""
    return Path("pipeline/experiments") / family / "dvc.yaml"


def code(family: str) -> Path:
    """Return the digest of all code that the trainings of a family execute."""
    return Path("data/code") / f"{family}.txt"


def weights(family: str, run: str, which: str = "last") -> Path:
    """Return the network weights after the last epoch, or of the epoch that validated best (`which="best"`)."""
    return model(family, run) / f"{which}.pt"


def history(family: str, run: str) -> Path:
    """Return the per-epoch losses of one run."""
    return model(family, run) / "history.csv"


def run_record(family: str, run: str) -> Path:
    """Return the settings and the device of one run."""
    return model(family, run) / "run.json"


def metrics(family: str, run: str) -> Path:
    """Return the metrics of one run."""
    return Path("reports/metrics") / family / f"{run}.json"


def results(family: str) -> Path:
    """Return the table of one family of runs, a row per run."""
    return Path("reports") / family / "results.csv"


def curves(family: str) -> Path:
    """Return the training curves of one family, a row per run and epoch."""
    return Path("reports") / family / "curves.csv"


def panels(family: str) -> Path:
    """Return the pictures and soft labels that qualitative figures are drawn from."""
    return Path("models") / f"{family}_panels.npz"


def solver_check(family: str) -> Path:
    """Return the table that compares solvers with the exact optimum."""
    return Path("reports") / family / "solvers.csv"


def figure(artefact: str) -> Path:
    """Return the figure of an artefact, without its suffix (.svg and .png)."""
    return Path("reports/figures") / artefact


def samples(dataset: str) -> Path:
    """Return the page of sample pictures of a data set, without its suffix (.png)."""
    return figure(f"samples-{dataset}")


def table(artefact: str) -> Path:
    """Return the table of an artefact, without its suffix (.csv and .md)."""
    return Path("reports/tables") / artefact


def plotted(artefact: str) -> Path:
    """Return the plotted numbers of an artefact, as `dvc plots` draws them."""
    return Path("reports/plots") / f"{artefact}.csv"


def checkpoint(family: str, run: str, digest: str) -> Path:
    """Return the scratch file an unfinished run resumes from; `digest` identifies settings, code and data."""
    return SCRATCH / "checkpoints" / f"{family}-{run}-{digest}.pt"
