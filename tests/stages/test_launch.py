"""The launcher: what is stale, in which order, what may share a process, and what is left out after a failure."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from threading import Event, Timer

import pytest
from dvc.lock import LockError
from launch_repository import REPOSITORY, make_repository

from pipeline.launch import head
from pipeline.launch.__main__ import find_dvc, launch, parse
from pipeline.launch.head import local_lane
from pipeline.launch.plan import Durations, Task, describe, longest_chain, stale_tasks
from pipeline.launch.records import Run
from pipeline.launch.schedule import Failure, Lane, Report, next_batch, run_all
from pipeline.launch.warm import Forks

CHAIN = [Task("raw", frozenset()), Task("a", frozenset({"raw"})), Task("b", frozenset({"raw"})), Task("c", frozenset({"a"}))]
MANY = [Task(f"t{number}", frozenset()) for number in range(20)]


def run_recorded(monkeypatch, tmp_path, tasks, failing=(), gpus=()):
    """Run tasks on this machine with a stand-in for a stage; return what was started, on which devices, and the report."""
    started, devices = [], set()

    def pretend(records, forks, task, device, stopping):
        started.append(task.address)
        devices.add(device)
        return Failure("broken") if task.address in failing else None

    monkeypatch.setattr(head, "run_stage", pretend)
    report = run_all(tasks, [local_lane(None, 2, gpus, Durations("test", path=tmp_path / "durations.csv"))])
    return started, devices, report


def lane(name="here", slots=2, takes=lambda address: True, run=lambda batch, stopping: {}):
    return Lane(name, slots, takes, lambda ready: 1, run)


def test_changed_stage_makes_all_behind_it_stale():
    assert [task.address for task in stale_tasks(CHAIN, {"a"})] == ["a", "c"]


def test_nothing_changed_means_nothing_stale():
    assert stale_tasks(CHAIN, set()) == []


def test_pattern_selects_stages_and_what_they_need():
    assert [task.address for task in stale_tasks(CHAIN, {"raw"}, ["c"])] == ["raw", "a", "c"]


def test_pattern_does_not_select_what_is_up_to_date():
    assert [task.address for task in stale_tasks(CHAIN, {"c"}, ["c", "b"])] == ["c"]


def test_no_pattern_selects_all():
    assert stale_tasks(CHAIN, {"raw"}, []) == CHAIN


def test_pattern_that_no_stage_fits_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"--only tran@\*: no stage is called so; the nearest is train@one"):
        stale_tasks([Task("train@one", frozenset()), Task("raw", frozenset())], set(), ["raw", "tran@*"])


def test_needs_run_first(monkeypatch, tmp_path):
    started, _, report = run_recorded(monkeypatch, tmp_path, CHAIN)
    assert report.unfinished == 0
    assert started.index("raw") < started.index("a") < started.index("c")


def test_failure_leaves_out_what_depends_on_it_and_finishes_the_rest(monkeypatch, tmp_path):
    started, _, report = run_recorded(monkeypatch, tmp_path, CHAIN, failing={"a"})
    assert "b" in started
    assert "c" not in started
    assert (set(report.finished), set(report.failed), report.left_out) == ({"raw", "b"}, {"a"}, {"c": {"a"}})


def test_stage_far_behind_a_failure_names_the_failed_one(monkeypatch, tmp_path):
    _, _, report = run_recorded(monkeypatch, tmp_path, CHAIN, failing={"raw"})
    assert report.left_out == {"a": {"raw"}, "b": {"raw"}, "c": {"raw"}}


def test_failure_inside_a_batch_does_not_count_for_the_others(monkeypatch, tmp_path):
    started, _, report = run_recorded(monkeypatch, tmp_path, MANY, failing={"t3"})
    assert list(report.failed) == ["t3"]
    assert len(report.finished) == 19
    assert sorted(started) == sorted(task.address for task in MANY)  # and nothing was run twice


class Busy:
    """Records that another DVC process holds once, and that then need nothing."""

    def __init__(self):
        self.asked = 0

    def begin(self, address):
        self.asked += 1
        if self.asked == 1:
            raise LockError("busy")


def test_busy_dvc_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    records = Busy()
    assert head.run_stage(records, Forks(), CHAIN[0], None, Event(), patience_s=0.0) is None
    assert records.asked == 2


def run_until_begun(command, folder, monkeypatch):
    """Run a command of a stage, end it once it has made the file `begun`, and return its status."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(head, "GRACE_S", 1.0)
    stopping = Event()

    def stop_once_begun():
        while not (folder / "begun").exists():
            time.sleep(0.05)
        stopping.set()

    Timer(0.0, stop_once_begun).start()
    return head.run_command(Forks(), command, Run(None, [command], str(folder), {}, None), folder / "log", None, stopping)


def test_command_that_must_stop_ends_with_all_it_started(monkeypatch, tmp_path):
    assert run_until_begun("sleep 600 & touch begun; wait", tmp_path, monkeypatch) != 0
    assert processes_in(tmp_path) == []


