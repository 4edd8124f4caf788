"""`params.yaml` and the families of runs as one validated tree, read once at the entry of a stage.

Unknown keys, wrong types and values out of range stop a stage at once with the key's path, the value and what is allowed.
`python -m pipeline.params` checks the files, `--schema` rewrites the JSON schema that editors use, `params.schema.json` here.
What the files leave unsaid (levels, bases, products) is written out by `pipeline.expand` before.
Nothing but stages and command-line tools imports this module: mathematics gets plain numbers.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from pipeline import paths
from pipeline.checks import contradictions, first, missing_references, nearest
from pipeline.command import command_parser
from pipeline.expand import BASE, LEVELS, expand_objectives, expand_runs, expand_training, products, with_features
from pipeline.files import read_text
from pipeline.networks.encoders import ENCODERS, encoder_of

SCHEMA = Path(__file__).with_name("params.schema.json")

Fraction = Annotated[float, Field(ge=0, le=1)]
Hundredths = Annotated[float, Field(ge=0, multiple_of=0.01)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10**9)]
"""Whole numbers beyond that are slips of the hand, and overflow where they are counted down."""
Side = Annotated[int, Field(ge=32, le=8192)]
Relaxation = Literal["bl", "nq", "q", "cce", "cd", "lq"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
RunName = Annotated[str, Field(pattern=r"^[a-z0-9_]+/[A-Za-z0-9_.-]+$")]
"""family/run"""


Item = TypeVar("Item")


ClassName = Annotated[str, AfterValidator(partial(unicodedata.normalize, "NFC"))]


def _different(values: list[Item]) -> list[Item]:
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise ValueError(f"expected different entries, got {twice!r} more than once")
    return values


Several = Annotated[list[Item], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_different)]
"""One or more, none of them twice."""


class ParamsError(ValueError):
    """params.yaml is missing, malformed or says something that is not allowed."""


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, no later changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Synthetic(Section):
    """How many procedural pictures `source: synthetic` writes, and how large."""

    train: Count
    """Training images."""
    val: Count
    """Validation images."""
    width_px: Annotated[int, Field(ge=16, le=8192)] = 96
    """Nominal picture width in pixels; actual sizes vary around it."""
    height_px: Annotated[int, Field(ge=16, le=8192)] = 72
    """Nominal picture height in pixels."""
    classes: Several[ClassName]
    """Foreground classes that occur in the pictures, by the reader's names."""


class Dataset(Section):
    """One data set: which reader, where the raw files come from, which part is used."""

    kind: Literal["voc", "coco", "acdc", "cityscapes", "ade20k", "natural_scene", "folder"]
    """Reader (raw layout)."""
    source: Annotated[str, Field(min_length=1)]
    """`synthetic` (procedural pictures in the raw layout), `download`, or the path of an existing copy (never written to)."""
    synthetic: Synthetic | None = None
    """Size of the synthetic set; needed when source is `synthetic`."""
    classes: Several[ClassName] | None = None
    """Foreground classes to prepare; other classes become background. null: all classes."""
    images: Literal["containing", "all"] = "containing"
    """With `classes`: keep only images that contain one of them, or all."""
    limit_train: Count | None = None
    """Use only the first so many training images. null: all."""
    limit_val: Count | None = None
    """Use only the first so many validation images. null: all."""

    @model_validator(mode="after")
    def _synthetic_has_sizes(self) -> Dataset:
        word = self.source.strip().lower()
        if word in ("synthetic", "download") and word != self.source:
            raise ValueError(f"source: write {word}, got {self.source!r}; a folder of that name is ./{self.source.strip()}")
        if self.source == "synthetic" and self.synthetic is None:
            raise ValueError("source is synthetic, so the key 'synthetic' (train, val) is needed")
        return self


class Subset(Section):
    """A view of a data set: some classes against the rest. Nothing is copied."""

    classes: Several[ClassName]
    """Foreground classes, which become 1, 2, ... in this order; all others become background."""
    images: Literal["containing", "all"] = "containing"
    """Only images that contain at least one of the classes, or all images (negatives included)."""


def _watched(path: str) -> str:
    if not path.startswith("data/annotations/"):
        raise ValueError(f"expected a path below data/annotations, the folder that DVC watches, got {path!r}")
    return path


