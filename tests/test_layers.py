"""The direction of imports, and that every stage knows of the code it executes."""

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from pipeline import import_graph, networks, paths
from pipeline.import_graph import REPOSITORY, imported_modules
from pipeline.params import load_params
from pipeline.report.artifacts import IDS, module_of
from pipeline.report.artifacts.a_tab2 import RUNS, VAL
from pipeline.stages.code import stage_code
from pipeline.stages.settings import called, stage_settings
from pipeline.wiring import artifacts_pipeline, family_pipeline, panels_pipeline

PARAMS = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS)
TRAINED = sorted(family for family in PARAMS.runs if PARAMS.left_out(family) is None)
CALLED = {family: called(PARAMS, family) for family in PARAMS.runs}

MAY_IMPORT = {
    "conventions": set(),
    "files": set(),
    "paths": set(),
    "checks": set(),
    "errors": set(),
    "command": set(),
    "expand": set(),
    "kept": set(),
    "params": {"command", "files", "paths", "checks", "expand", "networks"},
    "runs": {"files", "paths", "kept", "params", "datasets", "networks", "training"},
    "parallel": set(),
    "losses": {"conventions"},
    "metrics": {"conventions"},
    "targets": {"conventions", "files", "datasets"},
    "crf": {"conventions", "losses"},
    "solver": {"conventions", "losses", "crf"},
    "networks": set(),
    "datasets": {"command", "conventions", "errors", "files"},
    "features": {"files", "datasets", "networks"},
    "training": {"conventions", "files", "parallel", "losses", "crf", "solver", "networks"},
    "evaluation": {"conventions", "files", "parallel", "metrics"},
    "report": {"command", "conventions", "errors", "files", "paths", "losses", "metrics", "targets", "datasets"},
}
"""Layer -> other layers it may import. Stages and command-line tools may import everything."""

UNSET = {"figure", "report", "submission"}
"""Stages that no setting changes but through what they read."""
MADE_FROM = {"settings": "params.yaml", "code": "data/settings/code.json"}
"""The stages that the files of all others come from, and what they need besides the package."""
FREE = {
    "stages",
    "launch",
    "profile",
    "record",
    "annotate",
    "bench",
    "predict",
    "export",
    "wiring",
    "import_graph",
    "own",
}
FREE.add("__main__")


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


def stages():
    """Yield (module, dependencies) of every stage of all pipelines, `foreach` written out."""
    for place in (Path("dvc.yaml"), paths.PANELS_PIPELINE, paths.ARTIFACTS_PIPELINE, *map(paths.family_pipeline, TRAINED)):
        for stage in yaml.safe_load((REPOSITORY / place).read_text())["stages"].values():
            body, keys = stage.get("do", stage), stage.get("foreach", [""])
            if isinstance(keys, str):  # such as ${datasets}
                keys = getattr(PARAMS, keys.strip("${}"))
            for key in keys:
                yield body["cmd"].split()[2], {str(dep).replace("${key}", str(key)) for dep in body["deps"]}


def test_every_stage_depends_on_its_own_code_and_settings():
    """What is not written under the name that a pipeline has would keep old results."""
    code, settings = ({str(path) for path, _ in written} for written in (stage_code(CALLED), stage_settings(PARAMS)))
    for module, deps in stages():
        name = module.removeprefix("pipeline.stages.")
        if name in MADE_FROM:
            assert MADE_FROM[name] in deps
            continue
        assert sum(dep in code and dep.startswith(f"data/code/{name}") for dep in deps) == 1, (module, deps)
        assert sum(dep in settings and dep.startswith(f"data/settings/{name}") for dep in deps) == (name not in UNSET), module
        assert not [dep for dep in deps if dep.startswith("pipeline/") and dep != "pipeline/report/page"], module


@pytest.mark.parametrize("stage", MADE_FROM)
def test_all_of_the_package_is_looked_at_for_changes_of_code(stage):
    read = next(deps for module, deps in stages() if module == f"pipeline.stages.{stage}")
    for path, _ in sources():
        assert str(path) in read or "/".join(path.parts[:2]) in read, path


@pytest.mark.parametrize("family", TRAINED)
def test_pipeline_of_a_family_is_in_step(family):
    written = (REPOSITORY / paths.family_pipeline(family)).read_text()
    assert written == family_pipeline(PARAMS, family), "run python -m pipeline.wiring"


