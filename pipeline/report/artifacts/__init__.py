"""Every table and figure of both papers, one file each: `b_tab3.py` describes b-tab3 in its `ARTIFACT`.

[SIZE] = arXiv 2503.06954 (ids `a-...`), [SSL] = arXiv 2507.01721 (ids `b-...`); `x-...` is in neither. A file put into this
folder is an artifact; `python -m pipeline.wiring` then gives it its stage. Modules are imported when they are asked for, so that
a stage runs its own code only.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.report.artifact import Artifact

KINDS = ("fig", "tab", "sec", "app")
"""Order of the ids of a paper; others come last."""


def _order(artifact: str) -> tuple[str, int, str]:
    letter, _, rest = artifact.partition("-")
    return letter, next((place for place, kind in enumerate(KINDS) if rest.startswith(kind)), len(KINDS)), rest


IDS = tuple(sorted((path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py")), key=_order))
"""Ids of all artifacts, in the order of the papers. `reports/published.csv` names no other ids."""


def module_of(artifact: str) -> str:
    """Return the module that describes an artifact.

    Raises:
        ValueError: there is no such artifact.
    """
    if artifact not in IDS:
        raise ValueError(f"expected one of {', '.join(IDS)}, got {artifact!r}")
    return f"{__name__}.{artifact.replace('-', '_')}"


def load(artifact: str) -> Artifact:
    """Return one artifact.

    Raises:
        ValueError: there is no such artifact, or its file describes another one.
    """
    found: Artifact = import_module(module_of(artifact)).ARTIFACT
    if found.id != artifact:
        raise ValueError(f"{module_of(artifact)}: expected the artifact {artifact}, got {found.id}")
    return found
