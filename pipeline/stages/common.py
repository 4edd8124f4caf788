"""What every stage does at its entry: parse its arguments and turn expected failures into one clear message."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pipeline.params import ParamsError

Item = TypeVar("Item")


def stage_arguments(description: str | None, **positional: str) -> argparse.Namespace:
    """Parse the positional arguments of a stage; `--help` shows the module's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, help_text in positional.items():
        parser.add_argument(name, help=help_text)
    return parser.parse_args()


def lookup(section: Mapping[str, Item], name: str, where: str) -> Item:
    """Return an entry of a section of params.yaml.

    Raises:
        ParamsError: there is no such entry; lists what is there.
    """
    if name not in section:
        raise ParamsError(f"{where}.{name} is not in params.yaml; there: {', '.join(section)}")
    return section[name]


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
