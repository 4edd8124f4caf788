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
from threading import Event, Lock

from pipeline import paths
from pipeline.launch.plan import Durations, Task, changed_addresses, matches
from pipeline.launch.schedule import Failure, Lane
from pipeline.launch.worker import GRACE_S, end_group

LARGEST_BATCH = 8
BUSY = "is busy, it is being blocked by"
"""What DVC prints when another of its processes holds a file, such as one left by a launcher that was killed."""

POLL_S = 0.05

DVC_LOCK = Lock()
"""One thread at a time reads DVC's records or takes results over."""


def log_path(address: str) -> Path:
    """Return the file that what a stage prints goes to.

    >>> str(log_path("pipeline/experiments/potts/dvc.yaml:train@bl"))
    '.scratch/logs/pipeline-experiments-potts-dvc.yaml-train-bl.log'
    """
    return paths.SCRATCH / "logs" / f"{re.sub('[^A-Za-z0-9_.-]+', '-', address)}.log"


def run_stages(batch: Sequence[Task], device: str | None, stopping: Event, log_mode: str = "w") -> tuple[int, str]:
    """Run stages one after the other in one DVC process, also after a failure; return its exit status and output.

    While they run, the output grows in a file named after the first stage, opened anew or with "a" to go on in it. When
    `stopping` is set, they save what they have and end.
    """
    environment = dict(os.environ, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    log = log_path(batch[0].address)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["dvc", "--wait-for-lock", "repro", "--quiet", "--keep-going", "--single-item", *(task.address for task in batch)]
    with log.open(log_mode) as output:
        process = subprocess.Popen(  # a group of its own, so that all of it can be ended
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        while process.poll() is None:
            if stopping.wait(POLL_S):
                end_group(process, GRACE_S)
        status = process.returncode
        if status < 0:
            output.write(f"dvc was killed by signal {-status}\n")
    return status, log.read_text(errors="replace")


def run_batch(
    batch: Sequence[Task], devices: SimpleQueue[str | None], durations: Durations, stopping: Event, patience_s: float = 10.0
) -> dict[str, Failure]:
    """Run a batch on a free device and return why each stage that failed did, by address."""
    device = devices.get()
    try:
        started = time.monotonic()
        status, output = run_stages(batch, device, stopping)
        while status != 0 and BUSY in output and not stopping.wait(patience_s):
            status, output = run_stages(batch, device, stopping)
        failed = {task.address for task in batch}
        if status == 0:
            failed = set()
        elif len(batch) > 1 and not stopping.is_set():
            failed &= changed_addresses([task.address for task in batch])
        for task in batch:
            if task.address not in failed:
                durations.record(task.address, (time.monotonic() - started) / len(batch))
        return {task.address: Failure(output, log_path(batch[0].address)) for task in batch if task.address in failed}
    finally:
        devices.put(device)


def local_batch_size(jobs: int, ready: int) -> int:
    """Return how many stages share a process: several while there are many, as starting DVC takes as long as a small stage.

    >>> local_batch_size(2, 20), local_batch_size(2, 3)
    (5, 0)
    """
    return min(ready // (2 * jobs), LARGEST_BATCH)


def local_lane(jobs: int, gpus: Sequence[str], durations: Durations, sent: Sequence[str] = ()) -> Lane:
    """Return the workers of this machine, which take the GPUs in turns and every stage that fits no pattern of `sent`."""
    devices: SimpleQueue[str | None] = SimpleQueue()
    for number in range(jobs):
        devices.put(gpus[number % len(gpus)] if gpus else None)
    return Lane(
        name="here",
        slots=jobs,
        takes=lambda address: not matches(address, sent),
        batch_size=lambda ready: local_batch_size(jobs, ready),
        run=lambda batch, stopping: run_batch(batch, devices, durations, stopping),
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
    with DVC_LOCK:
        status, output = run_stages([task], None, Event(), "a")  # keeps what the worker printed
    return Failure(output, log_path(task.address)) if status != 0 else None
