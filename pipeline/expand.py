"""What params.yaml and a family's runs.yaml leave unsaid, written out: levels, products, bases. Plain trees in, plain trees out.

A name with braces stands for several entries, one for each combination of the values that the braces name:

    voc-sizes-mre{mre}: {dataset: voc, sizes: {mre: levels}}            -> voc-sizes-mre00, voc-sizes-mre04, ...
    "{relaxation}-len{length_ratio}": {relaxation: [bl, q], ...}        -> bl-len000, bl-len030, ..., q-len100

The values stand in the entry under the name in the braces, at any depth: a list, or the word `levels` for those of `levels` in
params.yaml. Words in braces are replaced in every text of the entry; fractions are written in hundredths.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

Tree = dict[str, Any]

BASE = "base"
"""Block of `training` that the others are changes of."""
EXCEPT = "except"
"""Key of an entry whose items change the runs that have the values they name."""
LEVELS = "levels"
"""Word in place of a list of values."""
DIGITS = {"length_ratio": 3}
"""Digits of hundredths in names; 2 where nothing else is said."""
BRACES = re.compile(r"\{(\w+)\}")


def label(axis: str, value: Any) -> str:
    """Return a value as it stands in names.

    Raises:
        ValueError: a fraction that is not a whole number of hundredths.

    >>> label("length_ratio", 0.3), label("mre", 0.08), label("relaxation", "q")
    ('030', '08', 'q')
    """
    if not isinstance(value, float):
        return str(value)
    # 0.29 * 100 is 28.999999999999996: so small a rest is rounding. And `round` of an infinite number raises.
    if not math.isfinite(100 * value) or abs(100 * value - round(100 * value)) > 1e-9:
        raise ValueError(f"{axis}: expected whole hundredths, which names are made of, got {value}")
    return f"{round(100 * value):0{DIGITS.get(axis, 2)}d}"


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    """Return `base` with the values of `changes`, mappings key by key.

    >>> merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}})
    {'a': 1, 'b': {'c': 4, 'd': 3}}
    """
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def products(entries: Mapping[str, Any], levels: Mapping[str, Any], fields: Collection[str]) -> Iterator[tuple[str, str, Tree]]:
    """Yield (name as written, name, entry) of everything that the entries stand for.

    Args:
        entries: by name, with or without braces.
        levels: of params.yaml.
        fields: keys that an entry may have in the end; other names in braces serve names only.

    Raises:
        ValueError: a name in braces has no values, or a name comes twice.
    """
    seen: dict[str, str] = {}
    for written, entry in entries.items():
        if not isinstance(entry, Mapping):
            raise ValueError(f"{written}: expected a mapping, got {entry!r}")
        # Each once, in the order of the name: it is the order of the entries, too.
        axes = list(dict.fromkeys(BRACES.findall(written)))
        choices = [_values(written, axis, _find(entry, axis), levels) for axis in axes]
        for chosen in product(*choices):
            values = dict(zip(axes, chosen))
            labels = {axis: label(axis, value) for axis, value in values.items()}
            name = _fill(written, written, labels)
            if name in seen:
                raise ValueError(f"{written}: {name} is there already, from {seen[name]}")
            seen[name] = written
            filled = _fill(_choose(entry, values), written, labels)
            # An axis that is no field, such as `loss` in the runs of label noise, has served the names and goes.
            yield written, name, {key: value for key, value in filled.items() if key in fields or key not in axes}


def _find(tree: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key anywhere in a tree, or None."""
    if key in tree:
        return tree[key]
    # An axis may lie inside a block: sizes: {mre: levels}.
    inner = (_find(value, key) for value in tree.values() if isinstance(value, Mapping))
    return next((value for value in inner if value is not None), None)


def _values(written: str, axis: str, found: Any, levels: Mapping[str, Any]) -> list[Any]:
    if found == LEVELS:
        if axis not in levels:
            raise ValueError(f"{written}: levels.{axis} is not in params.yaml; there: {', '.join(levels) or 'none'}")
        return list(levels[axis])
    if not isinstance(found, list) or not found:
        raise ValueError(f"{written}: {{{axis}}} needs {axis}: a list of values or the word {LEVELS}, got {found!r}")
    return found


