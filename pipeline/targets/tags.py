"""Image-level tags: which classes occur in an image, and the table they are kept in ([SIZE] section 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.files import read_table, write_csv


def write_tags(path: Path, ids: Sequence[str], tags: np.ndarray, class_names: Sequence[str]) -> None:
    """Write tags, (N, C) bool, as CSV: header image_id and the class names, then a line of 0 and 1 per image.

    Raises:
        ValueError: the lengths do not match.
    """
    if tags.shape != (len(ids), len(class_names)):
        raise ValueError(f"tags: expected shape ({len(ids)}, {len(class_names)}), got {tags.shape}")
    columns = ["image_id", *class_names]
    write_csv(path, (dict(zip(columns, [image_id, *map(int, row)])) for image_id, row in zip(ids, tags)), columns)


def read_tags(path: Path, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the tags of every image, (C,) float64 of 0 and 1.

    Raises:
        ValueError: another header, or a cell that is neither 0 nor 1; names file and line.
    """
    header, lines = read_table(path)
    if header != ["image_id", *class_names]:
        raise ValueError(f"{path}, line 1: expected image_id,{','.join(class_names)}, got {','.join(header)}")
    tags: dict[str, np.ndarray] = {}
    for where, (image_id, *cells) in lines:
        if not set(cells) <= {"0", "1"} or image_id in tags:
            raise ValueError(f"{where}: expected an image id without a line so far, and {len(class_names)} cells of 0 or 1")
        tags[image_id] = np.array(cells, np.float64)
    return tags
