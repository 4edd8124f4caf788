"""What every stage does at its entry: parse its arguments and turn expected failures into one clear message."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.params import ParamsError


def stage_arguments(description: str | None, **positional: str) -> argparse.Namespace:
    """Parse the positional arguments of a stage; `--help` shows the module's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, help_text in positional.items():
        parser.add_argument(name, help=help_text)
    return parser.parse_args()


@contextmanager
def clear_errors(*expected: type[Exception]) -> Iterator[None]:
    """End the process with the message alone for errors whose message is written for the user."""
    handled: tuple[type[Exception], ...] = (ParamsError, OSError, *expected)
    try:
        yield
    except handled as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
