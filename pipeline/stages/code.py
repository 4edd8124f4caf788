"""Stage `code` of a family: one small file that changes when, and only when, the code of its trainings changes.

It lists a digest for each Python file that is a dependency of the stage. Comments, docstrings and layout do not count, so
that explaining code better does not retrain anything. Trainings depend on this one file instead of on thirty.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import yaml

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.stages.common import stage_arguments


def code_digest(source: str) -> str:
    """Return a digest of Python source that ignores comments, docstrings and layout.

    >>> code_digest("x = 1  # one") == code_digest('''"Doc."\\nx   =   1''') != code_digest("x = 2")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def main() -> None:
    """Run the stage."""
    family = stage_arguments(__doc__, family="folder of pipeline/experiments").family
    with clear_errors():
        stages = yaml.safe_load(paths.family_pipeline(family).read_text())["stages"]
        lines = [f"{code_digest(Path(name).read_text(encoding='utf-8'))}  {name}\n" for name in sorted(stages["code"]["deps"])]
        write_atomically(paths.code(family), "".join(lines).encode())


if __name__ == "__main__":
    main()