AnnotationFile = Annotated[str, AfterValidator(_watched)]


class SizeTargets(Section):
    """Size targets of the training images."""

    source: Literal["exact", "given", "mean", "annotations"] = "exact"
    """`exact`: from masks, corrupted by `mre`; `given`: the set's own table of sizes, else masks (`kind: folder`; beside seeds
    that are `given`, an image may have neither); `mean`: each
    class's average size over training images that contain it ([SIZE] Fig. 6); `annotations`: a file of the annotation tool."""
    mre: Annotated[float, Field(ge=0, le=1.6)] | None = None
    """Analytic mean relative error as a fraction ([SIZE] Eq. 16). null: noise.sigma."""
    file: AnnotationFile | None = None
    """`source: annotations`: the file, in data/annotations. null: answers of a simulated annotator, said wherever their numbers
    are shown."""
    combine: Literal["median", "mean"] = "median"
    """`source: annotations`: how several annotators are combined."""

    @model_validator(mode="after")
    def _keys_are_read(self) -> SizeTargets:
        for key, source in (("file", "annotations"), ("mre", "exact")):
            if getattr(self, key) is not None and self.source != source:
                raise ValueError(f"{key}: only source {source} reads it, but source is {self.source}; take it out")
        return self


class Seeds(Section):
    """Pixels with a label: strokes, clicks, or regions."""

    kind: Literal["scribbles", "clicks", "drawn", "given", "erosion", "blocks"] = "scribbles"
    """`scribbles`: the set's own, or generated from its masks where it has none; `clicks`: the set's own points;
    `drawn`: the set's own scribbles as pictures; `given`: every pixel whose class the set knows, in each image by mask, scribbles
    or clicks; `erosion`: eroded objects, background unlabelled ([SIZE] section 3.6); `blocks`: eroded regions of all classes
    ([SSL] Table 6)."""
    length_ratio: Fraction = 1.0
    """Central fraction of each stroke that is kept; 0 keeps one point (a click)."""
    width_px: Count = 3
    """Width of strokes and diameter of clicks in pixels at the network's input size."""
    min_area_fraction: Fraction = 1e-3
    """Regions smaller than this fraction of the image get no generated scribble."""
    block_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """`blocks`: largest share of labelled pixels."""
    iterations: Count = 10
    """`erosion`: most erosions of an object."""
    file: AnnotationFile | None = None
    """`drawn`: strokes of the annotation tool, a file in data/annotations. null: the set's own pictures of scribbles."""

    @model_validator(mode="after")
    def _file_is_read(self) -> Seeds:
        if self.file is not None and self.kind != "drawn":
            raise ValueError(f"file: only kind drawn reads it, but kind is {self.kind}; take it out")
        return self


class ClassLabels(Section):
    """Image-level class labels (classification)."""

    corrupted: Fraction = 0.0
    """Share of training images whose label is replaced by a random one ([SSL] Fig. 3d, eta)."""


class Supervision(Section):
    """What the annotator gives for one data set."""

    dataset: Name
    """Key of `datasets`."""
    subset: Subset | None = None
    """Part of the data set that training and evaluation see. null: all of it."""
    masks: bool = False
    """Full masks (full supervision)."""
    tags: bool = False
    """Which classes occur in an image."""
    sizes: SizeTargets | None = None
    """Size targets, or null."""
    seeds: Seeds | None = None
    """Scribbles, clicks or regions, or null."""
    labels: ClassLabels | None = None
    """Class labels of whole images, or null."""

    @property
    def view(self) -> dict[str, Any]:
        """The subset as arguments of `PreparedArchive`."""
        return {} if self.subset is None else self.subset.model_dump()

    @property
    def random(self) -> bool:
        """Whether chance has a part in it, so that every repetition of a run gets a draw of its own."""
        noisy = self.sizes is not None and (self.sizes.source == "exact" or self._simulated)
        return noisy or self.labels is not None or (self.seeds is not None and self.seeds.kind == "scribbles")

    @property
    def _simulated(self) -> bool:
        return self.sizes is not None and self.sizes.source == "annotations" and self.sizes.file is None


