"""Failures that users can mend end a command with one clear message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def clear_errors(*expected: type[Exception]) -> Iterator[None]:
    """End the process with the message alone for errors whose message is written for the user.

    Args:
        expected: besides ValueError (which ParamsError is) and OSError.
    """
    handled: tuple[type[Exception], ...] = (ValueError, OSError, *expected)
    try:
        yield
    except handled as error:
        remedy = "; `dvc repro` makes it" if isinstance(error, FileNotFoundError) else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        raise SystemExit(1) from None
