"""Soft class labels of whole images: the label that an annotator gave, and how far it is trusted ([SSL] Fig. 3(d))."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.files import write_atomically

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
    """Write class labels as CSV: header image_id, class, eta, then a line per image.

    Args:
        path: file to write.
        ids: N image ids.
        labels: (N,) integers, indices of `class_names`.
        eta: share of labels that are replaced at random, which softens every label alike.
        class_names: K names.

    Raises:
        ValueError: the lengths do not match.
    """
    if labels.shape != (len(ids),):
        raise ValueError(f"labels: expected shape ({len(ids)},), got {labels.shape}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([image_id, class_names[label], f"{eta:.12g}"] for image_id, label in zip(ids, labels))
    write_atomically(path, text.getvalue().encode())


def read_class_labels(path: Path, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the soft class target of every image, (K,) float64 with sum 1.

    Raises:
        ValueError: another header, an unknown class, or an eta out of range; names file and line.
    """
    index = {name: number for number, name in enumerate(class_names)}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if header != HEADER:
            raise ValueError(f"{path}, line 1: expected {','.join(HEADER)}, got {','.join(header)}")
        targets = {}
        for row in lines:
            if len(row) != len(HEADER) or row[1] not in index or not _is_share(row[2]):
                wanted = f"an image id, one of {', '.join(class_names)}, and a number from 0 to 1"
                raise ValueError(f"{path}, line {lines.line_num}: expected {wanted}, got {','.join(row)!r}")
            targets[row[0]] = soften(index[row[1]], len(class_names), float(row[2]))
    return targets


def _is_share(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False
