"""Bring all DVC stages up to date, several at a time: `python -m pipeline.launch --jobs 2`.

`dvc repro` runs one stage after the other. This starts `dvc repro --single-item` for stages whose inputs are ready, on several
workers, and leaves the last word to a plain `dvc repro`, whose result it never changes: only the time.
On a machine with several GPUs the workers take them in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event

from tqdm import tqdm

from pipeline import paths

LARGEST_BATCH = 8


@dataclass(frozen=True)
class Task:
    """One stage: its address on the command line and the addresses of the stages it needs."""

    address: str
    needs: frozenset[str]


def all_tasks() -> list[Task]:
    """Return every stage of the repository in an order in which needs come first."""
    import networkx
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph
        ordered = list(reversed(list(networkx.topological_sort(graph))))
        return [Task(stage.addressing, frozenset(need.addressing for need in graph.successors(stage))) for stage in ordered]


def changed_addresses() -> set[str]:
    """Return the stages DVC reports as changed (not those behind them)."""
    status = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if status.returncode != 0:
        sys.exit(status.stderr)
    return set(json.loads(status.stdout or "{}"))


def stale_tasks(tasks: Iterable[Task], changed: set[str]) -> list[Task]:
    """Return the changed stages and all that depend on them, in the order given."""
    stale: dict[str, Task] = {}
    for task in tasks:
        if task.address in changed or any(need in stale for need in task.needs):
            stale[task.address] = task
    return list(stale.values())


def run_stages(batch: Sequence[Task], device: str | None) -> tuple[int, str]:
    """Run stages one after the other in one DVC process; return its exit status and output.

    While they run, the output grows in .scratch/logs, in a file named after the first stage.
    """
    environment = dict(os.environ, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    log = paths.SCRATCH / "logs" / f"{re.sub('[^A-Za-z0-9_.-]+', '-', batch[0].address)}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["dvc", "--wait-for-lock", "repro", "--quiet", "--single-item", *(task.address for task in batch)]
    with log.open("w") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    return status, log.read_text(errors="replace")


def run_batch(batch: Sequence[Task], devices: SimpleQueue[str | None], stopping: Event) -> dict[str, str]:
    """Run a batch on a free device and return the output of every stage that failed, by address."""
    device = devices.get()
    try:
        status, output = run_stages(batch, device)
        if status == 0:
            return {}
        if len(batch) == 1 or stopping.is_set():
            return {task.address: output for task in batch}
        # Which of them failed? What succeeded is skipped when asked for again.
        again = {task.address: run_stages([task], device) for task in batch}
        return {address: output for address, (status, output) in again.items() if status != 0}
    finally:
        devices.put(device)


def next_batch(waiting: Mapping[str, Task], busy: Set[str], jobs: int) -> list[Task]:
    """Return stages whose needs are done, several at once while there are many: starting DVC takes as long as a small stage.

    Args:
        waiting: stages not yet started, in the order of the graph.
        busy: addresses of the stages that run now.
        jobs: number of workers.
    """
    ready = [task for task in waiting.values() if not any(need in waiting or need in busy for need in task.needs)]
    return ready[: max(1, min(len(ready) // (2 * jobs), LARGEST_BATCH))]


def run_all(tasks: Sequence[Task], jobs: int, gpus: Sequence[str]) -> int:
    """Run `tasks` with up to `jobs` batches at a time, each after what it needs; return the number of stages not finished.

    What depends on a failed stage is left out; everything else is finished.
    """
    devices: SimpleQueue[str | None] = SimpleQueue()
    for number in range(jobs):
        devices.put(gpus[number % len(gpus)] if gpus else None)
    waiting = {task.address: task for task in tasks}
    failed: set[str] = set()
    running: dict[Future[dict[str, str]], list[Task]] = {}
    stopping = Event()
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(tasks), desc="stages", unit="stage", mininterval=1.0) as bar:
        while waiting or running:
            for address in [task.address for task in waiting.values() if task.needs & failed]:
                failed.add(address)
                del waiting[address]
            busy = {task.address for batch in running.values() for task in batch}
            batch = next_batch(waiting, busy, jobs) if len(running) < jobs else []
            if batch:
                running[pool.submit(run_batch, batch, devices, stopping)] = batch
                for task in batch:
                    del waiting[task.address]
                continue
            try:
                done = wait(running, return_when=FIRST_COMPLETED).done
            except KeyboardInterrupt:  # the stages got the signal too: they save what they have and end
                stopping.set()
                bar.write("stopping; what is finished is kept", file=sys.stderr)
                pool.shutdown(cancel_futures=True)
                raise
            for future in done:
                errors = future.result()
                finished = running.pop(future)
                failed |= set(errors)
                bar.update(len(finished) - len(errors))
                for address, output in errors.items():
                    bar.write(f"\n{address} failed:\n{output}", file=sys.stderr)
    return len(failed)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="stages at a time (default: number of cores)")
    parser.add_argument("--gpus", default="", help="comma-separated GPU numbers that the workers take in turns")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs: expected at least 1, got {arguments.jobs}")
    started = time.monotonic()
    changed = changed_addresses()
    stale = stale_tasks(all_tasks(), changed) if changed else []
    try:
        unfinished = run_all(stale, arguments.jobs, [gpu for gpu in arguments.gpus.split(",") if gpu])
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
    print(f"{len(stale)} stages, {unfinished} unfinished, {time.monotonic() - started:.0f} s")
    sys.exit(1 if unfinished else 0)


if __name__ == "__main__":
    main()
