"""Scribbles drawn by people ([SSL]): their file, what stands after its rows, and the seeds they become.

The file is a log of JSON objects, one a line: a line is appended for everything that is done and never changed. Its first line is
`HEADER`; every other one holds

    image       file name without suffix
    do          draw a stroke; erase strokes; undo, redo: take the annotator's last action on the picture back, or do it again;
                skip: put the picture off
    annotator   name of the person
    seconds     time spent on this action
    timestamp   UTC, 2025-01-31T12:00:00.250000Z; later than that of every line before
    picture     fingerprint of the picture's file, or empty
    stroke      of `draw`: what is drawn, see `Stroke`
    strokes     of `erase`: the ids of the strokes that it takes away
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.files import read_bytes
from pipeline.targets.annotations import FINGERPRINT, LONGEST_S, LogFile, check_timestamp
from pipeline.targets.scribbles import rasterize

HEADER = '{"format": "strokes", "version": 1}\n'
MOST_POINTS = 2000
"""Vertices of one stroke. The page thins out longer ones: a line of this many does not fit between the pixels of a screen."""
MOST_ERASED = 1000
"""Strokes that one action erases."""
LONGEST_SIDE_PX = 100_000
LONGEST_TEXT = 1000

StrokeId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE_PX)]
Erased = Annotated[tuple[StrokeId, ...], Field(min_length=1, max_length=MOST_ERASED)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


def _timestamp(text: str) -> str:
    check_timestamp(text)
    return text


_KEYS = {"image_id": "image", "class_name": "class", "width_px": "width", "size_px": "size"}
"""Field -> key in the file, where they differ."""


class _Checked(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True,
        alias_generator=lambda name: _KEYS.get(name, name),
    )  # fmt: skip


class Stroke(_Checked):
    """One stroke of a brush.

    Attributes:
        id: 16 hexadecimal digits, made up by the page, so that a stroke sent twice is one stroke.
        class_name: class, `background` included; `class` in the file.
        width_px: width of the brush in pixels of the picture, at least 1; `width` in the file.
        points: (x, y) in pixels of the upright picture, within it; one point is a dab of the brush.
        size_px: (width, height) of that picture; `size` in the file.

    Raises:
        ValidationError: a value out of range, or of another kind; it is a ValueError.
    """

    id: StrokeId
    class_name: Text
    width_px: float = Field(ge=1)
    points: tuple[tuple[float, float], ...] = Field(min_length=1, max_length=MOST_POINTS)
    size_px: tuple[Side, Side]

    @model_validator(mode="after")
    def _within_the_picture(self) -> Stroke:
        width, height = self.size_px
        if self.width_px > max(width, height):
            raise ValueError(f"width: expected at most the longest side of {width}x{height}, got {self.width_px}")
        for x, y in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(f"points: expected [x, y] within {width}x{height}, got [{x}, {y}]")
        return self


class Action(_Checked):
    """What every line of the file holds; see the module's docstring."""

    image_id: Text
    do: str
    annotator: Text
    seconds: float = Field(ge=0, le=LONGEST_S)
    timestamp: Annotated[str, AfterValidator(_timestamp)]
    picture: str = Field("", pattern=f"^{FINGERPRINT.pattern}$")

    @property
    def class_name(self) -> str:
        """Class of the stroke, or empty where none is drawn."""
        return ""


class Turn(Action):
    """A line that needs nothing more than its name."""

    do: Literal["undo", "redo", "skip"]


class Draw(Action):
    """A line that draws a stroke."""

    do: Literal["draw"] = "draw"
    stroke: Stroke

    @property
    def class_name(self) -> str:
        """Class of the stroke."""
        return self.stroke.class_name


class Erase(Action):
    """A line that takes strokes away."""

    do: Literal["erase"] = "erase"
    strokes: Erased


_ROW: TypeAdapter[Turn | Draw | Erase] = TypeAdapter(Annotated[Turn | Draw | Erase, Field(discriminator="do")])


