"""Scribbles drawn by people ([SSL]): their file, what stands after its rows, and the seeds they become.

The file is a log of JSON objects, one a line: a line is appended for everything that is done and never changed. Its first line is
`HEADER`; every other one holds

    image       file name without suffix
    do          draw a stroke; erase strokes; undo, redo: take the annotator's last action on the picture back, or do it again;
                skip: put the picture off
    annotator   name of the person
    seconds     time spent on this action
    timestamp   UTC, 2025-01-31T12:00:00Z
    picture     fingerprint of the picture's file, or empty

and a `draw` besides these `stroke` (its id), `class` (`background` is one), `width` and `points` [[x, y], ...] in pixels of the
upright picture, and the picture's `size` [width, height]; an `erase` the `strokes` that it takes away, by id.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.targets.scribbles import rasterize

HEADER = '{"format": "strokes", "version": 1}\n'
ACTIONS = ("draw", "erase", "undo", "redo", "skip")
MOST_POINTS = 2000
"""Vertices of one stroke. The page thins out longer ones: a line of this many does not fit between the pixels of a screen."""
MOST_ERASED = 1000
"""Strokes that one action erases."""
LONGEST_SIDE_PX = 100_000
_COMMON = {"image", "do", "annotator", "seconds", "timestamp", "picture"}
_OWN = {"draw": {"stroke", "class", "width", "points", "size"}, "erase": {"strokes"}}
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Stroke:
    """One stroke of a brush.

    Attributes:
        id: 16 hexadecimal digits, made up by the page, so that a stroke sent twice is one stroke.
        class_name: class, `background` included.
        width_px: width of the brush in pixels of the picture, at least 1.
        points: (x, y) in pixels of the upright picture, within it; one point is a dab of the brush.
        size_px: (width, height) of that picture.

    Raises:
        ValueError: a value out of range, or no number.
    """

    id: str
    class_name: str
    width_px: float
    points: tuple[tuple[float, float], ...]
    size_px: tuple[int, int]

    def __post_init__(self) -> None:
        if not (isinstance(self.id, str) and _ID.fullmatch(self.id)):
            raise ValueError(f"stroke: expected 16 hexadecimal digits, got {_short(self.id)}")
        _text("class", self.class_name)
        if len(self.size_px) != 2 or not all(type(side) is int and 1 <= side <= LONGEST_SIDE_PX for side in self.size_px):
            raise ValueError(f"size: expected [width, height] of 1 to {LONGEST_SIDE_PX}, got {_short(self.size_px)}")
        longest = max(self.size_px)
        if not (is_number(self.width_px) and 1 <= self.width_px <= longest):
            raise ValueError(f"width: expected 1 to {longest}, the longest side of the picture, got {_short(self.width_px)}")
        if not 1 <= len(self.points) <= MOST_POINTS:
            raise ValueError(f"points: expected 1 to {MOST_POINTS}, got {len(self.points)}")
        for point in self.points:
            inside = len(point) == 2 and all(is_number(value) for value in point)
            if not (inside and all(0 <= value < side for value, side in zip(point, self.size_px))):
                raise ValueError(f"points: expected [x, y] within {self.size_px[0]}x{self.size_px[1]}, got {_short(point)}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Stroke:
        """Return a stroke of its JSON form, checked.

        Raises:
            ValueError: as the class, or a value of another kind.
            KeyError: a key is missing.
        """
        points, size = given["points"], given["size"]
        if not isinstance(points, list) or len(points) > MOST_POINTS or not all(isinstance(point, list) for point in points):
            raise ValueError(f"points: expected a list of at most {MOST_POINTS} [x, y], got {_short(points)}")
        if not isinstance(size, list):
            raise ValueError(f"size: expected [width, height], got {_short(size)}")
        return cls(given["stroke"], given["class"], given["width"], tuple(map(tuple, points)), tuple(size))

    def json(self) -> dict[str, Any]:
        """Return the JSON form; coordinates are rounded to 1/100 pixel, within the picture."""
        width, height = self.size_px
        points = [[min(round(x, 2), width - 0.01), min(round(y, 2), height - 0.01)] for x, y in self.points]
        return {
            "stroke": self.id, "class": self.class_name, "width": round(self.width_px, 2), "points": points,
            "size": list(self.size_px),
        }  # fmt: skip


@dataclass(frozen=True)
class Action:
    """One line of the file; see the module's docstring for the meaning of each field."""

    image_id: str
    do: str
    annotator: str
    seconds: float
    timestamp: str
    picture: str = ""
    stroke: Stroke | None = None
    erased: tuple[str, ...] = ()

    @property
    def class_name(self) -> str:
        """Class of the stroke, or empty where none is drawn."""
        return "" if self.stroke is None else self.stroke.class_name


