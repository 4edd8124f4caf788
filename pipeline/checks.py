"""What no single value of the settings shows: references that lead nowhere, and parts that do not fit together.

Each check gives lines that name the key and what would be right; `pipeline.params` asks for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.params import Params, Run


def _references(params: Params) -> Iterator[tuple[str, str, str]]:
    """Yield (key, value, section that the value must be a key of) of every reference."""
    for key, item in params.supervision.items():
        yield f"supervision.{key}.dataset", item.dataset, "datasets"
    for key, features in params.features.items():
        yield f"features.{key}.dataset", features.dataset, "datasets"
        yield f"features.{key}.network", features.network, "networks"
    for key, objective in params.objectives.items():
        if objective.self_labeling is not None:
            yield f"objectives.{key}.self_labeling.solver", objective.self_labeling.solver, "solver"
    figures = params.figures
    yield "figures.panel_objective", figures.panel_objective, "objectives"
    yield "figures.panel_dense_objective", figures.panel_dense_objective, "objectives"
    yield "figures.panel_run", figures.panel_run, "runs"
    for run_name in figures.headline:
        yield "figures.headline", run_name, "runs"
    for family, runs in params.runs.items():
        for name, run in runs.items():
            at = f"runs.{family}.{name}"
            yield f"{at}.supervision", run.supervision, "supervision"
            yield f"{at}.network", run.network, "networks"
            yield f"{at}.objective", run.objective, "objectives"
            yield f"{at}.training", run.training, "training"
            if run.features is not None:
                yield f"{at}.features", run.features, "features"
            if run.start is not None:
                yield f"{at}.start", run.start, "runs"


def missing_references(params: Params) -> list[str]:
    """Name every reference to a key that does not exist; runs of a family that is not there at all are nobody's mistake."""
    sections = ("datasets", "supervision", "networks", "features", "objectives", "training", "solver")
    known: dict[str, Collection[str]] = {section: getattr(params, section) for section in sections}
    known["runs"] = [f"{family}/{name}" for family, runs in params.runs.items() for name in runs]
    missing: dict[tuple[str, str], list[str]] = {}
    for key, value, section in _references(params):
        left_out = section == "runs" and value.split("/")[0] not in params.runs
        if value not in known[section] and not left_out:
            missing.setdefault((value, section), []).append(key)
    return [
        f"{first(keys)} = {value!r} names nothing in {section} (there: {nearest(value, known[section])})"
        for (value, section), keys in missing.items()
    ]


def first(keys: Sequence[str], count: int = 3) -> str:
    """Return the first keys, and how many there are beyond them."""
    shown = ", ".join(keys[:count])
    return shown if len(keys) <= count else f"{shown} and {len(keys) - count} more"


def nearest(name: str, known: Collection[str], count: int = 12) -> str:
    """Return the known names for a message: all of a few, of many those that look most like `name`."""
    if len(known) <= count:
        return ", ".join(sorted(known))
    return f"{', '.join(get_close_matches(name, known, count, cutoff=0.0))} and {len(known) - count} more"


def contradictions(params: Params) -> list[str]:
    """Name every run whose objective needs what its supervision does not give, or whose parts do not fit together."""
    problems = [*_mixed(params), *_unfit_features(params), *_unfit_sizes(params)]
    for family, runs in params.runs.items():
        for name, run in runs.items():
            known = run.objective in params.objectives and run.training in params.training and run.dataset in params.datasets
            if known and run.supervision in params.supervision:
                for check in (_lacking_supervision, _cropped_sizes, _unfit_epsilon, _other_features, _unfit_start):
                    problems += check(params, f"runs.{family}.{name}", run)
    return problems


def _mixed(params: Params) -> Iterator[str]:
    for family, runs in params.runs.items():
        for field in ("start", "features"):
            if len({getattr(run, field) is None for run in runs.values()}) > 1:
                yield f"runs.{family}: either all runs have `{field}` or none; its pipeline declares the dependency for all"


