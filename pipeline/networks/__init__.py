"""Networks by the key `kind` of params.yaml; all take (B, 3, H, W) colours in [0, 1] and normalise them first.

`NETWORKS` gives segmentation networks, (B, C, H, W) logits at the input's resolution, `CLASSIFIERS` classifiers, (B, K) logits.
Builders import their library only when called, ignore settings of other kinds, and understand these of all kinds:

    weights            path of pre-trained weights for the encoder (see `weights.py`), or None: random
    freeze_batch_norm  keep statistics, scales and shifts of the encoder's batch normalisation as they are
    freeze_encoder     keep all of the encoder as it is: only the head is trained

    kind              own settings
    small             width
    deeplabv3plus     encoder (see `encoders.py`), output_stride
    light             encoder (as above)
    wideresnet38      width (64 as published), freeze_stem
    segmenter         encoder (a vision transformer of timm: vit_base_patch16_384), drop_path
    small_segmenter   width, drop_path
    classifier        -
    small_classifier  width

Nothing here reaches for the internet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.networks.encoders import ENCODERS

if TYPE_CHECKING:
    from pipeline.networks.base import Classifier, Network, SegmentationNetwork

    AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def _start(make: Callable[..., AnyNetwork]) -> Callable[..., AnyNetwork]:
    """Give a builder the settings of all kinds: load pre-trained weights into the encoder, then freeze what is to stay."""

    @wraps(make)
    def build(
        num_classes: int,
        *,
        weights: str | Path | None = None,
        freeze_batch_norm: bool = False,
        freeze_encoder: bool = False,
        **settings: object,
    ) -> AnyNetwork:
        network = make(num_classes, **settings)
        if weights is not None:
            from pipeline.networks.weights import load_encoder, read_state

            load_encoder(network, read_state(Path(weights)))
        if freeze_encoder:
            network.freeze_encoder()
        elif freeze_batch_norm:
            network.freeze_batch_norm()
        return network

    return build


@_start
def _small(num_classes: int, *, width: int, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.small import SmallNetwork

    return SmallNetwork(num_classes, width=width)


@_start
def _deeplabv3plus(num_classes: int, *, encoder: str, output_stride: int, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.deeplab import deeplabv3plus

    return deeplabv3plus(num_classes, encoder=encoder, output_stride=output_stride)


@_start
def _light(num_classes: int, *, encoder: str, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.light import LightNetwork

    return LightNetwork(num_classes, encoder=encoder)


@_start
def _wideresnet38(num_classes: int, *, width: int, freeze_stem: bool = False, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.deeplab import wideresnet38_deeplab

    return wideresnet38_deeplab(num_classes, width=width, freeze_stem=freeze_stem)


@_start
def _segmenter(num_classes: int, *, encoder: str | None, drop_path: float = 0.0, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.base import Normalization
    from pipeline.networks.segmenter import Segmenter

    spec = ENCODERS[encoder or "vit_base_patch16_384"]
    return Segmenter(num_classes, encoder=spec.build(drop_path=drop_path), normalization=Normalization(spec.mean, spec.std))


@_start
def _small_segmenter(num_classes: int, *, width: int, drop_path: float = 0.0, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.segmenter import Segmenter, small_transformer

    return Segmenter(num_classes, encoder=small_transformer(width, drop_path=drop_path))


@_start
def _classifier(num_classes: int, **unused: object) -> Classifier:
    from pipeline.networks.classifier import ResNet18Classifier

    return ResNet18Classifier(num_classes)


@_start
def _small_classifier(num_classes: int, *, width: int, **unused: object) -> Classifier:
    from pipeline.networks.small import SmallClassifier

    return SmallClassifier(num_classes, width=width)


NETWORKS: dict[str, Callable[..., SegmentationNetwork]] = {
    "small": _small,
    "deeplabv3plus": _deeplabv3plus,
    "light": _light,
    "wideresnet38": _wideresnet38,
    "segmenter": _segmenter,
    "small_segmenter": _small_segmenter,
}

CLASSIFIERS: dict[str, Callable[..., Classifier]] = {"classifier": _classifier, "small_classifier": _small_classifier}


def build_network(settings: Mapping[str, Any], num_classes: int, weights: Path | None = None) -> Network:
    """Return the network of a block of `networks`, segmentation network or classifier.

    Args:
        settings: `kind` and the settings of that kind; `weights` among them says where weights come from and is left alone.
        num_classes: C.
        weights: file of pre-trained weights for the encoder. None: random.
    """
    builders: dict[str, Callable[..., Network]] = {**NETWORKS, **CLASSIFIERS}
    own = {key: value for key, value in settings.items() if key not in ("kind", "weights")}
    return builders[settings["kind"]](num_classes, **own, weights=weights)