class Noise(Section):
    """Corruption of exact sizes, [SIZE] Eq. 15."""

    sigma: Annotated[float, Field(ge=0, le=2)]
    """Standard deviation of the relative error of all size targets that set no mRE of their own."""


class Levels(Section):
    """Values that entries and families of runs stand for where they say `levels`; names hold them in hundredths."""

    length_ratio: Several[Hundredths]
    """Shares of a scribble that are kept."""
    mre: Several[Hundredths]
    """Mean relative errors of size targets."""
    corrupted: Several[Hundredths]
    """Shares of training images with a wrong class label."""
    animal: Annotated[list[Name], Field(min_length=1)]
    """Classes of PASCAL VOC that are trained alone and together ([SIZE] section 3.4)."""


class Network(Section):
    """A segmentation network or a classifier."""

    kind: Literal[
        "small", "deeplabv3plus", "light", "wideresnet38", "segmenter", "small_segmenter", "classifier", "small_classifier"
    ]
    """See `pipeline.networks`; the kinds called small serve the embedded scale."""
    encoder: Annotated[str, Field(json_schema_extra={"enum": list(ENCODERS)})] | None = None
    """Backbone of deeplabv3plus, light and segmenter: a key of `pipeline.networks.encoders`."""
    weights: str | None = None
    """Pre-training of the backbone: a name of `pipeline.stages.weights`, or the path of a state dict. null: random."""
    output_stride: Literal[8, 16] = 16
    """Stride of the deepest features of deeplabv3plus."""
    width: Annotated[int, Field(ge=4, le=256)] = 16
    """Channels of the first layer of wideresnet38 (64 as published) and of the small kinds."""
    freeze_batch_norm: bool = False
    """Keep the encoder's batch normalisation as it is."""
    freeze_encoder: bool = False
    """Keep all of the encoder as it is, so that only the head is trained."""
    freeze_stem: bool = False
    """Keep the first layers of wideresnet38 as they are."""
    drop_path: Fraction = 0.0
    """Stochastic depth of transformers."""

    @model_validator(mode="after")
    def _encoder_fits_kind(self) -> Network:
        encoder_of(self.kind, self.encoder)
        return self


class Features(Section):
    """Kept features of a frozen encoder on the training pictures of a data set, which runs name with `features`."""

    dataset: Name
    """Key of `datasets`."""
    subset: Subset | None = None
    """Part of the data set whose features are kept. null: all of it."""
    network: Name
    """Key of `networks`; one that freezes its encoder."""
    image_size_px: Side
    """Side of the square that pictures are resized to, that of the runs."""


class Augmentation(Section):
    """Random changes of training pictures."""

    flip: bool = True
    """Mirror left-right with probability 1/2."""
    color_jitter: Fraction = 0.0
    """Largest relative change of brightness, contrast and saturation."""
    scale_min: Positive = 0.5
    """`input: crop` only: smallest short side relative to image_size_px."""
    scale_max: Positive = 2.0
    """`input: crop` only: largest short side relative to image_size_px."""
    blur: bool = False
    """`input: crop` only: Gaussian blur of radius 0-1 px with probability 1/2."""

    @model_validator(mode="after")
    def _scales_in_order(self) -> Augmentation:
        if self.scale_min > self.scale_max:
            raise ValueError(f"scale_min: expected at most scale_max, {self.scale_max:g}, got {self.scale_min:g}")
        return self


