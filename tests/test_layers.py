"""The direction of imports, and that DVC knows every file a stage executes."""

import subprocess
import sys

import pytest
import yaml
from ruamel.yaml import YAML

from pipeline.import_graph import REPOSITORY, imported_modules, reached_files

PARAMS = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text())

MAY_IMPORT = {
    "conventions": set(),
    "files": set(),
    "paths": set(),
    "params": {"paths"},
    "losses": {"conventions"},
    "metrics": {"conventions"},
    "targets": {"conventions", "files", "datasets"},
    "crf": {"conventions", "losses"},
    "solver": {"conventions", "losses", "crf"},
    "networks": set(),
    "datasets": {"conventions", "files"},
    "training": {"conventions", "files", "losses", "crf", "solver", "networks"},
    "evaluation": {"conventions", "metrics"},
    "report": {"conventions", "files", "losses", "metrics", "datasets"},
}
"""Layer -> other layers it may import. Stages and command-line tools may import everything."""

FREE = {"stages", "launch", "profile", "annotate"}


def layer(module):
    """Return the layer of a dotted name inside the package."""
    return module.split(".")[1] if "." in module else ""


def sources():
    """Return every source file with its dotted name."""
    for path in sorted((REPOSITORY / "pipeline").rglob("*.py")):
        relative = path.relative_to(REPOSITORY)
        yield relative, ".".join(relative.with_suffix("").parts)


@pytest.mark.parametrize(("path", "module"), list(sources()), ids=lambda value: str(value))
def test_imports_point_downwards(path, module):
    own = layer(module)
    if own in FREE or own in ("", "__init__"):
        return
    reached = {layer(name) for name in imported_modules(path)} - {own, ""}
    assert reached <= MAY_IMPORT[own], f"{module} may import {sorted(MAY_IMPORT[own])}, imports {sorted(reached)}"


def pipeline_stages():
    """Return (pipeline file, stage name, body) of every stage of the repository."""
    for path in [REPOSITORY / "dvc.yaml", *sorted((REPOSITORY / "pipeline/experiments").glob("*/dvc.yaml"))]:
        for name, stage in yaml.safe_load(path.read_text())["stages"].items():
            yield path, name, stage.get("do", stage), stage.get("foreach")


def family_selection(family):
    """Return which objective functions the runs of a family call."""
    objectives = {run["objective"] for run in PARAMS["runs"][family].values()}
    terms = {term for name in objectives for term, value in PARAMS["objectives"][name].items() if value is not None}
    return {"pipeline.training.objectives": {f"_{term}" for term in terms}}


def needed_and_declared():
    """Return (label, files a stage executes, its declared dependencies)."""
    for path, name, body, each in pipeline_stages():
        module = body["cmd"].split()[2]
        declared = {str(dep) for dep in body.get("deps", [])}
        if name == "code":
            family = path.parent.name
            yield f"{family}:code", reached_files("pipeline.stages.train", family_selection(family)), declared
        elif module == "pipeline.stages.figure":
            for artefact, item in each.items():
                chosen = {"_" + artefact.replace("-", "_"), "_save", "main"}
                needed = reached_files(module, {module: chosen})
                filled = {dep.replace("${item.module}", item["module"]).replace("${item.data}", item["data"]) for dep in declared}
                yield artefact, needed, filled
        elif module != "pipeline.stages.train":
            yield f"{path.parent.name}:{name}", reached_files(module) - {"pipeline/stages/code.py"}, declared


@pytest.mark.parametrize(
    ("label", "needed", "declared"), list(needed_and_declared()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_executed_file_is_a_dependency(label, needed, declared):
    assert needed <= declared, f"{label}: add to deps: {sorted(needed - declared)}"


@pytest.mark.parametrize("family", sorted(PARAMS["runs"]))
def test_training_code_depends_on_nothing_else(family):
    cases = {label: (needed, declared) for label, needed, declared in needed_and_declared()}
    needed, declared = cases[f"{family}:code"]
    assert declared <= needed, f"{family}: these files are not executed by its runs: {sorted(declared - needed)}"


@pytest.mark.parametrize("family", sorted(PARAMS["runs"]))
def test_every_family_has_a_pipeline(family):
    assert (REPOSITORY / "pipeline/experiments" / family / "dvc.yaml").is_file()


@pytest.mark.parametrize("stage", ["raw", "prepare", "supervise", "summary", "code"])
def test_data_stages_start_without_torch(stage):
    code = f"import sys, pipeline.stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
