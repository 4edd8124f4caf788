"""Every file that passes between stages, as functions of data set, variant, run or artifact.

All paths are relative to the repository root, which is the working directory of every DVC stage. `dvc.yaml` repeats these
patterns as templates; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
OWN = Path("pipeline/own.yaml")
PUBLISHED = Path("reports/published.csv")
RECORDED = Path("reports/recorded")
"""Numbers of experiments that cannot be made again anywhere, such as those on data that may not be passed on."""
REAL_RECORD = RECORDED / "real"
"""The record that pages and report show: profile `real`."""
TEST_SCORES = Path("reports/voc_test_scores.csv")
"""Scores that the evaluation server of PASCAL VOC returned, entered by hand."""
DATA_STATISTICS = Path("reports/data.json")
"""Images and classes per image of each data set."""
EXPERIMENTS = Path("pipeline/experiments")
"""A folder for each family of runs."""
PANELS_PIPELINE = EXPERIMENTS / "dvc.yaml"
SUMMARY = Path("reports/metrics.json")
ARTIFACTS_PIPELINE = Path("reports/dvc.yaml")
SETTINGS = Path("data/settings")
CODE = Path("data/code")
"""What stages depend on besides their files; see `pipeline.stages.settings` and `pipeline.stages.code`."""
PLOTS = Path("reports/plots")
SCRATCH = Path(".scratch")
"""Ignored by git and DVC: checkpoints of unfinished runs. Safe to delete when nothing is running."""
UNFINISHED = SCRATCH / "runs"
"""What unfinished runs resume from."""


def raw(dataset: str) -> Path:
    """Return the folder a data set is written or downloaded to (or that points to an existing copy)."""
    return Path("data/raw") / dataset


def raw_source(dataset: str) -> Path:
    """Return the small file inside `raw(dataset)` that says where the data lie and how they came there."""
    return raw(dataset) / "source.json"


def prepared(dataset: str, split: str) -> Path:
    """Return the archive of one split: images, masks and annotations in one file."""
    return Path("data/prepared") / dataset / f"{split}.zip"


def settings(stage: str, *names: str) -> Path:
    """Return the file with all settings that a stage depends on, for what it makes of `names`."""
    return Path(SETTINGS, stage, *names[:-1], f"{names[-1]}.json") if names else SETTINGS / f"{stage}.json"


def supervision(variant: str) -> Path:
    """Return the folder of a supervision variant, `dataset/variant`, or of one of its draws; all that follows lies in it."""
    return Path("data/supervision") / variant


def drawn(variant: str, repetition: int) -> str:
    """Return the variant of another draw of the same chance, for one of several repetitions; the first has the variant itself."""
    return f"{variant}/{repetition}" if repetition else variant


def size_targets(variant: str) -> Path:
    """Return the table of size targets: one row per image, one column per class."""
    return supervision(variant) / "sizes.csv"


def tags(variant: str) -> Path:
    """Return the table of tags: one row per image, one column per class, 1 where the class occurs."""
    return supervision(variant) / "tags.csv"


def seeds(variant: str) -> Path:
    """Return the scribbles or clicks of a variant as poly-lines per image."""
    return supervision(variant) / "seeds.json"


def seed_regions(variant: str) -> Path:
    """Return the seeds of a variant that are regions, one picture per image."""
    return supervision(variant) / "seeds.zip"


def class_labels(variant: str) -> Path:
    """Return the table of soft class labels: one row per image."""
    return supervision(variant) / "labels.csv"


def annotation_errors(variant: str) -> Path:
    """Return the relative error of every annotated size, one row per image and class."""
    return supervision(variant) / "annotations.csv"


def supervision_summary(variant: str) -> Path:
    """Return what was made: noise, realised errors, pixels annotated, seed."""
    return supervision(variant) / "summary.json"


def pretrained(network: str) -> Path:
    """Return the folder of a network's pre-trained weights; empty but for a note if it starts from random ones."""
    return Path("models/pretrained") / network