def test_pipeline_of_the_artifacts_is_in_step():
    assert (REPOSITORY / paths.ARTIFACTS_PIPELINE).read_text() == artifacts_pipeline(PARAMS), "run python -m pipeline.wiring"


def test_pipeline_of_the_panels_is_in_step():
    assert (REPOSITORY / paths.PANELS_PIPELINE).read_text() == panels_pipeline(PARAMS), "run python -m pipeline.wiring"


@pytest.mark.parametrize("family", ["seeds", "acdc"])
def test_what_is_made_of_a_family_that_was_taken_out_is_not_wired(family):
    left = {name: runs for name, runs in PARAMS.runs.items() if name != family}
    assert f"models/{family}/" in panels_pipeline(PARAMS)
    assert f"models/{family}/" not in panels_pipeline(PARAMS.model_copy(update={"runs": left}))


def test_every_run_that_the_test_server_scores_has_its_archive():
    stage = yaml.safe_load(artifacts_pipeline(PARAMS))["stages"]["submission"]
    assert len(stage["foreach"]) == sum(VAL in columns for columns in RUNS.values())
    assert "size_noise/size-crf-mre08" in stage["foreach"].values()
    for key, run in stage["foreach"].items():
        family, name = run.split("/")
        assert f"models/submissions/{key}" == str(paths.submission(family, name))
        assert name in PARAMS.runs[family]


def test_a_renamed_builder_keeps_its_file_among_the_dependencies(monkeypatch):
    """Names of functions are those of the functions: nothing is guessed from the kind."""
    source = (REPOSITORY / "pipeline/networks/__init__.py").read_text()
    renamed = source.replace("_wideresnet38", "_build_it")
    assert renamed != source
    module = types.ModuleType("pipeline.networks")
    exec(compile(renamed, "networks", "exec"), module.__dict__)
    monkeypatch.setattr(networks, "NETWORKS", module.NETWORKS)
    parsed = import_graph._parsed
    place = import_graph.module_file("pipeline.networks")
    monkeypatch.setattr(import_graph, "_parsed", lambda path: ast.parse(renamed) if path == place else parsed(path))
    import_graph.imported_modules.cache_clear()
    try:
        assert "pipeline/networks/wideresnet38.py" in dict(stage_code(CALLED))[paths.code("train", "backbones")]
    finally:
        import_graph.imported_modules.cache_clear()


def test_a_builder_whose_imports_cannot_be_read_is_an_error(monkeypatch):
    def elsewhere():
        """Build nothing."""

    elsewhere.__module__ = "pipeline.networks"
    monkeypatch.setitem(networks.NETWORKS, "wideresnet38", elsewhere)
    with pytest.raises(ValueError, match="expected the function elsewhere at top level"):
        list(stage_code(CALLED))


def test_functions_that_a_builder_calls_are_followed(tmp_path, monkeypatch):
    source = "def _one():\n    return _start()\n\ndef _start():\n    import a\n\ndef _other():\n    import b\n"
    (tmp_path / "registry.py").write_text(source)
    monkeypatch.setattr(import_graph, "REPOSITORY", tmp_path)
    assert import_graph.called_functions(Path("registry.py"), ["_one"]) == {"_one", "_start"}


def test_there_is_no_pipeline_of_a_family_that_is_gone():
    assert {path.parent.name for path in (REPOSITORY / "pipeline/experiments").glob("*/dvc.yaml")} == set(TRAINED)


def test_editing_one_loss_leaves_the_other_families_alone():
    """Dependencies of trainings follow their objectives, not everything there is."""
    code = dict(stage_code(CALLED))
    size, scribbles = code[paths.code("train", "size_losses")], code[paths.code("train", "seeds")]
    assert "pipeline/losses/size.py" in size - scribbles
    assert not [name for name in size | scribbles if name.startswith("pipeline/solver")]


def test_an_artifact_depends_on_its_own_drawing_code_alone():
    code = dict(stage_code(CALLED))
    for name in IDS:
        drawing = {file for file in code[paths.code("figure", name)] if Path(file).parent.name == "artifacts"}
        assert drawing - {"pipeline/report/artifacts/__init__.py"} == {f"{module_of(name).replace('.', '/')}.py"}


@pytest.mark.parametrize("stage", ["raw", "prepare", "supervise", "statistics", "settings", "figure", "summary", "report"])
def test_data_stages_start_without_torch(stage):
    code = f"import sys, pipeline.stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
