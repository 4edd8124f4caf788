"""Files written whole or not at all: under a temporary name, then renamed. Also how texts, tables and folders are read."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

Form = TypeVar("Form", bound="BaseModel")

NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""What counts as a number in a table; Python would also take `1_0`, `nan` and the digits of other alphabets."""


def check_place(path: Path) -> None:
    """Make the folder of a file that is to be written.

    Raises:
        OSError: there is a folder in the file's place, or its own folder cannot be made or written to.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give the name of an empty file that becomes `path` when the block ends, and is removed when it raises.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` keeps its old content and no temporary file is left.
    """
    check_place(path)
    # The temporary name is cut: that of `path` may be as long as the file system allows.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, name, str(path)):  # another file, which the block reads
            raise
        raise OSError(
            f"{path}: could not be written ({error.strerror or error}); free some space or check permissions, then run again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears as `path`, whole, when the block ends, and not at all when it raises; raises as `atomic_path`."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` that takes its place when the block ends; what a killed process left there goes."""
    folder = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(path, ignore_errors=True)
    folder.replace(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that no reader and no crash ever sees half of it; raises as `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys."""
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def parse_json(content: str | bytes) -> Any:
    """Return what a JSON document says; what Python would pass over in silence is refused.

    Raises:
        ValueError: it is none, holds NaN, an infinite number or one beyond what a float holds, or a key twice.
        RecursionError: it is nested too deeply.
    """

    def number(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"{text} is no number")
        return value

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise ValueError(f"the key {twice!a} stands twice in one object")
        return found

    return json.loads(content, parse_constant=number, parse_float=number, object_pairs_hook=mapping)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Return the object in a JSON file; `remedy` ends the message of every error.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, no JSON, or not an object.
    """
    try:
        content = parse_json(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as JSON ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(content).__name__}; {remedy}")
    return content


def read_form(path: Path, form: type[Form], remedy: str) -> Form:
    """Return what a JSON file says, checked by a model of pydantic; `remedy` ends the message of every error.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or not what the model asks for: names file and field.
    """
    from pydantic import ValidationError  # here, as much that reads files needs no models

    content = read_json(path, remedy)
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, told = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise ValueError(": ".join(filter(None, [str(path), place, told])) + f"; {remedy}") from None


def write_csv(path: Path, rows: Iterable[Mapping[str, object]], columns: Iterable[str] = ()) -> None:
    """Write rows with a header; floats with six significant digits, None and NaN as empty cells.

    The columns are `columns`, which stand there even without rows, and those of all rows in order of appearance; a row may leave
    some out.
    """
    rows = list(rows)
    text = io.StringIO()
    columns = list(dict.fromkeys([*columns, *(column for row in rows for column in row)]))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: format_cell(value) for key, value in row.items()} for row in rows)
    write_atomically(path, text.getvalue().encode())


def format_cell(value: object) -> object:
    """Return a CSV cell: six significant digits for floats, empty for None and NaN.

    >>> format_cell(1 / 3), format_cell(float("nan")), format_cell("a")
    ('0.333333', '', 'a')
    """
    if value is None or value != value:  # NaN differs from itself
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


class Line(NamedTuple):
    """One line of a table: its place, to stand in errors, and its cells."""

    where: str
    cells: list[str]


def with_home(path: Path) -> Path:
    """Return a path with a home folder for `~` or `~name`.

    Raises:
        ValueError: there is no such home.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: there is no such home folder; write the whole path") from error


def real_path(path: Path) -> Path:
    """Return an absolute path without links and `~`; raises as `with_home`, not at links to themselves as `Path.resolve` does."""
    return Path(os.path.realpath(with_home(path)))


def is_there(path: Path) -> bool:
    """Return whether there is a file or folder that may be left out.

    Raises:
        OSError: it is a link to nothing: somebody wanted it to be there.
    """
    if path.is_symlink() and not path.exists():
        raise OSError(errno.ENOENT, "is a link to nothing; restore what it leads to, or remove it", str(path))
    return path.exists()


def check_ordinary(path: Path) -> None:
    """Raise OSError for a folder, and for a pipe or a device, on which reading would wait without end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no ordinary file; put one in its place, or take it away", str(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read, or is not `check_ordinary`.
    """
    check_ordinary(path)
    return path.read_bytes()


def read_text(path: Path) -> str:
    """Return a text file, with or without the byte order mark that spreadsheets and editors put before it.

    Raises:
        ValueError: it is not UTF-8.
        OSError: as `read_bytes`.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8 (in a spreadsheet: CSV UTF-8)") from error


def read_table(path: Path) -> tuple[list[str], list[Line]]:
    """Return the header of a CSV and its lines, in composed Unicode (NFC) as image ids are.

    Empty lines are left out, spaces around names of columns too.

    Raises:
        ValueError: not UTF-8, not commas between the columns, a column twice, a quotation mark that is not closed, or a line with
            more or fewer cells than the header. Names the file, the line and what to do.
        OSError: it cannot be read.
    """
    reader = csv.reader(io.StringIO(unicodedata.normalize("NFC", read_text(path)), newline=""), strict=True)
    lines: list[Line] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        other = next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None)
        if other is not None:
            raise ValueError(f"{path}, line 1: columns are separated by {other!r}; save the table with commas")
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            names = ",".join(dict.fromkeys(header))
            raise ValueError(f"{path}, line 1: expected the header {names}, each column once, got '{twice}' twice; rename one")
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if cells and len(cells) != len(header):
                raise ValueError(f"{where}: expected {len(header)} values, got {len(cells)}; complete the line")
            if cells:
                lines.append(Line(where, cells))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: cannot be read ({error}); correct the line") from error
    return header, lines


def finite_number(text: str) -> float:
    """Return the number in a cell of a table.

    Raises:
        ValueError: it is none, or beyond what a float holds.

    >>> finite_number("2.5e-1")
    0.25
    """
    value = float(text) if NUMBER.fullmatch(text.strip(" ")) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no number; write it with a point and without thousands, as in 0.25")
    return value


def walk(root: Path) -> Iterator[Path]:
    """Yield all that is no folder below `root`, in order, in linked folders too: files, links to nothing, pipes.

    A link back to a folder on the way is not followed.
    """

    def visit(folder: Path, above: frozenset[str]) -> Iterator[Path]:
        here = above | {os.path.realpath(folder)}
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                yield path
            elif os.path.realpath(path) not in here:
                yield from visit(path, here)

    yield from visit(root, frozenset())


def split_block(page: str, mark: str, path: Path) -> tuple[str, str, str]:
    """Return what is before, between and behind the lines `<!-- mark -->` and `<!-- /mark -->` of a Markdown page.

    Raises:
        ValueError: a mark is missing; names the page.
    """
    opening, closing = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, first, rest = page.partition(opening)
    block, last, behind = rest.partition(closing)
    if not (first and last):
        raise ValueError(f"{path}: expected a block between {opening} and {closing}; restore it with git")
    return f"{before}{first}\n", block.strip(), f"\n{last}{behind}"


def replace_block(path: Path, mark: str, block: str) -> None:
    """Write what stands between the marks of a page anew.

    Raises:
        ValueError: a mark is missing.
    """
    before, _, behind = split_block(path.read_text(encoding="utf-8"), mark, path)
    write_atomically(path, f"{before}{block}{behind}".encode())
