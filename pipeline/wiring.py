"""Write the DVC pipelines that follow from params.yaml and the code: `python -m pipeline.wiring`.

One for each family of runs (pipeline/experiments/FAMILY/dvc.yaml): all have the same three stages; what differs is the code that
their trainings execute, which follows from their objectives and networks, and the data sets they read. And one for all artefacts
(reports/dvc.yaml), a stage each with the results and the code it is made from, and the archives for the server that scores some
runs. Run this after adding a family, an artefact or an
import. A test compares the files with what this writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from pipeline import paths
from pipeline.files import write_atomically
from pipeline.import_graph import reached_files
from pipeline.params import HEADLINE_FAMILIES, read_yaml
from pipeline.profile import PROFILES
from pipeline.report.artifacts import IDS, load, module_of
from pipeline.stages.common import clear_errors

TEMPLATE = """\
# Written by `python -m pipeline.wiring`. The runs and their description stand in params.yaml under runs.{family}.
vars:
  - ../../../params.yaml
stages:
  code:
    desc: Digest of all code that these trainings execute
    wdir: ../../..
    cmd: python -m pipeline.stages.code {family}
    deps:
{code}
    outs:
      - data/code/{family}.txt

  train:
    foreach: ${{runs.{family}}}
    do:
      wdir: ../../..
      cmd: python -m pipeline.stages.train {family}/${{key}}
      deps:
        - data/code/{family}.txt
        - data/prepared/${{item.dataset}}/train.zip
        - data/prepared/${{item.dataset}}/val.zip
        - data/supervision/${{item.dataset}}/${{item.supervision}}
        - models/pretrained/${{item.network}}
{start}\
      params:
        - seed
        - repetitions
        - runs.{family}.${{key}}
        - networks.${{item.network}}
        - training.${{item.training}}
        - objectives.${{item.objective}}
{solver}\
      outs:
        - models/{family}/${{key}}

  evaluate:
    desc: Scores and curves of all runs of this family
    wdir: ../../..
    cmd: python -m pipeline.stages.evaluate {family}
    deps:
      - models/{family}
{evaluation}
    params:
      - runs.{family}
{headline}\
{sources}
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


ARTEFACT = """\

  {artefact}:
    desc: {title}
    wdir: ..
    cmd: python -m pipeline.stages.figure {artefact}
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
        - data/raw/voc
        - models/${{item}}
{deps}
      outs:
        - models/submissions/${{key}}
"""


def network_kinds(params: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the kinds a network name stands for in params.yaml and in any profile."""
    kinds: dict[str, set[str]] = {}
    for tree in [params, *(read_yaml(path) for path in sorted(PROFILES.glob("*.yaml")))]:
        for name, network in tree.get("networks", {}).items():
            kinds.setdefault(name, set()).update({network["kind"]} if "kind" in network else ())
    return kinds


def executed_functions(params: Mapping[str, Any], family: str) -> dict[str, set[str]]:
    """Return which functions of the registries the runs of a family call."""
    runs = params["runs"][family].values()
    objectives = [params["objectives"][run["objective"]] for run in runs]
    terms = {term for objective in objectives for term, value in objective.items() if value is not None}
    kinds = network_kinds(params)
    builders = {kind for run in runs for kind in kinds[run["network"]]}
    return {
        "pipeline.training.objectives": {f"_{term}" for term in terms} | ({"proposer"} if "proposals" in terms else set()),
        "pipeline.networks": {f"_{kind}" for kind in builders} | {"_start"},
    }


def family_pipeline(params: Mapping[str, Any], family: str) -> str:
    """Return the pipeline file of one family."""
    runs = params["runs"][family].values()
    called = executed_functions(params, family)
    datasets = sorted({run["dataset"] for run in runs})
    labeled = any(params["objectives"][run["objective"]].get("self_labeling") for run in runs)
    evaluation = [f"data/prepared/{name}" for name in datasets] + sorted(reached_files("pipeline.stages.evaluate", called))
    return TEMPLATE.format(
        family=family,
        code=_lines(sorted(reached_files("pipeline.stages.train", called))),
        start="        - models/${item.start}\n" if any("start" in run for run in runs) else "",
        solver="        - solver\n" if labeled else "",
        evaluation=_lines(evaluation),
        headline="      - figures.headline\n" if family in HEADLINE_FAMILIES else "",
        confusion=CONFUSION.format(family=family) if family in HEADLINE_FAMILIES else "",
        sources=_lines(f"datasets.{name}.source" for name in datasets),
    )


def submissions(params: Mapping[str, Any]) -> str:
    """Return the stage of all archives for the PASCAL VOC test server: of each run that fills the test column of Table 2."""
    from pipeline.report.artifacts.a_tab2 import RUNS, VAL

    scored = [columns[VAL] for columns in RUNS.values()]
    names = [
        f"{where.family}/{name}"
        for where in scored
        for name, run in params["runs"][where.family].items()
        if where.matches({"family": where.family, **run})
    ]
    if len(names) != len(scored):
        raise ValueError(f"params.yaml: expected one run for each of {[str(where) for where in scored]}, got {names}")
    runs = [f"      {name.replace('/', '-')}: {name}" for name in names]
    code = sorted(reached_files("pipeline.stages.submission"))
    return SUBMISSION.format(runs="\n".join(runs), deps="\n".join(f"        - {path}" for path in code))


def artefacts_pipeline(params: Mapping[str, Any]) -> str:
    """Return the pipeline file of all artifacts."""
    text = "# Written by `python -m pipeline.wiring`: a stage for each table and figure.\nstages:"
    for name in IDS:
        artifact = load(name)
        code = reached_files("pipeline.stages.figure") | reached_files(module_of(name))
        outs = [paths.plotted(name)]
        outs += [paths.figure(name).with_suffix(suffix) for suffix in (".svg", ".png")] if artifact.draw else []
        outs += [paths.table(name).with_suffix(suffix) for suffix in (".csv", ".md", ".tex")] if artifact.tabulate else []
        lines = [line for out in outs for line in (f"      - {out}:", "          cache: false")]
        text += ARTEFACT.format(
            artefact=name, title=artifact.title, deps=_lines([*artifact.files, *sorted(code)]), outs="\n".join(lines)
        )
    return text + submissions(params)


def _lines(entries: Any) -> str:
    return "\n".join(f"      - {entry}" for entry in entries)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.wiring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    with clear_errors():
        params = read_yaml(paths.PARAMS)
        for family in params["runs"]:
            write_atomically(paths.family_pipeline(family), family_pipeline(params, family).encode())
        write_atomically(paths.ARTEFACTS_PIPELINE, artefacts_pipeline(params).encode())
        print(f"{len(params['runs'])} families and {len(IDS)} artefacts are wired")


if __name__ == "__main__":
    main()