def _unfit_features(params: Params) -> Iterator[str]:
    """Yield networks whose features cannot be kept."""
    for name, features in params.features.items():
        network = params.networks.get(features.network)
        if network is None:
            continue
        if "classifier" in network.kind:
            yield f"features.{name}.network: features are kept of segmentation networks, {features.network!r} is a classifier"
        if not network.freeze_encoder:
            yield f"features.{name}.network: set networks.{features.network}.freeze_encoder to true, or its features change"
        if network.weights is None:
            yield f"features.{name}.network: networks.{features.network} has no `weights`, so that every run has another encoder"


def _unfit_sizes(params: Params) -> Iterator[str]:
    """Yield training blocks of segmentation whose pictures no network takes."""
    all_runs = [run for runs in params.runs.values() for run in runs.values() if run.objective in params.objectives]
    segmenting = {run.training for run in all_runs if "image_labels" not in params.objectives[run.objective].terms}
    for name, training in params.training.items():
        if name in segmenting and training.image_size_px % 16 != 0:
            yield f"training.{name}.image_size_px: segmentation needs a multiple of 16, got {training.image_size_px}"


def _lacking_supervision(params: Params, at: str, run: Run) -> Iterator[str]:
    supervision, objective = params.supervision[run.supervision], params.objectives[run.objective]
    gives_sizes = supervision.sizes is not None
    takes_tags = objective.size is not None and objective.size.loss in ("log_barrier", "flat_barrier")
    needs = {
        "masks": supervision.masks,
        "seeds": supervision.seeds is not None,
        "proposals": supervision.seeds is not None,
        "size": gives_sizes or (takes_tags and supervision.tags),
        "barrier": gives_sizes or supervision.tags,
        "image_labels": supervision.labels is not None,
    }
    for need, given in needs.items():
        if need in objective.terms and not given:
            yield f"{at}: objective {run.objective!r} needs {need}, which supervision {run.supervision!r} does not give"


def _cropped_sizes(params: Params, at: str, run: Run) -> Iterator[str]:
    sized = {"size", "barrier"} & set(params.objectives[run.objective].terms)
    if sized and params.training[run.training].input == "crop":
        yield f"{at}: size targets hold for whole images; training.{run.training}.input must be 'resize', not 'crop'"


def _other_features(params: Params, at: str, run: Run) -> Iterator[str]:
    """Yield what a run shows its network and kept features do not know."""
    features, training = params.features.get(run.features or ""), params.training[run.training]
    if features is None:
        return
    for field, found in (("dataset", run.dataset), ("network", run.network), ("image_size_px", training.image_size_px)):
        if found != getattr(features, field):
            yield f"{at}: features.{run.features}.{field} is {getattr(features, field)!r}, but this run has {found!r}"
    if training.input == "crop" or training.augmentation.color_jitter > 0:
        yield (
            f"{at}: kept features know a picture and its mirror image only; training.{run.training}.input must be 'resize', its "
            "augmentation.color_jitter 0"
        )


def _unfit_start(params: Params, at: str, run: Run) -> Iterator[str]:
    """Yield starts that have seen what the run is scored on, or that lack one of its repetitions."""
    family, _, name = (run.start or "").partition("/")
    start = params.runs.get(family, {}).get(name)
    if start is None:
        return
    if run.trial is not None and start.trial is None:
        yield f"{at}.start: {run.start} was trained on all pictures, also those that a trial is scored on; start from a trial"
    if params.repetitions_of(start) < params.repetitions_of(run):
        yield f"{at}.repetitions: expected at most those of {run.start}, {params.repetitions_of(start)}"


def _unfit_epsilon(params: Params, at: str, run: Run) -> Iterator[str]:
    """Yield shares of wrong proposals that the robust loss cannot expect with the run's classes."""
    supervision, proposals = params.supervision[run.supervision], params.objectives[run.objective].proposals
    chosen = supervision.subset.classes if supervision.subset is not None else params.datasets[run.dataset].classes
    if proposals is not None and chosen is not None:
        most = 1 - 1 / (len(chosen) + 1)  # with background
        if proposals.epsilon >= most:
            yield (
                f"objectives.{run.objective}.proposals.epsilon: expected below {most:.4g} with the {len(chosen) + 1} "
                f"classes of {at}, got {proposals.epsilon:g}"
            )