class StrokeFile(NamedTuple):
    """What was read: complete rows, and the damaged last line (with its number) that was set aside, if there is one."""

    rows: list[Action]
    damaged: list[str]


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
        if row.do == "draw" and row.stroke is not None and row.stroke.id not in self._drawn:
            self._drawn[row.stroke.id] = row.stroke
            self._act((row.stroke.id,))
        elif row.do == "erase":
            gone = tuple(one for one in dict.fromkeys(row.erased) if one in self._drawn and one not in self.hidden)
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
    """Return what stands after all rows: annotator -> image id -> `Drawing`."""
    drawings: dict[str, dict[str, Drawing]] = {}
    for row in rows:
        drawings.setdefault(row.annotator, {}).setdefault(row.image_id, Drawing()).apply(row)
    return drawings


def format_rows(rows: Iterable[Action]) -> str:
    """Return rows as the lines of the file, without header.

    Raises:
        ValueError: a row would not be read back.
    """
    lines = []
    for row in rows:
        given: dict[str, Any] = {"image": row.image_id, "do": row.do}
        if row.stroke is not None:
            given |= row.stroke.json()
        if row.erased:
            given["strokes"] = list(row.erased)
        given |= {"annotator": row.annotator, "seconds": round(row.seconds, 2)}
        given |= {"timestamp": row.timestamp, "picture": row.picture}
        _row(given)
        lines.append(json.dumps(given, separators=(",", ":")) + "\n")
    return "".join(lines)


def read_strokes(path: Path) -> StrokeFile:
    """Return the rows of a file and the damaged last line, which a crash or a full disk may leave.

    Raises:
        ValueError: no such file, another header, or a line before the last that is no action; names file, line, remedy.
    """
    if not path.exists():
        raise ValueError(f"{path}: not found; make it with `python -m pipeline.annotate --task scribbles`, or check the path")
    return parse_strokes(path.read_bytes(), str(path))


def parse_strokes(content: bytes, name: str, first_line: int = 1) -> StrokeFile:
    """Return the rows of a file's bytes as `read_strokes` does.

    Args:
        content: the file, or the part of it that starts at a line.
        name: stands in errors.
        first_line: number of the first line of `content`; 1 means that it is the header.
    """
    *lines, rest = content.split(b"\n")
    rows: list[Action] = []
    for number, line in enumerate([*lines, rest] if rest else lines, start=first_line):
        is_last = number == first_line + len(lines) - (not rest)
        try:
            if is_last and rest:
                raise ValueError("the line is cut off")
            if number == 1:
                if line.rstrip(b"\r") + b"\n" != HEADER.encode():
                    raise ValueError(f"expected {HEADER.strip()}, got {line[:80].decode('utf-8', 'replace')!r}")
            elif line.strip():
                rows.append(_row(_load(line)))
        except ValueError as error:
            if number > 1 and is_last:
                return StrokeFile(rows, [f"line {number}: {error}: {line[:200].decode('utf-8', 'replace')}"])
            raise ValueError(f"{name}, line {number}: {error}; correct the line or remove it") from error
    return StrokeFile(rows, [])


