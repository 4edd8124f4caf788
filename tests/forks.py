"""Runs Python modules in forks of a process that has loaded the libraries, seconds before a new interpreter would have.

That process has loaded nothing of this repository, so that a fork reads the code of the folder it is sent to.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
LIBRARIES = ["torch._dynamo", "torchvision", "segmentation_models_pytorch", "pandas", "matplotlib.pyplot", "numba", "pytest"]


def _become(module, arguments, folder, environment, outputs):
    """Run a module in this fresh fork as `python -m` would."""
    for number, file in outputs.items():
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    here = {str(TESTS), str(TESTS.parent), ""}
    sys.path[:] = [str(folder), *(place for place in sys.path if place not in here)]
    sys.argv = [module, *arguments]
    assert "pipeline" not in sys.modules
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_module(module, *arguments, folder, environment):
    """Run `python -m module arguments` in `folder`, and return what it printed and its status, as `subprocess.run` does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with tempfile.NamedTemporaryFile() as printed, tempfile.NamedTemporaryFile() as complained:
        outputs = {1: printed.name, 2: complained.name}
        fork = context.Process(target=_become, args=(module, arguments, Path(folder), environment, outputs))
        fork.start()
        fork.join()
        texts = [file.read().decode() for file in (printed, complained)]
    return subprocess.CompletedProcess([module, *arguments], fork.exitcode, *texts)
