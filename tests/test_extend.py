"""Every change that docs/extend.md shows is made in a copy of the repository, and every command is run there."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest
from forks import run_module

from pipeline.import_graph import REPOSITORY

pytestmark = pytest.mark.slow

CHANGE = re.compile(
    r"(?:New file\s+`(?P<new>[^`]+)`:"
    r"|In\s+`(?P<file>[^`]+)`,\s+(?P<place>before|after)\s+`(?P<line>[^`]+)`:)\n\n```\w+\n(?P<block>.*?)```"
    r"|In\s+`(?P<changed>[^`]+)`,\s+`(?P<old>[^`]+)`\s+becomes\s+`(?P<now>[^`]+)`"
    r"|```console\n(?P<console>.*?)```",
    re.DOTALL,
)
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Command(NamedTuple):
    """One command of the page, with what it shall print and what it printed."""

    text: str
    expected: str
    printed: str
    status: int


def change_file(path, place, line, block):
    """Put `block` before or after each line of a file that begins with `line`."""
    text, found = [], 0
    for present in path.read_text().splitlines(keepends=True):
        if present.startswith(line):
            found += 1
            present = block + present if place == "before" else present + block
        text.append(present)
    assert found, f"{path}: no line begins with {line!r}"
    path.write_text("".join(text))


def run(folder, console):
    """Return the commands of a console block, run in `folder` one after the other."""
    environment = dict(os.environ, PATH=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}", OMP_NUM_THREADS="1")
    for part in console.split("$ ")[1:]:
        text, _, expected = part.partition("\n")
        python, dash_m, *module = text.split()
        assert (python, dash_m) == ("python", "-m"), text
        done = run_module(*module, folder=folder, environment=environment)
        yield Command(text, expected, done.stdout if done.returncode == 0 else done.stdout + done.stderr, done.returncode)


PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")


@pytest.fixture(scope="module")
def page():
    return (REPOSITORY / "docs/extend.md").read_text()


@pytest.fixture(scope="module")
def commands(page, tmp_path_factory):
    """Return the commands of the page, run in a copy to which all changes before each were made."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("pipeline", "tests", "docs", "reports"):
        shutil.copytree(REPOSITORY / name, folder / name)  # with what is compiled, which takes long
    for name in ("params.yaml", "dvc.yaml", "pyproject.toml", "README.md", "Makefile", *PAGES):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "data/annotations").mkdir(parents=True)
    made = []
    for part in CHANGE.finditer(page):
        if part["new"]:
            (folder / part["new"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / part["new"]).write_text(part["block"])
        elif part["file"]:
            change_file(folder / part["file"], part["place"], part["line"], part["block"])
        elif part["changed"]:
            text = (folder / part["changed"]).read_text()
            assert part["old"] in text, f"{part['changed']}: {part['old']} is not there"
            (folder / part["changed"]).write_text(text.replace(part["old"], part["now"]))
        else:
            made += run(folder, part["console"])
    return folder, made


def test_every_block_of_the_page_is_used(page):
    used = sum(1 for part in CHANGE.finditer(page) if part["block"] or part["console"])
    assert used == page.count("\n```") // 2


def test_every_command_succeeds(commands):
    assert [(one.text, one.printed[-2000:]) for one in commands[1] if one.status] == []


def test_commands_print_what_the_page_shows(commands):
    checker = doctest.OutputChecker()
    shown = [one for one in commands[1] if one.expected]
    assert shown
    assert [one for one in shown if not checker.check_output(one.expected, one.printed, LIKE)] == []


def test_the_new_experiment_is_scored(commands):
    rows = (commands[0] / "reports/pets/results.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [
        "run",
        *(f"soft-{name}-len{length}" for name in ("gm", "q") for length in ("000", "100")),
    ]


def test_the_figure_of_the_new_experiment_is_drawn(commands):
    assert (commands[0] / "reports/figures/x-pets.svg").exists()


REACHED = [
    [
        "tests/test_params.py",
        "tests/test_layers.py",
        "tests/test_docs.py",
        "tests/datasets/test_scenes.py",
        "-k",
        "not on_python",
    ],
    ["tests/losses", "tests/crf/test_pairwise.py", "tests/solver", "-k", "gm or relaxation or registry or names"],
    ["tests/networks", "tests/test_export.py", "-k", "resnet34 or encoder_of or kinds"],
    ["tests/datasets", "-k", "pets or inventory or page"],
    ["tests/report/test_artifacts.py", "tests/report/test_html.py", "-k", "x-pets or every or order or group"],
]
"""Suites that ask something of all relaxations, networks, data sets, families or artifacts, and what they ask of new ones."""


@pytest.mark.parametrize("suite", REACHED, ids=lambda suite: suite[0])
def test_suites_that_the_additions_reach_stay_green(commands, suite):
    quick = ("-q", "-x", "-p", "no:cacheprovider")
    done = run_module("pytest", *quick, *suite, folder=commands[0], environment=dict(os.environ))
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_changed_copy_is_clean(commands):
    for command in (["ruff", "check", "pipeline", "tests"], ["ruff", "format", "--check", "pipeline", "tests"]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=commands[0], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
