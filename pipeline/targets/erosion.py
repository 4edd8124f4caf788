"""Seeds by erosion: the core of an object, the weak labels of the ACDC experiments ([SIZE] section 3.6, after its [22])."""

from __future__ import annotations

import numpy as np

from pipeline.conventions import VOID


def erode_to_seeds(labels: np.ndarray, class_index: int, max_iterations: int = 10) -> np.ndarray:
    """Return the core of one class that is left after eroding it with a 3x3 square.

    The number of erosions is the largest one, at most `max_iterations`, after which a pixel of the class is left; an object that
    does not survive a single one is kept whole. All parts of the class in the image are eroded equally often, so small parts may
    vanish. Void, other classes and everything outside the image count as not being of the class.

    Args:
        labels: (H, W) integers, class index or `VOID`.
        class_index: the class that gets seeds, 0..254.
        max_iterations: largest number of erosions, >= 0.

    Returns:
        (H, W) uint8, `class_index` on the core and `VOID` elsewhere; nowhere a seed if the class is absent.

    Raises:
        ValueError: labels of another shape, or a class or number of erosions out of range.

    >>> erode_to_seeds(np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1]]), 1).tolist()
    [[255, 255, 255], [255, 1, 255], [255, 255, 255]]
    """
    from scipy import ndimage

    if labels.ndim != 2:
        raise ValueError(f"labels: expected shape (H, W), got {labels.shape}")
    if not 0 <= class_index < VOID or max_iterations < 0:
        raise ValueError(
            f"class_index and max_iterations: expected 0..{VOID - 1} and at least 0, got {class_index} and {max_iterations}"
        )
    # A pixel outlives n erosions with a full 3x3 square exactly if its chessboard distance to the outside is above n.
    distance = ndimage.distance_transform_cdt(np.pad(labels == class_index, 1), "chessboard")[1:-1, 1:-1]
    iterations = min(max_iterations, max(int(distance.max(initial=0)) - 1, 0))
    return np.where(distance > iterations, class_index, VOID).astype(np.uint8)
