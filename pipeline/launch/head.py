"""Running stages in this repository: all of them on one machine, and what a cluster's results need to be taken over."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from pipeline import paths
from pipeline.launch.plan import Durations, Task, matches
from pipeline.launch.records import DVC_LOCK, Records, Run
from pipeline.launch.schedule import Failure, Lane
from pipeline.launch.warm import COMMAND, Forks
from pipeline.launch.worker import GRACE_S, Process, end_group

POLL_S = 0.05


def log_path(address: str) -> Path:
    """Return the file that what a stage prints goes to.

    >>> str(log_path("pipeline/experiments/potts/dvc.yaml:train@bl"))
    '.scratch/logs/pipeline-experiments-potts-dvc.yaml-train-bl.log'
    """
    return paths.SCRATCH / "logs" / f"{re.sub('[^A-Za-z0-9_.-]+', '-', address)}.log"


def run_command(forks: Forks, command: str, run: Run, log: Path, device: str | None, stopping: Event) -> int:
    """Run a command of a stage, appending what it prints to `log`; when `stopping` is set, it saves what it has and ends.

    Returns:
        Its exit status, negative for a signal.
    """
    # Stages run side by side: one thread each, unless the caller wants more.
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), **run.environment}
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    process: Process
    # A stage of this package: a fork of the process that has loaded its code.
    if COMMAND.fullmatch(command):
        process = forks.start(command, run.folder, log, environment)
    else:
        with log.open("ab") as output:
            process = subprocess.Popen(  # a group of its own, so that all of it can be ended
                [os.environ.get("SHELL") or "/bin/sh", "-c", command],
                cwd=run.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,  # a question gets no answer, instead of waiting where nobody sees it
                env={**os.environ, **environment},
                start_new_session=True,
            )
    while process.poll() is None:
        if stopping.wait(POLL_S):
            end_group(process, GRACE_S)
    return process.poll() or 0


def run_stage(
    records: Records, forks: Forks, task: Task, device: str | None, stopping: Event, patience_s: float = 10.0
) -> Failure | None:
    """Bring one stage up to date; what it prints grows in its log. Return why it failed, or None."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    log = log_path(task.address)
    log.parent.mkdir(parents=True, exist_ok=True)
    # What an earlier attempt printed is not this one's.
    log.write_bytes(b"")
    while True:
        try:
            run = records.begin(task.address)
            break
        except LockError as error:  # held by another DVC process, such as one left by a launcher that was killed
            if stopping.wait(patience_s):
                return Failure(str(error), log)
        except DvcException as error:
            return Failure(str(error), log)
    if run is None:
        return None
    status: int | None = None
    try:
        for command in run.commands:
            status = run_command(forks, command, run, log, device, stopping)
            if status != 0:
                break
        if status is not None and status < 0:
            with log.open("a") as output:
                output.write(f"killed by signal {-status}\n")
    finally:
        try:
            # In any case: what the run holds must be released.
            records.end(run, succeeded=status == 0)
        except DvcException as error:
            with log.open("a") as output:
                output.write(f"{error}\n")
            status = 1
    return None if status == 0 else Failure(log.read_text(errors="replace"), log)


def run_batch(
    records: Records,
    forks: Forks,
    batch: Sequence[Task],
    devices: SimpleQueue[str | None],
    durations: Durations,
    stopping: Event,
) -> dict[str, Failure]:
    """Run stages one after the other on a free device and return why each that failed did, by address."""
    # Waits until one is free.
    device = devices.get()
    failures = {}
    try:
        for task in batch:
            started = time.monotonic()
            failure = run_stage(records, forks, task, device, stopping)
            if failure is None:
                durations.record(task.address, time.monotonic() - started)
            else:
                failures[task.address] = failure
        return failures
    finally:
        # After a failure too, or the other stages would wait for ever.
        devices.put(device)


def local_lane(records: Records, jobs: int, gpus: Sequence[str], durations: Durations, sent: Sequence[str] = ()) -> Lane:
    """Return the workers of this machine, which take the GPUs in turns and every stage that fits no pattern of `sent`."""
    forks = Forks()
    devices: SimpleQueue[str | None] = SimpleQueue()
    for number in range(jobs):
        # One entry for each job: a GPU that several share stands there several times.
        devices.put(gpus[number % len(gpus)] if gpus else None)
    return Lane(
        name="here",
        slots=jobs,
        takes=lambda address: not matches(address, sent),
        batch_size=lambda ready: 1,
        run=lambda batch, stopping: run_batch(records, forks, batch, devices, durations, stopping),
    )


def visible_gpus() -> list[str]:
    """Return the numbers of this machine's GPUs, as nvidia-smi lists them; none without it."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()


def cache_folder() -> Path:
    """Return the folder of DVC's cache, run-cache included."""
    from dvc.repo import Repo

    with DVC_LOCK, Repo() as repo:
        return Path(repo.cache.legacy.path)


def in_run_cache(address: str) -> bool:
    """Return whether DVC would restore a stage's results instead of running it; its inputs must be here."""
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError
    from dvc_data.hashfile.hash_info import HashInfo

    logging.getLogger("dvc").setLevel(logging.WARNING)  # it would announce a restore that does not happen here
    with DVC_LOCK, Repo(_wait_for_lock=True) as repo, repo.lock:
        (stage,) = repo.stage.collect(address)
        # The run-cache knows results by the command and the content of its inputs.
        stage.save_deps()
        for out in stage.outs:
            out.hash_info = HashInfo()  # else the last run's results pass for those of the present inputs
        try:
            repo.stage_cache.restore(stage, dry=True)
        except RunCacheNotFoundError:
            return False
        return True


def lock_files(addresses: Sequence[str]) -> dict[str, str]:
    """Return path and text of the dvc.lock files that record these stages, as far as they exist."""
    from dvc.repo import Repo

    # pipeline/experiments/potts/dvc.yaml:train@bl is recorded in the dvc.lock beside that dvc.yaml.
    names = {(address.rpartition(":")[0] or "dvc.yaml").removesuffix(".yaml") + ".lock" for address in addresses}
    with DVC_LOCK, Repo(_wait_for_lock=True) as repo, repo.lock:  # DVC rewrites them in place under this lock
        return {name: Path(name).read_text() for name in sorted(names) if Path(name).exists()}


def take_over(task: Task) -> Failure | None:
    """Restore a stage's results from the run-cache and record them in dvc.lock; never run the stage.

    Returns:
        None, or why it could not be done.
    """
    if not in_run_cache(task.address):
        return Failure(
            "a worker finished it, but the run-cache here does not hold its result: "
            "is the cache shared, and are code and params.yaml as they were at the start?"
        )
    log = log_path(task.address)
    records = Records()
    # `begin` restores from the cache; what it returns would have to be run here.
    if records.begin(task.address) is not None:
        return Failure("its result left the cache before it could be taken over", log)
    records.flush()
    return None
