"""The three commands of the user, run for real on a copy of the repository cut down to a few tiny runs.

`dvc repro` makes every artifact, `dvc exp run -S noise.sigma=0.2` reruns only what depends on the noise, `dvc plots diff`
draws two revisions. One module-wide copy, so that the pipeline is built once.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.import_graph import REPOSITORY

pytestmark = pytest.mark.slow

KEPT = {
    "features": ["full"],
    "size_noise": ["full", "size-mre00", "size-mre16", "size-crf-mre00", "size-crf-mre16"],
    "noise": ["size", "size-crf"],
    "seeds": ["pce-len100"],
    "potts": [
        "bl-len100",
        "nq-len100",
        "q-len100",
        "cce-len100",
        "cd-len100",
        "lq-len100",
        "exact-len100",
        "exact-entropy-len100",
    ],
}
FULL = {"method": "full", "supervision": "voc-masks", "objective": "masks"}

ARTIFACTS = ["a-fig3", "a-fig4a", "b-appb1", "b-fig1", "b-fig2", "b-fig3abc", "b-fig5", "b-fig7", "b-tab3"]


def shrink(folder):
    """Cut the repository down to a few runs of one epoch on a handful of pictures, and to the artifacts they make.

    A family on kept features, of which the committed settings have none, comes to it.
    """
    yaml = YAML()
    path = folder / "params.yaml"
    tree = yaml.load(path.read_text())
    tree["datasets"] = {"voc": tree["datasets"]["voc"]}
    tree["datasets"]["voc"]["synthetic"].update(train=12, val=6)
    for settings in tree["training"].values():
        settings.update(epochs=1, image_size_px=32)
    tree["solver"]["paper"]["steps"] = 2
    tree["figures"].update(sample_images=2, panel_images=2, solver_images=2, headline=["size_noise/full", "noise/size"])
    tree["levels"].update(length_ratio=[1.0], mre=[0.0, 0.16])
    every_masks = next(entry for name, entry in tree["supervision"].items() if name == "{dataset}-masks")
    every_masks["dataset"] = ["voc"]
    of_voc = {name: entry for name, entry in tree["supervision"].items() if entry["dataset"] in ("voc", ["voc"])}
    tree["supervision"] = of_voc
    tree["networks"] = {name: tree["networks"][name] for name in ("resnet101", "mobilenet")}
    tree["networks"]["frozen"] = {"kind": "small", "width": 4, "weights": "random", "freeze_encoder": True}
    tree["features"] = {"voc-frozen": {"dataset": "voc", "network": "frozen", "image_size_px": 32}}
    with path.open("w") as file:
        yaml.dump(tree, file)
    for family in (folder / paths.EXPERIMENTS).iterdir():
        if family.is_dir() and family.name not in KEPT:
            shutil.rmtree(family)
    runs = folder / paths.family_runs("features")
    runs.parent.mkdir()
    with runs.open("w") as file:
        yaml.dump({"runs": {"full": FULL | {"network": "frozen", "training": "full", "features": "voc-frozen"}}}, file)
    subprocess.run([sys.executable, "-m", "pipeline.wiring"], cwd=folder, check=True)
    artifacts = yaml.load((folder / "reports/dvc.yaml").read_text())
    artifacts["stages"] = {name: artifacts["stages"][name] for name in ARTIFACTS}
    with (folder / "reports/dvc.yaml").open("w") as file:
        yaml.dump(artifacts, file)


class Workspace:
    """A copy of the repository, under git, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        binaries = str(Path(sys.executable).parent)
        self.environment = dict(os.environ, PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}", OMP_NUM_THREADS="1")
        self.environment.update(GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@t", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@t")

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command, check how it ends, and return what it printed."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{' '.join(command)}\n{output[-3000:]}"
        return output

    def results(self, family: str) -> dict[str, dict[str, str]]:
        """Return the rows of a family's results by run."""
        with (self.folder / f"reports/{family}/results.csv").open(newline="") as file:
            return {row["run"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, tracked):
        if name.endswith("dvc.lock") or not (REPOSITORY / name).is_file():
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, target)
    for made in (folder / "reports").iterdir():
        if made.is_dir() and made.name != "recorded":  # what was recorded is shown, not made
            shutil.rmtree(made)
    shrink(folder)
    space = Workspace(folder)
    space.run("git", "init", "-q")
    space.run("git", "add", "-A")
    space.run("git", "commit", "-qm", "start")
    space.run("python", "-m", "pipeline.launch", "--jobs", "2")
    space.run("dvc", "repro")
    space.run("git", "add", "-A")
    space.run("git", "commit", "-qm", "results")
    return space


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_artifact_is_made_with_its_plotted_numbers(workspace, artifact):
    reports = workspace.folder / "reports"
    for name in (f"figures/{artifact}.svg", f"figures/{artifact}.png", f"plots/{artifact}.csv"):
        assert (reports / name).stat().st_size > 0


