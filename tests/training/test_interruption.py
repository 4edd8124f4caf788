"""Training as its user sees it: killed, asked to stop, started again; on a CPU it ends as if nothing had happened."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.datasets.prepared import write_prepared
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.import_graph import REPOSITORY
from pipeline.params import load_params

pytestmark = pytest.mark.slow

RUN = "size_noise/full"
DRIVER = REPOSITORY / "tests/interrupted_training.py"
STEPS = 6


def shrink(source, target, workers=0):
    """Write params.yaml with a tiny version of the run: six steps on four small pictures, validated after each epoch."""
    yaml = YAML()
    tree = yaml.load(source.read_text())
    run = load_params(source, REPOSITORY / paths.EXPERIMENTS).run(*RUN.split("/"))
    tree["networks"][run.network] = {"kind": "small", "width": 4}
    tree["training"][run.training] = {
        "epochs": 3,
        "batch_size": 2,
        "image_size_px": 32,
        "input": "resize",
        "workers": workers,
        "validate_every_epochs": 1,
        "augmentation": {"color_jitter": 0.0},
    }
    tree.update(repetitions=1, device="cpu")
    family = paths.family_runs(RUN.split("/")[0])
    for path, content in ((target, tree), (target.parent / family, yaml.load((REPOSITORY / family).read_text()))):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            yaml.dump(content, file)
    return run


def command(folder, *words):
    """Run Python in `folder` with the package of this repository and return the finished process."""
    search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=search, OMP_NUM_THREADS="1")
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def tree_of(folder):
    """Return the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a folder in which the run can be trained: parameters, prepared pictures, supervision and the digest of the code."""
    folder = tmp_path_factory.mktemp("repository")
    run = shrink(REPOSITORY / "params.yaml", folder / "params.yaml")
    scenes = {split: make_scenes(4, seed=0, class_indices=[8, 12], size_px=(40, 32), split=split) for split in ("train", "val")}
    Voc.write(folder / "raw", scenes)
    for split in ("train", "val"):
        write_prepared(folder / paths.prepared(run.dataset, split), Voc(folder / "raw"), split, classes=["cat", "dog"])
    summary = paths.supervision_summary(run.variant)
    for path, text in ((summary, "{}"), (paths.code("train", "size_noise"), "digest")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(template, tmp_path_factory):
    """Return the files that the plain command leaves behind."""
    folder = tmp_path_factory.mktemp("whole") / "repository"
    shutil.copytree(template, folder)
    done = command(folder, "-m", "pipeline.stages.train", RUN)
    assert done.returncode == 0, done.stderr
    return tree_of(folder / paths.model(*RUN.split("/")))


def interrupt(template, folder, *points, workers=0):
    """Train in a copy of `template` with one attempt per point; return the codes, the messages and the files left behind."""
    shutil.copytree(template, folder)
    shrink(REPOSITORY / "params.yaml", folder / "params.yaml", workers)
    done = command(folder, str(DRIVER), RUN, *points)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr, tree_of(folder / paths.model(*RUN.split("/")))


def test_whole_run_leaves_weights_history_and_record(uninterrupted):
    assert set(uninterrupted) == {"0/last.pt", "0/best.pt", "0/history.csv", "run.json"}
    assert len(list(csv.DictReader(uninterrupted["0/history.csv"].decode().splitlines()))) == 3


def test_killed_at_its_weakest_points_it_ends_bit_identical(template, uninterrupted, tmp_path):
    points = [
        "KILL@sync:1",  # in the first checkpoint
        "KILL@sync:2",  # in the second, with the first in place
        "KILL@step:1",  # in the first step after a resume
        "KILL@rename:1",  # right after a checkpoint
        f"KILL@sync:{STEPS - 2}",  # in the final weights
        "KILL@sync:3",  # in the history, with the weights in place
    ]
    codes, _, made = interrupt(template, tmp_path / "repository", *points, "whole")
    assert codes == [-9] * len(points) + [0]
    assert made == uninterrupted


def test_killed_at_random_moments_it_ends_bit_identical(template, uninterrupted, tmp_path):
    chance = random.Random(0)
    points = [f"KILL@{chance.uniform(0.1, 1.0):.2f}" for _ in range(6)]
    codes, _, made = interrupt(template, tmp_path / "repository", *points, "whole")
    assert set(codes[:-1]) <= {-9, 0}
    assert codes[-1] == 0
    assert made == uninterrupted


@pytest.fixture(scope="module")
def stopped(template, tmp_path_factory):
    """Ask the run to stop twice, then let it end."""
    return interrupt(template, tmp_path_factory.mktemp("stopped") / "repository", "TERM@step:2", "INT@step:1", "whole")


def test_asked_to_stop_it_says_how_to_go_on_and_exits_with_an_error(stopped):
    codes, messages, _ = stopped
    assert codes == [1, 1, 0]
    assert f"error: {RUN}: stopped on request; step 2 of {STEPS} is saved; run the same command again to go on" in messages
    assert f"step 3 of {STEPS} is saved" in messages
    assert "Traceback" not in messages


def test_asked_to_stop_it_ends_bit_identical(stopped, uninterrupted):
    assert stopped[2] == uninterrupted


@pytest.fixture(scope="module")
def orphaned(template, tmp_path_factory):
    """Load pictures in a process of their own, which is killed at the third picture, and start again."""
    return interrupt(template, tmp_path_factory.mktemp("orphaned") / "repository", "KILL@item:3", "whole", workers=1)


def test_loader_process_that_dies_is_reported_in_one_message(orphaned):
    codes, messages, _ = orphaned
    assert codes == [1, 0]
    assert f"error: {RUN}: a loader process died (DataLoader worker (pid" in messages
    assert "lower training.<name>.workers and run the same command again" in messages
    assert "Traceback" not in messages


def test_loader_process_that_died_leaves_no_trace_in_the_result(orphaned, uninterrupted):
    made = orphaned[2]
    assert {name: made[name] for name in made if name != "run.json"} == {
        name: uninterrupted[name] for name in uninterrupted if name != "run.json"
    }
