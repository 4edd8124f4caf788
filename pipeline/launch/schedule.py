"""Which stage may start now, and what becomes of the others when one fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tqdm import tqdm

from pipeline.launch.plan import Task

SHOWN_LINES = 20


@dataclass(frozen=True)
class Failure:
    """Why a stage did not finish: what it or its engine said, and the file with all of it."""

    output: str
    log: Path | None = None


@dataclass(frozen=True)
class Lane:
    """A kind of worker: which stages it takes, how many batches it runs at a time and how large they are.

    `run` runs a batch and returns the failures by address; `batch_size` is called with the number of stages that are ready.
    """

    name: str
    slots: int
    takes: Callable[[str], bool]
    batch_size: Callable[[int], int]
    run: Callable[[Sequence[Task], Event], dict[str, Failure]]


@dataclass
class Report:
    """What became of every stage; `left_out` names the failed stages that a stage would have needed."""

    finished: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    left_out: dict[str, set[str]] = field(default_factory=dict)
    stopped: bool = False

    @property
    def unfinished(self) -> int:
        """Number of stages that failed or were left out."""
        return len(self.failed) + len(self.left_out)

    def text(self) -> str:
        """Return the report: finished, then failed with log and last lines, then left out because of what."""
        lines = []
        if self.failed:
            lines.append(f"finished ({len(self.finished)}):")
            lines += [f"  {address}" for address in self.finished]
            lines.append(f"failed ({len(self.failed)}):")
        for address, failure in self.failed.items():
            lines.append(f"  {address}" + (f" - {failure.log}" if failure.log else ""))
            lines += [f"    | {line}" for line in failure.output.rstrip().splitlines()[-SHOWN_LINES:]]
        if self.left_out:
            lines.append(f"left out ({len(self.left_out)}):")
            lines += [f"  {address} - needs {', '.join(sorted(causes))}" for address, causes in self.left_out.items()]
        return "\n".join(lines)


def next_batch(waiting: Mapping[str, Task], busy: Set[str], lane: Lane) -> list[Task]:
    """Return stages for one worker of a lane whose needs are done."""
    # What needs a failed stage is not here any more: `leave_out` has taken it away.
    ready = [
        task
        for task in waiting.values()
        if lane.takes(task.address) and not any(need in waiting or need in busy for need in task.needs)
    ]
    return ready[: max(1, lane.batch_size(len(ready)))]


def leave_out(waiting: dict[str, Task], report: Report) -> None:
    """Move the stages that need a failed one, directly or not, from `waiting` to the report."""
    for task in list(waiting.values()):  # needs come first: one pass reaches the end of every chain
        causes = task.needs & set(report.failed)
        # Left out for the same reason as what it needs.
        causes = causes.union(*(report.left_out.get(need, set()) for need in task.needs))
        if causes:
            report.left_out[task.address] = set(causes)
            del waiting[task.address]


def run_all(tasks: Sequence[Task], lanes: Sequence[Lane]) -> Report:
    """Run stages, each after what it needs, as many at a time as the lanes allow.

    In `tasks` needs stand first. What depends on a failed stage is left out; everything else is finished. Ctrl-C ends it and
    keeps what is finished.

    Raises:
        ValueError: a stage is taken by no lane or by several.
    """
    for task in tasks:
        # Checked before anything starts: a stage without a lane would wait for ever.
        takers = [lane.name for lane in lanes if lane.takes(task.address)]
        if len(takers) != 1:
            raise ValueError(f"{task.address}: expected exactly one lane to take it, got {takers}")
    waiting = {task.address: task for task in tasks}
    running: dict[Future[dict[str, Failure]], tuple[Lane, list[Task]]] = {}
    report, stopping = Report(), Event()
    with (
        ThreadPoolExecutor(sum(lane.slots for lane in lanes)) as pool,  # it only waits, for a process or a cluster
        tqdm(total=len(tasks), desc="stages", unit="stage", mininterval=1.0) as bar,
    ):
        try:
            while waiting or running:
                # First, so that nothing starts behind a failure.
                leave_out(waiting, report)
                busy = {task.address for _, batch in running.values() for task in batch}
                for lane in lanes:
                    while sum(other is lane for other, _ in running.values()) < lane.slots:
                        batch = next_batch(waiting, busy, lane)
                        if not batch:
                            break
                        running[pool.submit(lane.run, batch, stopping)] = (lane, batch)
                        # At once, so that no other worker takes them too.
                        for task in batch:
                            del waiting[task.address]
                        # What needs these must not start beside them.
                        busy |= {task.address for task in batch}
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    _, batch = running.pop(future)
                    try:
                        failures = future.result()
                    except Exception as error:  # of DVC or a cluster's engine: it costs this batch, not the others
                        failures = {task.address: Failure(f"{type(error).__name__}: {error}") for task in batch}
                    report.failed.update(failures)
                    report.finished += [task.address for task in batch if task.address not in failures]
                    bar.update(len(batch) - len(failures))
                    for address, failure in failures.items():
                        bar.write(f"\n{address} failed:\n{failure.output}", file=sys.stderr)
        except KeyboardInterrupt:
            # Workers see it and let their stages save what they have.
            stopping.set()
            report.stopped = True
            bar.write("stopping; what is finished is kept", file=sys.stderr)
            # Waits for what runs; what has not begun is not begun any more.
            pool.shutdown(cancel_futures=True)
    return report