@dataclass
class Drawing:
    """What stands of one annotator about one picture.

    Attributes:
        skipped: the picture was put off and nothing was done since.
        seconds: time spent, over all rows.
        rows: how many there are.
        hidden: ids of strokes that were drawn and are erased or undone.
    """

    skipped: bool = False
    seconds: float = 0.0
    rows: int = 0
    hidden: set[str] = field(default_factory=set)
    _drawn: dict[str, Stroke] = field(default_factory=dict)
    _done: list[tuple[str, ...]] = field(default_factory=list)
    _undone: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def drawn(self) -> list[Stroke]:
        """All strokes, in the order in which they were drawn: later ones lie on earlier ones."""
        return list(self._drawn.values())

    @property
    def strokes(self) -> list[Stroke]:
        """Strokes that stand, in the order in which they were drawn."""
        return [stroke for stroke in self.drawn if stroke.id not in self.hidden]

    @property
    def complete(self) -> bool:
        """Whether anything is drawn."""
        return len(self.hidden) < len(self._drawn)

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether the last thing done was to take an action back."""
        return bool(self._undone)

    def has(self, stroke: str) -> bool:
        """Return whether a stroke was ever drawn here."""
        return stroke in self._drawn

    def apply(self, row: Action) -> None:
        """Take the next row of the log into account; what has no effect is passed over, as with two pages of one person."""
        self.rows += 1
        self.seconds += row.seconds
        self.skipped = row.do == "skip"
        if isinstance(row, Draw) and row.stroke.id not in self._drawn:
            self._drawn[row.stroke.id] = row.stroke
            self._act((row.stroke.id,))
        elif isinstance(row, Erase):
            gone = tuple(one for one in dict.fromkeys(row.strokes) if one in self._drawn and one not in self.hidden)
            self.hidden.update(gone)
            self._act(gone)
        elif row.do == "undo" and self._done:
            self._undone.append(self._turn(self._done.pop()))
        elif row.do == "redo" and self._undone:
            self._done.append(self._turn(self._undone.pop()))

    def _act(self, strokes: tuple[str, ...]) -> None:
        if strokes:
            self._done.append(strokes)
            self._undone.clear()

    def _turn(self, strokes: tuple[str, ...]) -> tuple[str, ...]:
        # An action either shows strokes or hides them; to take it back and to do it again both turn it round.
        self.hidden.symmetric_difference_update(strokes)
        return strokes


def standing(rows: Iterable[Action]) -> dict[str, dict[str, Drawing]]:
    """Return what stands after all rows, by their time: annotator -> image id -> `Drawing`."""
    drawings: dict[str, dict[str, Drawing]] = {}
    for row in sorted(rows, key=lambda row: row.timestamp.removesuffix("Z")):
        drawings.setdefault(row.annotator, {}).setdefault(row.image_id, Drawing()).apply(row)
    return drawings


def strokes_by_image(rows: Iterable[Action]) -> dict[str, list[list[Stroke]]]:
    """Return the strokes that stand after all rows: image id -> those of each annotator who has any there."""
    found: dict[str, list[list[Stroke]]] = {}
    for drawings in standing(rows).values():
        for image_id, drawing in drawings.items():
            if drawing.complete:
                found.setdefault(image_id, []).append(drawing.strokes)
    return found


def format_rows(rows: Iterable[Action]) -> str:
    """Return rows as the lines of the file, without header."""
    return "".join(row.model_dump_json(by_alias=True) + "\n" for row in rows)


def read_strokes(path: Path) -> LogFile[Action]:
    """Return the rows of a file and the damaged last line, which a crash or a full disk may leave.

    Raises:
        ValueError: no such file, another header, or a line before the last that is no action; names file, line, remedy.
    """
    if not path.exists():
        raise ValueError(f"{path}: not found; make it with `python -m pipeline.annotate --task scribbles`, or check the path")
    return parse_strokes(read_bytes(path), str(path))


def parse_strokes(content: bytes, name: str, first_line: int = 1) -> LogFile[Action]:
    """Return the rows of a file's bytes as `read_strokes` does.

    Args:
        content: the file, or the part of it that starts at a line.
        name: stands in errors.
        first_line: number of the first line of `content`; 1 means that it is the header.
    """
    *lines, rest = (content.removeprefix(codecs.BOM_UTF8) if first_line == 1 else content).split(b"\n")
    lines += [rest] if rest else []  # a last line that lacks nothing but its line break is taken
    rows: list[Action] = []
    for number, line in enumerate(lines, start=first_line):
        try:
            if number == 1:
                if line.rstrip(b"\r") + b"\n" != HEADER.encode():
                    raise ValueError(f"expected {HEADER.strip()}, got {line[:80].decode('utf-8', 'replace')!r}")
            elif line.strip():
                rows.append(_ROW.validate_json(line))
        except ValueError as error:
            problem = explain(error) if isinstance(error, ValidationError) else str(error)
            if number > 1 and number == first_line + len(lines) - 1:
                return LogFile(rows, [f"line {number}: {problem}: {line[:200].decode('utf-8', 'replace')}"])
            raise ValueError(f"{name}, line {number}: {problem}; correct the line or remove it") from error
    return LogFile(rows, [])


def explain(error: ValidationError) -> str:
    """Return the first fault that a model found: its field, and what was expected there."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def check_strokes(
    rows: Sequence[Action], class_names: Sequence[str], *, known_ids: Sequence[str], pictures: Mapping[str, str] | None = None
) -> None:
    """Raise ValueError for a stroke of an unknown class, on an unknown image or on a picture that was exchanged since.

    Args:
        rows: of a file; those that draw nothing may name any picture.
        class_names: C names, `background` first.
        known_ids: images that may occur.
        pictures: image id -> `fingerprint` of the pictures in use.
    """
    known, by_content = set(known_ids), {mark: image_id for image_id, mark in (pictures or {}).items()}
    for row in (row for row in rows if isinstance(row, Draw)):
        where = f"strokes: image {row.image_id}, annotator {row.annotator}"
        if row.image_id not in known:
            found = by_content.get(row.picture)
            hint = f"{found} is the same picture: rename it back" if found else "correct the id or remove the rows"
            raise ValueError(f"{where}: unknown image; {hint}")
        if row.stroke.class_name not in class_names:
            raise ValueError(f"{where}: unknown class {row.stroke.class_name!r}; the classes are {', '.join(class_names)}")
        expected = (pictures or {}).get(row.image_id)
        if row.picture and expected and row.picture != expected:
            raise ValueError(
                f"{where}: the file of this picture was {row.picture} when it was drawn on and is {expected} now; restore it, or "
                "draw on it anew in another file"
            )


