"""Sending stages to the workers of a cluster, and taking over what they leave in the shared cache.

The repository lies on a file system that all machines see under one path. At the start its files are frozen into a folder, from
which every worker makes its clones; so editing goes on here without touching what runs. This process alone writes dvc.lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from pipeline import paths
from pipeline.launch import head
from pipeline.launch.plan import Durations, Task, matches
from pipeline.launch.schedule import Failure, Lane
from pipeline.launch.worker import Job

CLUSTER = paths.SCRATCH / "cluster"


class Engine(Protocol):
    """What runs `python -m pipeline.launch.worker` on some machine of a cluster."""

    def alive(self, job: Path) -> bool:
        """Return whether a job file that an earlier launch submitted still waits or runs."""

    def run(self, jobs: Sequence[Path], tree: Path, stopping: Event) -> str:
        """Run the worker on job files in the folder `tree`; return when it ended, with what the engine has to say about that."""


def repository_files() -> list[Path]:
    """Return the files of the working tree that git tracks or would, results aside."""
    # With -z names come as they are; else git puts unusual ones in quotes.
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    # Results change while stages run, and the digest of code and settings must not.
    chosen = [
        Path(name) for name in sorted(set(names)) if name and not name.startswith("reports/") and Path(name).name != "dvc.lock"
    ]
    # What was deleted, but not with git, is still in its list.
    return [path for path in chosen if path.is_file()]


def freeze(folder: Path = CLUSTER) -> Path:
    """Copy the repository's files to `folder`/DIGEST/tree, unless they lie there, and return `folder`/DIGEST.

    Results and dvc.lock are left out: equal code and settings give an equal digest, whatever has been computed.
    """
    files, digest = repository_files(), hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        # With its length, so that the end of one file cannot pass for the name of the next.
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    # Absolute, because workers start in other folders.
    frozen = folder.resolve() / digest.hexdigest()[:16]
    if not (frozen / "tree").exists():
        # A name of its own: two launchers do not write into one another's copy.
        partial = frozen / f"tree.{os.getpid()}.tmp"
        for path in files:
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, partial / path)
        # In one move: a worker finds the whole tree or none.
        try:
            partial.rename(frozen / "tree")
        except OSError:
            # Another launcher was first, with the same files.
            shutil.rmtree(partial)
            if not (frozen / "tree").exists():
                raise
    return frozen


@dataclass(frozen=True)
class Fleet:
    """The workers of a cluster as this repository sees them.

    Attributes:
        engine: how they are reached.
        frozen: what `freeze` returned.
        cache: DVC's cache, on the shared file system.
        clones: folder on every worker for its clones; None is the temporary folder.
        durations: where the time of each stage is recorded.
        flush: writes into dvc.lock what stages have made here.
    """

    engine: Engine
    frozen: Path
    cache: Path
    clones: str | None
    durations: Durations
    flush: Callable[[], None]

    def job_path(self, address: str) -> Path:
        """Return the job file of a stage; its outcome and an engine's own record lie beside it."""
        # Named as the log, where slashes and colons of the address are replaced.
        return self.frozen / "jobs" / head.log_path(address).with_suffix(".json").name

    def write_job(self, task: Task) -> Path:
        """Write a job with the present state of dvc.lock and return its file; a job that is still alive stays as it is."""
        path = self.job_path(task.address)
        if self.engine.alive(path):
            return path
        job = Job(
            address=task.address,
            needs=sorted(task.needs),
            tree=str(self.frozen / "tree"),
            locks=head.lock_files([task.address, *task.needs]),
            cache=str(self.cache),
            clones=self.clones,
            checkpoints=str(paths.UNFINISHED.resolve()),
            log=str(head.log_path(task.address).resolve()),
            outcome=str(path.with_suffix(".outcome")),
        )
        # That of an earlier attempt would pass for this one's.
        Path(job.outcome).unlink(missing_ok=True)
        Path(job.log).unlink(missing_ok=True)
        job.write(path)
        return path

    def run(self, batch: Sequence[Task], stopping: Event) -> dict[str, Failure]:
        """Have stages run by one worker and take their results over; return why each that failed did, by address."""
        missing = [task for task in batch if not head.in_run_cache(task.address)]  # finished for a launcher that died
        said = ""
        if missing:
            # A job takes the text of dvc.lock along: what it needs may have been made here a moment ago.
            self.flush()
            # One job for all of them: they share what the engine gives.
            said = self.engine.run([self.write_job(task) for task in missing], self.frozen / "tree", stopping)
        failures = {}
        for task in batch:
            # What the run-cache held was not run now: there is no outcome to ask for.
            failure = self.failure(task, said) if task in missing else None
            # Results lie in the shared cache; here they are put into place and recorded.
            failure = failure or head.take_over(task)
            if failure is not None:
                failures[task.address] = failure
        return failures

    def failure(self, task: Task, said: str) -> Failure | None:
        """Return why a worker did not finish a stage; None if it did."""
        log = head.log_path(task.address)
        output = log.read_text(errors="replace") if log.exists() else ""
        outcome = self.job_path(task.address).with_suffix(".outcome")
        # The machine died, or the engine ended the job.
        if not outcome.exists():
            return Failure("\n".join(part for part in (output.rstrip(), said or "ended without a result") if part), log)
        ended = json.loads(outcome.read_text())
        if ended["status"] != 0:
            return Failure(output, log)
        self.durations.record(task.address, ended["seconds"])
        return None


def remote_lane(
    name: str,
    engine: Callable[[], Engine],
    sent: Sequence[str],
    slots: int,
    batch_size: int,
    clones: str | None,
    durations: Durations,
    flush: Callable[[], None],
) -> Lane:
    """Return the workers of a cluster, which take the stages that fit a pattern of `sent`; the rest as for `Fleet`."""
    fleet = Fleet(engine(), freeze(), head.cache_folder(), clones, durations, flush)
    return Lane(
        name=name,
        slots=slots,
        takes=lambda address: matches(address, sent),
        batch_size=lambda ready: min(ready, batch_size),
        run=fleet.run,
    )
