"""Sizes given by people ([SIZE] section 3.4): their file, checks, the size targets they become, their errors, and a model of one.

The file is a log: a line is appended for every answer and never changed. Its columns, in composed Unicode (NFC), are

    image_id        file name without suffix
    class           class name; `background` with size 1: none of the classes is in the picture; empty: the picture is skipped
    size_fraction   share of the whole picture, 0 to 1; empty: the class is tagged present and its size is still open
    seconds         time spent on this answer
    grid            grid on screen: 5x4, 3x3 or none
    annotator       name of the person, or `simulated annotator`
    timestamp       UTC, 2025-01-31T12:00:00.250000Z; later than that of every line before
    method          tag, or how the size was given: cells, percent, slider
    flags           words separated by spaces, see `FLAGS`
    picture         fingerprint of the picture's file (`fingerprint`), or empty

The latest line of an annotator about a picture and class stands, wherever a spreadsheet has moved it. `combine` makes size
targets of what stands, `annotation_errors` compares it with exact sizes, and `simulate` writes what a stated model of an
annotator would have answered.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pipeline.files import finite_number, read_bytes, write_atomically

FIELDS = ("image_id", "class", "size_fraction", "seconds", "grid", "annotator", "timestamp", "method", "flags", "picture")
"""Columns of the file, in order."""
BACKGROUND = "background"
"""Name of class 0, whose size is what the other classes leave."""
SIMULATED = "simulated annotator"
"""Annotator of rows made by `simulate`; whatever is made from them must say so."""
GRIDS = {"5x4": (5, 4), "3x3": (3, 3)}
"""Columns and rows of the two grids of [SIZE] section 3.4."""
METHODS = ("tag", "cells", "percent", "slider")
FLAGS = {
    "unsure": "the annotator doubts this answer",
    "withdrawn": "the class is not in the picture after all",
    "skipped": "the picture was put off",
    "feedback": "the exact size was shown after this answer",
    "informed": "given when the exact size of this class had been shown already",
}
"""Meaning of each flag."""
SUM_TOLERANCE = 1e-6
"""How far the sizes of one picture may exceed 1: sizes are written with nine digits."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
LONGEST_S = 1e6
"""More seconds than this are no time that anybody spent."""
FINGERPRINT = re.compile(r"([0-9a-f]{12})?")


@dataclass(frozen=True)
class Annotation:
    """One line of the file; see the module's docstring for the meaning of each column."""

    image_id: str
    class_name: str
    size: float | None
    seconds: float
    grid: str
    annotator: str
    timestamp: str
    method: str
    flags: tuple[str, ...] = ()
    picture: str = ""


class AnnotationFile(NamedTuple):
    """What was read: complete rows, and the damaged last line (with its number) that was set aside, if there is one."""

    rows: list[Annotation]
    damaged: list[str]


def fingerprint(content: bytes) -> str:
    """Return 12 hexadecimal digits that tell a picture's file from others, to notice renamed and exchanged pictures.

    >>> fingerprint(b"")
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()[:12]


def format_rows(rows: Iterable[Annotation]) -> str:
    """Return rows as the lines of the file, without header.

    Raises:
        ValueError: a text holds a line break, or a row would not be read back.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        size = "" if row.size is None else f"{row.size:.9g}"
        cells = [row.image_id, row.class_name, size, f"{row.seconds:.2f}", row.grid]
        cells += [row.annotator, row.timestamp, row.method, " ".join(row.flags), row.picture]
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise ValueError(f"annotation of image {row.image_id!r}: texts must not hold line breaks, got {cells}")
        _parse(cells)
        writer.writerow(cells)
    return text.getvalue()


def write_annotations(path: Path, rows: Iterable[Annotation]) -> None:
    """Write a whole file at once, as for simulated annotators; the tool appends instead."""
    write_atomically(path, (",".join(FIELDS) + "\n" + format_rows(rows)).encode())


def read_annotations(path: Path) -> AnnotationFile:
    """Return the rows of a file and the damaged last line, which a crash or a full disk may leave.

    A byte order mark, and a last line that lacks nothing but its line break, are what editors make of the file: both are taken.

    Raises:
        ValueError: no such file, another header, or a line before the last that is no annotation; names file, line, remedy.
    """
    if not path.exists():
        raise ValueError(f"{path}: not found; make it with `python -m pipeline.annotate`, or check the path")
    return parse_annotations(read_bytes(path), str(path))