class Training(Section):
    """Optimisation of one kind of run; published: stochastic gradient descent with a polynomial schedule."""

    epochs: Count
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images per step (the last incomplete batch is dropped)."""
    learning_rate: Positive
    """Initial rate of the backbone."""
    head_lr_factor: Positive = 10.0
    """Rate of decoder and classifier relative to the backbone."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Optimiser of torch."""
    momentum: Fraction = 0.9
    """Momentum of SGD, decay of AdamW's first moment."""
    weight_decay: NonNegative = 5e-4
    """L2 penalty; decoupled in AdamW."""
    power: Positive = 0.9
    """Exponent of the polynomial decay, applied at every step."""
    schedule: Literal["polynomial", "cosine", "one_cycle"] = "polynomial"
    """Course of the learning rate: a decay to zero, or (one_cycle) first up to the initial rate."""
    image_size_px: Side
    """Side of the square network input in pixels; a multiple of 16 for segmentation."""
    input: Literal["resize", "crop"] = "resize"
    """`resize`: whole images (required with size targets); `crop`: random scale and crop, whole images in evaluation."""
    augmentation: Augmentation = Augmentation()
    """Random changes of training pictures."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: mixed precision on GPU (ignored on CPU)."""
    workers: Annotated[int, Field(ge=0, le=512)] = 0
    """Loader processes; 0 loads in the training process."""
    cache_images: bool = False
    """Keep decoded pictures in memory (small sets)."""
    validate_every_epochs: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Score the validation set every so many epochs and keep the best weights; 0: only the last epoch counts."""


class Size(Section):
    """Size-target loss."""

    loss: Literal["forward_kl", "reverse_kl", "log_barrier", "flat_barrier"]
    """[SIZE] Eq. 2, its reverse, Eq. 9, Eq. 11. The barriers use only which classes are present: tags are enough."""
    weight: NonNegative = 1.0
    """Factor in the total loss."""
    suppression: NonNegative = 0.0
    """Weight of the suppression of absent classes, [SIZE] Eq. 8."""


class Barrier(Section):
    """Size barrier of the medical literature ([SIZE] Eq. 17 with squared suppression of absent classes)."""

    object_min: Fraction
    """Least share of the image that a present object covers."""
    object_max: Fraction
    """Largest share of the image that a present object covers."""
    weight: NonNegative = 1.0
    """Factor in the total loss."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Barrier:
        if self.object_min > self.object_max:
            raise ValueError(f"object_min: expected at most object_max, {self.object_max:g}, got {self.object_min:g}")
        return self


class Potts(Section):
    """Relaxed Potts loss on the prediction itself, minimised by gradient descent on the network ([SSL] Eq. 4)."""

    relaxation: Relaxation = "bl"
    """P between neighbouring predictions."""
    neighborhood: Literal["grid4", "grid8", "sparse"] = "grid8"
    """Who is whose neighbour; `sparse` adds random long-range edges to the 4-grid."""
    weight: NonNegative = 100.0
    """Factor of the mean over pairs."""
    sigma_rgb: Positive | None = None
    """Bandwidth of the contrast affinity on 0-255 colours. null: each image's own mean contrast."""
    entropy_weight: NonNegative = 0.0
    """eta of Eq. 4: factor of the mean entropy of pixels without a seed. 0: none, as in the published baselines."""


class Proposals(Section):
    """Hard labels found by graph cuts now and then, and a robust loss towards them (robust trust region)."""

    every_epochs: Count = 5
    """Labels are found anew every so many epochs, on whole images without augmentation."""
    unary_weight: Positive = 0.05
    """Weight of -ln of the prediction in the energy."""
    pairwise_weight: Positive = 100.0
    """Weight of the contrast-sensitive Potts term on the 8-grid."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.944
    """Share of wrong proposals that the robust loss expects."""
    weight: NonNegative = 1.0
    """Factor in the total loss."""


class DenseCrf(Section):
    """Dense CRF loss in the normalisation of rloss: a sum over pixel pairs, mean over images."""

    weight: NonNegative
    """Published: 2e-9, for the permutohedral lattice; these exact-scale filters need about 1.2e-9 for the same strength."""
    sigma_rgb: Positive = 15.0
    """Colour bandwidth on 0-255."""
    sigma_xy_px: Positive = 100.0
    """Spatial bandwidth in pixels of the network input."""
    scale_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Down-sampling before filtering; sigma_xy_px is scaled with it."""
    mode: Literal["exact", "nystrom", "lattice"] = "nystrom"
    """Filter: all pairs, a low-rank approximation, or the published permutohedral lattice."""
    landmarks: Annotated[int, Field(ge=1, le=4096)] = 128
    """Rank of the nystrom filter."""


