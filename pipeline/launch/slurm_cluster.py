"""Workers reached through Slurm, by submitit, for labs. submitit is optional: see requirements-cluster.txt."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any

DEFAULTS: dict[str, Any] = {"name": "sizeseg", "timeout_min": 24 * 60, "gpus_per_node": 1, "cpus_per_task": 8}
"""What a Slurm job asks for unless told otherwise, in submitit's names."""

POLL_S = 2.0


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Return KEY=VALUE options as submitit takes them.

    >>> parse_options(["slurm_partition=gpu", "timeout_min=600"])
    {'slurm_partition': 'gpu', 'timeout_min': 600}

    Raises:
        ValueError: an option has no "=".
    """
    parsed: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"expected KEY=VALUE, got {option!r}")
        # submitit checks the types of its own parameters.
        parsed[key] = int(value) if value.isdigit() else value
    return parsed


class SlurmEngine:
    """Runs each batch of jobs as one Slurm job with one GPU; one that reaches its time limit is queued again and goes on.

    A job outlives its launcher: its number is kept beside the job files, and the next launch waits for it.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], cluster: str = "slurm") -> None:
        """Prepare submissions.

        Args:
            folder: for batch scripts and what Slurm prints, on the shared file system.
            options: submitit's parameters, in place of those of `DEFAULTS`.
            cluster: "slurm", or "local" for processes of this machine in its place (a rehearsal).

        Raises:
            RuntimeError: this machine has no Slurm.
            NameError, ValueError: submitit does not know an option.
        """
        import submitit

        if cluster == "slurm" and not submitit.SlurmExecutor.affinity() > 0:
            raise RuntimeError("no srun on this machine: start the launcher where jobs are submitted from")
        self.executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        self.executor.update_parameters(**{**DEFAULTS, **options})
        self.folder, self.cluster = folder, cluster
        self.lock = Lock()  # submitit is not made for threads

        class Command(submitit.helpers.Checkpointable):  # not at the top: a job imports nothing of this repository
            def __init__(self, words: list[str], folder: str) -> None:
                self.words, self.folder = words, folder

            def __call__(self) -> int:
                import subprocess

                return subprocess.run(self.words, cwd=self.folder, check=False).returncode

        self.command = Command

    def earlier(self, job: Path) -> Any | None:
        """Return the Slurm job that an earlier launch submitted for a job file, if it still waits or runs."""
        import submitit

        record = job.with_suffix(".slurm")
        # Processes of this machine end with their launcher.
        if self.cluster != "slurm" or not record.exists():
            return None
        with self.lock:
            found: Any = submitit.SlurmJob(folder=self.folder, job_id=record.read_text().strip())
            # Asked anew: submitit would answer from what it saw a minute ago.
            return None if found.done(force_check=True) else found

    def alive(self, job: Path) -> bool:
        """Return whether a job file that an earlier launch submitted still waits or runs."""
        return self.earlier(job) is not None

    def run(self, jobs: Sequence[Path], tree: Path, stopping: Event) -> str:
        """Run the worker on job files; see `clones.Engine`."""
        # An earlier launch may have submitted them; they are waited for, not run twice.
        known = {job: self.earlier(job) for job in jobs}
        running = {found.job_id: found for found in known.values() if found is not None}
        fresh = [job for job, found in known.items() if found is None]
        if fresh:
            words = [sys.executable, "-m", "pipeline.launch.worker", *map(str, fresh)]
            with self.lock:
                submitted = self.executor.submit(self.command(words, str(tree)))
            running[submitted.job_id] = submitted
            for job in fresh:
                # Where the next launch finds it.
                job.with_suffix(".slurm").write_text(submitted.job_id)
        while not self.all_done(list(running.values())):
            if stopping.wait(POLL_S):
                return f"stopped waiting; Slurm jobs {', '.join(running)} go on, and the same command waits for them again"
        time.sleep(0 if self.cluster == "local" else POLL_S)  # files written on another machine take a moment to appear
        return "; ".join(
            f"Slurm job {number} ended as {found.state}, see {found.paths.stderr}" for number, found in running.items()
        )

    def all_done(self, running: Sequence[Any]) -> bool:
        """Return whether Slurm has finished all these jobs."""
        with self.lock:
            return all(found.done() for found in running)
