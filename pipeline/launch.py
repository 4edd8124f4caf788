"""Bring all DVC stages up to date, several at a time: `python -m pipeline.launch --jobs 2`.

`dvc repro` runs one stage after the other. This starts `dvc repro --single-item` for every stage whose inputs are ready,
on several worker processes, and leaves the last word to a plain `dvc repro`, whose result it never changes: only the time.
On a machine with several GPUs the workers take them in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue

from tqdm import tqdm


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


def run_task(task: Task, devices: SimpleQueue[str | None]) -> tuple[Task, int, str]:
    """Run one stage and return its exit status and output."""
    device = devices.get()
    environment = dict(os.environ, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    try:
        command = ["dvc", "--wait-for-lock", "repro", "--quiet", "--single-item", task.address]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return task, done.returncode, done.stdout + done.stderr
    finally:
        devices.put(device)


def run_all(tasks: list[Task], jobs: int, gpus: list[str]) -> int:
    """Run `tasks` with up to `jobs` at a time, each after what it needs; return the number of failures.

    What depends on a failed stage is left out; everything else is finished.
    """
    devices: SimpleQueue[str | None] = SimpleQueue()
    for number in range(jobs):
        devices.put(gpus[number % len(gpus)] if gpus else None)
    waiting = {task.address: task for task in tasks}
    done: set[str] = set()
    failed: set[str] = set()
    running: dict[Future[tuple[Task, int, str]], str] = {}
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(tasks), desc="stages", unit="stage", mininterval=1.0) as bar:
        while waiting or running:
            for address, task in list(waiting.items()):
                open_needs = {need for need in task.needs if need in waiting or need in running.values()}
                if task.needs & failed:
                    failed.add(address)
                    del waiting[address]
                elif not open_needs and len(running) < jobs:
                    running[pool.submit(run_task, task, devices)] = address
                    del waiting[address]
            if not running:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, status, output = future.result()
                del running[future]
                bar.update()
                bar.set_postfix_str(task.address, refresh=False)
                (failed if status else done).add(task.address)
                if status:
                    bar.write(f"\n{task.address} failed:\n{output}", file=sys.stderr)
    return len(tasks) - len(done)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="stages at a time (default: number of cores)")
    parser.add_argument("--gpus", default="", help="comma-separated GPU numbers that the workers take in turns")
    arguments = parser.parse_args()
    started = time.monotonic()
    changed = changed_addresses()
    stale = stale_tasks(all_tasks(), changed) if changed else []
    unfinished = run_all(stale, arguments.jobs, [gpu for gpu in arguments.gpus.split(",") if gpu])
    print(f"{len(stale)} stages, {unfinished} unfinished, {time.monotonic() - started:.0f} s")
    sys.exit(1 if unfinished else 0)


if __name__ == "__main__":
    main()
