"""The whole of params.yaml with its runs and figures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline import paths
from pipeline.checks import contradictions, missing_references, nearest
from pipeline.params.data import Dataset, Levels, Noise, Supervision
from pipeline.params.section import Count, Hundredths, Name, ParamsError, RunName, Section, _different
from pipeline.params.training import Features, Network, Objective, Solver, Terms, Training


class Trial(Section):
    """A run that settings are chosen by: it trains on seven tenths of the training pictures and is scored on the others."""

    rate_factor: Annotated[Hundredths, Field(gt=0)] = 1.0
    """Factor of its learning rate."""
    weight_factor: Hundredths = 1.0
    """Factor of the weight of regularisation: of CRF and Potts losses, of barriers, eta and lambda of pseudo-labels, and lambda
    of proposals."""


class Run(Section):
    """One training: data set x network x supervision x objective x seed."""

    method: Name
    """Name of the method in tables and figures."""
    dataset: str
    """Key of `datasets`: that of the supervision."""
    supervision: Name
    """Key of `supervision`."""
    network: Name
    """Key of `networks`."""
    objective: Name
    """Key of `objectives`."""
    training: Name
    """Key of `training`."""
    features: Name | None = None
    """Key of `features`: kept ones, on which only the head is trained. Where a file of runs says nothing, those of its data set,
    network and size, if there are any. null: the encoder runs at every step."""
    start: RunName | None = None
    """`family/run` whose weights this run starts from (two-stage training)."""
    score_train: bool = False
    """Score the training images as well (the dashed curve of [SIZE] Fig. 4)."""
    trial: Trial | None = None
    """null: an ordinary run."""
    repetitions: Count | None = None
    """Independent trainings. null: `repetitions` of params.yaml."""

    @property
    def variant(self) -> str:
        """Place of its supervision: `dataset/supervision`."""
        return f"{self.dataset}/{self.supervision}"


class Figures(Section):
    """What qualitative figures and solver checks show."""

    headline: Annotated[list[RunName], AfterValidator(_different)]
    """Runs (`family/run`) whose mIoU stands in reports/metrics.json, which `dvc metrics` and `dvc exp show` display."""
    sample_images: Count = 12
    """Pictures on a sample sheet of a data set."""
    panel_run: Annotated[str, Field(pattern=r"^seeds/[A-Za-z0-9_.-]+$")]
    """Run of the family `seeds` whose predictions the pseudo-label panels start from."""
    panel_objective: Name
    """Key of `objectives` whose self-labelling weights the panels and the solver check use."""
    panel_dense_objective: Name
    """Key of `objectives` with the dense neighbourhood, for the comparison with the nearest one."""
    panel_images: Count = 4
    """Pictures in figures of predictions and of pseudo-labels."""
    solver_images: Count = 100
    """Pictures over which solvers ([SSL] appendix B: 100) and neighbourhoods are compared."""


class Params(Section):
    """The whole of params.yaml."""

    profile: Name
    """Name of the scale these values belong to; `python -m pipeline.profile NAME` changes them together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; not part of a run's identity."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    """Root of all randomness."""
    repetitions: Count = 1
    """Independent trainings of every run; with more than one, every number is a mean with its standard deviation."""
    processes_per_run: Count = 1
    """Processes that train one run together, each on its share of every batch: one per GPU. Not part of a run's identity."""
    noise: Noise
    """Default corruption of size targets."""
    levels: Levels
    """Values that products are made of."""
    without: list[str] = Field(default_factory=list)
    """Runs that are left out, as `family/run`; * stands for any part of a name."""
    datasets: dict[Name, Dataset]
    """Data sets by name."""
    supervision: dict[Name, Supervision]
    """Supervision variants by name."""
    networks: dict[Name, Network]
    """Networks by name."""
    features: dict[Name, Features]
    """Kept features by name."""
    training: dict[Name, Training]
    """Training settings by name."""
    solver: dict[Name, Solver]
    """Pseudo-label solvers by name."""
    terms: Terms = Terms()
    """Settings of loss terms that objectives share."""
    objectives: dict[Name, Objective]
    """Loss combinations by name."""
    runs: dict[Name, dict[Name, Run]]
    """Runs by family and name."""
    figures: Figures
    """Settings of figures."""

    @model_validator(mode="after")
    def _references_exist(self) -> Params:
        # After all sections: each is known to be right by itself.
        problems = [*missing_references(self), *contradictions(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def family(self, family: str) -> dict[str, Run]:
        """Return the runs of a family by name.

        Raises:
            ParamsError: there is no such family; the message lists those that are there.
        """
        if family not in self.runs:
            raise ParamsError(f"{paths.family_runs(family)}: no such family of runs; there: {', '.join(self.runs)}")
        return self.runs[family]

    def run(self, family: str, name: str) -> Run:
        """Return one run.

        Raises:
            ParamsError: there is no such family or run; the message lists what is there.
        """
        runs = self.family(family)
        if name not in runs:
            raise ParamsError(
                f"{paths.family_runs(family)}: has no run {name} (there: {nearest(name, runs)}); "
                "where a pipeline still names it, run python -m pipeline.wiring"
            )
        return runs[name]

    def left_out(self, family: str) -> str | None:
        """Return why a family is not trained; None: it is."""
        if not self.runs[family]:
            return f"a list of levels is empty or `{WITHOUT}` names all of its runs"
        starts = (run.start.split("/")[0] for run in self.runs[family].values() if run.start is not None)
        # A family without a run is as good as none: there are no weights to start from.
        missing = next((start for start in starts if not self.runs.get(start)), None)
        return None if missing is None else f"its runs start from those of {missing}, which is not there"

    def repetitions_of(self, run: Run) -> int:
        """Return how many independent trainings a run has."""
        return run.repetitions or self.repetitions


RUNS = "runs"
WITHOUT = "without"
