"""What one annotator does, independent of the web: queue, answers, undo, pace, and exact sizes shown afterwards."""

from __future__ import annotations

import dataclasses
import logging
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import numpy as np

from pipeline.annotate.pictures import Pictures
from pipeline.annotate.store import AnnotationStore, Log, State, StrokeStore
from pipeline.datasets.raw_files import DatasetError
from pipeline.targets.annotated_sizes import SUM_TOLERANCE, Answer
from pipeline.targets.annotations import BACKGROUND, GRIDS, METHODS, SIMULATED, Annotation, fingerprint

LONGEST_NAME = 60
LONGEST_ANSWER_S = 3600.0
"""More time than this for one answer is a clock that jumped; it is cut."""
PACE_IMAGES = 20
"""The pace is that of the last so many pictures."""
UNDO_DEPTH = 200
LARGEST_FLOAT = sys.float_info.max
"""Whole numbers may be larger than this in JSON, and cannot be made floats."""


@dataclass(frozen=True)
class Project:
    """What is annotated, and where answers go.

    Attributes:
        pictures: source of pictures and masks.
        store: the annotation file.
        class_names: foreground classes, in the order in which they are asked.
        feedback: show the exact size after each answer, where a mask is known.
        strokes: the file of scribbles; None: none are drawn.
        asks_sizes: whether sizes are asked.
        predictions: what a network makes of the pictures, shown to those who draw; None: nothing does.
    """

    pictures: Pictures
    store: AnnotationStore
    class_names: Sequence[str]
    feedback: bool = False
    strokes: StrokeStore | None = None
    asks_sizes: bool = True
    predictions: Predictions | None = None


class Predictions(Protocol):
    """A network that learns from what is given while people draw, and the masks that it predicts. Nothing here waits for it."""

    version: int
    """Grows with each new prediction of any picture; 0 before the first."""

    def labels(self, image_id: str) -> np.ndarray | None:
        """Return (h, w) uint8 class indices or `VOID` at any size with the picture's aspect, or None if there are none yet."""

    def order(self, ids: Sequence[str]) -> Sequence[str]:
        """Return the pictures in the order in which they should be asked, such as the most uncertain first."""

    def train(self, shown: str | None = None) -> None:
        """Begin to learn all that is given; the prediction of the picture `shown` is wanted first.

        Raises:
            ValueError: nothing is given yet.
        """

    def stop(self) -> None:
        """Stop learning."""

    def done(self, shown: str | None) -> None:
        """Take note that somebody has done a picture and goes on to `shown`."""

    def status(self) -> dict[str, str]:
        """Return `state`, one of busy, looking, idle and failed (see `pipeline.annotate.live.Told`), and `text` for people."""


def check_annotator(name: object) -> str:
    """Return an annotator's name without outer spaces.

    Raises:
        ValueError: empty, too long, with control characters, a formula to spreadsheets, or the name reserved for simulations.
    """
    text = unicodedata.normalize("NFC", name.strip()) if isinstance(name, str) else ""
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise ValueError(f"annotator: give a name of 1 to {LONGEST_NAME} visible characters")
    if text[0] in "=+-@":
        raise ValueError(f"annotator: a spreadsheet would compute {text!r}; begin the name with a letter")
    if text.casefold().startswith(SIMULATED):
        raise ValueError(f"annotator: the name {SIMULATED!r} is kept for simulations; choose another")
    return text


