"""Workers reached through Ray, for machines one controls. Ray is optional: see requirements-cluster.txt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

POLL_S = 1.0


class RayEngine:
    """Runs each batch of jobs as one Ray task with a share of a GPU; a task whose machine dies is run again on another."""

    def __init__(self, address: str, cpus: float, runs_per_gpu: int, retries: int) -> None:
        """Connect to a cluster.

        Args:
            address: of the cluster as `ray.init` takes it; "auto" is the one of this machine.
            cpus: cores that Ray reserves for a stage.
            runs_per_gpu: stages that share a GPU; without a GPU in the cluster only cores are counted.
            retries: how often a stage is started again after its machine died.

        Raises:
            ConnectionError: there is no cluster at the address.
        """
        import ray

        # Quiet, as what stages print stands in their logs.
        ray.init(address=address, log_to_driver=False, logging_level="error")
        self.ray = ray
        # Without a GPU in the cluster a task that asks for a part of one would never start.
        gpus = 1 / runs_per_gpu if ray.cluster_resources().get("GPU", 0) else 0
        self.options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}

    def alive(self, job: Path) -> bool:
        """Return False: Ray ends the tasks of a launcher that is gone."""
        return False

    def run(self, jobs: Sequence[Path], tree: Path, stopping: Event) -> str:
        """Run the worker on job files; see `clones.Engine`."""
        command = [sys.executable, "-m", "pipeline.launch.worker", *map(str, jobs)]

        def stage() -> int:  # inside the function, so that Ray sends it whole: its workers cannot import this repository
            import subprocess

            # Ray kills the children of a process it ends. It gets the shell, and the worker, which then sees its parent gone,
            # has time to let the stage save what it has.
            return subprocess.run(["/bin/sh", "-c", '"$@" & wait $!', "sh", *command], cwd=tree, check=False).returncode

        task = self.ray.remote(**self.options)(stage).remote()
        while not self.ray.wait([task], timeout=POLL_S)[0]:
            if stopping.is_set():
                # It ends Ray's process at once, not the stage; see `stage` above.
                self.ray.cancel(task, force=True)
                return "stopped"
        try:
            return f"the worker ended with status {self.ray.get(task)}"
        except self.ray.exceptions.RayError as error:
            return str(error)
