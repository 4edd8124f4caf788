"""Write the DVC pipelines that follow from params.yaml, the families of runs and the artifacts: `python -m pipeline.wiring`.

One for each family of runs (pipeline/experiments/FAMILY/dvc.yaml): all have the same two stages; what differs is the runs and the
data sets they read. And one for all artifacts (reports/dvc.yaml), a stage each with the results it is made from, and the archives
for the server that scores some runs. Run this after changing levels, a family or an artifact. A test compares the files with what
this writes, and `python -m pipeline.params` says when the runs in them are out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.params import Params, declared_runs, left_out, load_params
from pipeline.report.artifacts import IDS, load
from pipeline.report.panels import run_names

# What names the runs is a `foreach`, whose fields are the parts of a training's inputs.
# Stages run in the repository's root (wdir), so that paths are those of `pipeline.paths` in every file.
# Tables are small and kept by git (cache: false): a diff shows what a change did to them.
TEMPLATE = """\
# Written by `python -m pipeline.wiring` from runs.yaml beside it.
stages:
  train:
    foreach:
{runs}
    do:
      wdir: ../../..
      cmd: python -m pipeline.stages.train {family}/${{key}}
      deps:
        - data/code/train/{family}.txt
        - data/prepared/${{item.dataset}}/train.zip
        - data/prepared/${{item.dataset}}/val.zip
        - data/settings/train/{family}/${{key}}.json
        - data/supervision/${{item.dataset}}/${{item.supervision}}
        - models/pretrained/${{item.network}}
{features}\
{start}\
      outs:
        - models/{family}/${{key}}

  evaluate:
    desc: Scores and curves of all runs of this family
    wdir: ../../..
    cmd: python -m pipeline.stages.evaluate {family}
    deps:
      - data/code/evaluate/{family}.txt
      - data/settings/evaluate/{family}.json
      - models/{family}
{pictures}
    outs:
      - reports/{family}/results.csv:
          cache: false
      - reports/{family}/curves.csv:
          cache: false
      - reports/metrics/{family}:
          cache: false
{confusion}"""


CONFUSION = """\
      - reports/{family}/confusion.csv:
          cache: false
"""


# Two stages: another value in params.yaml makes all settings anew, but reads code only if a family calls other code.
SETTINGS = """\

  settings:
    desc: For each stage a file with the settings that it depends on
    wdir: ../..
    cmd: python -m pipeline.stages.settings
    deps:
      - params.yaml
{runs}
{package}
    outs:
      - data/settings

  code:
    desc: For each stage a file with digests of the code that it depends on
    wdir: ../..
    cmd: python -m pipeline.stages.code
    deps:
      - data/settings/code.json
{package}
    outs:
      - data/code
"""

SOLVED = """\

  pseudo_labels:
    desc: Soft labels of all relaxations from one network, and solvers against the exact optimum
    wdir: ../..
    cmd: python -m pipeline.stages.pseudo_labels
    deps:
      - data/code/pseudo_labels.txt
      - data/settings/pseudo_labels.json
      - data/prepared/{dataset}/train.zip
      - data/supervision/{variant}
      - models/{run}
    outs:
      - models/panels/b-fig5.npz
      - models/panels/b-fig7.npz
      - reports/{family}/solvers.csv:
          cache: false
"""

PANELS = """\

  panels-{name}:
    desc: Predictions of some runs on the same validation images, for a qualitative figure
    wdir: ../..
    cmd: python -m pipeline.stages.panels {name} {runs}
    deps:
      - data/code/panels.txt
      - data/prepared/{dataset}
      - data/settings/panels.json
{models}
    outs:
      - models/panels/{name}.npz
"""


ARTIFACT = """\

  {artifact}:
    desc: {title}
    wdir: ..
    cmd: python -m pipeline.stages.figure {artifact}
    deps:
{deps}
    outs:
{outs}
"""

SUBMISSION = """\

  submission:
    foreach:
{runs}
    do:
      desc: Predictions of a run of [SIZE] Table 2 on the PASCAL VOC test photos, to be uploaded by hand
      wdir: ..
      cmd: python -m pipeline.stages.submission ${{item}} --optional
      deps:
        - data/code/submission.txt
        - data/raw/voc
        - models/${{item}}
      outs:
        - models/submissions/${{key}}
"""


def family_pipeline(params: Params, family: str) -> str:
    """Return the pipeline file of one family."""
    runs = params.runs[family].values()
    # As `pipeline.stages.evaluate` decides whether it writes the file.
    headline = family in {run.split("/")[0] for run in params.figures.headline}
    return TEMPLATE.format(
        family=family,
        runs="\n".join(f"      {name}: {_flow(fields)}" for name, fields in declared_runs(params, family).items()),
        # All runs of a family have these two or none: `pipeline.checks` refuses anything between.
        features="        - data/features/${item.features}\n" if any(run.features for run in runs) else "",
        start="        - models/${item.start}\n" if any(run.start for run in runs) else "",
        pictures=_lines(f"data/prepared/{name}" for name in sorted({run.dataset for run in runs})),
        confusion=CONFUSION.format(family=family) if headline else "",
    )


def _flow(fields: Mapping[str, str]) -> str:
    """Return plain names as a YAML mapping on one line."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def is_there(params: Params, run: str) -> bool:
    """Return whether a run, or FAMILY/ any of a family, is there and can be trained."""
    family, _, name = run.partition("/")
    return family in params.runs and params.left_out(family) is None and (not name or name in params.runs[family])


