"""Size targets: the share of each class in an image, from masks, and the table they are kept in ([SIZE] section 2)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.conventions import VOID
from pipeline.files import finite_number, read_table, write_csv

SUM_TOLERANCE = 1e-4
"""How far the fractions of one image may sum from 1."""


def class_sizes(labels: np.ndarray, num_classes: int, void: Literal["exclude", "background"] = "exclude") -> np.ndarray:
    """Return the exact sizes of an image's classes: v_k = pixels of class k / pixels counted.

    Args:
        labels: (H, W) integers in 0..num_classes-1 or `VOID`.
        num_classes: C.
        void: leave void pixels out of both counts, or count them as class 0.

    Returns:
        (C,) float64 >= 0, sum 1; 0 for absent classes, the background included.

    Raises:
        ValueError: a value out of range, or no pixel to count.

    >>> class_sizes(np.array([[0, 0, 2, 255]]), 3).round(2).tolist()
    [0.67, 0.0, 0.33]
    >>> class_sizes(np.array([[0, 0, 2, 255]]), 3, void="background").tolist()
    [0.75, 0.0, 0.25]
    """
    if void not in ("exclude", "background"):
        raise ValueError(f"void: expected 'exclude' or 'background', got {void!r}")
    is_void = labels == VOID
    given = labels[~is_void]
    if given.size and (given.min() < 0 or given.max() >= num_classes):
        raise ValueError(f"labels: expected 0..{num_classes - 1} or {VOID}, got {int(given.min())}..{int(given.max())}")
    counts = np.bincount(given.ravel(), minlength=num_classes).astype(np.float64)
    if void == "background":
        counts[0] += int(is_void.sum())
    if counts.sum() == 0:
        raise ValueError(f"labels: no pixel has a class, all {labels.size} are void; leave this image out")
    return counts / counts.sum()


def mean_size_targets(sizes: np.ndarray) -> np.ndarray:
    """Return one size target for all images with the same classes: each class at its average size ([SIZE] Fig. 6, U15).

    A class has the average of its sizes over the images that contain it; the background has what the present classes leave,
    and all of an image without any.

    Args:
        sizes: (N, C) exact sizes, rows sum to 1, background first.

    Returns:
        (N, C) >= 0, rows sum to 1, 0 where a foreground class is absent.

    >>> mean_size_targets(np.array([[0.8, 0.2], [0.4, 0.6], [1.0, 0.0]])).round(2).tolist()
    [[0.6, 0.4], [0.6, 0.4], [1.0, 0.0]]
    """
    present = sizes[:, 1:] > 0
    average = (sizes[:, 1:] * present).sum(0) / np.maximum(present.sum(0), 1)
    objects = present * average
    objects /= np.maximum(objects.sum(1, keepdims=True), 1)  # averages of many classes may not fit into one image
    return np.concatenate([1 - objects.sum(1, keepdims=True), objects], axis=1)


def write_size_targets(path: Path, ids: Sequence[str], sizes: np.ndarray, class_names: Sequence[str]) -> None:
    """Write size targets (N, C) as CSV: header image_id and the class names, then a line per image, empty where a row is 0.

    Raises:
        ValueError: the lengths do not match.
    """
    if sizes.shape != (len(ids), len(class_names)):
        raise ValueError(f"sizes: expected shape ({len(ids)}, {len(class_names)}), got {sizes.shape}")
    columns = ["image_id", *class_names]
    cells = ([f"{value:.12g}" if row.any() else "" for value in row] for row in sizes)  # a row of zeros: not given
    write_csv(path, (dict(zip(columns, [one, *row])) for one, row in zip(ids, cells)), columns)


def read_size_targets(
    path: Path, *, class_names: Sequence[str] | None = None, known_ids: Collection[str] | None = None
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the class names and the size target of every image in a table.

    Args:
        path: CSV of `write_size_targets`, or made by hand.
        class_names: the columns the table must have, in this order. None: any.
        known_ids: the images that may occur. None: any.

    Returns:
        (class names, {image id: (C,) float64}); zeros for an image whose line is empty: it has no size target.

    Raises:
        ValueError: names the file, the line, what is wrong and what to do.
    """
    if not path.exists():
        raise ValueError(f"{path}: not found; run the stage that makes this supervision, or check the path")
    header, lines = read_table(path)
    names = header[1:]
    if header[:1] != ["image_id"] or not names:
        raise ValueError(f"{path}, line 1: expected the header image_id and different class names, got {','.join(header)!r}")
    if class_names is not None and names != list(class_names):
        wanted, got = ",".join(class_names), ",".join(names)
        raise ValueError(f"{path}, line 1: expected the classes {wanted}, got {got}; rename or reorder the columns")
    targets: dict[str, np.ndarray] = {}
    for where, (image_id, *cells) in lines:
        if image_id in targets:
            raise ValueError(f"{where}: image {image_id} has a line already; keep one of the two")
        if known_ids is not None and image_id not in known_ids:
            raise ValueError(f"{where}: unknown image {image_id}; correct the id or remove the line")
        targets[image_id] = _parse_sizes(cells, names, where)
    if not targets:
        raise ValueError(f"{path}: has no line with size targets; add one per image")
    return names, targets


def _parse_sizes(cells: Sequence[str], names: Sequence[str], where: str) -> np.ndarray:
    values = []
    if not any(cells):
        return np.zeros(len(cells))
    for name, cell in zip(names, cells):
        try:
            values.append(finite_number(cell))
        except ValueError as error:
            raise ValueError(f"{where}: {name}: {error}") from error
        if values[-1] < 0:
            raise ValueError(f"{where}: {name} is {cell!r}; give a fraction of the image between 0 and 1")
    total = math.fsum(values)
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"{where}: sizes sum to {total:.6g}, not 1; give fractions of the whole image, background included")
    return np.array(values)
