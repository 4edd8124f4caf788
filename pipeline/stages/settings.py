"""Stage `settings`: a small file for every run and every data set that changes when, and only when, its own settings change.

Trainings and `supervise` depend on these files instead of on keys of params.yaml, which DVC would read once for each of them.
A file has the values with all names resolved: a new loss weight that a run does not use leaves its file as it is.
"""

from __future__ import annotations

import shutil
from typing import Any

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_json
from pipeline.params import Params, load_params
from pipeline.runs import Job


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


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        shutil.rmtree(paths.SETTINGS, ignore_errors=True)
        for dataset in params.datasets:
            write_json(paths.supervision_settings(dataset), supervision_settings(params, dataset))
        for family, runs in params.runs.items():
            for name in runs:
                settings = {"repetitions": params.repetitions, **Job(family, name, params).settings()}
                write_json(paths.run_settings(family, name), settings)


if __name__ == "__main__":
    main()
