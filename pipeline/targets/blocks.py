"""Block labels: the inner part of every region of a mask ([SSL] Table 6, where half of all pixels are labelled).

The published block labels are files without a generator, said to come from eroding the regions of each class until a preset
share of the pixels is left. This is such a generator: deterministic, and exact in the share.
"""

from __future__ import annotations

import numpy as np

from pipeline.conventions import VOID


def block_labels(labels: np.ndarray, ratio: float) -> np.ndarray:
    """Keep the given share of every region, eroded from its boundary inwards.

    A region is an 8-connected set of pixels of one class, with A pixels. It is eroded ring by ring with a 3x3 square, that is in
    the order of the chessboard distance to the nearest pixel that is void, of another class or outside the image, and keeps its
    max(1, floor(ratio A)) innermost pixels. Of the last ring, of which only a part may stay, the pixels nearest to the centroid
    of the region stay; those equally near in reading order.

    So the image keeps at most ratio x (number of pixels with a class), except for the one pixel of each region with ratio A < 1.

    Args:
        labels: (H, W) integers, class index 0..254 or `VOID`.
        ratio: share of pixels kept, in (0, 1].

    Returns:
        (H, W) uint8, `labels` where kept and `VOID` elsewhere.

    Raises:
        ValueError: labels of another shape or with a value out of range, or a ratio out of range.

    >>> block_labels(np.zeros((1, 8), int), 0.5).tolist()
    [[255, 255, 0, 0, 0, 0, 255, 255]]
    """
    from skimage.measure import label as number_regions

    if labels.ndim != 2:
        raise ValueError(f"labels: expected shape (H, W), got {labels.shape}")
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio: expected a share in (0, 1], got {ratio}")
    if labels.size and (labels.min() < 0 or labels.max() > VOID):
        raise ValueError(f"labels: expected 0..{VOID - 1} or {VOID}, got {int(labels.min())}..{int(labels.max())}")
    seeds = np.full(labels.shape, VOID, np.uint8)
    rows, columns = np.nonzero(labels != VOID)
    if not len(rows):
        return seeds
    # Numbers start at 1; 0 is the background of the numbering, here void.
    regions = number_regions(labels.astype(np.int32), background=VOID, connectivity=2)[rows, columns] - 1
    areas = np.bincount(regions)
    depth = _border_distance(labels)[rows, columns]
    off_center = np.square(rows - (np.bincount(regions, rows) / areas)[regions])
    off_center += np.square(columns - (np.bincount(regions, columns) / areas)[regions])
    # One key for both, since sorting takes most of the time: the fraction orders the pixels of a ring.
    inwardness = depth - off_center.round(6) / (off_center.max() + 1)
    order = np.lexsort((-inwardness, regions))
    rank = np.arange(len(order)) - (areas.cumsum() - areas)[regions[order]]
    # The small number keeps 0.29 x 100 from becoming 28 by rounding.
    quota = np.maximum(1, np.floor(ratio * areas + 1e-9))
    kept = order[rank < quota[regions[order]]]
    seeds[rows[kept], columns[kept]] = labels[rows[kept], columns[kept]]
    return seeds


def _border_distance(labels: np.ndarray) -> np.ndarray:
    """Return the chessboard distance of every pixel to the nearest pixel with another label or outside, (H, W) int32 >= 1."""
    from scipy import ndimage

    framed = np.pad(labels.astype(np.int16), 1, constant_values=-1)
    # One transform serves all classes: the way to another label leads over a border pixel of the own one.
    border = ndimage.maximum_filter(framed, 3) != ndimage.minimum_filter(framed, 3)
    return ndimage.distance_transform_cdt(~border, "chessboard")[1:-1, 1:-1] + 1
