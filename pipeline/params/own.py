"""Settings of `python -m pipeline.own` and of the network that learns while people draw, in pipeline/own.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline import paths
from pipeline.params.reading import read_yaml, refusal, validated
from pipeline.params.section import Count, Positive, Section
from pipeline.params.training import Network, Objective, Training

REPOSITORY = Path(__file__).resolve().parents[2]


class OwnStage(Section):
    """One training of `python -m pipeline.own`, from the weights of the one before."""

    objective: Objective
    """Its loss; no `terms` are added, and those that need sizes are left out where no photo has any."""
    photos_shown: Count
    """How many photos are shown at least, counted anew in every epoch: fewer photos get more epochs."""
    rate_factor: Positive = 1.0
    """Its learning rate relative to that of `training`."""


class Own(Section):
    """The whole file, which holds whatever the profile."""

    network: Network
    """The network."""
    training: Training
    """Its optimisation in every stage; no `base` is added."""
    sizes: Annotated[list[OwnStage], Field(min_length=1)]
    """Stages for photos with sizes alone."""
    seeds: Annotated[list[OwnStage], Field(min_length=1)]
    """Stages where some pixels are known: by scribbles, clicks or masks."""


def here_or_ours(path: Path) -> Path:
    """Return a file of settings of the working folder, or where it has none, that of this repository."""
    return path if path.exists() else REPOSITORY / path


def own_settings() -> Own:
    """Return the settings.

    Raises:
        ParamsError: the file is missing or not valid, or names a solver that params.yaml does not have.
    """
    path = here_or_ours(paths.OWN)
    own = validated(Own, read_yaml(path), path)
    known = sorted(read_yaml(here_or_ours(paths.PARAMS))["solver"])
    problems = [
        f"{key}.{number}.objective.self_labeling.solver = {spec.solver!r} names nothing in solver (there: {', '.join(known)})"
        for key, stages in (("sizes", own.sizes), ("seeds", own.seeds))
        for number, stage in enumerate(stages)
        if (spec := stage.objective.self_labeling) is not None and spec.solver not in known
    ]
    if problems:
        raise refusal(path, problems)
    return own
