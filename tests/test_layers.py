"""The direction of imports, and that DVC knows every file a stage executes."""

import subprocess
import sys

import pytest
import yaml
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.import_graph import REPOSITORY, imported_modules, reached_files
from pipeline.report.artifacts import IDS, module_of
from pipeline.report.artifacts.a_tab2 import RUNS, VAL
from pipeline.wiring import artefacts_pipeline, family_pipeline

PARAMS = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text())

MAY_IMPORT = {
    "conventions": set(),
    "files": set(),
    "paths": set(),
    "params": {"paths"},
    "parallel": set(),
    "losses": {"conventions"},
    "metrics": {"conventions"},
    "targets": {"conventions", "files", "datasets"},
    "crf": {"conventions", "losses"},
    "solver": {"conventions", "losses", "crf"},
    "networks": set(),
    "datasets": {"conventions", "files"},
    "training": {"conventions", "files", "parallel", "losses", "crf", "solver", "networks"},
    "evaluation": {"conventions", "parallel", "metrics"},
    "report": {"conventions", "files", "paths", "losses", "metrics", "datasets"},
}
"""Layer -> other layers it may import. Stages and command-line tools may import everything."""

FREE = {"stages", "launch", "profile", "record", "annotate", "bench", "predict", "export", "wiring", "import_graph", "own"}


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
    """Return (stage name, body) of every stage that is written by hand."""
    for name, stage in yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"].items():
        yield name, stage.get("do", stage)


@pytest.mark.parametrize(("name", "stage"), list(pipeline_stages()), ids=lambda value: value if isinstance(value, str) else "")
def test_dependencies_are_the_files_that_a_stage_executes(name, stage):
    declared = {str(dep) for dep in stage["deps"] if str(dep).endswith(".py")}
    needed = reached_files(stage["cmd"].split()[2]) - {"pipeline/stages/code.py"}
    assert declared == needed, f"{name}: add {sorted(needed - declared)}, remove {sorted(declared - needed)}"


@pytest.mark.parametrize("family", sorted(PARAMS["runs"]))
def test_pipeline_of_a_family_is_in_step(family):
    written = (REPOSITORY / paths.family_pipeline(family)).read_text()
    assert written == family_pipeline(PARAMS, family), "run python -m pipeline.wiring"


def test_pipeline_of_the_artefacts_is_in_step():
    assert (REPOSITORY / paths.ARTEFACTS_PIPELINE).read_text() == artefacts_pipeline(PARAMS), "run python -m pipeline.wiring"


def test_every_run_that_the_test_server_scores_has_its_archive():
    stage = yaml.safe_load(artefacts_pipeline(PARAMS))["stages"]["submission"]
    assert len(stage["foreach"]) == sum(VAL in columns for columns in RUNS.values())
    assert "size_noise/size-crf-mre08" in stage["foreach"].values()
    for key, run in stage["foreach"].items():
        family, name = run.split("/")
        assert f"models/submissions/{key}" == str(paths.submission(family, name))
        assert name in PARAMS["runs"][family]


def test_there_is_no_pipeline_of_a_family_that_is_gone():
    assert {path.parent.name for path in (REPOSITORY / "pipeline/experiments").glob("*/dvc.yaml")} == set(PARAMS["runs"])


def test_editing_one_loss_leaves_the_other_families_alone():
    """Dependencies of trainings follow their objectives, not everything there is."""
    size, scribbles = family_pipeline(PARAMS, "size_losses"), family_pipeline(PARAMS, "seeds")
    assert "pipeline/losses/size.py" in size
    assert "pipeline/losses/size.py" not in scribbles
    assert "pipeline/solver" not in size + scribbles


def test_an_artefact_depends_on_its_own_drawing_code_alone():
    stages = yaml.safe_load(artefacts_pipeline(PARAMS))["stages"]
    for name in IDS:
        drawing = {dep for dep in stages[name]["deps"] if dep.startswith("pipeline/report/artifacts/") and "__init__" not in dep}
        assert drawing == {f"{module_of(name).replace('.', '/')}.py"}


@pytest.mark.parametrize("stage", ["raw", "prepare", "supervise", "statistics", "summary", "report", "code"])
def test_data_stages_start_without_torch(stage):
    code = f"import sys, pipeline.stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
