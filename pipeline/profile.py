"""Put a scale into params.yaml: `python -m pipeline.profile paper`, and `embedded` to come back.

A profile is an overlay in pipeline/profiles. The values of `embedded` are put into params.yaml, then those of the profile asked
for; values that only other profiles name are taken out, so that bases and defaults hold. What no profile names stays, and so do
comments. Every value is then visible, tracked and open to `dvc exp run -S`; pipelines are wired anew for the levels there are.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.params import load_params, read_yaml

PROFILES = Path(__file__).with_name("profiles")
EMBEDDED = "embedded"


def profiles() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def read_profile(name: str) -> Any:
    """Return the overlay of a profile."""
    return read_yaml(PROFILES / f"{name}.yaml")


def overlay(base: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Merge `changes` into `base` in place, mappings key by key."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), MutableMapping):
            overlay(base[key], value)
        else:
            base[key] = value


def leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to each value of a tree."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def remove(tree: Any, keys: tuple[str, ...]) -> None:
    """Take one value out of a tree, if it is there."""
    for key in keys[:-1]:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    if isinstance(tree, MutableMapping):
        tree.pop(keys[-1], None)


def put_profile(tree: MutableMapping[str, Any], name: str) -> None:
    """Put a profile into the content of params.yaml, in place."""
    wanted: set[tuple[str, ...]] = set()
    for layer in dict.fromkeys([EMBEDDED, name]):
        overlay(tree, read_profile(layer))
        wanted.update(leaves(read_profile(layer)))
    for other in profiles():
        for keys in set(leaves(read_profile(other))) - wanted:
            remove(tree, keys)


def dump(tree: Any) -> bytes:
    """Return the text of params.yaml in the form that `dvc exp run -S` leaves it in, so that only changed values differ."""
    yaml = YAML()
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(tree, text)
    return text.getvalue().encode()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.profile", description=__doc__)
    parser.add_argument("name", choices=profiles(), help="which scale")
    name = parser.parse_args().name
    from pipeline.wiring import write_pipelines

    with clear_errors():
        tree = YAML().load(paths.PARAMS.read_text(encoding="utf-8"))
        put_profile(tree, name)
        trial = paths.SCRATCH / "params.yaml"
        write_atomically(trial, dump(tree))
        load_params(trial)
        write_atomically(paths.PARAMS, dump(tree))
        print(f"{paths.PARAMS} now holds the profile {name}")
        write_pipelines()


if __name__ == "__main__":
    main()
