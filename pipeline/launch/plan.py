"""What is stale, in which order, and how long it will take and how much it will store."""

from __future__ import annotations

import csv
import json
import re
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline import paths
from pipeline.params import read_yaml

DURATIONS = paths.SCRATCH / "durations.csv"
"""How long stages took on this repository's workers: profile, address, seconds."""


@dataclass(frozen=True)
class Task:
    """One stage: its address on the command line, the addresses of the stages it needs, the bytes it stored when it last ran."""

    address: str
    needs: frozenset[str]
    stored_bytes: int | None = None


def changed_addresses(addresses: Sequence[str] = ()) -> set[str]:
    """Return the stages DVC reports as changed (not those behind them), of all or of those given.

    Raises:
        RuntimeError: DVC cannot tell; says why.
    """
    status = subprocess.run(
        ["dvc", "--wait-for-lock", "status", "--json", *addresses], capture_output=True, text=True, check=False
    )
    if status.returncode != 0:
        raise RuntimeError(status.stderr.strip())
    return set(json.loads(status.stdout or "{}"))


def matches(address: str, patterns: Iterable[str]) -> bool:
    """Return whether an address fits one of the shell patterns.

    >>> matches("pipeline/experiments/potts/dvc.yaml:train@hq-pq", ["*potts*train@*"])
    True
    """
    return any(fnmatchcase(address, pattern) for pattern in patterns)


def check_patterns(tasks: Sequence[Task], patterns: Iterable[str], option: str) -> None:
    """Raise ValueError for a pattern that no stage fits: a slip of the pen would else leave work out without a word."""
    for pattern in patterns:
        if not any(matches(task.address, [pattern]) for task in tasks):
            # No cutoff: the nearest helps, however far it is.
            near = get_close_matches(pattern, [task.address for task in tasks], n=1, cutoff=0.0)
            raise ValueError(f"{option} {pattern}: no stage is called so; the nearest is {', '.join(near)}")


def stale_tasks(tasks: Sequence[Task], changed: set[str], patterns: Sequence[str] = ()) -> list[Task]:
    """Return the changed stages and all that depend on them, in the order given.

    Args:
        tasks: all stages.
        changed: addresses of those that DVC reports as changed.
        patterns: only the stages that fit one of them, and the stale ones they need.

    Raises:
        ValueError: no stage fits a pattern.
    """
    check_patterns(tasks, patterns, "--only")
    stale: dict[str, Task] = {}
    for task in tasks:
        # Needs come first: one pass reaches the end of every chain.
        if task.address in changed or any(need in stale for need in task.needs):
            stale[task.address] = task
    wanted: set[str] = set()
    # From the end: what a wanted stage needs stands before it.
    for task in reversed(stale.values()):
        if not patterns or task.address in wanted or matches(task.address, patterns):
            # What it needs and is up to date falls out below.
            wanted |= {task.address, *task.needs}
    return [task for task in stale.values() if task.address in wanted]


def group(address: str) -> str:
    """Return what the stages of one `foreach` share.

    >>> group("supervise@voc-sizes")
    'supervise'
    """
    return address.partition("@")[0]


def typical(own: float | None, others: Sequence[float]) -> float | None:
    """Return a stage's own number, else the median of its like, else None."""
    return own if own is not None else statistics.median(others) if others else None