def _choose(entry: Mapping[str, Any], values: Mapping[str, Any]) -> Tree:
    """Return an entry at one value of each axis, exceptions applied."""
    chosen = {
        key: values[key] if key in values else _choose(value, values) if isinstance(value, Mapping) else value
        for key, value in entry.items()
        if key != EXCEPT
    }
    for exception in entry.get(EXCEPT, ()):
        # Of an exception, values of axes say where it holds; the rest is what is different there.
        where = {key: value for key, value in exception.items() if key in values}
        if all(values[key] == value for key, value in where.items()):
            chosen = merge(chosen, {key: value for key, value in exception.items() if key not in where})
    return chosen


def _fill(part: Any, written: str, labels: Mapping[str, str]) -> Any:
    """Replace the words in braces in every text of `part`."""
    if isinstance(part, Mapping):
        return {key: _fill(value, written, labels) for key, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, written, labels) for value in part]
    if not isinstance(part, str):
        return part
    unknown = [axis for axis in BRACES.findall(part) if axis not in labels]
    if unknown:
        raise ValueError(f"{written}: {part!r} names {{{unknown[0]}}}, which is not in the name of the entry")
    return BRACES.sub(lambda found: labels[found[1]], part)


def expand_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return training blocks with what they leave to `base`."""
    base = training.get(BASE, {})
    # What is no block passes as it is, here and below: validation names the key.
    if not isinstance(base, Mapping):
        return dict(training)
    # `base` is among them: merged with itself it stays what it is.
    return {name: merge(base, block) if isinstance(block, Mapping) else block for name, block in training.items()}


def expand_objectives(objectives: Mapping[str, Any], terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return objectives with what their terms leave to `terms`."""
    return {
        name: {
            # Only terms that the objective names: what stands in `terms` alone takes part nowhere.
            term: merge(terms[term], value) if isinstance(terms.get(term), Mapping) and isinstance(value, Mapping) else value
            for term, value in block.items()
        }
        if isinstance(block, Mapping)
        else block
        for name, block in objectives.items()
    }


def expand_runs(
    family: Mapping[str, Any], levels: Mapping[str, Any], supervision: Mapping[str, Any], fields: Collection[str]
) -> dict[str, Tree]:
    """Return the runs of a family by name, with what all share and with the data set of their supervision.

    Args:
        family: content of runs.yaml: `runs`, and perhaps `shared`.
        levels: of params.yaml.
        supervision: variants by name.
        fields: keys of a run.

    Raises:
        ValueError: says what is wrong with the file.
    """
    unknown = sorted(set(family) - {"shared", "runs"})
    shared, entries = family.get("shared", {}), family.get("runs")
    if unknown or not isinstance(entries, Mapping) or not isinstance(shared, Mapping) or not entries:
        raise ValueError(f"expected the mappings `runs` and perhaps `shared`, got {', '.join(map(str, family)) or 'nothing'}")
    # Before braces are filled in, so that `shared` may hold axes too.
    whole = {name: merge(shared, entry) if isinstance(entry, Mapping) else entry for name, entry in entries.items()}
    runs = {}
    for written, name, entry in products(whole, levels, fields):
        if "dataset" in entry:
            raise ValueError(f"{written}.dataset: follows from the supervision; take it out")
        # A name that leads nowhere gives no data set; `pipeline.checks` reports the name.
        variant = supervision.get(str(entry.get("supervision")))
        runs[name] = {**entry, "dataset": str(variant.get("dataset", "")) if isinstance(variant, Mapping) else ""}
    return runs


def with_features(run: Tree, tree: Mapping[str, Any]) -> Tree:
    """Return a run with the kept features of its data set, network and size, if `features` has them and the run names none."""
    kept, trainings = tree.get("features"), tree.get("training")
    # `features: null` is an answer as well: the encoder runs at every step.
    if "features" in run or not isinstance(kept, Mapping) or not isinstance(trainings, Mapping):
        return run
    training = trainings.get(str(run.get("training")))
    size_px = training.get("image_size_px") if isinstance(training, Mapping) else None
    wanted = {"dataset": run.get("dataset"), "network": run.get("network"), "image_size_px": size_px}
    for name, entry in kept.items():
        if isinstance(entry, Mapping) and wanted.items() <= entry.items():
            return {**run, "features": name}
    return run
