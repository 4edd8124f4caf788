"""Keep the numbers of an experiment that cannot be made again anywhere: `python -m pipeline.record NAME --family FAMILY ...`.

Run it where the experiment ran, with its params.yaml in place and nothing else changed since the last commit. It writes
reports/recorded/NAME: for each family its runs, all scores and histories, the drawings of curves and tables that are asked for,
the claims that these runs can decide, params.yaml, and provenance.json, which says from which commit, data, device and libraries
the numbers come, and how long they took. Pictures of the data are not among them. Families that were recorded before under the
same name and are not asked for stay, with the commit that they come from, and claims are decided on all.

`python -m pipeline.record bench --table reports/bench/steps.csv` keeps tables of benchmarks instead, beside those already there.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline import paths
from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import read_json, write_atomically, write_json
from pipeline.launch.plan import changed_addresses
from pipeline.params import Params, load_params
from pipeline.report.artifact import Data
from pipeline.report.artifacts import a_claims, b_claims
from pipeline.report.claims import TABULATED, Measured, PaperClaims, note_on_chance
from pipeline.report.published import load_published
from pipeline.report.runs import Runs, load_results
from pipeline.report.style import scale_text
from pipeline.report.tables import write_table

LIBRARIES = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "scipy")
PROVENANCE = "provenance.json"
CLAIMS: dict[str, PaperClaims] = {"a-claims": a_claims.CLAIMS, "b-claims": b_claims.CLAIMS}


def git(*words: str) -> str:
    """Return what git prints.

    Raises:
        OSError: git fails.
    """
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def committed_code() -> str:
    """Return the commit that the numbers come from.

    Raises:
        ValueError: code was changed since; names the files.
    """
    changed = [line[3:] for line in git("status", "--porcelain", "--", "pipeline").splitlines()]
    changed = [name for name in changed if name.endswith(".py")]
    if changed:
        raise ValueError(f"{', '.join(changed)}: changed since the last commit; commit first, so that the numbers have an origin")
    return git("rev-parse", "HEAD").strip()


def data_of(params: Params, families: list[str]) -> dict[str, Any]:
    """Return kind, size and a digest of the prepared splits of every data set that the families train on."""
    found: dict[str, Any] = {}
    for name in sorted({run.dataset for family in families for run in params.runs[family].values()}):
        found[name] = {"kind": params.datasets[name].kind, "source": source_of(params, name)}
        for split in ("train", "val"):
            content = paths.prepared(name, split).read_bytes()
            found[name][split] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return found


def source_of(params: Params, dataset: str) -> str:
    """Return where the data came from, without naming folders of this machine."""
    source = params.datasets[dataset].source
    return "a copy" if Path(source).is_absolute() else source


def hours_of(params: Params, families: list[str]) -> dict[str, float]:
    """Return hours of training by family; a run that was restored from a cache counts nothing."""
    hours = {}
    for family in families:
        files = [
            paths.seconds(family, name, number)
            for name, run in params.runs[family].items()
            for number in range(params.repetitions_of(run))
        ]
        seconds = sum(json.loads(path.read_text()) for path in files if path.exists())
        hours[family] = round(seconds / 3600, 3)
    return hours


def record(name: str, families: list[str], artifacts: list[str]) -> Path:
    """Write reports/recorded/`name` and return the folder.

    Raises:
        ValueError: an artifact shows pictures of the data, a family is unknown, has results of another profile or such as DVC
            would make anew, or code was changed since the last commit.
        RuntimeError: DVC cannot tell whether results are up to date.
        OSError: a result is missing; `dvc repro` makes it. What was recorded before stays.
    """
    params = load_params()
    for family in families:
        params.family(family)
    pictured = [artifact for artifact in artifacts if paths.panels(artifact).exists()]
    if pictured:
        raise ValueError(
            f"{', '.join(pictured)}: shows pictures of the data, which are not recorded; name curves and tables only"
        )
    commit = committed_code()
    results = load_results([paths.results(family) for family in families])
    strange = sorted(results.loc[results["profile"] != params.profile, "family"].unique())
    if strange:
        raise ValueError(
            f"{', '.join(strange)}: results of another profile than params.yaml's, {params.profile}; `dvc repro` first"
        )
    made_by = [str(paths.family_pipeline(family)) for family in families]
    made_by += [f"{paths.ARTIFACTS_PIPELINE}:{artifact}" for artifact in measured_on(families)]
    stale = changed_addresses(["--with-deps", *made_by])
    if stale:
        raise ValueError(f"{len(stale)} stages are out of date, such as {min(stale)}; `dvc repro` first")
    paths.RECORDED.mkdir(parents=True, exist_ok=True)
    folder = paths.RECORDED / name
    with tempfile.TemporaryDirectory(dir=paths.RECORDED, prefix=f".{name}.") as scratch:
        made = Path(scratch) / name
        if folder.exists():
            known = read_json(folder / PROVENANCE, "restore it with git")["profile"]
            if known != params.profile:
                raise ValueError(f"{folder}: holds runs of the profile {known}, not {params.profile}; record under another name")
            shutil.copytree(folder, made)
        fill(made, params, families, artifacts, commit)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
    return folder


def measured_on(families: list[str]) -> list[str]:
    """Return the artifacts that plot what claims of these families were measured on."""
    quantities = [of for claims in CLAIMS.values() for claim in claims.claims for case in claim.cases for of in case]
    measured = [(of.plot, of.on) for of in quantities if isinstance(of, Measured) and of.on is not None]
    return [plot for plot, on in measured if any(on.matches({"family": family}) for family in families)]


def fill(folder: Path, params: Params, families: list[str], artifacts: list[str], commit: str) -> None:
    """Write what is kept of families and artifacts into a folder, beside what was recorded of other families.

    Raises:
        OSError: a result is missing.
    """
    for family in families:
        for path in (paths.results(family), paths.curves(family), paths.family_runs(family)):
            write_atomically(folder / family / path.name, path.read_bytes())
    for artifact in measured_on(families):
        write_atomically(folder / paths.plotted(artifact).name, paths.plotted(artifact).read_bytes())
    for artifact in artifacts:
        drawn = {f"{artifact}{ending}": paths.figure(artifact).with_suffix(ending) for ending in (".svg", ".png")}
        tables = {f"{artifact}.table{ending}": paths.table(artifact).with_suffix(ending) for ending in (".csv", ".md")}
        found = {**drawn, f"{artifact}.csv": paths.plotted(artifact)}
        found.update({name: path for name, path in tables.items() if path.exists()})
        for recorded, path in found.items():
            write_atomically(folder / recorded, path.read_bytes())
    results = load_results(sorted(folder.glob("*/results.csv")))
    for table, claims in CLAIMS.items():
        data = Data(Runs(results, table), load_published(paths.PUBLISHED), folder)
        frame = claims.tested(data, made_only=True)
        if len(frame):
            write_table(frame[TABULATED], folder / table, note=f"Ours: {scale_text(results)}. {note_on_chance(frame)}")
    write_atomically(folder / "params.yaml", public_params(params))
    note = folder / PROVENANCE
    before = read_json(note, "restore it with git") if note.exists() else {}
    provenance = {
        "commits": {**before.get("commits", {}), **dict.fromkeys(families, commit)},
        "profile": params.profile,
        "seeds": {str(family): int(rows["seed"].nunique()) for family, rows in results.groupby("family")},
        "devices": sorted(results["device"].unique()),
        "processor": processor(),
        "hours": {**before.get("hours", {}), **hours_of(params, families)},
        "data": {**before.get("data", {}), **data_of(params, families)},
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    write_json(note, provenance)


def record_tables(name: str, tables: list[Path]) -> Path:
    """Copy tables of benchmarks to reports/recorded/`name`, note the origin of each in its provenance.json, return the folder.

    Raises:
        ValueError: code was changed since the last commit.
        OSError: a table is missing.
    """
    folder = paths.RECORDED / name
    note = folder / PROVENANCE
    origin = {
        "commit": committed_code(),
        "processor": processor(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    contents = {table.name: table.read_bytes() for table in tables}
    known = read_json(note, "restore it with git") if note.exists() else {}
    for file, content in contents.items():
        write_atomically(folder / file, content)
    write_json(note, {**known, **dict.fromkeys(contents, origin)})
    return folder


def processor() -> str:
    """Return the processor's name and its vector instructions: with others sums differ in the last digits."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def public_params(params: Params) -> bytes:
    """Return params.yaml with folders of this machine left out."""
    text = paths.PARAMS.read_text(encoding="utf-8")
    for dataset in params.datasets.values():
        if Path(dataset.source).is_absolute():
            text = text.replace(dataset.source, "a-copy")
    return text.encode()


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.record acdc --family acdc --artifact a-fig6a")
    parser.add_argument("name", help="folder below reports/recorded")
    parser.add_argument("--family", action="append", default=[], help="folder of pipeline/experiments; repeatable")
    parser.add_argument("--artifact", action="append", default=[], help="a drawn curve or table, such as a-fig6a; repeatable")
    parser.add_argument("--table", action="append", default=[], type=Path, help="CSV file of a benchmark; repeatable")
    arguments = parser.parse_args()
    if bool(arguments.family) == bool(arguments.table):
        parser.error("give either --family or --table")
    with clear_errors(RuntimeError):
        if arguments.table:
            folder = record_tables(arguments.name, arguments.table)
        else:
            folder = record(arguments.name, arguments.family, arguments.artifact)
        print(f"{folder} is written; look at it and commit it")


if __name__ == "__main__":
    main()
