"""The files of annotations while people work: rows are appended and flushed to disk at once, and nothing is ever rewritten.

Several servers may append to one file: whoever decides and writes holds a lock all the while (`transaction`), and rows of others
are read before. A last line that a crash cut off is moved to `<file>.damaged` before the next row is written.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pipeline.targets import strokes
from pipeline.targets.annotated_sizes import Answer, standing
from pipeline.targets.annotations import FIELDS, Annotation, LogFile, check_timestamp, format_rows, parse_annotations

HEADER = ",".join(FIELDS) + "\n"


class LogRow(Protocol):
    """A row says who did something, and on which picture."""

    @property
    def annotator(self) -> str:
        """Name of the person."""

    @property
    def image_id(self) -> str:
        """Picture."""

    @property
    def timestamp(self) -> str:
        """When, UTC."""


class Standing(Protocol):
    """What stands of one annotator about one picture after all rows."""

    skipped: bool
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether the picture is done."""

    def apply(self, row: Any) -> None:
        """Take the next row into account."""


Row = TypeVar("Row", bound=LogRow)
State = TypeVar("State", bound=Standing)


class Log(Generic[Row, State]):
    """Append-only rows in one text file, and what stands after all of them; a subclass says what a row looks like.

    Args:
        path: the file; made on the first answer, with its folder.

    Attributes:
        rows: all rows of the file, those of other processes included.
        damaged: lines that were set aside by this process, each with its fault.

    Raises:
        ValueError: the file holds something else, or a damaged line before the last.
        OSError: it cannot be read or written.
    """

    header: ClassVar[str]
    """First line of the file."""

    parse: Callable[[bytes, str, int], LogFile[Row]]
    """Whole lines, name of the file for errors, number of the first line -> their rows, and the damaged last line if it is."""
    format: Callable[[Sequence[Row]], str]
    """Rows -> lines."""
    standing: Callable[[Sequence[Row]], dict[str, dict[str, State]]]
    """Rows in whatever order they lie in the file -> annotator -> image id -> what stands after all of them."""
    nothing: Callable[[], State]
    """What stands before the first row."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.rows: list[Row] = []
        self.damaged: list[str] = []
        self._answers: dict[str, dict[str, State]] = {}
        self._offset = 0
        self._lines = 0
        self._inode = 0
        self._latest = self._issued = ""
        self._held: int | None = None
        self._guard = threading.RLock()
        self.refresh()

    @property
    def aside(self) -> Path:
        """File that damaged lines are moved to."""
        return self.path.with_name(self.path.name + ".damaged")

    def annotators(self) -> list[str]:
        """Return the names found in the file, in order of appearance."""
        return list(self._answers)

    def answers(self, annotator: str) -> dict[str, State]:
        """Return what stands of one annotator: image id -> answer. Not to be changed."""
        return self._answers.get(annotator, {})

    def answer(self, annotator: str, image_id: str) -> State:
        """Return what stands of one annotator about one picture."""
        return self.answers(annotator).get(image_id, self.nothing())

    def refresh(self) -> None:
        """Read what was appended since the last time, by this or another process."""
        with self._guard:
            if self.path.exists():
                with self.transaction():
                    pass

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none, and return when they are on disk.

        Raises:
            ValueError: a row that could not be read back.
            OSError: the disk is full or the file cannot be written; the file is as before.
        """
        content = self.format(rows).encode()
        if not content:
            return
        with self.transaction() as handle:
            end = os.lseek(handle, 0, os.SEEK_END)
            try:
                _write(handle, (b"" if end else self.header.encode()) + content)
                os.fsync(handle)
            except OSError as error:
                os.ftruncate(handle, end)
                problem = error.strerror or error
                raise OSError(f"{self.path}: could not be written ({problem}); the answer is not saved") from error
            self._catch_up(handle)

    @contextmanager
    def transaction(self) -> Iterator[int]:
        """Hold the file, with all rows of others read, so that what is decided on them still holds when it is written.

        Within it, `append` writes; a transaction inside another belongs to that one.
        """
        with self._guard:
            if self._held is not None:
                yield self._held
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists()
            self._held = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX)
                self._catch_up(self._held)
                yield self._held
                if is_new:
                    _sync_folder(self.path.parent)
            finally:
                os.close(self._held)
                self._held = None

    def timestamp(self) -> str:
        """Return the time for the next row, within a transaction: now, but later than every row, so that their order stays known.

        Raises:
            ValueError: a row of the file is from the end of time.
        """
        now = datetime.now(UTC)
        if before := max(self._latest, self._issued):
            latest = check_timestamp(f"{before}Z")
            try:
                now = max(now, latest + timedelta(microseconds=1))
            except OverflowError as error:
                raise ValueError(f"{self.path}: holds the timestamp {latest}; correct it") from error
        self._issued = now.strftime("%Y-%m-%dT%H:%M:%S.%f")
        return f"{self._issued}Z"

    def _catch_up(self, handle: int) -> None:
        """Read new rows, and move a damaged last line away. The lock is held, so no line is half-way through being written."""
        status = os.fstat(handle)
        if status.st_ino != self._inode or status.st_size < self._offset:
            self.rows.clear()
            self._answers.clear()
            self._offset = self._lines = 0
            self._latest = ""
            self._inode = status.st_ino
        fresh = os.pread(handle, status.st_size - self._offset, self._offset)
        if not self._offset and self.header.encode().startswith(fresh) and len(fresh) < len(self.header):
            os.ftruncate(handle, 0)  # the very first write was cut off within the header
            return
        if not fresh:
            return
        rows, damaged = self.parse(fresh, str(self.path), self._lines + 1)
        if damaged:
            intact = fresh[: fresh.rindex(b"\n", 0, len(fresh) - 1) + 1] if b"\n" in fresh[:-1] else b""
            self._set_aside(handle, fresh[len(intact) :], self._offset + len(intact))
            self.damaged += damaged
            fresh = intact
        elif not fresh.endswith(b"\n"):
            _write(handle, b"\n")
            fresh += b"\n"
        moments = [self._latest, *(row.timestamp.removesuffix("Z") for row in rows)]
        if moments == sorted(moments):
            for row in rows:
                self._answers.setdefault(row.annotator, {}).setdefault(row.image_id, self.nothing()).apply(row)
        else:  # moved by a spreadsheet
            self._answers = self.standing([*self.rows, *rows])
        self.rows += rows
        self._latest = max(moments)
        self._offset += len(fresh)
        self._lines += fresh.count(b"\n")

    def _set_aside(self, handle: int, line: bytes, end: int) -> None:
        # The copy must be safe before the original goes.
        aside = os.open(self.aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _write(aside, line.rstrip(b"\n") + b"\n")
            os.fsync(aside)
        finally:
            os.close(aside)
        _sync_folder(self.path.parent)
        os.ftruncate(handle, end)
        os.fsync(handle)


class AnnotationStore(Log[Annotation, Answer]):
    """Sizes in a CSV file, see `pipeline.targets.annotations`."""

    header = HEADER
    parse = staticmethod(parse_annotations)
    format = staticmethod(format_rows)
    standing = staticmethod(standing)
    nothing = Answer


class StrokeStore(Log[strokes.Action, strokes.Drawing]):
    """Scribbles in a file of JSON lines, see `pipeline.targets.strokes`."""

    header = strokes.HEADER
    parse = staticmethod(strokes.parse_strokes)
    format = staticmethod(strokes.format_rows)
    standing = staticmethod(strokes.standing)
    nothing = strokes.Drawing


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
