"""A run resolved in one place: what it is made of, before training (`Job`) and afterwards (`Trained`).

    Job(family, name, params)        settings, archive(split), objective, resize_px, network(...), files it reads
    Trained.of(family, name)         the same of trained weights, from the record beside them
    objective_terms(params, name)    the terms of an objective, its solver's settings in place of the solver's name

Both know the size of the network's input (`resize_px`), so that nobody else decides from `input` what pictures are resized to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline import paths
from pipeline.datasets.prepared import Part, PreparedArchive
from pipeline.files import read_form
from pipeline.kept import digest_of
from pipeline.networks import build_network
from pipeline.params import Count, Params, Run, RunName, Seeds, Subset, Supervision, Training
from pipeline.params import Network as NetworkParams

if TYPE_CHECKING:
    import torch

    from pipeline.networks.base import Network

Settings = dict[str, Any]
COPY_AGAIN = "copy it again from where the run was trained, or train the run again"
"""What helps where a file of a trained run is broken."""


def resize_px(training: Mapping[str, Any]) -> int | None:
    """Return the side of the square that whole pictures are resized to; None: the network sees them at their own size.

    >>> resize_px({"input": "resize", "image_size_px": 64}), resize_px({"input": "crop", "image_size_px": 64})
    (64, None)
    """
    return training["image_size_px"] if training["input"] == "resize" else None


def objective_terms(params: Params, name: str) -> Settings:
    """Return the settings of every term of an objective, None for those left out, the solver's settings in place of its name."""
    terms = params.objectives[name].model_dump()
    if terms["self_labeling"] is not None:
        # null means the solver's own number, which it takes when it is told none.
        terms["self_labeling"]["solver"] = params.solver[terms["self_labeling"]["solver"]].model_dump(exclude_none=True)
    return terms


SOUGHT = {
    "dense_crf": ("weight",),
    "potts": ("weight",),
    "barrier": ("weight",),
    # Both, so that the labels stay as they are and pull more or less strongly beside the seeds.
    "self_labeling": ("unary_weight", "pairwise_weight"),
    "proposals": ("pairwise_weight",),
}
"""The weights of regularisation in each term that has one, which trials multiply."""


def open_view(dataset: str, split: Part, view: Mapping[str, Any], trial: object) -> PreparedArchive:
    """Open the pictures of a split as a run sees them; both splits of a trial are parts of the training pictures."""
    if trial is None:
        return PreparedArchive(paths.prepared(dataset, split), **view)
    return PreparedArchive(paths.prepared(dataset, "train"), **view, part=split)


@dataclass(frozen=True)
class Job:
    """One repetition of a run with everything it refers to, in plain values."""

    family: str
    name: str
    params: Params
    repetition: int = 0

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.params.run(self.family, self.name)

    @property
    def label(self) -> str:
        """Name in messages."""
        count = self.params.repetitions_of(self.run)
        of_many = f" ({self.repetition + 1} of {count})" if count > 1 else ""
        return f"{self.family}/{self.name}{of_many}"

    @property
    def training(self) -> Training:
        """Its optimisation settings; in a trial with the rate that is tried."""
        settings = self.params.training[self.run.training]
        if self.run.trial is None:
            return settings
        return settings.model_copy(update={"learning_rate": settings.learning_rate * self.run.trial.rate_factor})

    @property
    def supervision(self) -> Supervision:
        """What the annotator gave."""
        return self.params.supervision[self.run.supervision]

    @property
    def variant(self) -> str:
        """Place of its supervision: where chance has a part, every repetition has a draw of its own."""
        return paths.drawn(self.run.variant, self.repetition if self.supervision.random else 0)

    @property
    def objective(self) -> Settings:
        """Its loss terms; in a trial with the weight that is tried."""
        terms = objective_terms(self.params, self.run.objective)
        if self.run.trial is not None:
            for name, weights in SOUGHT.items():
                if terms[name] is not None:
                    for weight in weights:
                        # In place: `objective_terms` returns values that nobody else has.
                        terms[name][weight] *= self.run.trial.weight_factor
        return terms

    @property
    def resize_px(self) -> int | None:
        """Side of the square that whole pictures are resized to, or None."""
        return resize_px(self.training.model_dump())

    @property
    def start(self) -> Path | None:
        """The weights it starts from: those of the same repetition of another run."""
        if self.run.start is None:
            return None
        family, name = self.run.start.split("/")
        return paths.weights(family, name, self.repetition)

    @property
    def pretrained(self) -> Path | None:
        """The pre-trained encoder that it starts from, unless it starts from another run."""
        # The weights of another run hold the encoder too.
        wanted = self.params.networks[self.run.network].weights is not None and self.start is None
        return paths.pretrained_weights(self.run.network) if wanted else None

    @property
    def features(self) -> Path | None:
        """The kept features that its head is trained on; None: its encoder runs at every step."""
        return None if self.run.features is None else paths.kept_features(self.run.features)

    def archive(self, split: Part) -> PreparedArchive:
        """Open the pictures of a split as this run sees them."""
        return open_view(self.run.dataset, split, self.supervision.view, self.run.trial)

    def network(self, num_classes: int) -> Network:
        """Return its network, random or with a pre-trained encoder; not yet with the weights that `start` names."""
        return build_network(self.params.networks[self.run.network].model_dump(), num_classes, weights=self.pretrained)

    def settings(self) -> Settings:
        """Return all that identifies the run's result besides data and code, as its record holds it."""
        # Without what figures call it, what is scored besides and how often it is trained: none of these changes its weights.
        return {
            "seed": self.params.seed,
            "run": self.run.model_dump(exclude={"method", "score_train", "repetitions"}),
            "network": self.params.networks[self.run.network].model_dump(),
            "training": self.training.model_dump(),
            "objective": self.objective,
            "supervision": self.supervision.model_dump(),
        }

    def identity(self) -> Settings:
        """Return the settings that its weights and history depend on."""
        # How pictures are loaded changes no result: a run whose loader died for lack of memory goes on with fewer workers.
        settings = self.settings()
        settings["training"] = {
            key: value for key, value in settings["training"].items() if key not in ("workers", "cache_images")
        }
        return settings

    def files(self) -> list[Path]:
        """Return the files the repetition depends on, but for kept features."""
        read = [paths.code("train", self.family), paths.prepared(self.run.dataset, "train")]
        # Else a training never looks at them, and other validation pictures leave it as it is.
        if self.training.validate_every_epochs > 0:
            read.append(paths.prepared(self.run.dataset, "val"))
        # Folders in it are the draws of other repetitions.
        read += sorted(path for path in paths.supervision(self.variant).glob("*") if path.is_file())
        return read + [path for path in (self.pretrained, self.start) if path is not None]

    def unfinished(self) -> Path:
        """Return the scratch folder of the repetition, named after a digest of settings, code and data."""
        made_of = self.identity()
        if self.features is not None:  # its header, of this length, says what it was made from
            with self.features.open("rb") as file:
                made_of["features"] = file.read(int.from_bytes(file.read(8), "little")).hex()
        return paths.unfinished(self.family, self.name, self.repetition, digest_of(made_of, self.files()))


