"""Stage `code`: a small file for every stage, with a digest of each Python file that it executes.

A stage depends on this file, `paths.code(STAGE)`, instead of on the thirty Python files that it imports: DVC does not follow
imports, and takes its time over every dependency. Comments and layout do not change a digest: explaining code better makes
nothing stale. Of params.yaml this reads only what `pipeline.stages.settings` says that each family calls.
"""

from __future__ import annotations

import ast
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import read_json, write_atomically
from pipeline.import_graph import REGISTRIES, REPOSITORY, module_file, reached_files, statements
from pipeline.networks.encoders import ENCODERS, encoder_of
from pipeline.profile import profiles, read_profile
from pipeline.report.artifacts import IDS, module_of

STAGES = (
    *("raw", "prepare", "supervise", "weights", "features", "statistics", "samples"),
    *("pseudo_labels", "panels", "submission", "summary", "report"),
)
"""Stages whose code is the same for all that they make; `train`, `evaluate` and `figure` differ by family and artifact."""


@cache
def networks_of_profiles() -> dict[str, list[tuple[str, str | None]]]:
    """Return kind and encoder of the networks that a name stands for in any profile."""
    # A profile may stand another network behind a name; the digests must not change with the scale.
    meant: dict[str, list[tuple[str, str | None]]] = {}
    for profile in profiles():
        for name, network in read_profile(profile).get("networks", {}).items():
            if "kind" in network:
                meant.setdefault(name, []).append((network["kind"], network.get("encoder")))
    return meant


def executed_functions(called_by: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return which functions of the registries the runs of a family call, by module.

    Args:
        called_by: terms and networks of the family, see `pipeline.stages.settings.called`.
    """
    from pipeline.networks import CLASSIFIERS, NETWORKS
    from pipeline.training.objectives import TERMS, proposer

    terms, named = called_by["terms"], called_by["networks"]
    networks = [network for name in named for network in networks_of_profiles().get(name, [])]
    # params.yaml may say what no profile says.
    networks += [(kind, encoder) for kind, encoder in named.values()]
    builders = {**NETWORKS, **CLASSIFIERS}
    called: list[Callable[..., Any]] = [TERMS[term] for term in terms]
    called += [builders[kind] for kind, _ in networks]
    called += [ENCODERS[encoder].build for encoder in (encoder_of(*network) for network in networks) if encoder is not None]
    # Proposals are made between epochs, by code that no term calls.
    called += [proposer] if "proposals" in terms else []
    functions: dict[str, set[str]] = {name: set() for name in REGISTRIES}
    for function in called:
        # By where a function says it stands: one that was renamed is still found.
        functions.setdefault(function.__module__, set()).add(function.__name__)
    return functions


def stage_code(families: Mapping[str, Any]) -> Iterator[tuple[Path, set[str]]]:
    """Yield for every stage the file of its digests, and the files of the package that it executes.

    Args:
        families: what `executed_functions` takes, by family.
    """
    for stage in STAGES:
        yield paths.code(stage), reached_files(f"pipeline.stages.{stage}") | _read_by_name(stage)
    for family, called_by in families.items():
        called = executed_functions(called_by)
        for stage in ("train", "evaluate"):
            yield paths.code(stage, family), reached_files(f"pipeline.stages.{stage}", called)
    for name in IDS:
        yield paths.code("figure", name), reached_files("pipeline.stages.figure") | reached_files(module_of(name))


def _read_by_name(stage: str) -> set[str]:
    """Return the files that imports do not tell of: the page takes titles and captions from the module of every artifact."""
    return {str(module_file(module_of(name))) for name in IDS} if stage == "report" else set()


def digests(files: Iterable[str]) -> str:
    """Return a line with digest and name for each file of the package."""
    return "".join(f"{_file_digest(name)}  {name}\n" for name in sorted(files))


@cache
def _file_digest(name: str) -> str:
    return code_digest((REPOSITORY / name).read_text(encoding="utf-8"))


def code_digest(source: str) -> str:
    """Return a digest of Python source that ignores comments, docstrings and layout.

    >>> code_digest("x = 1  # one") == code_digest('''"Doc."\\nx   =   1''') != code_digest("x = 2")
    True
    """
    tree = ast.parse(source)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        waiting += statements(node)
        body = getattr(node, "body", None)
        if body is not None:
            # A constant that stands alone is a docstring, or does nothing; a body of nothing else needs a `pass` to be Python.
            node.body = [  # type: ignore[attr-defined]
                part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ] or [ast.Pass()]
    # One layout for all: comments never reach the tree, and spaces and quotes are chosen anew.
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def main() -> None:
    """Run the stage."""
    with clear_errors():
        families = read_json(paths.settings("code"), "run the stage `settings` again")
        shutil.rmtree(paths.CODE, ignore_errors=True)
        for path, files in stage_code(families):
            write_atomically(path, digests(files).encode())


if __name__ == "__main__":
    main()
