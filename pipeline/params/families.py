"""What pipelines of families say about their runs, and whether it is still true."""

from __future__ import annotations

from pipeline import paths
from pipeline.params.reading import read_yaml
from pipeline.params.whole import Params


def declared_runs(params: Params, family: str) -> dict[str, dict[str, str]]:
    """Return what the pipeline of a family says about each run: the fields that its training's dependencies are named after."""
    fields = ("dataset", "supervision", "network", "objective", "training", "features", "start")
    return {
        name: {field: value for field in fields if (value := getattr(run, field)) is not None}
        for name, run in params.runs[family].items()
    }


def left_out(params: Params) -> dict[str, str]:
    """Return the families that are not trained, with the line that says why; an empty one where the levels ask for no runs."""
    reasons = {family: params.left_out(family) for family in params.runs}
    lines = {family: f"left out: {family}, as {reason}" for family, reason in reasons.items() if reason is not None}
    return {family: line if params.runs[family] else "" for family, line in lines.items()}


def out_of_date(params: Params) -> list[str]:
    """Return the families whose pipeline has other runs than it should; `python -m pipeline.wiring` mends that."""
    found = []
    for family in params.runs:
        place = paths.family_pipeline(family)
        # A pipeline of runs that cannot be trained must not be there at all: DVC would refuse every other one with it.
        if params.left_out(family) is not None:
            found += [family] if place.exists() else []
            continue
        runs = read_yaml(place)["stages"]["train"]["foreach"] if place.exists() else {}
        if runs != declared_runs(params, family):
            found.append(family)
    return found