@pytest.mark.parametrize("artifact", ["b-tab3", "b-appb1"])
def test_table_is_made_in_both_forms(workspace, artifact):
    for suffix in ("csv", "md"):
        assert (workspace.folder / f"reports/tables/{artifact}.{suffix}").stat().st_size > 0


def test_every_run_has_its_metrics_file(workspace):
    for family, names in KEPT.items():
        for name in names:
            metrics = json.loads((workspace.folder / f"reports/metrics/{family}/{name}.json").read_text())
            assert 0 <= metrics["repetitions"][0]["val"]["mIoU"] <= 1


def test_run_on_kept_features_reads_what_their_stage_wrote(workspace):
    locks = [workspace.folder / "dvc.lock", workspace.folder / paths.family_pipeline("features").with_suffix(".lock")]
    features, training = (YAML(typ="safe").load(lock.read_text())["stages"] for lock in locks)
    (written,) = features["features@voc-frozen"]["outs"]
    read = {entry["path"]: entry["md5"] for entry in training["train@full"]["deps"]}
    assert read[written["path"]] == written["md5"]


def test_everything_is_up_to_date_afterwards(workspace):
    assert "up to date" in workspace.run("dvc", "status")


def test_reports_are_byte_identical_when_rebuilt(workspace):
    workspace.run("dvc", "repro", "--force", "--single-item", "reports/dvc.yaml:a-fig4a")
    workspace.run("dvc", "repro", "--force", "--single-item", "pipeline/experiments/size_noise/dvc.yaml:train@full")
    workspace.run("dvc", "repro")
    assert workspace.run("git", "status", "--porcelain") == ""


STAGES = {
    "raw": "voc",
    "prepare": "voc",
    "samples": "voc",
    "statistics": None,
    "report": None,
    "weights": "mobilenet",
    "panels": "a-fig2 size_noise/full",
    "settings": None,
    "supervise": "voc",
    "train": "size_noise/full",
    "evaluate": "seeds",
    "pseudo_labels": None,
    "summary": None,
}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_wrong_value_stops_every_stage_with_its_key(workspace, stage):
    path = workspace.folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("batch_size: 8", "batch_sise: 8", 1))
    try:
        argument = STAGES[stage].split() if STAGES[stage] else []
        output = workspace.run("python", "-m", f"pipeline.stages.{stage}", *argument, fails=True)
    finally:
        path.write_text(text)
    assert "batch_sise: unknown key" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("stage", ["raw", "prepare", "supervise"])
def test_unknown_name_is_answered_with_the_known_ones(workspace, stage):
    output = workspace.run("python", "-m", f"pipeline.stages.{stage}", "nothing", fails=True)
    assert "nothing is not in params.yaml; there:" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("stage", "name"), [("evaluate", "nothing"), ("train", "nothing/at-all")])
def test_unknown_family_is_answered_with_the_known_ones(workspace, stage, name):
    output = workspace.run("python", "-m", f"pipeline.stages.{stage}", name, fails=True)
    assert (
        "pipeline/experiments/nothing/runs.yaml: no such family of runs; there: features, noise, potts, seeds, size_noise"
        in output
    )


def test_a_level_taken_out_names_its_remedy(workspace):
    output = workspace.run("python", "-m", "pipeline.stages.train", "size_noise/size-mre04", fails=True)
    assert "has no run size-mre04" in output
    assert "run python -m pipeline.wiring" in output


def test_experiment_reruns_only_what_depends_on_the_noise_and_can_be_compared(workspace):
    before = workspace.results("size_noise")
    output = workspace.run("dvc", "exp", "run", "-S", "noise.sigma=0.2")
    trained = {
        line.split("train@")[1].rstrip("':") for line in output.splitlines() if "Running stage" in line and "train@" in line
    }
    assert trained == {"size", "size-crf"}
    assert float(workspace.results("noise")["size"]["sigma"]) == 0.2
    assert workspace.results("size_noise") == before
    table = workspace.run("dvc", "exp", "show", "--csv", "--only-changed")
    assert "noise.sigma" in table

    workspace.run("dvc", "plots", "diff", "HEAD", "workspace")
    page = (workspace.folder / "dvc_plots/index.html").read_text()
    assert "a-fig4a" in page
    assert '"rev": "HEAD"' in page
    assert '"rev": "workspace"' in page
    assert 'src="http' not in page, "the page must not need a network"
    workspace.run("git", "checkout", "-q", ".")
    workspace.run("dvc", "checkout", "-q")


def test_neighbourhoods_are_measured_where_there_is_a_class_and_no_seed(workspace):
    panels = np.load(workspace.folder / paths.panels("b-fig5"))
    for kind, name in enumerate(("network", "nearest", "dense")):
        for index in range(2):
            labels, seeds = panels[f"labels_{index}"], panels[f"seeds_{index}"]
            rows, columns = np.nonzero((labels != VOID) & (seeds == VOID))
            of_truth = panels[f"{name}_{index}"][labels[rows, columns], rows, columns].astype(float)
            assert panels["correct_percent"][kind, index] == pytest.approx(100 * of_truth.mean(), abs=0.02)
