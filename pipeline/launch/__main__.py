"""Bring all DVC stages up to date, several at a time: `python -m pipeline.launch --jobs 2`.

`dvc repro` runs one stage after the other. This runs stages whose inputs are ready side by side, in processes forked
from one that has loaded their code, and records each as DVC does. A plain `dvc repro` has the last word and finds nothing to do.
On a machine with several GPUs the workers take them in turns. With `--executor ray` or `slurm` the trainings run on a cluster
(docs/cluster.md). What is finished is not run again: after an interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipeline.command import command_parser
from pipeline.errors import OPTIONAL
from pipeline.launch.clones import CLUSTER, Engine, remote_lane
from pipeline.launch.head import cache_folder, local_lane, visible_gpus
from pipeline.launch.plan import Durations, check_patterns, describe, matches, stale_tasks
from pipeline.launch.ray_cluster import RayEngine
from pipeline.launch.records import Records
from pipeline.launch.schedule import run_all
from pipeline.launch.slurm_cluster import SlurmEngine, parse_options

PACKAGES = {"ray": "ray", "slurm": "submitit"}
"""Executor -> the optional package it needs."""

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a launcher and what it started."""


def command_line() -> argparse.ArgumentParser:
    """Return the options."""
    parser = command_parser(__doc__, "pipeline.launch --jobs 2")
    parser.add_argument(
        "--jobs", type=int, help="stages at a time on this machine (default: number of cores, or what its GPUs hold)"
    )
    parser.add_argument("--gpus", default="", help="comma-separated GPU numbers that the workers take in turns")
    parser.add_argument("--runs-per-gpu", type=int, help="stages that share a GPU (default: no limit here, 1 on a cluster)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="these stages and what they need; repeatable"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan with estimated hours and disk, and stop")
    parser.add_argument("--assume-hours", type=float, metavar="H", help="estimate for a training when none was timed yet")
    parser.add_argument("--executor", choices=["local", *PACKAGES], default="local", help="where trainings run (default: here)")
    cluster = parser.add_argument_group("on a cluster")
    cluster.add_argument("--send", action="append", metavar="PATTERN", help="stages that go to the cluster (default: *:train@*)")
    cluster.add_argument("--tasks", type=int, default=64, help="batches handed to the cluster at a time (default: %(default)s)")
    cluster.add_argument("--clones", metavar="DIR", help="folder of every worker for its clones (default: its temporary folder)")
    cluster.add_argument("--ray-address", default="auto", help="Ray: the cluster (default: that of this machine)")
    cluster.add_argument("--ray-cpus", type=float, default=1, help="Ray: cores reserved for a stage (default: %(default)s)")
    cluster.add_argument("--ray-retries", type=int, default=3, help="Ray: new starts after a machine died (default: %(default)s)")
    cluster.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="Slurm: a parameter of submitit; repeatable"
    )
    cluster.add_argument("--slurm-local", action="store_true", help="Slurm: rehearse with processes of this machine")
    return parser


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Return checked options, with `gpus` as a list and `jobs` filled in."""
    parser = command_line()
    options = parser.parse_args(words)
    for name in ("jobs", "runs_per_gpu", "tasks"):
        value = vars(options)[name]
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, got {value}")
    try:
        options.slurm = parse_options(options.slurm)
    except ValueError as error:
        parser.error(f"--slurm: {error}")
    package = PACKAGES.get(options.executor)
    if package is not None and importlib.util.find_spec(package) is None:
        parser.error(f"--executor {options.executor} needs the package {package}: python -m pip install -r {OPTIONAL[package]}")
    options.gpus = [gpu for gpu in options.gpus.split(",") if gpu]
    # Trainings are nearly all of the work; the rest stays here.
    options.send = (options.send or ["*:train@*"]) if package is not None else []
    if options.executor == "local" and options.runs_per_gpu is not None:
        options.gpus = options.gpus or visible_gpus()
        if not options.gpus:
            parser.error("--runs-per-gpu: this machine shows no GPU")
        # More stages than the GPUs hold would only wait for one.
        held = len(options.gpus) * options.runs_per_gpu
        options.jobs = min(options.jobs or held, held)
    options.jobs = options.jobs or os.cpu_count() or 1
    return options


def make_engine(options: argparse.Namespace) -> Engine:
    """Connect to the cluster that the options name."""
    if options.executor == "ray":
        # Ray shares a GPU itself: each stage is a task with a part of one.
        return RayEngine(options.ray_address, options.ray_cpus, options.runs_per_gpu or 1, options.ray_retries)
    return SlurmEngine(CLUSTER.resolve() / "slurm", options.slurm, "local" if options.slurm_local else "slurm")


def dry_run(options: argparse.Namespace, durations: Durations) -> str:
    """Return the plan."""
    records = Records()
    # First all stages: `changed` looks at those that were read.
    every = records.tasks()
    tasks = stale_tasks(every, records.changed(), options.only)
    check_patterns(every, options.send, "--send")
    here, there = ("here", options.jobs), (options.executor, options.tasks)
    lanes = {task.address: there if matches(task.address, options.send) else here for task in tasks}
    folder = cache_folder()
    # A cache that nothing was ever written to has no folder yet.
    free = shutil.disk_usage(folder if folder.exists() else Path(".")).free
    return describe(tasks, every, lanes, durations, options.assume_hours, free)


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Answer the first Ctrl-C or SIGTERM; a second one would leave what is being ended to run on."""
    for ending in ENDING:
        signal.signal(ending, lambda *_: None)  # not SIG_IGN, which a stage that is just being started would inherit
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; Ctrl-C or SIGTERM ends it and what it started."""
    for number in ENDING:  # set, not inherited: a shell's background job would ignore the first
        signal.signal(number, interrupt)
    try:
        # A text goes to stderr, with status 1.
        sys.exit(launch(parse()))
    except KeyboardInterrupt:
        # Before or after the stages: while they run, `run_all` answers it.
        sys.exit("stopped; the same command goes on from here")
    finally:
        for number in ENDING:
            # Python ends by giving handlers back: one more Ctrl-C of several would turn status 1 into a death.
            if signal.getsignal(number) is not interrupt:
                signal.signal(number, signal.SIG_IGN)


def find_dvc() -> None:
    """Let DVC and its stages be found in the environment of this interpreter, which need not be activated.

    Raises:
        RuntimeError: DVC is not there either.
    """
    if shutil.which("dvc") is None:
        # Stages are commands that name `python` and `dvc` without a folder.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if shutil.which("dvc") is None:
        raise RuntimeError(f"dvc: not found on PATH nor beside {sys.executable}; `make setup` installs it")


def launch(options: argparse.Namespace) -> str | int:
    """Plan and run, and return the exit status, or why nothing was run or what was left when it was stopped."""
    # Here, so that `--help` and wrong options are answered without loading DVC.
    from dvc.exceptions import DvcException

    try:
        durations = Durations.read()
        find_dvc()
        if options.dry_run:
            print(dry_run(options, durations))
            return 0
        records = Records()
    except (DvcException, RuntimeError, ValueError) as error:
        return str(error)
    started = time.monotonic()
    # Without a cluster nothing is sent, and this lane takes every stage.
    lanes = [local_lane(records, options.jobs, options.gpus, durations, options.send)]
    if options.send:
        # Slurm gives a job whole GPUs: stages that share one go into one job.
        together = options.runs_per_gpu or 1 if options.executor == "slurm" else 1
        try:
            engine = partial(make_engine, options)
            sent = (options.send, options.tasks, together, options.clones)
            lanes.append(remote_lane(options.executor, engine, *sent, durations, records.flush))
        except (ConnectionError, RuntimeError, NameError, ValueError) as error:
            return f"--executor {options.executor}: {error}"
    try:
        every = records.tasks()
        check_patterns(every, options.send, "--send")
        # After `tasks`, as `changed` looks at the stages that were read.
        tasks = stale_tasks(every, records.changed(), options.only)
    except (DvcException, ValueError) as error:
        return str(error)
    try:
        report = run_all(tasks, lanes)
    finally:
        # After Ctrl-C and failures too: what is finished must stand in dvc.lock.
        records.flush()
    if report.stopped:
        return f"stopped, {len(report.finished)} of {len(tasks)} stages finished; the same command goes on from here"
    if report.unfinished:
        print(report.text())
    print(f"{len(tasks)} stages, {report.unfinished} unfinished, {time.monotonic() - started:.0f} s")
    return 1 if report.unfinished else 0


if __name__ == "__main__":
    main()