class Recorded(BaseModel):
    """Base of the parts of run.json: no silent conversions; what nobody asks for is passed over."""

    model_config = ConfigDict(strict=True, extra="allow")


class RecordedTraining(Recorded):
    """How the network sees pictures."""

    image_size_px: Annotated[int, Field(ge=16, le=8192)]
    input: Literal["resize", "crop"]


class Usable(Recorded):
    """The part of run.json that is needed to use a network."""

    class_names: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2, max_length=255)]
    palette: list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]]
    network: NetworkParams
    training: RecordedTraining

    @model_validator(mode="after")
    def _names_differ(self) -> Usable:
        if len(set(self.class_names)) < len(self.class_names) or len(self.palette) != len(self.class_names):
            raise ValueError("expected different class_names and a colour of palette for each")
        return self


class RecordedRun(Recorded):
    """What the run was made of, by name."""

    dataset: str
    supervision: str
    network: str
    objective: str
    training: str
    start: RunName | None
    trial: dict[str, float] | None = None


class RecordedObjective(Recorded):
    """The terms that stages ask about."""

    masks: float | None
    seeds: float | None
    image_labels: str | None
    potts: dict[str, Any] | None
    self_labeling: dict[str, Any] | None


class RecordedSupervision(Recorded):
    """The part of the data set, and how seeds are drawn."""

    subset: Subset | None
    seeds: Seeds | None


class RecordedAnnotation(Recorded):
    """What was realised of the supervision."""

    sizes: dict[str, Any] = {}
    seeds: dict[str, Any] = {}
    labels: dict[str, Any] = {}


class Scored(Usable):
    """All of run.json that the stages after a training read."""

    profile: str
    device: str
    repetitions: Count
    annotation: RecordedAnnotation
    run: RecordedRun
    objective: RecordedObjective
    supervision: RecordedSupervision


def read_record(place: Path, form: type[Usable]) -> Settings:
    """Return what the run.json at `place` says, checked to hold what `form` asks for.

    Raises:
        OSError: it cannot be read.
        ValueError: it is broken, or says something that cannot be; names the field.
    """
    return read_form(place, form, COPY_AGAIN).model_dump()


@dataclass(frozen=True)
class Trained:
    """A run that has been trained, as the record beside its weights describes it.

    Attributes:
        record: content of run.json: `Job.settings` with profile, device, repetitions, class_names, palette and annotation.
    """

    record: Mapping[str, Any]

    @classmethod
    def of(cls, family: str, name: str) -> Trained:
        """Read the record of models/FAMILY/RUN.

        Raises:
            OSError: the run has not been trained.
            ValueError: the record is broken (named).
        """
        return cls(read_record(paths.run_record(family, name), Scored))

    @property
    def resize_px(self) -> int | None:
        """Side of the square that whole pictures are resized to, or None."""
        return resize_px(self.record["training"])

    @property
    def dataset(self) -> str:
        """Key of its data set."""
        return str(self.record["run"]["dataset"])

    @property
    def subset(self) -> Settings:
        """The part of the data set that it saw, as arguments of `PreparedArchive`."""
        return dict(self.record["supervision"]["subset"] or {})

    def archive(self, split: Part) -> PreparedArchive:
        """Open the pictures of a split as the run saw them."""
        return open_view(self.dataset, split, self.subset, self.record["run"]["trial"])

    def network(self, num_classes: int, weights: Path, device: torch.device) -> Network:
        """Return its network with these weights, in evaluation mode.

        Raises:
            OSError: there are no such weights.
            ValueError: the weights are broken, not finite, or those of another network.
        """
        from pipeline.training.checkpoint import load_state  # here, as settings are resolved without torch

        network = build_network(self.record["network"], num_classes).to(device).eval()
        try:
            network.load_state_dict(load_state(weights, device, COPY_AGAIN))
        # What torch raises at other names, other shapes, and values that are no tensors.
        except (RuntimeError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{weights}: expected weights of the network in the run's record, got others; {COPY_AGAIN}"
            ) from error
        # A training here refuses to save such weights, but the file may come from elsewhere.
        broken = [name for name, value in network.state_dict().items() if not value.isfinite().all()]
        if broken:
            raise ValueError(
                f"{weights}: {len(broken)} tensors hold numbers that are not finite, such as {broken[0]}; train again"
            )
        return network
