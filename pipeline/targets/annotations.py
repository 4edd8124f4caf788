"""The file of sizes given by people ([SIZE] section 3.4): its format, and how it is read and written.

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
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pipeline.files import finite_number, read_bytes

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


Row = TypeVar("Row")


class LogFile(NamedTuple, Generic[Row]):
    """What was read: complete rows, and the damaged last line (with its number) that was set aside, if there is one."""

    rows: list[Row]
    damaged: list[str]

    def whole(self, path: Path) -> list[Row]:
        """Return the rows of the file at `path`, where no line may be missing.

        Raises:
            ValueError: a line was set aside; names it, with the remedy.
        """
        if self.damaged:
            raise ValueError(
                f"{path}, {self.damaged[0]}; remove the line, or open the file once with `python -m pipeline.annotate`"
            )
        return self.rows


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


def read_annotations(path: Path) -> LogFile[Annotation]:
    """Return the rows of a file and the damaged last line, which a crash or a full disk may leave.

    A byte order mark, and a last line that lacks nothing but its line break, are what editors make of the file: both are taken.

    Raises:
        ValueError: no such file, another header, or a line before the last that is no annotation; names file, line, remedy.
    """
    if not path.exists():
        raise ValueError(f"{path}: not found; make it with `python -m pipeline.annotate`, or check the path")
    return parse_annotations(read_bytes(path), str(path))


def parse_annotations(content: bytes, name: str, first_line: int = 1) -> LogFile[Annotation]:
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
                return LogFile(rows, [f"line {number}: {problem}: {raw.decode('utf-8', 'replace')}"])
            raise ValueError(f"{name}, line {number}: {error}; correct the line or remove it") from error
    return LogFile(rows, [])


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
