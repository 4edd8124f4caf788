"""Keep what `pipeline.bench.gpu` brought back, and say it in docs/cost.md and README.md.

Both pages hold a block between `<!-- gpu -->` and `<!-- /gpu -->` that is made of reports/recorded/gpu-*, and says that nothing
was measured as long as there is none: `python -m pipeline.bench.gpu --record FOLDER` rewrites them, and a test compares.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import paths
from pipeline.bench import estimate
from pipeline.bench.steps import read_params
from pipeline.files import read_json, replace_block, write_csv, write_json

KEYS = {
    "tests": ("test",),
    "bars": ("bar", "setting"),
    "steps": ("objective", "solver", "network", "precision", "batch", "size_px"),
    "pairs": ("objective", "solver", "network", "batch", "size_px", "classes"),
    "runs": ("run", "seed"),
}
"""By table, the columns that a later call replaces lines by."""
MARK = "gpu"

Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    """Return the lines of a table; none of a table that is not there or empty."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def chip_of(name: str) -> str:
    """Return a short name of a GPU.

    >>> chip_of("NVIDIA H100 80GB HBM3"), chip_of("Tesla V100-SXM2-32GB")
    ('h100', 'v100')
    """
    found = re.search(r"\b[A-Z]+\d+\w*", name)
    return (found.group() if found else re.sub(r"\W+", "-", name)).lower()


def record(results: Path, root: Path = Path()) -> Path:
    """Add the results of a call to reports/recorded/gpu-CHIP, rewrite the pages, and return the folder.

    Numbers of an earlier call stay where this one has none. Output and tracebacks are not kept.

    Raises:
        ValueError: the results are those of a rehearsal.
        OSError: the folder holds no results.
    """
    call = read_json(results / "call.json", "name the folder that --out named")
    if call["rehearsal"] or "chip" not in call:
        raise ValueError(f"{results}: holds a rehearsal, or the call ended before it saw the GPU; only measured numbers are kept")
    folder = root / paths.RECORDED / f"gpu-{chip_of(call['chip'])}"
    for table, key in KEYS.items():
        merged: dict[tuple[str, ...], Row] = {}
        for row in [*rows_of(folder / f"{table}.csv"), *rows_of(results / f"{table}.csv")]:
            merged[tuple(row.get(column, "") for column in key)] = row
        if merged:
            columns = dict.fromkeys(column for row in merged.values() for column in row)
            write_csv(folder / f"{table}.csv", [{column: row.get(column, "") for column in columns} for row in merged.values()])
    note = folder / "provenance.json"
    before = read_json(note, "restore it with git")["calls"] if note.exists() else []
    call["items"] = [{**item, "error": re.sub(r"/[^\s:'\"]*/", "", item["error"])} for item in call["items"]]
    write_json(note, {"calls": [*before, call]})
    write_pages(root)
    return folder


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> list[str]:
    """Return a table in Markdown; all columns but the first to the right."""
    rows = [[str(cell) for cell in line] for line in lines]
    return [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1), *(f"| {' | '.join(row)} |" for row in rows), ""]


def shown(number: str) -> str:
    """Return a number with three digits that count.

    >>> shown("1234.5"), shown("6.0321"), shown("")
    ('1,234', '6.03', '')
    """
    if not number:
        return ""
    value = float(number)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def measured(folder: Path) -> list[str]:
    """Return what one GPU showed, as lines of Markdown."""
    calls = read_json(folder / "provenance.json", "restore it with git")["calls"]
    last = calls[-1]
    lines = [f"{last['chip']}, driver {last['driver']}, torch {last['libraries']['torch']}, {len(calls)} call(s):", ""]
    tests = [row["outcome"] for row in rows_of(folder / "tests.csv")]
    if tests:
        lines += [f"Tests of kernels on the GPU: {tests.count('passed')} of {len(tests)} passed.", ""]
    bars = rows_of(folder / "bars.csv")
    if bars:
        values = [f"{shown(row['value'])} {row['unit']}".strip() for row in bars]
        cells = ([row["bar"], row["setting"], value, shown(row["at_most"])] for row, value in zip(bars, values))
        lines += table(["measured", "with", "value", "at most"], cells)
    pairs = rows_of(folder / "pairs.csv")
    if pairs:
        finite = sum(row["outcome"] == "finite" for row in pairs)
        lines += [f"Pairs of network and objective of the paper profile: {finite} of {len(pairs)} gave finite losses.", ""]
    scores: dict[str, list[float]] = {}
    for row in rows_of(folder / "runs.csv"):
        scores.setdefault(row["run"], []).append(100 * float(row["mIoU_val"]))
    if scores:
        means = ([run, f"{statistics.mean(of):.1f}", len(of), f"{max(of) - min(of):.1f}"] for run, of in scores.items())
        lines += table(["EfficientNet-Lite0, fine-tuned", "mIoU", "seeds", "range"], means)
    return lines


def hours(root: Path) -> list[str]:
    """Return the hours of the paper profile by the steps that GPUs took, as lines of Markdown."""
    tables = [path for path in (root / paths.RECORDED).glob("gpu-*/*.csv") if path.stem in ("steps", "pairs")]
    steps = [row for row in estimate.read_steps(sorted(tables)) if row.kind]
    return estimate.report(read_params("paper"), steps, {}, {}).split("| on disk")[0].strip().splitlines() if steps else []


def blocks(root: Path = Path()) -> dict[Path, str]:
    """Return what stands between the marks of each page."""
    folders = sorted((root / paths.RECORDED).glob("gpu-*/provenance.json"))
    cost = ["Nothing of this was measured on a GPU yet: all hours and gigabytes of GPUs are estimated.", ""]
    readme = ["No GPU was at hand yet: what is said of GPUs is estimated."]
    if folders:
        cost = [line for note in folders for line in measured(note.parent)] + hours(root)
        chips = ", ".join(note.parent.name.removeprefix("gpu-").upper() for note in folders)
        place = "[docs/cost.md](docs/cost.md#on-a-gpu)"
        readme = [f"Measured on {chips}: {place} has times, hours and scores; what follows is the older estimate."]
    return {Path("docs/cost.md"): "\n".join(cost).strip(), Path("README.md"): "\n".join(readme)}


def write_pages(root: Path = Path()) -> None:
    """Rewrite the blocks."""
    for path, block in blocks(root).items():
        replace_block(root / path, MARK, block)
