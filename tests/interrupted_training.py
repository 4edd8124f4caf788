"""Runs a training stage that is cut short again and again: `python interrupted_training.py RUN POINT...` (a driver of tests).

Each POINT is one attempt in a process of its own; the attempt gets a signal when it comes there:

    KILL@step:2      in the second loss it computes
    KILL@sync:1      while it writes its first file: the content is on the disk under a temporary name
    KILL@rename:1    when its first file has its name
    KILL@item:2      in the second picture it loads; the signal goes to the process that loads it
    KILL@0.3         after 0.3 s
    whole            none: it goes on to the end

TERM and INT instead of KILL ask it to stop. A checkpoint is written after every step. Prints the exit code of each attempt (a
negative one is the signal that ended it); standard error is that of the attempts.
"""

import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import torch._dynamo  # noqa: F401  # two seconds that the first optimiser step would cost every attempt

import pipeline.files
from pipeline.datasets.attach import AttachedImages
from pipeline.stages import train as stage
from pipeline.training import loop
from pipeline.training.objectives import Objective

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}


def counted(function: Callable[..., Any], count: int, number: signal.Signals, *, before: bool = False) -> Callable[..., Any]:
    """Return `function`, which sends the signal to its own process at the call of that count, before or after its work."""
    calls = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if before and calls == count:
            os.kill(os.getpid(), number)
        result = function(*args, **kwargs)
        if not before and calls == count:
            os.kill(os.getpid(), number)
        return result

    return wrapper


def train(run: str, place: str, number: signal.Signals) -> None:
    """Run the stage in this process, with the signal prepared."""
    name, _, count = place.partition(":")
    if name == "step":
        Objective.__call__ = counted(Objective.__call__, int(count), number)  # type: ignore[method-assign]
    if name == "item":
        AttachedImages.__getitem__ = counted(AttachedImages.__getitem__, int(count), number)  # type: ignore[method-assign]
    if name == "sync":
        pipeline.files.os.fsync = counted(os.fsync, int(count), number, before=True)
    if name == "rename":
        pipeline.files.os.replace = counted(os.replace, int(count), number)
    sys.argv = [stage.__file__, run]
    runpy.run_module("pipeline.stages.train", run_name="__main__", alter_sys=True)


def attempt(run: str, point: str) -> int:
    """Run the stage in a forked process and return its exit code."""
    signal_name, _, place = point.partition("@")
    number = SIGNALS.get(signal_name, signal.SIGKILL)
    child = os.fork()
    if child == 0:
        try:
            train(run, place, number)
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 99
        sys.stderr.flush()
        os._exit(status)
    if place and ":" not in place:
        time.sleep(float(place))
        os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    loop.CHECKPOINT_EVERY_S = -1.0
    print(json.dumps([attempt(sys.argv[1], point) for point in sys.argv[2:]]))