class Queue(Generic[State]):
    """The pictures that one annotator has before and behind, in one of the tasks.

    Args:
        project: what is annotated.
        annotator: a name that passed `check_annotator`.
        log: file of the task.
        ids: all pictures, the one that is wanted most first. None: in the order of the project, beginning where one is.
    """

    def __init__(self, project: Project, annotator: str, log: Log[Any, State], ids: Sequence[str] | None = None) -> None:
        self._ranked = ids is not None
        self.project = project
        self.annotator = annotator
        self._log = log
        self._ids = project.pictures.ids if ids is None else list(ids)
        self._position = {image_id: index for index, image_id in enumerate(self._ids)}

    def progress(self) -> dict[str, object]:
        """Return counts, seconds per picture (None before the first) and seconds left at this pace."""
        answers = self._answers()
        done = [answer for answer in answers.values() if answer.complete]
        recent = [answer.seconds for answer in done[-PACE_IMAGES:]]
        pace = float(np.mean(recent)) if recent else None
        remaining = len(self._position) - len(done)
        return {
            "total": len(self._position),
            "done": len(done),
            "skipped": sum(answer.skipped for answer in answers.values()),
            "pace_s": pace,
            "left_s": None if pace is None else pace * remaining,
        }

    def first(self) -> str | None:
        """Return the picture to continue with: the first unfinished one; those put off come last; None when all are done."""
        return self.after(None)

    def after(self, image_id: str | None) -> str | None:
        """Return the next unfinished picture after `image_id` (from the start if None), going round; None when all are done.

        Pictures put off are taken up again when nothing else is left. Where pictures are ranked, the next one is the first that
        is not `image_id`.
        """
        answers = self._answers()
        start = 0 if image_id is None else self._index(image_id) + 1
        queue = [*self._ids[start:], *self._ids[:start]]
        if self._ranked:
            queue = sorted(self._ids, key=lambda one: one == image_id)
        queue = [one for one in queue if one not in answers or not answers[one].complete]
        fresh = next((one for one in queue if one not in answers or not answers[one].skipped), None)
        return fresh if fresh is not None else next(iter(queue), None)

    def _answers(self) -> dict[str, State]:
        """Return what stands about pictures of this project."""
        answers = self._log.answers(self.annotator)
        return {image_id: answer for image_id, answer in list(answers.items()) if image_id in self._position}

    def _index(self, image_id: str) -> int:
        if not isinstance(image_id, str) or image_id not in self._position:
            raise ValueError(f"image: {image_id!r} is not among the {len(self._position)} pictures")
        return self._position[image_id]

    def _seconds(self, seconds: float) -> float:
        if not (_is_number(seconds) and seconds >= 0):
            raise ValueError(f"seconds: expected a number >= 0, got {seconds!r}")
        return min(float(seconds), LONGEST_ANSWER_S)