def parse_annotations(content: bytes, name: str, first_line: int = 1) -> AnnotationFile:
    """Return the rows of a file's bytes as `read_annotations` does; `name` stands in errors.

    Args:
        content: the file, or the part of it that starts at a line.
        name: stands in errors.
        first_line: number of the first line of `content`; 1 means that it is the header.
    """
    lines = (content.removeprefix(codecs.BOM_UTF8) if first_line == 1 else content).split(b"\n")
    rows: list[Annotation] = []
    last = len(lines) - 1 if lines[-1] else len(lines) - 2
    for index, raw in enumerate(lines[: last + 1]):
        number = index + first_line
        cut = index == last and last == len(lines) - 1
        try:
            if number == 1:
                _check_header(raw)
                continue
            cells = next(csv.reader([raw.decode("utf-8").rstrip("\r")], strict=True), [])
            if any(cell.strip() for cell in cells):
                rows.append(_parse(cells))
        except (ValueError, csv.Error) as error:
            if number > 1 and index == last:
                problem = "the line is cut off" if cut else str(error)
                return AnnotationFile(rows, [f"line {number}: {problem}: {raw.decode('utf-8', 'replace')}"])
            raise ValueError(f"{name}, line {number}: {error}; correct the line or remove it") from error
    return AnnotationFile(rows, [])


def _check_header(line: bytes) -> None:
    text = line.decode("utf-8", "replace").rstrip("\r")
    if tuple(text.replace('"', "").split(",")) != FIELDS:
        raise ValueError(
            f"expected the header {','.join(FIELDS)}, got {text[:200]!r}; a spreadsheet must save the table as UTF-8 "
            "with commas between the columns and a line break after each line"
        )


def _parse(cells: Sequence[str]) -> Annotation:
    if len(cells) != len(FIELDS):
        raise ValueError(f"expected {len(FIELDS)} columns, got {len(cells)}")
    cells = [unicodedata.normalize("NFC", cell) for cell in cells]
    image_id, class_name, size_text, seconds_text, grid, annotator, timestamp, method, flags_text, picture = cells
    annotator = annotator.strip()
    if unfit := next((cell for cell in cells if any(unicodedata.category(one) in ("Cc", "Cs") for one in cell)), ""):
        raise ValueError(f"texts must not hold control characters, got {unfit!r}")
    size = None if size_text == "" else _number("size_fraction", size_text)
    seconds = _number("seconds", seconds_text)
    flags = tuple(flags_text.split())
    if seconds > LONGEST_S:
        raise ValueError(f"seconds: expected at most {LONGEST_S:.0f}, got {seconds_text}")
    if size is not None and size > 1:
        raise ValueError(f"size_fraction: expected a fraction of the picture, 0 to 1, got {size_text}")
    if not image_id or not annotator:
        raise ValueError("image_id and annotator must not be empty")
    if grid not in (*GRIDS, "none"):
        raise ValueError(f"grid: expected one of {', '.join(GRIDS)}, none, got {grid!r}")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if unknown := set(flags) - set(FLAGS):
        raise ValueError(f"flags: expected words of {', '.join(FLAGS)}, got {' '.join(sorted(unknown))!r}")
    if not FINGERPRINT.fullmatch(picture):
        raise ValueError(f"picture: expected 12 hexadecimal digits or nothing, got {picture!r}")
    check_timestamp(timestamp)
    if (class_name == "") != ("skipped" in flags):
        raise ValueError("class: is empty for a skipped picture and only there")
    if class_name == BACKGROUND and size != 1 and "withdrawn" not in flags:
        raise ValueError(f"size_fraction: {BACKGROUND} is what the other classes leave; only 1 may be given, got {size_text!r}")
    return Annotation(image_id, class_name, size, seconds, grid, annotator, timestamp, method, flags, picture)


def check_timestamp(text: str) -> datetime:
    """Return the time that a row's timestamp says.

    Raises:
        ValueError: it has another form, or is no time.
    """
    try:
        if MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:  # such as 30 February
        pass
    raise ValueError(f"timestamp: expected UTC such as 2025-01-31T12:00:00.250000Z, got {text!r}")