def to_scribbles(strokes: Sequence[Stroke], class_names: Sequence[str]) -> list[Scribble]:
    """Return strokes as poly-lines of class indices, without widths."""
    return [Scribble(class_names.index(stroke.class_name), stroke.points) for stroke in strokes]


def draw_seeds(
    drawings: Sequence[Sequence[Stroke]],
    size_px: tuple[int, int],
    class_names: Sequence[str],
    target_px: tuple[int, int] | None = None,
) -> tuple[np.ndarray, int]:
    """Return the seeds of one picture: the strokes of each annotator, where no two of them disagree.

    Args:
        drawings: strokes per annotator, in the order in which they were drawn.
        size_px: (width, height) of the picture.
        class_names: C names; a stroke's class is its place among them.
        target_px: (width, height) of the seeds, to which strokes are scaled before they are drawn, widths to at least 1 px by
            the mean of both sides. None: `size_px`.

    Returns:
        (height, width) uint8, class index where drawn, `VOID` elsewhere and where annotators disagree; and the number of pixels
        on which they do.
    """
    target_px = target_px or size_px
    scale = (target_px[0] / size_px[0] + target_px[1] / size_px[1]) / 2
    seeds = np.full(target_px[::-1], VOID, np.uint8)
    clash = np.zeros(seeds.shape, bool)
    for strokes in drawings:
        widths = [max(1.0, scale * stroke.width_px) for stroke in strokes]
        own = rasterize(to_scribbles(strokes, class_names), size_px, target_px, widths, widths)
        clash |= (own != VOID) & (seeds != VOID) & (own != seeds)
        seeds = np.where(own != VOID, own, seeds)
    seeds[clash] = VOID
    return seeds, int(clash.sum())