class Session(Queue[Answer]):
    """One annotator who gives sizes. All methods may be called from several threads."""

    def __init__(self, project: Project, annotator: str) -> None:
        super().__init__(project, annotator, project.store)
        self._undo: list[tuple[str, Answer]] = []
        self._guard = threading.RLock()

    # --- what to show ---

    def picture(self, image_id: str) -> dict[str, object]:
        """Return everything the page needs about one picture.

        Raises:
            ValueError: unknown picture.
        """
        index = self._index(image_id)
        answer = self._answer(image_id)
        ids = self.project.pictures.ids
        return {
            "image": image_id,
            "position": index + 1,
            "previous": ids[index - 1] if index else None,
            "empty": answer.empty,
            "complete": answer.complete,
            "classes": [
                {
                    "name": name,
                    "tagged": name in answer.sizes,
                    "size": None if (row := answer.sizes.get(name)) is None else row.size,
                    "method": None if row is None else row.method,
                    "grid": None if row is None else row.grid,
                    "unsure": row is not None and "unsure" in row.flags,
                    "shown": name in answer.shown,
                }
                for name in self.project.class_names
            ],
        }

    # --- what people do ---

    def tag(self, image_id: str, present: Sequence[str], seconds: float, grid: str = "none") -> None:
        """Store which classes are in the picture; none at all finishes it. Sizes of classes that stay are kept.

        Raises:
            ValueError: unknown picture or class, or seconds out of range.
            OSError: not saved.
        """
        unknown = [name for name in present if name not in list(self.project.class_names)]
        if unknown:
            raise ValueError(f"class: expected some of {', '.join(self.project.class_names)}, got {unknown[0]!r}")
        with self._deciding():
            before = self._answer(image_id)
            after = Answer(
                {name: before.sizes.get(name) for name in self.project.class_names if name in present}, empty=not present
            )
            self._change(image_id, before, after, seconds, grid)

    def size(
        self, image_id: str, name: str, size: float, *, seconds: float, grid: str, method: str, unsure: bool = False
    ) -> None:
        """Store the size of a class that is tagged.

        Raises:
            ValueError: unknown picture, a class not tagged, a size out of range or more than the others leave, or another
                value out of range.
            OSError: not saved.
        """
        with self._deciding():
            before = self._answer(image_id)
            if not isinstance(name, str) or name not in before.sizes:
                raise ValueError(f"class: {name!r} is not tagged in {image_id}")
            if method not in METHODS[1:]:
                raise ValueError(f"method: expected one of {', '.join(METHODS[1:])}, got {method!r}")
            if not (_is_number(size) and 0 < size <= 1):
                raise ValueError(f"size: expected more than 0 and at most 1, got {size!r}; a class that is absent is not tagged")
            current = before.sizes[name]
            others = before.total - (0.0 if current is None else current.size or 0.0)
            if others + size > 1 + SUM_TOLERANCE:
                raise ValueError(
                    f"size: {100 * size:.9g} % and the other classes' {100 * others:.9g} % exceed the picture; "
                    f"at most {100 * (1 - others):.9g} % is left"
                )
            flags = ("unsure",) if unsure else ()
            row = self._row(image_id, name, float(size), self._seconds(seconds), grid, method, flags)
            self._append([row], image_id, before)

    def skip(self, image_id: str, seconds: float) -> None:
        """Put a picture off.

        Raises:
            ValueError: unknown picture, or seconds out of range.
            OSError: not saved.
        """
        with self._deciding():
            before = self._answer(image_id)
            row = self._row(image_id, "", None, self._seconds(seconds), "none", "tag", ("skipped",))
            self._append([row], image_id, before)

    def undo(self) -> str | None:
        """Take back the last thing done since the server started; append what restores the state before.

        Returns:
            The picture concerned, or None if there is nothing to take back.

        Raises:
            OSError: not saved.
        """
        with self._deciding():
            if not self._undo:
                return None
            image_id, before = self._undo[-1]
            self._change(image_id, self._answer(image_id), before, 0.0, "none", remember=False)
            self._undo.pop()
            return image_id

    def exact(self, image_id: str, name: str) -> float | None:
        """Return the exact size of a class if it may be shown: in feedback mode, after an answer, where a mask is known."""
        if not self.project.feedback or name not in self._answer(image_id).shown:
            return None
        sizes = self._exact_sizes(image_id)
        return None if sizes is None else float(sizes[1 + list(self.project.class_names).index(name)])

    # --- inside ---

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Keep answers of this person from other tabs and other servers out until what is decided here is written."""
        with self._guard, self.project.store.transaction():
            yield

    def _answer(self, image_id: str) -> Answer:
        self._index(image_id)
        answer = self.project.store.answer(self.annotator, image_id)
        # A copy, because the store goes on changing its own; rows themselves are frozen.
        return dataclasses.replace(answer, sizes=dict(answer.sizes), shown=set(answer.shown))

    def _row(
        self, image_id: str, name: str, size: float | None, seconds: float, grid: str, method: str, flags: tuple[str, ...] = ()
    ) -> Annotation:
        if grid not in (*GRIDS, "none"):
            raise ValueError(f"grid: expected one of {', '.join(GRIDS)}, none, got {grid!r}")
        shown = self._answer(image_id).shown
        if name in shown or (name in ("", BACKGROUND) and shown):
            flags = (*flags, "informed")
        elif size is not None and method != "tag" and self.project.feedback and self._exact_sizes(image_id) is not None:
            flags = (*flags, "feedback")
        now = self.project.store.timestamp()
        try:
            mark = fingerprint(self.project.pictures.content(image_id))
        except DatasetError:
            if "skipped" not in flags:  # what cannot be read can still be put off
                raise
            mark = ""
        return Annotation(image_id, name, size, round(seconds, 2), grid, self.annotator, now, method, flags, mark)

    def _exact_sizes(self, image_id: str) -> np.ndarray | None:
        try:
            return self.project.pictures.exact_sizes(image_id)
        except (DatasetError, ValueError) as error:  # a broken mask must not cost an answer
            logging.getLogger(__name__).warning("no exact size for %s: %s", image_id, error)
            return None

    def _change(self, image_id: str, before: Answer, after: Answer, seconds: float, grid: str, *, remember: bool = True) -> None:
        """Append the rows that lead from one state of a picture to another; their time is shared equally."""
        changes: list[tuple[str, float | None, tuple[str, ...], Annotation | None]] = []
        if after.empty and not before.empty:
            changes.append((BACKGROUND, 1.0, (), None))
        elif not after.empty:
            changes += [(name, None, ("withdrawn",), None) for name in before.sizes if name not in after.sizes]
            changes += [
                (name, None, (), row)
                for name, row in after.sizes.items()
                if name not in before.sizes or before.sizes[name] != row
            ]
            if before.empty and not after.sizes:
                changes.append((BACKGROUND, None, ("withdrawn",), None))
        if after.skipped:
            changes.append(("", None, ("skipped",), None))
        elif before.skipped and not changes:
            changes.append((BACKGROUND, 1.0 if after.empty else None, () if after.empty else ("withdrawn",), None))
        spent = self._seconds(seconds)
        if not changes:
            return
        share = spent / len(changes)
        rows = []
        for name, size, flags, restored in changes:
            fresh = self._row(image_id, name, size, share, grid, "tag", flags)
            same = None if restored is None else dataclasses.replace(restored, seconds=fresh.seconds, timestamp=fresh.timestamp)
            rows.append(same or fresh)
        self._append(rows, image_id, before, remember=remember)

    def _append(self, rows: list[Annotation], image_id: str, before: Answer, *, remember: bool = True) -> None:
        self.project.store.append(rows)
        if remember:
            self._undo = [*self._undo[-UNDO_DEPTH:], (image_id, before)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_FLOAT
