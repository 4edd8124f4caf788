"""What the commands of every day take: `python -m pipeline.bench.commands`.

All stages are made once in a fresh clone of the committed state, at the smallest scale. Then `dvc repro` and `dvc status` of an
unchanged tree, `dvc exp run` of a changed setting, `dvc plots diff` and `dvc exp show` are timed there in turn. Beside them
stands a process that only imports torch: a stage is at least that. Writes reports/bench/commands.csv, with the machine's load.

`--times 4` then copies every family of runs three times, results and all, has DVC accept the copies, and times the commands
once more: how they grow with the number of runs, without training any.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import write_csv

RESULTS = Path("reports/bench/commands.csv")
UNIT = f"{shlex.quote(sys.executable)} -c 'import torch'"
BACK = "git checkout --quiet . && dvc checkout --quiet"
"""Undoes an experiment, with what the one before left in the cache."""


def turn(number: int) -> tuple[str, ...]:
    """Return the commands of one turn: every experiment must be a new one, as results that are known are not made again."""
    experiment = f"dvc exp run --quiet -S noise.sigma={0.2 + number / 1000:g}"
    return (UNIT, "dvc repro", "dvc status", experiment, "dvc plots diff --out dvc_plots", "dvc exp show --no-pager")


def run(command: str, folder: Path) -> float:
    """Run a command in a shell and return the seconds it took.

    Raises:
        RuntimeError: it failed; the message has the end of what it printed.
    """
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": paths, "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    ended = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"`{command}` failed in {folder}: {(ended.stdout + ended.stderr)[-600:]}")
    return time.monotonic() - begun


def prepare(folder: Path, profile: str, jobs: int) -> float:
    """Clone this repository, make everything at the scale of a profile, commit it, and return the seconds of the making."""
    run(f"git clone --quiet . {shlex.quote(str(folder))}", Path.cwd())
    run(f"{shlex.quote(sys.executable)} -m pipeline.profile {profile}", folder)
    seconds = run(f"{shlex.quote(sys.executable)} -m pipeline.launch --jobs {jobs} && dvc repro --quiet", folder)
    run("git add --all && git -c user.name=bench -c user.email=bench@localhost commit --quiet --no-verify -m made", folder)
    return seconds


def grow(folder: Path, times: int) -> None:
    """Copy every family of runs with all that was made of it, until there are `times` as many, and have DVC accept that."""
    families = sorted(path.parent.name for path in folder.glob("pipeline/experiments/*/runs.yaml"))
    places = [folder / place for place in ("data/code", "data/settings", "models", "reports", "pipeline/experiments")]
    made = [
        path
        for place in places
        for path in place.rglob("*")
        if path.name.partition(".")[0] in families and not any(part in families for part in path.relative_to(folder).parts[:-1])
    ]
    for path in made:
        for number in range(2, times + 1):
            name, dot, ending = path.name.partition(".")
            copy = path.with_name(f"{name}_{number}{dot}{ending}")
            if path.is_dir():
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns("dvc.lock"))
            else:
                shutil.copyfile(path, copy)
    # What stages depend on names their family, so it is written anew for the copies.
    python = shlex.quote(sys.executable)
    written = " && ".join(f"{python} -m pipeline.{module}" for module in ("wiring", "stages.settings", "stages.code"))
    run(f"{written} && dvc commit --force --quiet", folder)
    run("git add --all && git -c user.name=bench -c user.email=bench@localhost commit --quiet --no-verify -m grown", folder)


def main() -> None:
    """Run the benchmark."""
    parser = command_parser(__doc__, "pipeline.bench.commands --repeats 3")
    parser.add_argument("--profile", default="smoke", help="scale of the clone (default: smoke)")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--times", type=int, default=1, help="how many times the runs in a second round (default: 1, none)")
    parser.add_argument("--jobs", type=int, default=2, help="stages at a time while all is made (default: 2)")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    taken: dict[str, list[float]] = {}
    with clear_errors(RuntimeError), tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "clone"

        def note(command: str, load: float, seconds: float) -> None:
            shown = command.replace(UNIT, "import torch").partition(" -S")[0]
            taken.setdefault(shown if times == 1 else f"{shown}, {times} times the runs", []).append(seconds)
            row = {"profile": arguments.profile, "times": times, "command": shown, "load_before": load}
            rows.append({**row, "seconds": round(seconds, 1)})
            write_csv(RESULTS, rows)

        load, times = os.getloadavg()[0], 1
        note("make repro", load, prepare(clone, arguments.profile, arguments.jobs))
        for times in dict.fromkeys((1, arguments.times)):
            if times > 1:
                grow(clone, times)
            commands = [one for number in range(arguments.repeats) for one in (*turn(times * 100 + number), BACK)]
            for command in tqdm(commands, unit="command", disable=None):
                load = os.getloadavg()[0]
                seconds = run(command, clone)
                if command != BACK:
                    note(command, load, seconds)
    for name, turns in taken.items():
        ratio = statistics.median(turns) / statistics.median(taken["import torch"])
        print(f"{name:<40}{statistics.median(turns):>8.1f} s ({min(turns):.1f}-{max(turns):.1f}){ratio:>8.1f}x import torch")


if __name__ == "__main__":
    main()
