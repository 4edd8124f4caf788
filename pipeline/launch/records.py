"""DVC's side of running a stage: what is stale, what can be restored, and recording what a stage has made.

These are the steps of `dvc repro --single-item`, taken by one process that has read all dvc.yaml files once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING

from pipeline.launch.plan import Task

if TYPE_CHECKING:
    from dvc.stage import Stage

DVC_LOCK = Lock()
"""One thread at a time reads DVC's records or takes results over."""

LARGEST_BATCH = 16
"""Stages that are written into dvc.lock together: DVC reads and writes the whole file, which takes a second for a large one."""

LONGEST_WAIT_S = 30.0
"""A stage recorded this long after the last write does not wait for others."""


@dataclass
class Run:
    """A stage whose command must be run: the command, its folder, and what is held until it is recorded or given up."""

    stage: Stage
    commands: list[str]
    folder: str
    environment: dict[str, str]
    held: ExitStack


class Records:
    """DVC's records of this repository; threads may share them."""

    def __init__(self) -> None:
        """Open the repository of the working directory."""
        from dvc.repo import Repo

        logging.getLogger("dvc").setLevel(logging.WARNING)  # it would announce every file it writes
        self._repo = Repo(_wait_for_lock=True)  # while another DVC command works, this one waits instead of failing
        self._stages: dict[str, Stage] = {}
        self._unwritten: list[Stage] = []
        self._last_write = time.monotonic()

    def tasks(self) -> list[Task]:
        """Return every stage of the repository in an order in which needs come first."""
        import networkx

        with self._locked():
            graph = self._repo.index.graph
            # Edges of DVC's graph lead from a stage to what it needs, so the sorted order is turned round.
            self._stages = {stage.addressing: stage for stage in reversed(list(networkx.topological_sort(graph)))}
        tasks = []
        for address, stage in self._stages.items():
            # DVC knows no size of what was never made.
            sizes = [out.meta.size for out in stage.outs if out.use_cache]
            stored = None if None in sizes else sum(size for size in sizes if size is not None)
            tasks.append(Task(address, frozenset(need.addressing for need in graph.successors(stage)), stored))
        return tasks

    def changed(self) -> set[str]:
        """Return the stages that DVC would run by themselves, among those of `tasks` (not those behind them)."""
        with self._locked():  # a missing output tells without a look at the inputs
            return {
                address for address, stage in self._stages.items() if not all(out.exists for out in stage.outs) or stage.changed()
            }

    def begin(self, address: str) -> Run | None:
        """Return what must be run to bring a stage up to date, with its old outputs removed; None when nothing must be.

        A stage whose results the cache holds is restored and recorded here.

        Raises:
            LockError: another DVC process works on the same files.
        """
        from dvc.env import DVC_ROOT, DVC_STAGE
        from dvc.rwlock import rwlock
        from dvc.stage.cache import RunCacheNotFoundError

        with self._locked():
            stage = self._stage(address)
            # An import or a file under DVC: nothing runs, DVC brings it up to date itself.
            if not stage.cmd:
                if stage.reproduce():
                    stage.dump(update_pipeline=False)
                return None
            if not stage.changed():
                return None
            # A command must not find the results of other inputs, and go on from them.
            stage.remove_outs()
            try:
                self._repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                pass
            else:
                self._record(stage)
                return None
            held = ExitStack()
            inputs, outputs = [dep.fs_path for dep in stage.deps], [out.fs_path for out in stage.outs]
            linked = self._repo.config["core"].get("hardlink_lock", False)
            # Until `end`, so that no other DVC process touches these files while the command runs.
            held.enter_context(rwlock(self._repo.tmp_dir, self._repo.fs, f"launch {address}", inputs, outputs, linked))
        # In dvc.yaml `cmd` is a list, or a block with a command per line.
        commands = stage.cmd if isinstance(stage.cmd, list) else stage.cmd.splitlines()
        return Run(stage, commands, str(stage.wdir), {DVC_ROOT: self._repo.root_dir, DVC_STAGE: address}, held)

    def end(self, run: Run, succeeded: bool) -> None:
        """Release what a run holds and, when its command succeeded, store its outputs and record them.

        Raises:
            DvcException: an output is missing or cannot be stored.
        """
        with self._locked():
            # First of all: storing the outputs takes the same locks under a name of its own.
            run.held.close()
            if not succeeded:
                return
            self._record(run.stage)

    def _stage(self, address: str) -> Stage:
        if address not in self._stages:
            # Where `tasks` was not asked for all of them, as on a cluster's head.
            (self._stages[address],) = self._repo.stage.collect(address)
        return self._stages[address]

    def flush(self) -> None:
        """Write into dvc.lock what was recorded."""
        with self._locked():
            self._write()

    def _record(self, stage: Stage) -> None:
        """Store outputs and note them in the run-cache at once and, with those of other stages, in dvc.lock.

        Were the launcher killed in between, the next one would restore them from the run-cache.
        """
        # `save` takes digests and enters the run into the run-cache, `commit` stores the outputs under them. Unlike `dvc repro`
        # this is done for outputs that git keeps (cache: false) as well, so that these, too, outlive a launcher that is killed.
        stage.save()
        stage.commit()
        self._unwritten.append(stage)
        if len(self._unwritten) >= LARGEST_BATCH or time.monotonic() - self._last_write > LONGEST_WAIT_S:
            self._write()

    def _write(self) -> None:
        by_file = sorted(self._unwritten, key=lambda stage: str(stage.path))
        # One write for each dvc.lock, however many of its stages are done.
        for _, stages in groupby(by_file, key=lambda stage: str(stage.path)):
            batch = list(stages)
            # Only dvc.lock: dvc.yaml belongs to people and to `pipeline.wiring`.
            batch[0].dvcfile.dump_stages(batch, update_pipeline=False)
        self._unwritten = []
        self._last_write = time.monotonic()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # In this order everywhere: two threads with one lock each would wait for one another.
        with DVC_LOCK, self._repo.lock:
            yield