def stop_launcher(folder, path, begun, number, times=1):
    """Start a launcher as a shell's background job, which ignores SIGINT, end it once `begun` exists and return what it said."""
    environment = dict(os.environ, PATH=os.pathsep.join(map(str, path)), PYTHONPATH=str(REPOSITORY))
    launcher = subprocess.Popen(
        [sys.executable, "-m", "pipeline.launch", "--jobs", "1", "--only", "train@slow"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        deadline = time.monotonic() + 100
        while not begun.exists():
            assert launcher.poll() is None, launcher.stderr.read()
            assert time.monotonic() < deadline, f"{begun} did not appear"
            time.sleep(0.05)
        for _ in range(times):
            launcher.send_signal(number)
            time.sleep(0.03)
        said = launcher.communicate(timeout=50)[1]  # in less than what stages are given before they are killed
    finally:
        launcher.kill()
    assert launcher.returncode == 1
    return said


def processes_in(folder):
    """Return the command lines of other processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it ended meanwhile
    return found


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3], ids=["once", "impatiently"])
def test_launcher_that_is_stopped_while_it_trains_leaves_no_process(tmp_path, times):
    make_repository(tmp_path)
    (tmp_path / ".scratch/runs").mkdir(parents=True)
    folders = [Path(sys.executable).parent, os.environ["PATH"]]
    said = stop_launcher(tmp_path, folders, tmp_path / ".scratch/runs/slow", signal.SIGTERM, times)
    assert "stopped, 0 of 1 stages finished" in said
    assert processes_in(tmp_path) == []
    assert not (tmp_path / "models/slow.txt").exists()


def test_dvc_is_found_beside_an_interpreter_that_is_not_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    find_dvc()
    assert shutil.which("dvc") == str(Path(sys.executable).parent / "dvc")
    assert shutil.which("python") == str(Path(sys.executable).parent / "python")


def test_dvc_that_is_nowhere_is_told_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "`make setup` installs it" in launch(parse(["--dry-run"]))


def test_stage_waits_for_a_need_that_is_running():
    assert next_batch({"a": CHAIN[1]}, {"raw"}, lane()) == []


def test_stages_go_to_the_lane_that_takes_them():
    seen = {"here": [], "ray": []}

    def record(name, batch, stopping):
        seen[name] += [task.address for task in batch]
        return {}

    here = lane("here", takes=lambda address: address != "a", run=partial(record, "here"))
    there = lane("ray", takes=lambda address: address == "a", run=partial(record, "ray"))
    report = run_all(CHAIN, [here, there])
    assert seen["ray"] == ["a"]
    assert report.finished.index("raw") < report.finished.index("a") < report.finished.index("c")


def test_error_of_an_engine_costs_its_batch_only():
    def refuse(batch, stopping):
        if batch[0].address == "a":
            raise OSError("no such cluster")
        return {}

    report = run_all(CHAIN, [lane(run=refuse)])
    assert report.failed["a"].output == "OSError: no such cluster"
    assert report.finished == ["raw", "b"]


def test_stage_without_a_lane_is_an_error():
    with pytest.raises(ValueError, match="raw: expected exactly one lane"):
        run_all(CHAIN, [lane(takes=lambda address: False)])


def test_gpus_are_taken_in_turns(monkeypatch, tmp_path):
    _, devices, _ = run_recorded(monkeypatch, tmp_path, MANY, gpus=["0", "1"])
    assert devices == {"0", "1"}


def test_report_is_in_order_with_log_and_last_lines(tmp_path):
    report = Report(["x"], {"a": Failure("one\ntwo\n", tmp_path / "a.log")}, {"c": {"a"}})
    lines = [line.strip() for line in report.text().splitlines()]
    assert lines == [
        "finished (1):",
        "x",
        "failed (1):",
        f"a - {tmp_path}/a.log",
        "| one",
        "| two",
        "left out (1):",
        "c - needs a",
    ]


def test_longest_chain_adds_up_what_must_wait():
    assert longest_chain(CHAIN, {"raw": 1.0, "a": 2.0, "b": 5.0, "c": 4.0}) == 7.0


def test_longest_time_of_a_stage_counts_and_its_like_take_the_median(tmp_path):
    path, params = tmp_path / "durations.csv", tmp_path / "params.yaml"
    params.write_text("profile: paper\n")
    for profile, address, seconds in [("paper", "train@a", 60.0), ("paper", "train@a", 2.0), ("paper", "train@b", 20.0)]:
        Durations(profile, path=path).record(address, seconds)
    Durations("smoke", path=path).record("train@a", 900.0)
    read = Durations.read(path, params)
    assert read.estimate("train@a") == 60.0
    assert read.estimate("train@c") == 40.0
    assert read.estimate("raw@voc") is None


def test_plan_adds_up_hours_and_disk():
    tasks = [Task("f:train@a", frozenset(), 10**9), Task("f:train@b", frozenset()), Task("sum", frozenset({"f:train@a"}), 0)]
    lanes = {"f:train@a": ("ray", 2), "f:train@b": ("ray", 2), "sum": ("here", 1)}
    text = describe(tasks, tasks, lanes, Durations("", {"f:train@a": 7200.0}), None, 10**8)
    assert "3 stages, 4.0 h of work and 1 stages never timed" in text
    assert "at least 2.0 h with 1 at a time (here), 2 at a time (ray)" in text
    assert "2.00 GB of results; 0.1 GB free" in text
    assert "NOT ENOUGH SPACE" in text


def test_assumed_hours_count_for_trainings_only():
    tasks = [Task("f:train@a", frozenset()), Task("sum", frozenset())]
    text = describe(tasks, tasks, {task.address: ("here", 1) for task in tasks}, Durations(""), 3.0, 0)
    assert "2 stages, 3.0 h of work and 1 stages never timed" in text


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--runs-per-gpu", "0"], ["--tasks", "-1"], ["--slurm", "partition"]])
def test_senseless_options_are_refused(words):
    with pytest.raises(SystemExit):
        parse(words)


def test_runs_per_gpu_limits_the_jobs():
    assert parse(["--gpus", "0,1", "--runs-per-gpu", "3"]).jobs == 6
    assert parse(["--gpus", "0,1", "--runs-per-gpu", "3", "--jobs", "4"]).jobs == 4


def test_stages_stay_here_without_a_cluster():
    assert parse(["--jobs", "2"]).send == []
