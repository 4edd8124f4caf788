"""Stage `settings`: a small file for every stage, that changes when, and only when, its settings change.

Stages depend on these files instead of on keys of params.yaml, at each of which DVC would look once for every stage. A file has
the values with all names resolved: a new loss weight that a run does not use leaves its file as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_json
from pipeline.params import Params, load_params
from pipeline.runs import Job, objective_terms


def stage_settings(params: Params) -> Iterator[tuple[Path, Any]]:
    """Yield for every stage, and for each thing that it makes, the file of its settings and these settings."""
    # `device` and `processes_per_run` stand in no file: they change how long a run takes, not what it is.
    figures, datasets = params.figures, {name: dataset.model_dump() for name, dataset in params.datasets.items()}
    for name, dataset in datasets.items():
        # Procedural pictures hold the classes that are prepared; real files do not ask which.
        written = {key: dataset[key] for key in ("kind", "source", "synthetic", *(["classes"] if dataset["synthetic"] else []))}
        yield paths.settings("raw", name), {"seed": params.seed, **written}
        yield paths.settings("prepare", name), dataset
        yield paths.settings("supervise", name), supervision_settings(params, name)
    yield paths.settings("statistics"), datasets
    yield paths.settings("samples"), {"seed": params.seed, "images": figures.sample_images}
    for name, network in params.networks.items():
        yield paths.settings("weights", name), {"seed": params.seed, "network": network.model_dump()}
    for name, kept in params.features.items():
        yield paths.settings("features", name), {**kept.model_dump(), "network": params.networks[kept.network].model_dump()}
    for family, runs in params.runs.items():
        for name, run in runs.items():
            # The number of repetitions is no setting of a single one, but the stage makes them all.
            settings = {"repetitions": params.repetitions_of(run), **Job(family, name, params).settings()}
            yield paths.settings("train", family, name), settings
        yield paths.settings("evaluate", family), evaluation_settings(params, family)
    yield paths.settings("pseudo_labels"), pseudo_label_settings(params)
    yield paths.settings("panels"), {"seed": params.seed, "images": figures.panel_images}
    yield paths.settings("summary"), figures.headline
    # All that the stage `code` reads of the settings: another value leaves it alone.
    yield paths.settings("code"), {family: called(params, family) for family in params.runs}


def called(params: Params, family: str) -> dict[str, Any]:
    """Return what the runs of a family look up in the package: terms of their objectives, kind and encoder of each network."""
    runs = params.runs[family].values()
    networks = {run.network: params.networks[run.network] for run in runs}
    return {
        "terms": sorted({term for run in runs for term in params.objectives[run.objective].terms}),
        "networks": {name: [network.kind, network.encoder] for name, network in networks.items()},
    }


def supervision_settings(params: Params, dataset: str) -> dict[str, Any]:
    """Return what the supervision of a data set depends on, the default noise among it only where some size target has it."""
    given = {name: spec for name, spec in params.supervision.items() if spec.dataset == dataset}
    sizes = [spec.sizes for spec in given.values() if spec.sizes is not None]
    noisy = any(spec.source == "exact" and spec.mre is None for spec in sizes)
    return {
        "seed": params.seed,
        "draws": params.repetitions if any(spec.random for spec in given.values()) else 1,
        "noise": params.noise.model_dump() if noisy else None,
        "supervision": {name: spec.model_dump() for name, spec in given.items()},
    }


def evaluation_settings(params: Params, family: str) -> dict[str, Any]:
    """Return what the scores of a family depend on besides its trained runs: fields of its rows, and its headline runs."""
    runs = params.runs[family]
    return {
        "runs": {name: run.model_dump() for name, run in runs.items()},
        "sources": {dataset: params.datasets[dataset].source for dataset in sorted({run.dataset for run in runs.values()})},
        "headline": [name for name in params.figures.headline if name.split("/")[0] == family],
    }


def pseudo_label_settings(params: Params) -> dict[str, Any]:
    """Return what the pseudo-labels of figures and the comparison of solvers depend on."""
    # These two belong to the stages `summary` and `samples`.
    figures = params.figures.model_dump(exclude={"headline", "sample_images"})
    objectives = (params.figures.panel_objective, params.figures.panel_dense_objective)
    return {
        "figures": figures,
        "objectives": {name: objective_terms(params, name) for name in objectives},
        "solver": {name: solver.model_dump() for name, solver in params.solver.items()},
    }


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        shutil.rmtree(paths.SETTINGS, ignore_errors=True)
        for path, values in stage_settings(params):
            write_json(path, values)


if __name__ == "__main__":
    main()
