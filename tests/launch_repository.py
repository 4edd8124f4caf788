"""A DVC repository in small for tests of the launcher: `first` makes a number, `train@RUN` each make one from it."""

import os
import subprocess
import sys
from pathlib import Path

PIPELINE = """
stages:
  first:
    cmd: cat base.txt > data/first.txt
    deps: [base.txt]
    outs: [data/first.txt]
  train:
    foreach: [good, bad, slow]
    do:
      cmd: sh ${item}.sh
      deps: [data/first.txt, "${item}.sh"]
      outs: ["models/${item}.txt"]
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "base.txt": "1\n",
    "good.sh": "cat data/first.txt > models/good.txt\necho ran >> .scratch/runs/good\n",
    "bad.sh": "echo broken on purpose\nexit 3\n",
    # goes on where an earlier attempt ended, as a training does; the first attempt waits to be ended
    "slow.sh": "test -e .scratch/runs/slow || { touch .scratch/runs/slow; sleep 120; }\necho 2 > models/slow.txt\n",
    ".gitignore": "/data/\n/models/\n/.scratch/\n",
    "data/.keep": "",
    "models/.keep": "",
}
REPOSITORY = Path(__file__).parent.parent


def make_repository(folder: Path) -> None:
    """Fill a folder with the repository and make its stage `first`."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "--force", "data/.keep", "models/.keep"],
        ["dvc", "init", "--quiet"],
    ):
        subprocess.run(command, cwd=folder, check=True, env=environment)
    subprocess.run(["dvc", "repro", "--quiet", "first"], cwd=folder, check=True, env=environment)