def pretrained_weights(network: str) -> Path:
    """Return the encoder's weights inside `pretrained(network)`."""
    return pretrained(network) / "encoder.safetensors"


def features(name: str) -> Path:
    """Return the folder of kept features of a frozen encoder, a file per split."""
    return Path("data/features") / name


def kept_features(name: str) -> Path:
    """Return the features of the training pictures inside `features(name)`."""
    return features(name) / "train.safetensors"


def model(family: str, run: str) -> Path:
    """Return the folder of one trained run; one folder per repetition lies in it."""
    return Path("models") / family / run


def family_pipeline(family: str) -> Path:
    """Return the DVC pipeline of one family of runs."""
    return EXPERIMENTS / family / "dvc.yaml"


def family_runs(family: str) -> Path:
    """Return the file that says which runs a family has."""
    return EXPERIMENTS / family / "runs.yaml"


def code(stage: str, *names: str) -> Path:
    """Return the file with the digests of all code that a stage executes, for what it makes of `names`."""
    return Path(CODE, stage, *names[:-1], f"{names[-1]}.txt") if names else CODE / f"{stage}.txt"


def weights(family: str, run: str, repetition: int, which: str = "last") -> Path:
    """Return the network weights after the last epoch, or of the epoch that validated best (`which="best"`)."""
    return model(family, run) / str(repetition) / f"{which}.pt"


def history(family: str, run: str, repetition: int) -> Path:
    """Return the per-epoch losses of one repetition of a run."""
    return model(family, run) / str(repetition) / "history.csv"


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


def confusion(family: str) -> Path:
    """Return the confusion matrices of a family's headline runs, a row per run, true and predicted class."""
    return Path("reports") / family / "confusion.csv"


def panels(artifact: str) -> Path:
    """Return the pictures, predictions or soft labels that a qualitative figure is drawn from."""
    return Path("models/panels") / f"{artifact}.npz"


def submission(family: str, run: str) -> Path:
    """Return the folder with a run's predictions on the PASCAL VOC test photos, for the evaluation server."""
    return Path("models/submissions") / f"{family}-{run}"


def solver_check(family: str) -> Path:
    """Return the table that compares solvers with the exact optimum."""
    return Path("reports") / family / "solvers.csv"


def figure(artifact: str) -> Path:
    """Return the figure of an artifact, without its suffix (.svg and .png)."""
    return Path("reports/figures") / artifact


def samples(dataset: str) -> Path:
    """Return the page of sample pictures of a data set, without its suffix (.png)."""
    return figure(f"samples-{dataset}")


def table(artifact: str) -> Path:
    """Return the table of an artifact, without its suffix (.csv and .md)."""
    return Path("reports/tables") / artifact


def plotted(artifact: str) -> Path:
    """Return the plotted numbers of an artifact, as `dvc plots` draws them."""
    return PLOTS / f"{artifact}.csv"


def seconds(family: str, run: str, repetition: int) -> Path:
    """Return the file that holds how long a repetition trained: no output of the DAG, whose outputs repeat themselves."""
    return SCRATCH / "seconds" / family / run / f"{repetition}.json"


def unfinished(family: str, run: str, repetition: int, digest: str) -> Path:
    """Return the scratch folder of one repetition: what it resumes from, and what is finished until the whole run is.

    `digest` identifies settings, code and data.
    """
    return UNFINISHED / f"{family}-{run}-{repetition}-{digest}"


def scores(digest: str) -> Path:
    """Return what is kept of the scores of weights; `digest` identifies them, the pictures and the code."""
    return SCRATCH / "scores" / f"{digest}.json"


def kept_supervision(dataset: str) -> Path:
    """Return the folder with what is kept of all supervision of a data set, a folder per digest of what it was made of."""
    return SCRATCH / "supervision" / dataset
