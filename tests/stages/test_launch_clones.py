"""Stages run in clones: inputs and results travel through the cache, and only the head's repository records them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from threading import Event

import pytest
from launch_repository import REPOSITORY, make_repository

from pipeline.launch import head
from pipeline.launch.clones import Fleet, freeze, remote_lane
from pipeline.launch.plan import Durations, Task, changed_addresses
from pipeline.launch.records import Records
from pipeline.launch.schedule import run_all
from pipeline.launch.warm import Forks
from pipeline.launch.worker import Job

pytestmark = pytest.mark.slow
GOOD, BAD, SLOW = (Task(f"train@{name}", frozenset({"first"})) for name in ("good", "bad", "slow"))


class Here:
    """An engine that runs the worker as a process of this machine."""

    def __init__(self):
        self.runs = 0

    def alive(self, job):
        return False

    def run(self, jobs, tree, stopping):
        self.runs += 1
        command = [sys.executable, "-m", "pipeline.launch.worker", *map(str, jobs)]
        return f"status {subprocess.run(command, cwd=REPOSITORY, check=False).returncode}"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    make_repository(folder)
    return folder


@pytest.fixture
def repository(template, tmp_path, monkeypatch):
    folder = shutil.copytree(template, tmp_path / "repository")
    monkeypatch.chdir(folder)
    return folder


def make_fleet(tmp_path, engine, flush=lambda: None):
    return Fleet(engine, freeze(), head.cache_folder(), str(tmp_path / "clones"), Durations("test"), flush)


def test_clones_finish_what_they_can_and_the_head_records_it(repository, tmp_path):
    engine = Here()
    fleet = make_fleet(tmp_path, engine)
    failures = fleet.run([GOOD, BAD], Event())
    assert list(failures) == ["train@bad"]
    assert "broken on purpose" in failures["train@bad"].output
    assert "broken on purpose" in failures["train@bad"].log.read_text()
    assert (repository / "models/good.txt").read_text() == "1\n"
    assert changed_addresses() == {"train@bad", "train@slow"}
    assert (repository / ".scratch/runs/good").read_text() == "ran\n"  # once, by the worker
    assert list((tmp_path / "clones").iterdir()) == []
    (repository / "dvc.lock").unlink()  # a launcher that died before it recorded anything
    subprocess.run(["dvc", "repro", "--quiet", "first"], check=True)
    assert fleet.run([GOOD], Event()) == {}
    assert engine.runs == 1


def test_a_job_knows_what_was_made_here_a_moment_ago(repository, tmp_path):
    (repository / "base.txt").write_text("2\n")
    records = Records()
    devices = head.SimpleQueue()
    devices.put(None)
    (first,) = (task for task in records.tasks() if task.address == "first")
    assert head.run_batch(records, Forks(), [first], devices, Durations("test"), Event()) == {}
    fleet = make_fleet(tmp_path, Here(), records.flush)
    assert fleet.run([GOOD], Event()) == {}
    assert (repository / "models/good.txt").read_text() == "2\n"


def test_result_that_is_not_in_the_cache_is_not_computed_by_the_head(repository):
    failure = head.take_over(GOOD)
    assert "run-cache here does not hold its result" in failure.output
    assert not (repository / "models/good.txt").exists()


def test_batch_goes_on_after_a_failure(repository):
    devices = head.SimpleQueue()
    devices.put(None)
    (repository / ".scratch/runs").mkdir(parents=True)
    failures = head.run_batch(Records(), Forks(), [BAD, GOOD], devices, Durations("test"), Event())
    assert list(failures) == ["train@bad"]
    assert (repository / "models/good.txt").exists()


def test_frozen_files_stay_as_they_were(repository):
    frozen = freeze()
    (repository / "dvc.lock").write_text("schema: '2.0'\n")
    assert freeze() == frozen
    (repository / "base.txt").write_text("2\n")
    assert freeze() != frozen
    assert (frozen / "tree/base.txt").read_text() == "1\n"


def test_two_launchers_may_freeze_the_same_files_at_once(repository, monkeypatch):
    copy, others = shutil.copy2, []

    def copy_while_another_freezes(source, target):
        monkeypatch.setattr(shutil, "copy2", copy)
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            others.append(freeze())
        copy(source, target)

    monkeypatch.setattr(shutil, "copy2", copy_while_another_freezes)
    frozen = freeze()
    assert others == [frozen]
    assert [path.name for path in frozen.iterdir()] == ["tree"]


def test_only_fitting_stages_go_to_the_cluster(repository, tmp_path):
    engine = Here()
    records = Records()
    clones = str(tmp_path / "clones")
    lane = remote_lane("here", lambda: engine, ["*train@good"], 2, 1, clones, Durations("test"), records.flush)
    stale = [task for task in records.tasks() if task.address == "train@good"]
    assert not lane.takes("first")
    assert run_all(stale, [lane]).finished == ["train@good"]


def test_stage_ends_when_the_process_that_started_the_worker_is_killed(repository, tmp_path):
    path = make_fleet(tmp_path, Here()).write_job(SLOW)
    command = ["/bin/sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-m", "pipeline.launch.worker", str(path)]
    parent = subprocess.Popen(command, cwd=REPOSITORY)
    started = repository / ".scratch/runs/slow"
    while not started.exists():
        assert parent.poll() is None, "the worker ended before its stage began"
        time.sleep(0.2)
    (clone,) = (tmp_path / "clones").iterdir()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while clone.exists():  # the worker removes it when all processes of the stage have ended
        time.sleep(0.2)
    assert not os.path.exists(Job.read(path).outcome)
