"""Sections of params.yaml about data sets and what annotators give for them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.params.section import ClassName, Count, Fraction, Hundredths, Name, Section, Several, _different


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
    classes: Several[ClassName] | None = None
    """Foreground classes that occur in the pictures, by the reader's names. null: those that the data set prepares."""


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
        # `Synthetic` would pass for a path, and be missed only when the stage runs.
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
    mre: Annotated[float, Field(ge=0, le=1.6)] | None = None  # what the largest sigma gives, rounded up
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
        # All else is read, or follows from the masks: it is the same in every draw.
        noisy = self.sizes is not None and (self.sizes.source == "exact" or self._simulated)
        return noisy or self.labels is not None or (self.seeds is not None and self.seeds.kind == "scribbles")

    @property
    def _simulated(self) -> bool:
        return self.sizes is not None and self.sizes.source == "annotations" and self.sizes.file is None


class Noise(Section):
    """Corruption of exact sizes, [SIZE] Eq. 15."""

    sigma: Annotated[float, Field(ge=0, le=2)]
    """Standard deviation of the relative error of all size targets that set no mRE of their own."""


Factors = Annotated[list[Hundredths], AfterValidator(_different)]


class Levels(Section):
    """Values that entries and families of runs stand for where they say `levels`; names hold them in hundredths."""

    length_ratio: Several[Hundredths]
    """Shares of a scribble that are kept."""
    mre: Several[Hundredths]
    """Mean relative errors of size targets."""
    corrupted: Several[Hundredths]
    """Shares of training images with a wrong class label."""
    rate_factor: Factors = Field(default_factory=list)
    """Factors of learning rates that are tried; none: families of trials are left out."""
    weight_factor: Factors = Field(default_factory=list)
    """Likewise of weights of regularisation; 1 stands among the rates already."""
    animal: Annotated[list[Name], Field(min_length=1)]
    """Classes of PASCAL VOC that are trained alone and together ([SIZE] section 3.4)."""
