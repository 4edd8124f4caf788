"""What stands of annotators' answers, and the size targets they become ([SIZE] section 3.4).

The latest line of an annotator about a picture and class stands, wherever a spreadsheet has moved it. `combine` makes size
targets of what stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from pipeline.targets.annotations import BACKGROUND, Annotation

SUM_TOLERANCE = 1e-6
"""How far the sizes of one picture may exceed 1: sizes are written with nine digits."""


@dataclass
class Answer:
    """What stands of one annotator about one picture.

    Attributes:
        sizes: class name -> row of its size, or None while the size is open; classes not tagged are missing.
        empty: the annotator says that none of the classes is in the picture.
        skipped: the picture was put off and nothing was answered since.
        shown: classes whose exact size the annotator has been shown.
        seconds: time spent, over all rows.
    """

    sizes: dict[str, Annotation | None] = field(default_factory=dict)
    empty: bool = False
    skipped: bool = False
    seconds: float = 0.0
    shown: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether the picture is done: no class in it, or every tagged class has a size."""
        return self.empty or (bool(self.sizes) and all(row is not None for row in self.sizes.values()))

    @property
    def total(self) -> float:
        """Sum of the sizes given; the background has the rest."""
        return math.fsum(row.size or 0.0 for row in self.sizes.values() if row is not None)

    def apply(self, row: Annotation) -> None:
        """Take the next row of the log into account."""
        self.seconds += row.seconds
        self.skipped = "skipped" in row.flags
        if "feedback" in row.flags:
            self.shown.add(row.class_name)
        if self.skipped:
            return
        if row.class_name == BACKGROUND:
            self.empty = row.size is not None and "withdrawn" not in row.flags
            self.sizes = {} if self.empty else self.sizes
        elif "withdrawn" in row.flags:
            self.sizes.pop(row.class_name, None)
        else:
            self.empty = False
            self.sizes[row.class_name] = row if row.size is not None else None


def standing(rows: Iterable[Annotation]) -> dict[str, dict[str, Answer]]:
    """Return what stands after all rows: annotator -> image id -> `Answer`.

    Raises:
        ValueError: rows were moved, and the time does not tell which came later.
    """
    answers: dict[str, dict[str, Answer]] = {}
    for row in in_order(rows):
        answers.setdefault(row.annotator, {}).setdefault(row.image_id, Answer()).apply(row)
    return answers


def moment(row: Annotation) -> str:
    """Return what sorts rows by time, whether their timestamps have fractions of a second or not."""
    return row.timestamp.removesuffix("Z")


def in_order(rows: Iterable[Annotation]) -> list[Annotation]:
    """Return rows in the order in which they were given; those of one moment stay in that of the file.

    Raises:
        ValueError: rows of an annotator are not in that order in the file, as a spreadsheet leaves them, and two of the same
            second (files from before timestamps had fractions) contradict each other.
    """
    rows = list(rows)
    latest: dict[str, str] = {}
    moved = set()
    for row in rows:
        if moment(row) < latest.setdefault(row.annotator, moment(row)):
            moved.add(row.annotator)
        latest[row.annotator] = moment(row)
    together: dict[tuple[str, str, str], set[Annotation]] = {}
    for row in rows:
        if row.annotator in moved:
            together.setdefault((row.annotator, row.image_id, row.timestamp), set()).add(row)
    for (annotator, image_id, timestamp), found in together.items():
        about = [row.class_name for row in found]
        if len(found) > 1 and (len(set(about)) < len(about) or {BACKGROUND, ""} & set(about)):
            raise ValueError(
                f"annotations: image {image_id}, annotator {annotator}: {len(found)} different lines of {timestamp}, and the "
                "lines of the file were moved; restore a copy from before it was sorted, or remove the line that was corrected"
            )
    return sorted(rows, key=moment)


class Combined(NamedTuple):
    """Size targets of annotators, and what was left out on the way.

    Attributes:
        ids: N image ids, in the order asked for.
        sizes: (N, C) float64 >= 0, rows sum to 1, background first.
        annotators: how many annotators stand behind each row, (N,) int.
        left_out: images asked for that nobody has finished.
        normalised: images whose combined sizes exceeded 1 and were scaled to sum 1.
    """

    ids: list[str]
    sizes: np.ndarray
    annotators: np.ndarray
    left_out: list[str]
    normalised: list[str]


class Calibration(NamedTuple):
    """Correction of one annotator's sizes, v -> scale * v ** exponent, at most 1; (1, 1) changes nothing."""

    scale: float = 1.0
    exponent: float = 1.0

    def __call__(self, size: float) -> float:
        """Return the corrected size."""
        return min(1.0, self.scale * size**self.exponent)