def check_strokes(
    rows: Sequence[Action], class_names: Sequence[str], *, known_ids: Sequence[str], pictures: Mapping[str, str] | None = None
) -> None:
    """Raise ValueError for an unknown class or image, or an exchanged picture.

    Args:
        rows: of a file.
        class_names: C names, `background` first.
        known_ids: images that may occur.
        pictures: image id -> `fingerprint` of the pictures in use.
    """
    known, by_content = set(known_ids), {mark: image_id for image_id, mark in (pictures or {}).items()}
    for row in rows:
        where = f"strokes: image {row.image_id}, annotator {row.annotator}"
        if row.image_id not in known:
            found = by_content.get(row.picture)
            hint = f"{found} is the same picture: rename it back" if found else "correct the id or remove the rows"
            raise ValueError(f"{where}: unknown image; {hint}")
        if row.class_name and row.class_name not in class_names:
            raise ValueError(f"{where}: unknown class {row.class_name!r}; the classes are {', '.join(class_names)}")
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
    drawings: Sequence[Sequence[Stroke]], size_px: tuple[int, int], class_names: Sequence[str]
) -> tuple[np.ndarray, int]:
    """Return the seeds of one picture: the strokes of each annotator, where no two of them disagree.

    Args:
        drawings: strokes per annotator, in the order in which they were drawn.
        size_px: (width, height) of the picture.
        class_names: C names; a stroke's class is its place among them.

    Returns:
        (height, width) uint8, class index where drawn, `VOID` elsewhere and where annotators disagree; and the number of pixels
        on which they do.
    """
    seeds = np.full(size_px[::-1], VOID, np.uint8)
    clash = np.zeros(seeds.shape, bool)
    for strokes in drawings:
        widths = [stroke.width_px for stroke in strokes]
        own = rasterize(to_scribbles(strokes, class_names), size_px, size_px, widths, widths)
        clash |= (own != VOID) & (seeds != VOID) & (own != seeds)
        seeds = np.where(own != VOID, own, seeds)
    seeds[clash] = VOID
    return seeds, int(clash.sum())


def _load(line: bytes) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _row(given: Any) -> Action:
    """Return a line's object as a row.

    Raises:
        ValueError: a key is missing or unknown, or a value out of range.
    """
    if not isinstance(given, dict):
        raise ValueError(f"expected an object, got {_short(given)}")
    do = given.get("do")
    if do not in ACTIONS:
        raise ValueError(f"do: expected one of {', '.join(ACTIONS)}, got {_short(do)}")
    expected = _COMMON | _OWN.get(do, set())
    if given.keys() != expected:
        raise ValueError(f"expected the keys {', '.join(sorted(expected))}, got {', '.join(sorted(given))[:200]}")
    for name in ("image", "annotator", "timestamp"):
        _text(name, given[name])
    if not isinstance(given["picture"], str):
        raise ValueError(f"picture: expected a text, got {_short(given['picture'])}")
    if not (is_number(given["seconds"]) and given["seconds"] >= 0):
        raise ValueError(f"seconds: expected a number >= 0, got {_short(given['seconds'])}")
    stroke = Stroke.of(given) if do == "draw" else None
    erased = check_erased(given["strokes"]) if do == "erase" else ()
    return Action(
        given["image"], do, given["annotator"], given["seconds"], given["timestamp"], given["picture"], stroke, erased
    )


def check_erased(given: Any) -> tuple[str, ...]:
    """Return a list of strokes' ids.

    Raises:
        ValueError: no list, an empty one, or something in it that is no id.
    """
    if not (isinstance(given, list) and 1 <= len(given) <= MOST_ERASED):
        raise ValueError(f"strokes: expected a list of 1 to {MOST_ERASED} ids, got {_short(given)}")
    if not all(isinstance(one, str) and _ID.fullmatch(one) for one in given):
        raise ValueError("strokes: expected ids of 16 hexadecimal digits")
    return tuple(given)


def is_number(value: object) -> bool:
    """Return whether a value of JSON is a finite number that fits a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e300 and not math.isnan(value)


def _text(name: str, value: object) -> None:
    if not (isinstance(value, str) and value):
        raise ValueError(f"{name}: expected a text that is not empty, got {_short(value)}")


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return text if len(text) <= 80 else text[:77] + "..."
