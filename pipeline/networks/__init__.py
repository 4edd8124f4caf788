"""Segmentation networks: (B, 3, H, W) colours in [0, 1] -> (B, C, H, W) logits at the input's resolution.

`NETWORKS` maps a kind to its builder. Builders import their library only when called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.networks.base import SegmentationNetwork


def _small(num_classes: int, *, width: int, **unused: object) -> SegmentationNetwork:
    from pipeline.networks.small import SmallNetwork

    return SmallNetwork(num_classes, width=width)


def _deeplabv3plus(
    num_classes: int, *, encoder: str, weights: str | None, output_stride: int, **unused: object
) -> SegmentationNetwork:
    from pipeline.networks.deeplab import DeepLabV3Plus

    return DeepLabV3Plus(num_classes, encoder=encoder, weights=weights, output_stride=output_stride)


NETWORKS: dict[str, Callable[..., SegmentationNetwork]] = {"small": _small, "deeplabv3plus": _deeplabv3plus}