class SelfLabeling(Section):
    """Soft self-labelling, [SSL] Eq. 6."""

    cross_entropy: Literal["ce", "rce", "cce", "quadratic"]
    """H between prediction and pseudo-label."""
    relaxation: Relaxation
    """P between neighbouring pseudo-labels."""
    neighborhood: Literal["grid4", "grid8", "dense"] = "grid4"
    """Who is whose neighbour; `dense`: all pairs with bandwidths sigma_rgb and sigma_xy_px (relaxation q, solver `dense`)."""
    sigma_xy_px: Positive = 100.0
    """`dense`: spatial bandwidth in pixels of the network input."""
    landmarks: Annotated[int, Field(ge=1, le=4096)] = 128
    """`dense`: rank of the filter."""
    unary_weight: NonNegative = 0.3
    """eta."""
    pairwise_weight: NonNegative = 6.0
    """lambda."""
    sigma_rgb: Positive = 9.0
    """Bandwidth of the contrast affinity on 0-255 colours."""
    entropy_weight: NonNegative = 0.0
    """Weight of an extra entropy term in the network step."""
    solver: Name = "paper"
    """Key of `solver`."""
    labels: Literal["soft", "hard"] = "soft"
    """hard: one-hot arg max of the soft solution."""


class Terms(Section):
    """Settings of each term of a loss, which objectives share; an objective states which terms it has and what differs."""

    size: Size | None = None
    """Loss on mean predictions."""
    barrier: Barrier | None = None
    """Bounds on mean predictions."""
    potts: Potts | None = None
    """Nearest-neighbour or sparse regularisation of predictions."""
    proposals: Proposals | None = None
    """Hard proposals by graph cuts."""
    dense_crf: DenseCrf | None = None
    """All-pairs regularisation of predictions."""
    self_labeling: SelfLabeling | None = None
    """Pseudo-labels solved at every step."""