def _number(name: str, text: str) -> float:
    try:
        value = finite_number(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise ValueError(f"{name}: expected a number >= 0, got {text!r}")
    return value


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


GRID_LIMIT = 0.25
"""A simulated annotator counts in 3x3 cells from this share of the picture on, in 5x4 cells below."""
SLIP_SHARE = 0.15
"""Share of a simulated annotator's answers that are slips."""
ORDINARY_SIGMA, SLIP_SIGMA = 0.11, 0.65
"""Standard deviation of log(perceived / exact) for objects of a tenth of the picture: usual answers, slips."""
LARGEST_SIGMA = 0.75
"""No answer is more uncertain than this, however small the object."""
SIZE_EXPONENT = 0.25
"""Errors grow as (exact / 0.1) ** -SIZE_EXPONENT."""


def simulate(
    exact_sizes: np.ndarray,
    class_names: Sequence[str],
    ids: Sequence[str],
    generator: np.random.Generator,
    *,
    annotator: str = SIMULATED,
    error_scale: float = 1.0,
) -> list[Annotation]:
    """Return what a model of an annotator answers; to test with, never to be taken for people's answers.

    The model, for each class in a picture with exact size e (tags are always right):

    1. The share perceived is e * exp(s * z), z ~ N(0, 1), where s = error_scale * (e / 0.1) ** -0.25 * (0.11, or 0.65 for the
       15 % of answers that are slips), at most 0.75.
    2. It is counted in cells of the 3x3 grid from a quarter of the picture on, of the 5x4 grid below, to the nearest quarter
       of a cell, below one cell to the nearest eighth. Below an eighth it is typed as a percentage with one digit.
    3. Sizes that sum to more than 1 are scaled to 1, as the tool accepts no more.
    4. Time is log-normal with median 10 s * (e / 0.1) ** -0.1 plus 1 s per cell that is neither empty nor full, about
       sqrt(cells counted); a tag takes 1 s.

    The constants were chosen by hand so that, on sizes like those of cats and dogs in PASCAL VOC, mRE and time come out in the
    range of [SIZE] Table 1 (12 to 20 %, 9 to 15 s), with most errors below 10 % and a heavy tail as in [SIZE] Fig. 5: agreement
    with these numbers is built in and says nothing about people.

    Args:
        exact_sizes: (N, C) >= 0, rows sum to 1, background first.
        class_names: C names, `background` first.
        ids: N image ids.
        generator: source of all errors and times.
        annotator: name in the rows.
        error_scale: factor on all perception errors, >= 0; 0 leaves only the rounding.

    Returns:
        Rows in the order of the images: tags of a picture, then sizes. The clock starts at 2000-01-01.

    Raises:
        ValueError: shapes do not match, or a negative error_scale.
    """
    if exact_sizes.shape != (len(ids), len(class_names)):
        raise ValueError(f"exact_sizes: expected shape ({len(ids)}, {len(class_names)}), got {exact_sizes.shape}")
    if not (math.isfinite(error_scale) and error_scale >= 0):
        raise ValueError(f"error_scale: expected a number >= 0, got {error_scale}")
    clock = datetime(2000, 1, 1, tzinfo=UTC)
    rows: list[Annotation] = []

    def add(image_id: str, name: str, size: float | None, seconds: float, grid: str, method: str) -> None:
        nonlocal clock
        clock += timedelta(seconds=seconds)
        stamp = clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        rows.append(Annotation(image_id, name, size, round(seconds, 2), grid, annotator, stamp, method))

    for image_id, exact in zip(ids, np.asarray(exact_sizes, np.float64)):
        present = [index for index in range(1, len(class_names)) if exact[index] > 0]
        answers = [_simulated_answer(float(exact[index]), error_scale, generator) for index in present]
        total = max(1.0, math.fsum(size for size, *_ in answers))
        if not present:
            add(image_id, BACKGROUND, 1.0, 1.0, "none", "tag")
        for index in present:
            add(image_id, class_names[index], None, 1.0, "none", "tag")
        for index, (size, seconds, grid, method) in zip(present, answers):
            add(image_id, class_names[index], size / total, seconds, grid, method)
    return rows


def _simulated_answer(exact: float, error_scale: float, generator: np.random.Generator) -> tuple[float, float, str, str]:
    """Return (size, seconds, grid, method) of one answer."""
    slip, normal, pace = generator.random(), generator.standard_normal(), generator.standard_normal()
    sigma = min(
        LARGEST_SIGMA, error_scale * (exact / 0.1) ** -SIZE_EXPONENT * (SLIP_SIGMA if slip < SLIP_SHARE else ORDINARY_SIGMA)
    )
    perceived = min(1.0, exact * math.exp(sigma * normal))
    grid = "3x3" if perceived >= GRID_LIMIT else "5x4"
    cells = math.prod(GRIDS[grid])
    counted = perceived * cells
    parts = 4 if counted >= 1 else 8
    rounded = min(float(cells), round(counted * parts) / parts)
    seconds = 10 * (exact / 0.1) ** -0.1 * math.exp(0.35 * pace) + math.sqrt(counted)
    if rounded > 0:
        return rounded / cells, seconds, grid, "cells"
    return float(f"{perceived:.1g}"), seconds, grid, "percent"
