"""What every stage does at its entry: parse its arguments and look up what they name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TypeVar

from pipeline.params import ParamsError

Item = TypeVar("Item")


def stage_arguments(description: str | None, *, several: str = "", **positional: str) -> argparse.Namespace:
    """Parse the positional arguments of a stage, of which `several` takes one or more; `--help` shows the module's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, help_text in positional.items():
        parser.add_argument(name, help=help_text, nargs="+" if name == several else None)
    return parser.parse_args()


def lookup(section: Mapping[str, Item], name: str, where: str) -> Item:
    """Return an entry of a section of params.yaml.

    Raises:
        ParamsError: there is no such entry; lists what is there.
    """
    if name not in section:
        raise ParamsError(f"{where}.{name} is not in params.yaml; there: {', '.join(section)}")
    return section[name]
