"""Scores over a whole split: predictions at original size against masks, void ignored, one confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline import parallel
from pipeline.evaluation.predict import predict_logits
from pipeline.metrics.confusion import confusion_matrix, iou_per_class, mean_iou
from pipeline.metrics.overlap import OverlapCounts, dice_per_group, mean_dice


class LabelledImages(Protocol):
    """What evaluation needs of a split: ids, pictures (H, W, 3) and masks (H, W), and the number of classes."""

    @property
    def ids(self) -> Sequence[str]:
        """Image ids in order."""

    @property
    def num_classes(self) -> int:
        """C, with background."""

    def image(self, image_id: str, /) -> NDArray[np.uint8]:
        """Return the picture."""

    def labels(self, image_id: str, /) -> NDArray[np.uint8]:
        """Return the mask."""


@dataclass(frozen=True)
class Score:
    """Result of one split.

    Attributes:
        confusion: (C, C) pixel counts, rows are truth.
        overlaps: one per image in order, of class 1 against class 0; empty with more than two classes.
        absent_pixels: pixels predicted as a class that is not in their image.
    """

    confusion: NDArray[np.int64]
    overlaps: tuple[OverlapCounts, ...] = ()
    absent_pixels: int = 0

    @property
    def mean_iou(self) -> float:
        """mIoU as a fraction, over the classes that occur in truth or prediction."""
        return mean_iou(self.confusion)

    @property
    def iou(self) -> NDArray[np.float64]:
        """IoU per class, NaN where a class occurs in neither."""
        return iou_per_class(self.confusion)

    @property
    def mean_dsc(self) -> float:
        """Mean over images of the DSC of class 1, images without it included (two classes only)."""
        return mean_dice(self.overlaps)

    def volume_dsc(self, groups: Sequence[str]) -> float:
        """Return the mean over volumes of the DSC of class 1 (two classes only); `groups` names the volume of each image."""
        per_volume = dice_per_group(self.overlaps, groups)
        return sum(per_volume.values()) / len(per_volume)

    @property
    def background_share(self) -> float:
        """Share of scored pixels predicted as class 0 (1: the trivial solution)."""
        return float(self.confusion[:, 0].sum() / max(self.confusion.sum(), 1))

    @property
    def absent_share(self) -> float:
        """Share of scored pixels predicted as a class that is not in their image."""
        return self.absent_pixels / max(int(self.confusion.sum()), 1)


def score(
    network: nn.Module, images: LabelledImages, *, resize_px: int | None, device: torch.device, batch_size: int = 16
) -> Score:
    """Score `network` on every image of a split; processes that train together divide the images among them.

    `network` is in evaluation mode; `resize_px` is that of `predict_logits`.
    """
    num_classes = images.num_classes
    total = np.zeros((num_classes, num_classes), dtype=np.int64)
    absent = np.zeros(1, dtype=np.int64)
    matrices = np.zeros((len(images.ids) if num_classes == 2 else 0, 2, 2), dtype=np.int64)
    place = {image_id: index for index, image_id in enumerate(images.ids)}
    for ids in _batches(images.ids[parallel.rank() :: parallel.world_size()], batch_size):
        logits = predict_logits(network, [images.image(image_id) for image_id in ids], resize_px=resize_px, device=device)
        for image_id, one in zip(ids, logits):
            # on a CPU some seven times as fast as argmax along this axis
            prediction = one.max(0).indices.to(torch.uint8).cpu().numpy()
            matrix = confusion_matrix(images.labels(image_id), prediction, num_classes)
            total += matrix
            absent += matrix[:, ~matrix.any(axis=1)].sum()
            if num_classes == 2:
                matrices[place[image_id]] = matrix
    total, absent, matrices = (parallel.sum_over_ranks(torch.from_numpy(counts)).numpy() for counts in (total, absent, matrices))
    overlaps = []
    for (true_negatives, false_positives), (false_negatives, true_positives) in matrices.tolist():
        overlaps.append(OverlapCounts(true_positives, false_positives, false_negatives, true_negatives))
    return Score(total, tuple(overlaps), int(absent[0]))


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
