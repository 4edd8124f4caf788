"""Soft class labels of whole images: the label that an annotator gave, and how far it is trusted ([SSL] Fig. 3(d))."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.files import finite_number, read_table, write_csv

HEADER = ["image_id", "class", "eta"]


def soften(label: int, num_classes: int, eta: float) -> np.ndarray:
    """Return the soft class target eta u + (1 - eta) y, with u uniform and y the one-hot label.

    Args:
        label: 0..num_classes-1.
        num_classes: K.
        eta: weight of the uniform distribution, 0 to 1.

    Returns:
        (K,) float64, sum 1.

    >>> soften(1, 2, 0.5).tolist()
    [0.25, 0.75]
    """
    return eta / num_classes + (1 - eta) * np.eye(num_classes)[label]


def write_class_labels(path: Path, ids: Sequence[str], labels: np.ndarray, eta: float, class_names: Sequence[str]) -> None:
    """Write class labels, (N,) indices of `class_names`, as CSV: header image_id, class, eta (of all), then a line per image.

    Raises:
        ValueError: the lengths do not match.
    """
    if labels.shape != (len(ids),):
        raise ValueError(f"labels: expected shape ({len(ids)},), got {labels.shape}")
    rows = ([image_id, class_names[label], f"{eta:.12g}"] for image_id, label in zip(ids, labels))
    write_csv(path, (dict(zip(HEADER, row)) for row in rows), HEADER)


def read_class_labels(path: Path, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the soft class target of every image, (K,) float64 with sum 1.

    Raises:
        ValueError: another header, an image twice, an unknown class, or an eta out of range; names file and line.
    """
    index = {name: number for number, name in enumerate(class_names)}
    header, lines = read_table(path)
    if header != HEADER:
        raise ValueError(f"{path}, line 1: expected {','.join(HEADER)}, got {','.join(header)}")
    targets: dict[str, np.ndarray] = {}
    for where, (image_id, name, eta) in lines:
        if image_id in targets or name not in index or not _is_share(eta):
            wanted = f"an image id without a line so far, one of {', '.join(class_names)}, and a number from 0 to 1"
            raise ValueError(f"{where}: expected {wanted}, got {image_id},{name},{eta}")
        targets[image_id] = soften(index[name], len(class_names), float(eta))
    return targets


def _is_share(cell: str) -> bool:
    try:
        return 0 <= finite_number(cell) <= 1
    except ValueError:
        return False