def panels_pipeline(params: Params) -> str:
    """Return the pipeline file of all runs' settings and of what is made of several runs, as far as their families are there."""
    figures = params.figures
    text = "# Written by `python -m pipeline.wiring` from `figures` in params.yaml and the artifacts.\nstages:"
    # Those of families that are left out, too: the stage reads all of them.
    text += SETTINGS.format(runs=_lines(map(paths.family_runs, sorted(params.runs))), package=_lines(package()))
    if is_there(params, figures.panel_run):
        family, name = figures.panel_run.split("/")
        run = params.run(family, name)
        text += SOLVED.format(
            family=family,
            run=figures.panel_run,
            dataset=run.dataset,
            variant=run.variant,
        )
    for name, runs in shown().items():
        if all(is_there(params, run) for run in runs):
            # All of them are of one data set.
            dataset, models = params.run(*runs[0].split("/")).dataset, _lines(f"models/{run}" for run in runs)
            text += PANELS.format(name=name, runs=" ".join(runs), dataset=dataset, models=models)
    return text


def shown() -> dict[str, list[str]]:
    """Return the runs ("family/run") of each archive of predictions that an artifact shows."""
    return {name: run_names(runs) for artifact in map(load, IDS) for name, runs in artifact.panels.items()}


def package() -> list[Path]:
    """Return what the package is made of but the families of runs, whose locks DVC writes."""
    found = [path for path in paths.EXPERIMENTS.parent.iterdir() if not path.name.startswith((".", "__pycache__"))]
    return sorted(path for path in found if path != paths.EXPERIMENTS and (path.suffix == ".py" or path.is_dir()))


def can_be_made(params: Params, inputs: Iterable[Path]) -> bool:
    """Return whether all that an artifact is made from comes from families that are there."""
    panels = {paths.panels(name): runs for name, runs in shown().items()}
    # These two are made of one run by the stage `pseudo_labels`.
    solved = {paths.panels(name): [params.figures.panel_run] for name in ("b-fig5", "b-fig7")}
    runs = [run for path in inputs for run in {**panels, **solved}.get(path, ())]
    tables = ("results.csv", "curves.csv", "solvers.csv")
    # reports/FAMILY/results.csv: any run of the family.
    runs += [f"{path.parent.name}/" for path in inputs if path.parent.parent == Path("reports") and path.name in tables]
    return all(is_there(params, run) for run in runs)


def submissions(params: Params) -> str:
    """Return the stage of all archives for the PASCAL VOC test server: of each run that fills the test column of Table 2."""
    from pipeline.report.artifacts.a_tab2 import RUNS, VAL

    # The server scores what the validation column shows.
    scored = [columns[VAL] for columns in RUNS.values()]
    names = [
        f"{where.family}/{name}"
        for where in scored
        for name, run in params.runs.get(where.family, {}).items()
        if where.matches({"family": where.family, **run.model_dump()}) and is_there(params, f"{where.family}/{name}")
    ]
    if not names:
        return ""
    runs = [f"      {name.replace('/', '-')}: {name}" for name in names]
    return SUBMISSION.format(runs="\n".join(runs))


def artifacts_pipeline(params: Params) -> str:
    """Return the pipeline file of all artifacts whose families are there."""
    text = "# Written by `python -m pipeline.wiring`: a stage for each table and figure.\nstages:"
    for name in IDS:
        artifact = load(name)
        if not can_be_made(params, artifact.files):
            continue
        # Always the numbers, whether they are drawn, tabulated or both.
        outs = [paths.plotted(name)]
        outs += [paths.figure(name).with_suffix(suffix) for suffix in (".svg", ".png")] if artifact.draw else []
        outs += [paths.table(name).with_suffix(suffix) for suffix in (".csv", ".md", ".tex")] if artifact.tabulate else []
        lines = [line for out in outs for line in (f"      - {out}:", "          cache: false")]
        text += ARTIFACT.format(
            artifact=name, title=artifact.title, deps=_lines([*artifact.files, paths.code("figure", name)]), outs="\n".join(lines)
        )
    return text + submissions(params)


def _lines(entries: Iterable[Any], indent: int = 6) -> str:
    return "\n".join(f"{' ' * indent}- {entry}" for entry in entries)


def write_pipelines() -> str:
    """Write all pipeline files; return how many there are and what was left out.

    Raises:
        ParamsError: settings or runs are wrong.
        OSError: a file cannot be written.
    """
    params = load_params()
    missing = left_out(params)
    for family in params.runs:
        place = paths.family_pipeline(family)
        if family in missing:
            # DVC reads every dvc.yaml below; one that needs what is not there breaks all of them.
            place.unlink(missing_ok=True)
        else:
            write_atomically(place, family_pipeline(params, family).encode())
    write_atomically(paths.PANELS_PIPELINE, panels_pipeline(params).encode())
    write_atomically(paths.ARTIFACTS_PIPELINE, artifacts_pipeline(params).encode())
    # What is left out is told, not an error: any family may be taken away.
    unmade = [name for name in IDS if not can_be_made(params, load(name).files)]
    told = [f"{len(params.runs) - len(missing)} families and {len(IDS) - len(unmade)} artifacts are wired"]
    if unmade:
        told.append(f"without their runs: {', '.join(unmade)}")
    return "\n".join([*told, *filter(None, missing.values())])


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.wiring")
    parser.parse_args()
    with clear_errors():
        print(write_pipelines())


if __name__ == "__main__":
    main()
