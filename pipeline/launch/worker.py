"""Runs stages on a worker, each in a clone of its own: `python -m pipeline.launch.worker JOB.json...` (started by an engine).

The clone has the head's code, params.yaml and dvc.lock and shares its cache; inputs come from the cache and results go there.
The clone is deleted at the end, so nothing but the cache, the log and the job's outcome remains.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import IO, Protocol

from pipeline import paths
from pipeline.files import write_json

GRACE_S = 60.0  # for a training to finish its step and write a checkpoint


@dataclass(frozen=True)
class Job:
    """One stage and all that a worker must know to run it; every path is absolute.

    Attributes:
        address: of the stage.
        needs: addresses of the stages whose results it reads.
        tree: folder with the files of the repository.
        locks: text of dvc.lock files, by path inside the clone.
        cache: DVC's shared cache.
        clones: folder to make the clone in; None is the machine's temporary folder.
        checkpoints: where unfinished runs leave their state, shared by all workers.
        log: file that the output is appended to.
        outcome: file that tells how it ended; absent as long as it did not.
    """

    address: str
    needs: list[str]
    tree: str
    locks: dict[str, str]
    cache: str
    clones: str | None
    checkpoints: str
    log: str
    outcome: str

    def write(self, path: Path) -> None:
        """Write the job to a file."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job."""
        return cls(**json.loads(path.read_text()))


def make_clone(job: Job, clone: Path) -> None:
    """Fill the folder `clone`: the files, the locks, the shared cache and the shared checkpoints."""
    shutil.copytree(job.tree, clone, dirs_exist_ok=True)
    for name, text in job.locks.items():
        (clone / name).write_text(text)
    # No git here: the state of a clone is that of files, whether committed or not.
    # DVC then reads and fills the shared cache in place of one in the clone.
    (clone / ".dvc/config.local").write_text(f'[core]\n    no_scm = true\n[cache]\n    dir = "{job.cache}"\n')
    checkpoints = Path(job.checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    (clone / ".scratch").mkdir(exist_ok=True)
    (clone / paths.UNFINISHED).symlink_to(checkpoints, target_is_directory=True)


class Process(Protocol):
    """What is needed of a process that leads a group."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""


def end_group(process: Process, grace_s: float) -> None:
    """Ask a process and all it started to save and end, as Ctrl-C does, and kill what is left after `grace_s`.

    They are asked again each second: DVC does not hear it while it runs a stage, and goes on to the next.
    """
    kill_at = time.monotonic() + grace_s
    try:
        # Five seconds of SIGKILL: what outlives them cannot be ended from here.
        while time.monotonic() < kill_at + 5.0:
            os.killpg(process.pid, signal.SIGINT if time.monotonic() < kill_at else signal.SIGKILL)
            for _ in range(10):
                process.poll()  # as long as nobody asks, a leader that has ended counts as one of the group
                os.killpg(process.pid, 0)  # raises once the group is empty
                time.sleep(0.1)
    except ProcessLookupError:
        return


def run_command(command: Sequence[str], clone: Path, output: IO[bytes], stopping: Event) -> int:
    """Run a command in the clone until it ends or the worker must stop; return its exit status."""
    # This environment's `python` and `dvc`, whether it is activated or not.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    environment = dict(os.environ, PATH=os.pathsep.join(folders), OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
    environment["DVC_SITE_CACHE_DIR"] = str(clone / ".dvc/site")  # what DVC remembers about a clone goes with it
    process = subprocess.Popen(  # a group of its own, so that all of it can be ended
        command,
        cwd=clone,
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    while process.poll() is None:
        if stopping.wait(0.2):
            end_group(process, GRACE_S)
            return process.wait()
    return process.returncode


def run_job(job: Job, stopping: Event) -> int:
    """Run a stage in a fresh clone, write how it ended and return the exit status."""
    started = time.monotonic()
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    if job.clones is not None:
        Path(job.clones).mkdir(parents=True, exist_ok=True)
    # A folder for each attempt: two of one stage, on two machines, do not meet.
    clone = Path(tempfile.mkdtemp(prefix="stage-", dir=job.clones))
    try:
        with open(job.log, "ab", buffering=0) as output:
            output.write(f"{job.address} on {socket.gethostname()} in {clone}\n".encode())
            make_clone(job, clone)
            commands = [["dvc", "repro", "--quiet", "--single-item", job.address]]
            if job.needs:
                # What other stages made is not in the clone; it is fetched from the cache, never run here.
                commands.insert(0, ["dvc", "checkout", "--quiet", *job.needs])
            status = 0
            for command in commands:
                # `or`: behind a command that failed nothing is run.
                status = status or run_command(command, clone, output, stopping)
        # A stage that was stopped has no outcome: the next launch goes on from its checkpoint.
        if not stopping.is_set():
            write_json(Path(job.outcome), {"status": status, "seconds": time.monotonic() - started, "host": socket.gethostname()})
        return status
    finally:
        shutil.rmtree(clone, ignore_errors=True)


def run_jobs(jobs: Sequence[Job], parent: int) -> int:
    """Run jobs side by side until they end, a signal arrives or the process `parent` is gone; return the largest exit status."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):  # Slurm announces a time limit by the last
        signal.signal(number, lambda *_: stopping.set())
    # In threads, because Python answers signals in the main thread alone, which must not be busy.
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(run_job, job, stopping) for job in jobs]
        while not all(future.done() for future in running):
            time.sleep(0.2)
            if os.getppid() != parent:  # the engine's process was killed; nobody would stop the stage
                stopping.set()
        # Signals are negative; the engine looks at whether it is 0.
        return max(abs(future.result()) for future in running)


if __name__ == "__main__":
    sys.exit(run_jobs([Job.read(Path(path)) for path in sys.argv[1:]], os.getppid()))
