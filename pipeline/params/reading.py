"""How params.yaml and the families of runs are read, completed and checked, and how each mistake is explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError

from pipeline import paths
from pipeline.checks import first
from pipeline.expand import BASE, LEVELS, expand_objectives, expand_runs, expand_training, products, with_features
from pipeline.files import read_text
from pipeline.params.data import Levels, Supervision
from pipeline.params.section import ParamsError, Section
from pipeline.params.whole import RUNS, WITHOUT, Params, Run

Model = TypeVar("Model", bound=Section)


def read_yaml(path: Path, reader: YAML | None = None) -> Any:
    """Return the content of a YAML 1.2 file as DVC reads it (so `1e-4` is a number and `off` is a word).

    Args:
        path: the file.
        reader: one that keeps more than values, such as comments.

    Raises:
        ParamsError: the file is missing, not UTF-8 or not YAML; names the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the repository root") from None
    except ValueError as error:
        raise ParamsError(str(error)) from None
    try:
        return (reader or YAML(typ="safe")).load(text)
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    except Exception as error:  # dates, numbers and keys that cannot be, and too deep nesting, raise whatever they meet
        raise ParamsError(f"{path}: not valid YAML: {type(error).__name__}: {error}") from None


def read_families(folder: Path = paths.EXPERIMENTS) -> dict[str, Any]:
    """Return the content of every FAMILY/runs.yaml in `folder`, by family."""
    return {path.parent.name: read_yaml(path) for path in sorted(folder.glob("*/runs.yaml"))}


def load_params(path: Path = paths.PARAMS, families: Path = paths.EXPERIMENTS) -> Params:
    """Read and validate params.yaml and the families of runs.

    Raises:
        ParamsError: one line for each problem: the key's path, what is wrong, the value found.
    """
    return resolve(read_yaml(path), read_families(families), path)


def resolve(tree: Any, families: Mapping[str, Any], path: Path = paths.PARAMS) -> Params:
    """Return the validated settings of a tree and of families (content of runs.yaml by name), what they leave unsaid written out.

    Raises:
        ParamsError: as `load_params`.
    """
    problems: list[str] = []
    expanded = tree
    try:
        if isinstance(tree, Mapping):
            levels = Levels.model_validate(tree.get(LEVELS, {}))  # first, because so much is made of them
            expanded = _expanded({**tree, LEVELS: levels.model_dump()}, families, problems)
        # With problems the runs are incomplete: validation would add complaints about what only followed from them.
        if not problems:
            return Params.model_validate(expanded)
    except ValidationError as error:
        problems = _explain_all(error, tree, Params)
    raise refusal(path, problems)


def validated(model: type[Model], tree: Any, path: Path) -> Model:
    """Return the content of a file that is one section.

    Raises:
        ParamsError: as `load_params`.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise refusal(path, _explain_all(error, tree, model)) from None


def refusal(path: Path, problems: Sequence[str]) -> ParamsError:
    """Return the error that names a file and all that is wrong in it."""
    return ParamsError(
        f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n" + "\n".join(f"  {line}" for line in problems)
    )


def _mapping(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Return a section, empty if it is missing or malformed: validation says so."""
    found = tree.get(section)
    return found if isinstance(found, Mapping) else {}