def combine(
    rows: Iterable[Annotation],
    class_names: Sequence[str],
    ids: Sequence[str],
    *,
    how: Literal["median", "mean"] = "median",
    missing: Literal["error", "leave_out"] = "error",
    unsure: Literal["keep", "leave_out"] = "keep",
    calibrations: Mapping[str, Calibration] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> Combined:
    """Return size targets: per image and class the median or mean over annotators; the background has what is left.

    An annotator counts for an image when the image is finished (see `Answer.complete`); classes that were not tagged count
    as 0. If the combined sizes exceed 1, as medians can, they are divided by their sum.

    Args:
        rows: annotations in the order of the file, of any number of annotators.
        class_names: C names, `background` first.
        ids: images that need size targets.
        how: over annotators.
        missing: images that nobody has finished raise, or are left out and listed.
        unsure: whether answers with that flag count; without them their image is not finished by that annotator.
        calibrations: annotator -> correction of the sizes, see `fit_calibration`.
        pictures: image id -> `fingerprint` of the pictures in use, to recognise renamed and exchanged ones.

    Raises:
        ValueError: an unknown class or image (with a hint if the picture was renamed), sizes of one annotator that exceed 1,
            missing images, or an unknown option.
    """
    if how not in COMBINATIONS:
        raise ValueError(f"how: expected one of {', '.join(COMBINATIONS)}, got {how!r}")
    for name, value, allowed in (("missing", missing, ("error", "leave_out")), ("unsure", unsure, ("keep", "leave_out"))):
        if value not in allowed:
            raise ValueError(f"{name}: expected {' or '.join(allowed)}, got {value!r}")
    rows = list(rows)
    check_annotations(rows, class_names, known_ids=ids, pictures=pictures)
    votes: dict[str, list[np.ndarray]] = {image_id: [] for image_id in ids}
    for annotator, answers in standing(rows).items():
        correct = (calibrations or {}).get(annotator, Calibration())
        for image_id, answer in answers.items():
            doubtful = any(row is not None and "unsure" in row.flags for row in answer.sizes.values())
            if answer.complete and not (doubtful and unsure == "leave_out"):
                votes[image_id].append(_foreground(answer, class_names, correct))
    left_out = [image_id for image_id in ids if not votes[image_id]]
    if left_out and (missing == "error" or len(left_out) == len(ids)):
        remedy = "annotate them, or leave such images out" if missing == "error" else "annotate some of them"
        raise ValueError(
            f"annotations: {len(left_out)} of {len(ids)} images have no finished annotation, the first is {left_out[0]}; {remedy}"
        )
    kept = [image_id for image_id in ids if votes[image_id]]
    normalised = []
    sizes = np.zeros((len(kept), len(class_names)))
    for index, image_id in enumerate(kept):
        foreground = COMBINATIONS[how](np.stack(votes[image_id]))
        if foreground.sum() > 1:
            foreground = foreground / foreground.sum()
            normalised.append(image_id)
        sizes[index] = [max(0.0, 1 - foreground.sum()), *foreground]
    return Combined(kept, sizes, np.array([len(votes[image_id]) for image_id in kept], int), left_out, normalised)


def finished_sizes(
    rows: Sequence[Annotation], class_names: Sequence[str], ids: Sequence[str], pictures: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Return the size targets of all pictures that somebody has finished, image id -> (C,); see `combine`."""
    if not any(answer.complete for answers in standing(rows).values() for answer in answers.values()):
        return {}
    combined = combine(rows, class_names, ids, missing="leave_out", pictures=pictures)
    return dict(zip(combined.ids, combined.sizes))


COMBINATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "median": lambda votes: np.median(votes, axis=0),
    "mean": lambda votes: np.mean(votes, axis=0),
}
"""How sizes of several annotators become one."""


def _foreground(answer: Answer, class_names: Sequence[str], correct: Calibration) -> np.ndarray:
    """Return (C - 1,) sizes of one annotator, corrected, and scaled where the correction made them exceed 1."""
    given = {name: correct(row.size or 0.0) for name, row in answer.sizes.items() if row is not None}
    sizes = np.array([given.get(name, 0.0) for name in class_names[1:]])
    return sizes / max(1.0, sizes.sum())


def check_annotations(
    rows: Sequence[Annotation],
    class_names: Sequence[str],
    *,
    known_ids: Sequence[str],
    pictures: Mapping[str, str] | None = None,
) -> None:
    """Raise ValueError for an unknown class or image, an exchanged picture, or sizes of a picture that exceed 1 together.

    Args:
        rows: annotations.
        class_names: C names, `background` first.
        known_ids: images that may occur.
        pictures: image id -> `fingerprint` of the pictures in use.
    """
    if not class_names or class_names[0] != BACKGROUND or len(set(class_names)) != len(class_names):
        raise ValueError(f"class_names: expected {BACKGROUND} first and no name twice, got {list(class_names)}")
    known, by_content = set(known_ids), {mark: image_id for image_id, mark in (pictures or {}).items()}
    for row in rows:
        where = f"annotations: image {row.image_id}, annotator {row.annotator}"
        if row.image_id not in known and row.class_name:  # one that was put off may be taken away
            marks = {other.picture for other in rows if other.image_id == row.image_id and other.picture}
            found = next((by_content[mark] for mark in marks if mark in by_content), None)
            hint = (
                f"{found} is the same picture: rename it back or correct the id" if found else "correct the id or remove the rows"
            )
            raise ValueError(f"{where}: unknown image; {hint}")
        if row.class_name and row.class_name not in class_names:
            raise ValueError(f"{where}: unknown class {row.class_name!r}; the classes are {', '.join(class_names[1:])}")
        expected = (pictures or {}).get(row.image_id)
        if row.picture and expected and row.picture != expected:
            raise ValueError(
                f"{where}: the file of this picture was {row.picture} when it was annotated and is {expected} now; "
                "restore it, or annotate it anew"
            )
    for annotator, answers in standing(rows).items():
        for image_id, answer in answers.items():
            if answer.total > 1 + SUM_TOLERANCE:
                raise ValueError(
                    f"annotations: image {image_id}, annotator {annotator}: sizes exceed the whole picture by "
                    f"{answer.total - 1:.2g}; correct one of them"
                )
