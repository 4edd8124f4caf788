"""Sections of params.yaml about networks, their training, loss terms and solvers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.networks.encoders import ENCODERS, encoder_of
from pipeline.params.data import Subset
from pipeline.params.section import Count, Fraction, Name, NonNegative, Positive, Relaxation, Section, Side


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
