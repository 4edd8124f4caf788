"""Failures that users can mend end a command with one clear message."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

REMEDIES = {
    PermissionError: "; change its permissions, or choose another place",
    IsADirectoryError: "; expected a file there, so move the folder away",
    NotADirectoryError: "; a part of this path is a file: choose another place",
    FileExistsError: "; move it away, or choose another place",
}
MADE = (("data",), ("models",), ("reports",))
"""Folders, below that of the command, whose files stages make."""

OPTIONAL = {
    "flask": "requirements-annotate.txt",
    "werkzeug": "requirements-annotate.txt",
    "onnx": "requirements-export.txt",
    "onnxruntime": "requirements-export.txt",
    "onnxscript": "requirements-export.txt",
    "ray": "requirements-cluster.txt",
    "submitit": "requirements-cluster.txt",
}
"""Package that the core does without -> the file that installs it."""


@contextmanager
def clear_errors(*expected: type[Exception]) -> Iterator[None]:
    """End the process with the message alone for errors whose message is written for the user.

    Args:
        expected: besides ValueError (which ParamsError is) and OSError.
    """
    handled: tuple[type[Exception], ...] = (ValueError, OSError, *expected)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal cannot show must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except handled as error:
        print(f"error: {_told(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        print(f"error: this needs the package {package}: python -m pip install -r {OPTIONAL[package]}", file=sys.stderr)
        raise SystemExit(1) from None
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):  # what torch says in its place
            raise
        print("error: there is not enough memory; make pictures, the network's input or the batch smaller", file=sys.stderr)
        raise SystemExit(1) from None


def _told(error: Exception) -> str:
    """Return the message of an error; that of the operating system with the file first, and with what helps where it is known."""
    if not (isinstance(error, OSError) and isinstance(error.filename, str | bytes) and error.strerror):
        return str(error)
    file = os.fsdecode(error.filename)
    helps = next((remedy for kind, remedy in REMEDIES.items() if isinstance(error, kind)), "")
    if isinstance(error, FileNotFoundError) and Path(file).parts[:1] in MADE:
        helps = "; `dvc repro` makes it"
    return f"{file}: {error.strerror}{helps}"
