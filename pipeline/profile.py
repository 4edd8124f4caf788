"""Put a scale into params.yaml: `python -m pipeline.profile paper`, and `embedded` to come back.

A profile is an overlay in pipeline/profiles. The values of `embedded` are put into params.yaml, then those of the profile asked
for; values that only other profiles name are taken out, so that bases and defaults hold. What no profile names stays, and so do
comments. Every value is then visible, tracked and open to `dvc exp run -S`; pipelines are wired anew for the levels there are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pipeline import paths
from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.params import load_params, read_yaml

PROFILES = Path(__file__).with_name("profiles")
Keys = tuple[str, ...]

EMBEDDED = "embedded"
WIDTH = 80
"""Columns of a line that DVC's serializer leaves whole."""


def profiles() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def read_profile(name: str) -> Any:
    """Return the overlay of a profile, its numbers as they are written."""
    return YAML().load((PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))


def overlay(base: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Merge `changes` into `base` in place, mappings key by key."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), MutableMapping):
            overlay(base[key], value)
        else:
            base[key] = value


def leaves(tree: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    """Yield the keys that lead to each value of a tree."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def remove(tree: MutableMapping[str, Any], keys: Keys, wanted: Collection[Keys]) -> None:
    """Take one value out of a tree, if it is there, and what is empty without it; what is wanted stays, and so do blocks of
    `training`, which may say nothing beyond their base."""
    inner: list[Any] = [tree]
    for key in keys[:-1]:
        if not isinstance(inner[-1], Mapping) or key not in inner[-1]:
            return
        inner.append(inner[-1][key])
    # From the value upwards, as long as nothing else is left in a block; sections stay, and blocks of `training`.
    for depth in range(len(keys), 2 if keys[0] == "training" else 1, -1):
        if keys[:depth] in wanted or (depth < len(keys) and inner[depth]):
            return
        inner[depth - 1].pop(keys[depth - 1], None)


def put_profile(tree: MutableMapping[str, Any], name: str) -> None:
    """Put a profile into the content of params.yaml, in place."""
    wanted: set[Keys] = set()
    # Always from the embedded values: what comes out does not depend on the profile that was there before.
    for layer in dict.fromkeys([EMBEDDED, name]):
        overlay(tree, read_profile(layer))
        wanted.update(leaves(read_profile(layer)))
    for other in profiles():
        for keys in set(leaves(read_profile(other))) - wanted:
            remove(tree, keys, wanted)


def dump(tree: Any) -> bytes:
    """Return the text of params.yaml in the form that `dvc exp run -S` leaves it in, so that only changed values differ.

    DVC breaks what is longer than 80 columns. So what fits stands on one line, and everything else has a line for each key. And
    it makes all lists anew, which then have a line for each item, unless they stand inside a mapping on one line.
    """
    yaml = YAML()
    # As DVC sets up its own writer.
    yaml.default_flow_style = False
    for section in tree.values():
        _arrange(yaml, section, 0)
    text = io.StringIO()
    yaml.dump(tree, text)
    return text.getvalue().encode()


def _arrange(yaml: YAML, tree: Any, depth: int) -> None:
    """Choose the style of each mapping and list in `tree`, which itself has a line for each key."""
    if isinstance(tree, CommentedMap):
        for _, _, comment, _ in (entry for entry in tree.ca.items.values() if entry[2] is not None):
            comment.start_mark.column = 0  # one space before it, however long the line is
        for key, value in tree.items():
            if isinstance(value, CommentedSeq):
                _spread(value)
            elif isinstance(value, CommentedMap):
                fits = not _commented(value) and _length(yaml, key, value) + 2 * (depth + 1) <= WIDTH
                value.fa.set_flow_style() if fits else value.fa.set_block_style()
                if not fits:
                    _arrange(yaml, value, depth + 1)


def _spread(tree: Any) -> None:
    """Give every key and item of a list its own line, at any depth."""
    if isinstance(tree, CommentedMap | CommentedSeq):
        tree.fa.set_block_style()
        for inner in tree.values() if isinstance(tree, CommentedMap) else tree:
            _spread(inner)


def _commented(tree: Any) -> bool:
    """Return whether a comment stands between the keys of a tree."""
    inner = tree.values() if isinstance(tree, CommentedMap) else ()
    return isinstance(tree, CommentedMap | CommentedSeq) and (bool(tree.ca.items) or any(map(_commented, inner)))


def _length(yaml: YAML, key: str, value: Any) -> int:
    """Return how long `key: value` is on one line."""
    text = io.StringIO()
    wide = YAML()
    wide.width = 10_000
    # Without comments and styles, which would break the line.
    plain = json.loads(json.dumps(value))
    wide.default_flow_style = True
    wide.dump({key: plain}, text)
    # Not counting the braces around the pair.
    return len(text.getvalue().strip()) - 2


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.profile embedded")
    parser.add_argument("name", choices=profiles(), help="which scale")
    name = parser.parse_args().name
    from pipeline.wiring import write_pipelines

    with clear_errors():
        load_params()  # first, as nothing can be put into what says something that cannot be
        tree = read_yaml(paths.PARAMS, YAML())
        put_profile(tree, name)
        # Checked under another name first: a profile that does not fit leaves params.yaml as it was.
        trial = paths.SCRATCH / "params.yaml"
        write_atomically(trial, dump(tree))
        load_params(trial)
        write_atomically(paths.PARAMS, dump(tree))
        print(f"{paths.PARAMS} now holds the profile {name}")
        # Last, as it reads params.yaml: another profile may have other levels, and so other runs.
        write_pipelines()


if __name__ == "__main__":
    main()
