"""Failures that users can mend end a command with one clear message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

MADE = (("data",), ("models",), ("reports",))
"""Folders, below that of the command, whose files stages make."""


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
        missing = Path(str(error.filename)) if isinstance(error, FileNotFoundError) else Path()
        remedy = "; `dvc repro` makes it" if missing.parts[:1] in MADE else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        raise SystemExit(1) from None
