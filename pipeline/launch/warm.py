"""Stages in processes that need not load anything: each is forked from one that has imported the code of all stages.

That process is Python's forkserver. It computes nothing and has one thread, so that a fork of it is as good as a new interpreter.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import re
import signal
import sys
import threading
import time
from multiprocessing.connection import wait
from pathlib import Path

from pipeline.launch.worker import GRACE_S

STAGES = "pipeline.stages"
LOADED_SINCE = time.time()
COMMAND = re.compile(rf"python -m ({re.escape(STAGES)}\.\w+)((?: [\w./=:,@+-]+)*)")
"""A command that calls a stage and needs no shell."""


def load_stages() -> None:
    """Import every stage of the pipeline and what they load late; one that cannot be imported tells so when it runs."""
    from PIL import Image

    importlib.import_module("torch._dynamo")  # which takes seconds when a process makes its first optimiser
    Image.init()
    for module in pkgutil.iter_modules(importlib.import_module(STAGES).__path__):
        try:
            importlib.import_module(f"{STAGES}.{module.name}")
        except Exception:  # whatever its code does wrong
            continue


def code_changed() -> bool:
    """Return whether a file of this package is younger than what was loaded from it."""
    package = str(Path(__file__).parent.parent)
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return any(not os.path.exists(file) or os.stat(file).st_mtime > LOADED_SINCE for file in files if file.startswith(package))


def end_with_launcher() -> None:
    """Save and end, with all that was started here, once the launcher is gone, however it was killed."""
    launcher = multiprocessing.parent_process()
    if launcher is None:
        return
    # Readable once the launcher has ended.
    wait([launcher.sentinel])
    os.killpg(0, signal.SIGINT)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def run_stage(command: str, folder: str, log: str, environment: dict[str, str]) -> None:
    """Run a stage's command in this fresh fork; what it prints is appended to the file `log`."""
    os.setsid()  # a group of its own, so that all of it can be ended
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    os.chdir(folder)
    with open(log, "ab", buffering=0) as output:
        # Below Python, so that what libraries and child processes print goes there as well.
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    # The fork holds the code of before: a new interpreter reads what is there now.
    if code_changed():
        os.execvp("/bin/sh", ["sh", "-c", command])
    # A daemon, so that it does not keep a stage alive that is done.
    threading.Thread(target=end_with_launcher, daemon=True).start()
    fitting = COMMAND.fullmatch(command)
    # `head.run_command` sends nothing else here.
    assert fitting is not None
    module = importlib.import_module(fitting[1])
    # As if the module had been called by `python -m`.
    sys.argv = [str(module.__file__), *fitting[2].split()]
    module.main()


class Forks:
    """Starts stages as forks, and tells how they ended; threads may share it."""

    def __init__(self) -> None:
        """Prepare; the process that is forked starts with the first stage."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([f"{__package__}.preload"])
        self._lock = threading.Lock()  # the status of a process can be read once

    def start(self, command: str, folder: str, log: Path, environment: dict[str, str]) -> Fork:
        """Start a stage."""
        process = self._context.Process(target=run_stage, args=(command, folder, str(log.resolve()), environment))
        with self._lock:
            process.start()
        return Fork(process, self._lock)


class Fork:
    """A running stage, with the parts of Popen that are needed."""

    def __init__(self, process: multiprocessing.context.ForkServerProcess, lock: threading.Lock) -> None:
        """Wrap a started process whose status is read under `lock`."""
        assert process.pid is not None
        self.pid = process.pid
        self._process, self._lock = process, lock

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        with self._lock:
            return self._process.exitcode