def _supervision(tree: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (name as written, name, entry) of all variants of supervision."""
    return products(_mapping(tree, "supervision"), _mapping(tree, LEVELS), Supervision.model_fields)


def _expanded(tree: Mapping[str, Any], families: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the tree with products, bases and runs written out; what cannot be goes to `problems`."""
    expanded = dict(tree)
    if RUNS in tree:
        problems.append(f"{RUNS}: unknown key; runs stand in {paths.family_runs('FAMILY')}")
    try:
        if isinstance(tree.get("supervision"), Mapping):
            expanded["supervision"] = {name: entry for _, name, entry in _supervision(tree)}
    except ValueError as error:
        problems.append(f"supervision.{error}")
        # Runs take their data set from their supervision: without it every one of them would be wrong.
        return expanded
    if isinstance(tree.get("training"), Mapping):
        expanded["training"] = expand_training(tree["training"])
    if isinstance(tree.get("objectives"), Mapping):
        expanded["objectives"] = expand_objectives(tree["objectives"], _mapping(tree, "terms"))
    # Last: runs look into supervision and training, which are written out by now.
    expanded[RUNS] = {}
    for family, content in families.items():
        try:
            # `expand_runs` says what an empty file lacks.
            whole = content if isinstance(content, Mapping) else {}
            supervision = _mapping(expanded, "supervision")
            runs = expand_runs(whole, _mapping(tree, LEVELS), supervision, Run.model_fields)
            expanded[RUNS][family] = {name: with_features(run, expanded) for name, run in runs.items()}
        except ValueError as error:
            problems.append(f"{paths.family_runs(family)}: {error}")
    _leave_out(tree.get(WITHOUT), expanded[RUNS], problems)
    return expanded


def _leave_out(patterns: Any, runs: dict[str, Any], problems: list[str]) -> None:
    """Take the runs that `without` names out of the families, in place; what names nothing goes to `problems`."""
    # What is no list of texts passes as it is: validation says so.
    for pattern in [one for one in patterns if isinstance(one, str)] if isinstance(patterns, list) else []:
        named = [(family, name) for family in runs for name in runs[family] if fnmatchcase(f"{family}/{name}", pattern)]
        for family, name in named:
            del runs[family][name]
        family = pattern.split("/")[0]
        # A family that is not there at all is nobody's mistake, as everywhere.
        if not named and (family in runs or "/" not in pattern or "*" in family):
            problems.append(f"{WITHOUT}: {pattern!r} names no run; write family/run, * for any part of a name")


def _explain_all(error: ValidationError, tree: Any, model: type[Section]) -> list[str]:
    """Return one line for each mistake in what `model` describes, however many entries it reaches."""
    # Levels are validated by themselves, so that pydantic's places lack the section.
    above = (LEVELS,) if error.title == Levels.__name__ else ()
    places: dict[tuple[tuple[Any, ...], str], list[str]] = {}
    for problem in error.errors():
        # "[key]" is pydantic's mark for the name of an entry.
        location = _origin((*above, *(part for part in problem["loc"] if part != "[key]")), tree)
        # One line for all runs with the same mistake in the same key: a product would repeat it in each.
        run = ".".join(map(str, location[:3])) if location[:1] == (RUNS,) and len(location) > 3 else ""
        place = (RUNS, *location[3:]) if run else location
        places.setdefault((place, _explain(problem, model)), []).append(run)
    return [
        f"{first(list(dict.fromkeys(runs)))}.{'.'.join(map(str, place[1:]))}: {text}"
        if runs[0]
        else f"{'.'.join(map(str, place)) or '(whole file)'}: {text}"
        for (place, text), runs in places.items()
    ]


def _origin(location: tuple[Any, ...], tree: Any) -> tuple[Any, ...]:
    """Return where in params.yaml a value of the expanded tree was written."""
    if location[:1] == ("supervision",) and len(location) > 1:
        # By the name with braces, which is what the file says.
        written = next((written for written, name, _ in _supervision(tree) if name == location[1]), location[1])
        return (location[0], written, *location[2:])
    # Not in the block itself: it came from the base. In neither: it is missing, and the block is where it belongs.
    if location[:1] == ("training",) and len(location) > 2 and not _has(tree, location):
        base = ("training", BASE, *location[2:])
        return base if _has(tree, base) else location
    if location[:1] == ("objectives",) and len(location) > 3 and not _has(tree, location):
        shared = ("terms", *location[2:])
        return shared if _has(tree, shared) else location
    return location


def _has(tree: Any, location: tuple[Any, ...]) -> bool:
    """Return whether a tree has a value at a place."""
    for key in location:
        if not isinstance(tree, Mapping) or key not in tree:
            return False
        tree = tree[key]
    return True


def _explain(problem: Any, model: type[Section]) -> str:
    """Say what is wrong and what was found, for one problem reported by pydantic."""
    if problem["type"] == "extra_forbidden":
        return f"unknown key; remove it or correct its spelling (known keys: {_known_keys(problem['loc'], model)})"
    message: str = problem["msg"].removeprefix("Value error, ")
    found = problem["input"]
    # A whole block would bury the message.
    return message if isinstance(found, dict | list) else f"{message}, got {found!r}"


def _known_keys(location: tuple[str | int, ...], whole: type[Section]) -> str:
    """List the keys allowed where an unknown one was found."""
    model: Any = whole
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        # A name of the user's own, such as that of a run, is no field: the section stays the one around it.
        model = _section_in(annotation) or model
    return ", ".join(getattr(model, "model_fields", {}))


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the section type inside an annotation such as `dict[str, Run]` or `Size | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = [_section_in(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in inner if part is not None), None)
