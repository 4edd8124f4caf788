"""Stages as forks of a process that has loaded them: they print, fail, end and see new code as fresh interpreters do."""

import shutil
import signal
import subprocess
import sys
import time

import pytest
from launch_repository import REPOSITORY

from pipeline.launch.warm import COMMAND

pytestmark = pytest.mark.slow

STAGE = """
import signal, sys, time
from pathlib import Path

def main():
    print("version 1", *sys.argv[1:], flush=True)
    if "wait" in sys.argv:
        Path("begun").touch()
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            Path("saved").touch()
    if "fail" in sys.argv:
        raise ValueError("no such picture")

if __name__ == "__main__":
    main()
"""
LAUNCHER = """
import sys, time
from pathlib import Path
from pipeline.launch.warm import Forks

forks = Forks()
for line in sys.stdin:
    process = forks.start(f"python -m pipeline.stages.{line.strip()}", ".", Path("log"), {})
    while process.poll() is None:
        time.sleep(0.02)
    print(process.poll(), flush=True)
"""


@pytest.fixture
def launcher(tmp_path):
    """A process that starts the stages whose commands it reads, in a folder with a pipeline of the one stage `pretend`."""
    shutil.copytree(REPOSITORY / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("stages", "__pycache__"))
    (tmp_path / "pipeline/stages").mkdir()
    (tmp_path / "pipeline/stages/__init__.py").touch()
    (tmp_path / "pipeline/stages/pretend.py").write_text(STAGE)
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.kill()
    process.communicate()


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def ask(launcher, command):
    launcher.stdin.write(f"{command}\n")
    return launcher.stdout.readline().strip()


def test_stage_gets_its_arguments_and_prints_into_its_log(launcher, tmp_path):
    assert ask(launcher, "pretend voc") == "0"
    assert (tmp_path / "log").read_text() == "version 1 voc\n"


def test_failure_is_a_status_and_a_traceback(launcher, tmp_path):
    assert ask(launcher, "pretend fail") == "1"
    assert "ValueError: no such picture" in (tmp_path / "log").read_text()


def test_code_that_was_edited_after_loading_runs_as_it_is_now(launcher, tmp_path):
    ask(launcher, "pretend voc")
    (tmp_path / "pipeline/stages/pretend.py").write_text(STAGE.replace("version 1", "version 2"))
    assert ask(launcher, "pretend voc") == "0"
    assert (tmp_path / "log").read_text() == "version 1 voc\nversion 2 voc\n"


def test_stage_saves_and_ends_when_the_launcher_is_killed(launcher, tmp_path):
    launcher.stdin.write("pretend wait\n")
    wait_for(tmp_path / "begun")
    launcher.send_signal(signal.SIGKILL)
    wait_for(tmp_path / "saved")


@pytest.mark.parametrize(
    "command", ["python -m pipeline.stages.train a/b | tee x", "python -m pytest", "python -m pipeline.stages.train $RUN"]
)
def test_command_that_needs_a_shell_or_another_module_is_not_forked(command):
    assert COMMAND.fullmatch(command) is None
