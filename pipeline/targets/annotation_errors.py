"""How far annotators' sizes are off: relative errors ([SIZE] Eq. 14), a correction of one's bias, agreement of two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.targets.annotated_sizes import Calibration, check_annotations, standing
from pipeline.targets.annotations import Annotation


class AnnotationError(NamedTuple):
    """One answer and how far it is off.

    `error` = (size - exact) / exact, signed; infinite where the class is absent. `grid` is empty for a class that was overlooked.
    """

    image_id: str
    class_name: str
    annotator: str
    size: float
    exact: float
    error: float
    seconds: float
    unsure: bool
    grid: str


def annotation_errors(
    rows: Iterable[Annotation], exact: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> list[AnnotationError]:
    """Return the signed relative error of every size that stands; its absolute value is RE ([SIZE] Eq. 14).

    Rows from after the exact size had been shown are ignored: the answer before counts, with the time spent until then. A class
    that is in a finished picture and was not tagged counts as size 0 (error -1, no time).

    Args:
        rows: annotations in the order of the file.
        exact: image id -> (C,) exact sizes; rows of other images are ignored.
        class_names: C names, `background` first.

    Raises:
        ValueError: unknown class.
    """
    rows = [row for row in rows if row.image_id in exact and "informed" not in row.flags]
    check_annotations(rows, class_names, known_ids=list(exact))
    seconds: dict[tuple[str, str, str], float] = {}
    for row in rows:
        key = (row.annotator, row.image_id, row.class_name)
        seconds[key] = seconds.get(key, 0.0) + (row.seconds if row.method != "tag" else 0.0)
    errors = []
    for annotator, answers in standing(rows).items():
        for image_id, answer in answers.items():
            for name, true in zip(class_names[1:], exact[image_id][1:].tolist()):
                given = answer.sizes.get(name)
                overlooked = answer.complete and name not in answer.sizes and true > 0
                if given is None and not overlooked:
                    continue
                size = 0.0 if given is None else given.size or 0.0
                error = (size - true) / true if true > 0 else math.inf
                spent = seconds.get((annotator, image_id, name), 0.0)
                unsure = given is not None and "unsure" in given.flags
                grid = "" if given is None else given.grid
                errors.append(AnnotationError(image_id, name, annotator, size, true, error, spent, unsure, grid))
    return errors


def fit_calibration(errors: Sequence[AnnotationError], *, smallest: int = 10) -> Calibration:
    """Return the correction that fits one annotator's answers to exact sizes: log(exact) = log(scale) + exponent * log(size).

    The line is that of Theil and Sen (median of slopes, median of rests), so single slips do not move it.

    Args:
        errors: answers of one annotator; those of size 0 or on absent classes are ignored.
        smallest: fewer answers give no correction.

    Returns:
        `Calibration()`, which changes nothing, if there are too few answers; the exponent is kept within 0.5 to 2, and is 1
        if all answers are alike.
    """
    pairs = np.array([(error.size, error.exact) for error in errors if error.size > 0 and error.exact > 0]).reshape(-1, 2)
    if len(pairs) < smallest:
        return Calibration()
    given, true = np.log(pairs).T
    first, second = np.triu_indices(len(given), k=1)
    steps = given[second] - given[first]
    apart = np.abs(steps) > 0.1
    slope = float(np.median((true[second] - true[first])[apart] / steps[apart])) if apart.sum() >= smallest else 1.0
    exponent = min(2.0, max(0.5, slope))
    return Calibration(float(np.exp(np.median(true - exponent * given))), exponent)


class Agreement(NamedTuple):
    """How two annotators compare on the pictures both have finished.

    Attributes:
        first: annotator.
        second: annotator.
        images: pictures finished by both.
        tagged: classes tagged by at least one of them, over those pictures.
        same_tags: share of these tagged by both; NaN if there are none.
        difference: median of |a - b| / ((a + b) / 2) over classes that both sized; NaN if there are none.
    """

    first: str
    second: str
    images: int
    tagged: int
    same_tags: float
    difference: float


def agreement(rows: Iterable[Annotation]) -> list[Agreement]:
    """Return how each pair of annotators agrees, in the order in which they appear."""
    finished = {
        annotator: {image_id: answer for image_id, answer in answers.items() if answer.complete}
        for annotator, answers in standing(rows).items()
    }
    names = list(finished)
    pairs = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            shared = [image_id for image_id in finished[first] if image_id in finished[second]]
            either, differences = 0, []
            for image_id in shared:
                one, other = finished[first][image_id].sizes, finished[second][image_id].sizes
                either += len(one.keys() | other.keys())
                differences += [_difference(one[name], other[name]) for name in one.keys() & other.keys()]
            same = len(differences) / either if either else math.nan
            middle = float(np.median(differences)) if differences else math.nan
            pairs.append(Agreement(first, second, len(shared), either, same, middle))
    return pairs


def _difference(one: Annotation | None, other: Annotation | None) -> float:
    a, b = (0.0 if row is None or row.size is None else row.size for row in (one, other))
    return 2 * abs(a - b) / (a + b) if a + b > 0 else 0.0
