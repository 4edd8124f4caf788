"""Which files of the package a module reaches by importing, read from the source without executing it.

DVC does not follow Python imports: stages depend on digests of these files, see `pipeline.stages.code`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

REGISTRIES = ("pipeline.training.objectives", "pipeline.networks", "pipeline.networks.encoders")
"""Modules whose functions each import one variant: only the functions asked for are followed."""

ENTRY = {
    "pipeline/__init__.py",
    "pipeline/checks.py",
    "pipeline/errors.py",
    "pipeline/expand.py",
    "pipeline/params",
    "pipeline/paths.py",
    "pipeline/stages/common.py",
}
"""Files and folders at a stage's entry that, with what they import, cannot change its result: values stand in its file of
settings, places and messages are not results."""


@cache
def module_file(module: str) -> Path | None:
    """Return the file of a dotted name inside the package, relative to the repository; None for anything else."""
    base = Path(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if (REPOSITORY / candidate).is_file():
            return candidate
    return None


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def called_functions(path: Path, functions: Iterable[str]) -> set[str]:
    """Return top-level functions of a file with all top-level functions of the same file that they name.

    Raises:
        ValueError: one of them is not there, so that what it imports would be missed.
    """
    defined = {node.name: node for node in _parsed(path).body if isinstance(node, ast.FunctionDef)}
    reached: set[str] = set()
    waiting = list(functions)
    while waiting:
        name = waiting.pop()
        if name not in defined:
            raise ValueError(f"{path}: expected the function {name} at top level, where its imports can be read")
        if name not in reached:
            reached.add(name)
            waiting += [node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name) and node.id in defined]
    return reached


@cache
def reexported(path: Path) -> dict[str, str] | None:
    """Return name -> module of what a package's `__init__` only passes on; None for a file that holds more, or is none.

    Importing such a package executes all of its files, but none of them changes anything: what a result depends on is where the
    names that are used come from.
    """
    names: dict[str, str] = {}
    for node in _parsed(path).body if path.name == "__init__.py" else ():
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names.update({alias.asname or alias.name: node.module for alias in node.names if node.module != "__future__"})
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            continue
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return None
    return names or None


def _passed_on(module: str) -> dict[str, str] | None:
    path = module_file(module)
    return reexported(path) if path is not None else None


def _named(module: str, name: str | None = None) -> set[str]:
    """Return the modules behind `import module`, or `from module import name`; dotted names outside the package do no harm."""
    if name is not None:
        names = _passed_on(module)
        if names is not None and name in names:
            return {names[name]}
        return {*(() if names is not None else (module,)), *_named(f"{module}.{name}")}
    names = _passed_on(module)
    return {module} if names is None else set(names.values())


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements, handlers and cases right inside one; expressions, most of a tree, are passed over."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, block, ())


@cache
def imported_modules(path: Path, functions: frozenset[str] | None = None) -> frozenset[str]:
    """Return the package's modules that `path` imports, type-checking blocks aside.

    `functions` limits imports inside functions to these top-level functions and those of the file that they call; None follows
    all of them.

    Raises:
        ValueError: one of `functions` is not in the file.
    """
    found: set[str] = set()
    followed = None if functions is None else called_functions(path, functions)

    def visit(node: ast.AST, depth: int) -> None:
        for child in statements(node):
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            if depth == 0 and isinstance(child, ast.FunctionDef) and followed is not None and child.name not in followed:
                continue
            if isinstance(child, ast.Import):
                found.update(*(_named(alias.name) for alias in child.names))
            elif isinstance(child, ast.ImportFrom) and child.module is not None:
                found.update(*(_named(child.module, alias.name) for alias in child.names))
            visit(child, depth + 1)

    visit(_parsed(path), 0)
    return frozenset(name for name in found if name.split(".")[0] == "pipeline" and module_file(name) is not None)


@cache
def has_code(path: Path) -> bool:
    """Return whether a file holds more than a docstring and future imports."""
    return any(
        not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in _parsed(path).body
    )


def reached_files(module: str, selected: Mapping[str, set[str]] | None = None) -> set[str]:
    """Return all files of the package that running `module` may execute.

    `selected` says which functions of a registry are called; the others' imports are not followed. None: all are called.
    """
    files: set[str] = set()
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        parents = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        waiting += [parent for parent in parents if module_file(parent) is not None]
        path = module_file(name)
        if path is None or not has_code(path) or reexported(path) is not None:
            continue
        if {str(path), str(path.parent)} & ENTRY:
            continue
        files.add(str(path))
        narrowed = selected is not None and name in REGISTRIES
        waiting += imported_modules(path, frozenset(selected.get(name, ())) if narrowed and selected is not None else None)
    return files