class Objective(Section):
    """A weighted sum of loss terms; terms left out do not take part."""

    masks: NonNegative | None = None
    """Weight of cross-entropy on full masks."""
    seeds: NonNegative | None = None
    """Weight of partial cross-entropy on seeds (mean over seed pixels of the batch)."""
    size: Size | None = None
    """Loss on mean predictions."""
    barrier: Barrier | None = None
    """Bounds on mean predictions."""
    image_labels: Literal["ce", "rce", "cce"] | None = None
    """Cross-entropy with the soft class label of the whole image ([SSL] Fig. 3d)."""
    potts: Potts | None = None
    """Nearest-neighbour or sparse regularisation of predictions."""
    proposals: Proposals | None = None
    """Hard proposals by graph cuts."""
    dense_crf: DenseCrf | None = None
    """All-pairs regularisation of predictions."""
    self_labeling: SelfLabeling | None = None
    """Pseudo-labels solved at every step."""

    @model_validator(mode="after")
    def _has_a_term(self) -> Objective:
        if not self.terms:
            raise ValueError(f"an objective needs at least one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that take part, in the order of this section."""
        return tuple(name for name, value in self if value is not None)


class Solver(Section):
    """How pseudo-labels are found."""

    kind: Literal["gradient", "fast", "conjugate_gradient", "random_walker", "graph_cut", "dense"]
    """gradient: [SSL] appendix B; fast: this project's own; conjugate_gradient: the optimum of H_Q + P_Q, to the tolerance;
    random_walker: the same by a direct solve, for small pictures; graph_cut: hard labels (H_CE + P_BL); dense: as gradient, on
    the dense neighbourhood."""
    steps: Count | None = None
    """Most steps, or sweeps of graph_cut. null: the solver's own number. random_walker has none."""
    learning_rate: Positive | None = None
    """Step size on the energy summed over pixels, of gradient, fast and dense. null: the solver's own."""
    tolerance: NonNegative | None = None
    """Relative change of the energy at the last step below which a solve counts as converged. null: the solver's own, 1e-4.
    random_walker and graph_cut have none."""


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

    @property
    def variant(self) -> str:
        """Place of its supervision: `dataset/supervision`."""
        return f"{self.dataset}/{self.supervision}"


class Panels(Section):
    """Predictions of three runs side by side on the same validation images."""

    runs: Annotated[Several[RunName], Field(min_length=3, max_length=3)]
    """`family/run`, all of one data set and subset."""
    ids: Several[str] | None = None
    """Validation images to show. null: the first `count`."""
    count: Count = 4
    """How many images to show when `ids` is null."""


class Figures(Section):
    """What qualitative figures and solver checks show."""

    headline: Annotated[list[RunName], AfterValidator(_different)]
    """Runs (`family/run`) whose mIoU stands in reports/metrics.json, which `dvc metrics` and `dvc exp show` display."""
    sample_images: Count = 12
    """Pictures on a sample sheet of a data set."""
    panel_run: Annotated[str, Field(pattern=r"^seeds/[A-Za-z0-9_.-]+$")]
    """Run of the family `seeds` whose predictions the pseudo-label panels start from."""
    panel_supervision: Name
    """Supervision of that run."""
    panel_objective: Name
    """Key of `objectives` whose self-labelling weights the panels and the solver check use."""
    panel_dense_objective: Name
    """Key of `objectives` with the dense neighbourhood, for the comparison with the nearest one."""
    panel_images: Count = 4
    """Pictures in the pseudo-label panels."""
    solver_images: Count = 100
    """Pictures over which solvers are compared with the exact optimum ([SSL] appendix B: 100)."""
    panels: dict[Name, Panels]
    """Qualitative figures by artifact."""


class OwnStage(Section):
    """One training of `python -m pipeline.own`, from the weights of the one before."""

    objective: Objective
    """Its loss; no `terms` are added, and those that need sizes are left out where no photo has any."""
    photos_shown: Count
    """How many photos are shown at least, counted anew in every epoch: fewer photos get more epochs."""
    rate_factor: Positive = 1.0
    """Its learning rate relative to that of `training`."""


class Own(Section):
    """Settings of `python -m pipeline.own`, whatever the profile."""

    network: Network
    """The network."""
    training: Training
    """Its optimisation in every stage; no `base` is added."""
    sizes: Annotated[list[OwnStage], Field(min_length=1)]
    """Stages for photos with sizes alone."""
    seeds: Annotated[list[OwnStage], Field(min_length=1)]
    """Stages where some pixels are known: by scribbles, clicks or masks."""


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
    own: Own
    """Settings for photos of one's own."""

    @model_validator(mode="after")
    def _references_exist(self) -> Params:
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

    def lacks_start(self, family: str) -> str | None:
        """Return the family that runs of `family` start from and that is not there, which leaves them out; else None."""
        starts = (run.start.split("/")[0] for run in self.runs[family].values() if run.start is not None)
        return next((start for start in starts if start not in self.runs), None)


def read_yaml(path: Path, reader: YAML | None = None) -> Any:
    """Return the content of a YAML 1.2 file as DVC reads it (so `1e-4` is a number and `off` is a word).

    Args:
        path: the file.
        reader: one that keeps more than values, such as comments.

    Raises:
        ParamsError: the file is missing, not UTF-8 or not YAML; names the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the repository root") from None
    except ValueError as error:
        raise ParamsError(str(error)) from None
    try:
        return (reader or YAML(typ="safe")).load(text)
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from None
    except Exception as error:  # dates, numbers and keys that cannot be, and too deep nesting, raise whatever they meet
        raise ParamsError(f"{path}: not valid YAML: {type(error).__name__}: {error}") from None


def read_families(folder: Path = paths.EXPERIMENTS) -> dict[str, Any]:
    """Return the content of every FAMILY/runs.yaml in `folder`, by family."""
    return {path.parent.name: read_yaml(path) for path in sorted(folder.glob("*/runs.yaml"))}


def load_params(path: Path = paths.PARAMS, families: Path = paths.EXPERIMENTS) -> Params:
    """Read and validate params.yaml and the families of runs.

    Raises:
        ParamsError: one line for each problem: the key's path, what is wrong, the value found.
    """
    return resolve(read_yaml(path), read_families(families), path)


def resolve(tree: Any, families: Mapping[str, Any], path: Path = paths.PARAMS) -> Params:
    """Return the validated settings of a tree and of families of runs, everything that they leave unsaid written out.

    Args:
        tree: content of params.yaml.
        families: content of runs.yaml by family.
        path: of the tree, for messages.

    Raises:
        ParamsError: as `load_params`.
    """
    problems: list[str] = []
    expanded = tree
    try:
        if isinstance(tree, Mapping):
            Levels.model_validate(tree.get(LEVELS, {}))  # first, because so much is made of them
            expanded = _expanded(tree, families, problems)
        if not problems:
            return Params.model_validate(expanded)
    except ValidationError as error:
        problems = _explain_all(error, tree)
    raise ParamsError(
        f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n" + "\n".join(f"  {line}" for line in problems)
    )


RUNS = "runs"


def _mapping(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Return a section, empty if it is missing or malformed: validation says so."""
    found = tree.get(section)
    return found if isinstance(found, Mapping) else {}


def _supervision(tree: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (name as written, name, entry) of all variants of supervision."""
    return products(_mapping(tree, "supervision"), _mapping(tree, LEVELS), Supervision.model_fields)


def _expanded(tree: Mapping[str, Any], families: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the tree with products, bases and runs written out; what cannot be goes to `problems`."""
    expanded = dict(tree)
    if RUNS in tree:
        problems.append(f"{RUNS}: unknown key; runs stand in {paths.family_runs('FAMILY')}")
    try:
        if isinstance(tree.get("supervision"), Mapping):
            expanded["supervision"] = {name: entry for _, name, entry in _supervision(tree)}
    except ValueError as error:
        problems.append(f"supervision.{error}")
        return expanded
    if isinstance(tree.get("training"), Mapping):
        expanded["training"] = expand_training(tree["training"])
    if isinstance(tree.get("objectives"), Mapping):
        expanded["objectives"] = expand_objectives(tree["objectives"], _mapping(tree, "terms"))
    expanded[RUNS] = {}
    for family, content in families.items():
        try:
            whole = content if isinstance(content, Mapping) else {}
            supervision = _mapping(expanded, "supervision")
            runs = expand_runs(whole, _mapping(tree, LEVELS), supervision, Run.model_fields)
            expanded[RUNS][family] = {name: with_features(run, expanded) for name, run in runs.items()}
        except ValueError as error:
            problems.append(f"{paths.family_runs(family)}: {error}")
    return expanded


def _explain_all(error: ValidationError, tree: Any) -> list[str]:
    """Return one line for each mistake, however many entries it reaches."""
    above = (LEVELS,) if error.title == Levels.__name__ else ()
    places: dict[tuple[tuple[Any, ...], str], list[str]] = {}
    for problem in error.errors():
        location = _origin((*above, *(part for part in problem["loc"] if part != "[key]")), tree)
        run = ".".join(map(str, location[:3])) if location[:1] == (RUNS,) and len(location) > 3 else ""
        place = (RUNS, *location[3:]) if run else location
        places.setdefault((place, _explain(problem)), []).append(run)
    return [
        f"{first(list(dict.fromkeys(runs)))}.{'.'.join(map(str, place[1:]))}: {text}"
        if runs[0]
        else f"{'.'.join(map(str, place)) or '(whole file)'}: {text}"
        for (place, text), runs in places.items()
    ]


def _origin(location: tuple[Any, ...], tree: Any) -> tuple[Any, ...]:
    """Return where in params.yaml a value of the expanded tree was written."""
    if location[:1] == ("supervision",) and len(location) > 1:
        written = next((written for written, name, _ in _supervision(tree) if name == location[1]), location[1])
        return (location[0], written, *location[2:])
    if location[:1] == ("training",) and len(location) > 2 and not _has(tree, location):
        base = ("training", BASE, *location[2:])
        return base if _has(tree, base) else location
    if location[:1] == ("objectives",) and len(location) > 3 and not _has(tree, location):
        shared = ("terms", *location[2:])
        return shared if _has(tree, shared) else location
    return location


def _has(tree: Any, location: tuple[Any, ...]) -> bool:
    """Return whether a tree has a value at a place."""
    for key in location:
        if not isinstance(tree, Mapping) or key not in tree:
            return False
        tree = tree[key]
    return True


def _explain(problem: Any) -> str:
    """Say what is wrong and what was found, for one problem reported by pydantic."""
    if problem["type"] == "extra_forbidden":
        return f"unknown key; remove it or correct its spelling (known keys: {_known_keys(problem['loc'])})"
    message: str = problem["msg"].removeprefix("Value error, ")
    found = problem["input"]
    return message if isinstance(found, dict | list) else f"{message}, got {found!r}"


def _known_keys(location: tuple[str | int, ...]) -> str:
    """List the keys allowed where an unknown one was found."""
    model: Any = Params
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else model
        model = _section_in(annotation) or model
    return ", ".join(getattr(model, "model_fields", {}))


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the section type inside an annotation such as `dict[str, Run]` or `Size | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = [_section_in(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in inner if part is not None), None)


def declared_runs(params: Params, family: str) -> dict[str, dict[str, str]]:
    """Return what the pipeline of a family says about each run: the fields that its training's dependencies are named after."""
    fields = ("dataset", "supervision", "network", "objective", "training", "features", "start")
    return {
        name: {field: value for field in fields if (value := getattr(run, field)) is not None}
        for name, run in params.runs[family].items()
    }


def left_out(family: str, start: str) -> str:
    """Return the line that says why a family is not trained."""
    return f"left out: {family}, whose runs start from those of {start}, which is not there"


def out_of_date(params: Params) -> list[str]:
    """Return the families whose pipeline has other runs than it should; `python -m pipeline.wiring` mends that."""
    found = []
    for family in params.runs:
        place = paths.family_pipeline(family)
        if params.lacks_start(family) is not None:
            found += [family] if place.exists() else []
            continue
        runs = read_yaml(place)["stages"]["train"]["foreach"] if place.exists() else {}
        if runs != declared_runs(params, family):
            found.append(family)
    return found


def json_schema() -> str:
    """Return the JSON schema of params.yaml as it is written, as committed beside this module.

    Runs stand elsewhere, blocks may leave out what their base says, and lists of levels stand in place of one value.
    """
    schema = Params.model_json_schema()
    known, properties = schema["$defs"], schema["properties"]
    del properties[RUNS], known["Run"]
    schema["required"].remove(RUNS)
    for block in ("Training", "Size", "Barrier", "DenseCrf", "SelfLabeling"):  # changes of a base, which is whole
        known[f"Whole{block}"] = dict(known[block])
        del known[block]["required"]
    properties["training"] |= {"properties": {BASE: {"$ref": "#/$defs/WholeTraining"}}, "required": [BASE]}
    known["Terms"] = json.loads(re.sub(r"(Size|Barrier|DenseCrf|SelfLabeling)\"", r'Whole\1"', json.dumps(known["Terms"])))
    several = [{"const": LEVELS}, {"type": "array", "items": {"type": "number"}}]
    for block, name in (("Seeds", "length_ratio"), ("SizeTargets", "mre"), ("ClassLabels", "corrupted")):
        value = known[block]["properties"][name]
        known[block]["properties"][name] = {"description": value["description"], "anyOf": [value, *several]}
    # Names in braces are keys of `supervision`, and of its entries.
    properties["supervision"] = {
        "description": properties["supervision"]["description"],
        "additionalProperties": {"$ref": "#/$defs/Supervision"},
        "type": "object",
    }
    known["Supervision"] |= {"additionalProperties": {"type": "array"}}
    data_set = known["Supervision"]["properties"]["dataset"]
    known["Supervision"]["properties"]["dataset"] = {"description": data_set["description"], "type": ["string", "array"]}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Check params.yaml and the families of runs, or rewrite the JSON schema."""
    parser = command_parser(main.__doc__, "pipeline.params --schema")
    parser.add_argument("--schema", action="store_true", help=f"rewrite {SCHEMA.name} from the models")
    if parser.parse_args().schema:
        SCHEMA.write_text(json_schema(), encoding="utf-8")
        return
    try:
        params = load_params()
        stale = out_of_date(params)
    except ParamsError as error:
        raise SystemExit(str(error)) from None
    if stale:
        raise SystemExit(f"{', '.join(stale)}: the pipelines are out of date with their runs; run python -m pipeline.wiring")
    for family in params.runs:
        if (start := params.lacks_start(family)) is not None:
            print(left_out(family, start))
    count = sum(len(runs) for runs in params.runs.values())
    print(f"{paths.PARAMS} is valid: profile {params.profile}, {count} runs in {len(params.runs)} families")


if __name__ == "__main__":
    main()