@dataclass
class Durations:
    """How long each stage took under the active profile.

    The longest time counts: a stage whose result came from the cache took seconds.
    """

    profile: str
    seconds: dict[str, float] = field(default_factory=dict)
    path: Path = DURATIONS

    @classmethod
    def read(cls, path: Path = DURATIONS, params: Path = paths.PARAMS) -> Durations:
        """Read what earlier launches recorded for the profile that params.yaml names."""
        # Read, not checked: only the name is needed, and stages refuse wrong settings themselves.
        settings = read_yaml(params) if params.exists() else {}
        durations = cls(str(settings.get("profile", "")) if isinstance(settings, dict) else "", path=path)
        if path.exists():
            with path.open(newline="") as lines:
                for cells in csv.reader(lines):
                    if len(cells) == 3 and cells[0] == durations.profile and re.fullmatch(r"\d+\.\d", cells[2]):  # not cut off
                        durations.seconds[cells[1]] = max(float(cells[2]), durations.seconds.get(cells[1], 0.0))
        return durations

    def record(self, address: str, seconds: float) -> None:
        """Append one line; whole lines of several threads do not mix."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as lines:
            lines.write(f"{self.profile},{address},{seconds:.1f}\n")

    def estimate(self, address: str) -> float | None:
        """Return the seconds a stage took, else the median of its like, else None."""
        # Trainings of one family take about as long as each other.
        like = [seconds for other, seconds in self.seconds.items() if group(other) == group(address)]
        return typical(self.seconds.get(address), like)


def stored_estimate(task: Task, tasks: Sequence[Task]) -> float | None:
    """Return the bytes a stage stored when it last ran, else the median of its like, else None."""
    like = [
        other.stored_bytes for other in tasks if other.stored_bytes is not None and group(other.address) == group(task.address)
    ]
    return typical(task.stored_bytes, like)


def longest_chain(tasks: Sequence[Task], seconds: Mapping[str, float]) -> float:
    """Return the time that remains with any number of workers: that of the longest chain of stages that need each other."""
    ends: dict[str, float] = {}
    for task in tasks:
        # Needs come first, so that their ends are known.
        ends[task.address] = seconds[task.address] + max((ends.get(need, 0.0) for need in task.needs), default=0.0)
    return max(ends.values(), default=0.0)


def describe(
    tasks: Sequence[Task],
    every: Sequence[Task],
    lanes: Mapping[str, tuple[str, int]],
    durations: Durations,
    assumed_hours: float | None,
    free_bytes: int,
) -> str:
    """Return the plan of a dry run: each stage with where it runs, estimated hours and megabytes, and the totals.

    Args:
        tasks: the stages to run, needs first.
        every: all stages of the repository, whose sizes stand in for unknown ones.
        lanes: name of the lane and its number of workers, by address.
        durations: of earlier runs.
        assumed_hours: what a stage sent to a cluster, or a training, is taken to last when nothing like it was timed.
        free_bytes: space left on the disk of the cache.
    """
    hours: dict[str, float] = {}
    lines, untimed, unsized, stored = [], 0, 0, 0.0
    for task in tasks:
        seconds, size = durations.estimate(task.address), stored_estimate(task, every)
        # What it or its like took; else, of a training alone, what the caller assumes.
        estimate = seconds / 3600 if seconds is not None else assumed_hours if ":train@" in task.address else None
        untimed += estimate is None
        unsized += size is None
        stored += size or 0.0
        hours[task.address] = estimate or 0.0
        shown = ("     ? h" if estimate is None else f"{estimate:6.2f} h") + (
            "      ? MB" if size is None else f"{size / 1e6:7.1f} MB"
        )
        lines.append(f"{shown}  {lanes[task.address][0]:5}  {task.address}")
    load: dict[str, float] = {}
    for address, (name, slots) in lanes.items():
        # A lane is done no sooner than its work divided among its workers.
        load[name] = load.get(name, 0.0) + hours.get(address, 0.0) / slots
    # Two bounds from below: the longest chain, and the fullest lane.
    least = max(longest_chain(tasks, hours), *load.values(), 0.0)
    lines.append(
        f"{len(tasks)} stages, {sum(hours.values()):.1f} h of work" + (f" and {untimed} stages never timed" if untimed else "")
    )
    lines.append(
        f"at least {least:.1f} h with " + ", ".join(f"{slots} at a time ({name})" for name, slots in sorted(set(lanes.values())))
    )
    lines.append(
        f"{stored / 1e9:.2f} GB of results"
        + (f" and {unsized} stages of unknown size" if unsized else "")
        + f"; {free_bytes / 1e9:.1f} GB free"
    )
    if stored > free_bytes:
        lines.append("NOT ENOUGH SPACE")
    return "\n".join(lines)
