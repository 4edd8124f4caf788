"""Files of a copy of a data set: lists, tables, names; every failure is a `DatasetError` that says what to do."""

from __future__ import annotations

import reprlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files import Line, parse_json, read_table, read_text

SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}
"""What systems put beside people's files, in small letters."""
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What taking apart a JSON or YAML document raises when it is not of the expected form."""


class DatasetError(Exception):
    """A file of a data set is missing, broken or inconsistent. The message names the file, the fault and the remedy."""


def require(path: Path, remedy: str) -> Path:
    """Return `path` if it is a file or a folder, else raise DatasetError with the remedy: reading a pipe would never end."""
    if not (path.is_file() or path.is_dir()):
        told = "is no ordinary file" if path.exists() else "not found"
        raise DatasetError(f"{path}: {told}; {remedy}")
    return path


def is_system_file(name: str) -> bool:
    """Return whether a file or folder is hidden (as `._a.jpg` of macOS) or put there by an operating system."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def file_id(name: str, where: str) -> str:
    """Return the id in a file name or a line of a list, its accents composed: macOS takes letters and accents apart.

    Raises:
        DatasetError: no name that a file may have everywhere: empty, not UTF-8, with a control character or a slash.
    """
    if not name or name in (".", "..") or "/" in name or any(unicodedata.category(one) in ("Cc", "Cs") for one in name):
        raise DatasetError(
            f"{where}: {name!a} is no name of an image: empty, not UTF-8, or with a slash or control character; rename it"
        )
    return unicodedata.normalize("NFC", name)


def check_class_names(names: Iterable[object]) -> None:
    """Raise ValueError unless names can stand in tables: words without spaces around them, different in more than capitals."""
    seen: dict[str, object] = {}
    for name in names:
        text = unicodedata.normalize("NFC", name).casefold() if isinstance(name, str) else ""
        if not text or text.strip() != text or not text.isprintable() or text == "image_id":
            shown = reprlib.repr(name)
            raise ValueError(f"{shown} is no name of a class; quote numbers, dates, yes and no, and leave no spaces around names")
        if text in seen:
            raise ValueError(f"{name!r} and {seen[text]!r} are one name, but for capitals and accents; rename one of them")
        seen[text] = name


def files_by_id(folder: Path, suffixes: Iterable[str], others: str | None = None) -> dict[str, Path]:
    """Return id -> file of one folder, sorted by id. The id is the file name without its last suffix.

    Args:
        folder: searched without the folders in it.
        suffixes: those that count, in small letters; files may have capitals.
        others: what to do about other files; None: they are left out, as files of operating systems are in any case.

    Raises:
        DatasetError: no folder, two files of one id, a link to nothing, a pipe, or with `others` a file of another kind.
    """
    remedy = "restore the folder from the original archive; check `source` of the data set"
    if not require(folder, remedy).is_dir():
        raise DatasetError(f"{folder}: is no folder; {remedy}")
    wanted, found = set(suffixes), dict[str, Path]()
    for path in sorted(folder.iterdir()):
        if is_system_file(path.name):
            continue
        if path.suffix.lower() not in wanted or path.is_dir():
            if others is not None:
                raise DatasetError(f"{path}: {others}")
            continue
        if not path.is_file():
            raise DatasetError(f"{path}: is a link to nothing, or no ordinary file; restore it, or take it away")
        image_id = file_id(path.stem, str(path))
        if image_id in found:
            raise DatasetError(f"{path}: has the same id as {found[image_id].name}; rename or remove one of them")
        found[image_id] = path
    return dict(sorted(found.items()))


def read_list(path: Path) -> list[str]:
    """Return the lines that are not empty: the image ids of a list file.

    Raises:
        DatasetError: the file is missing, not text, empty, or names an id twice.
    """
    require(path, "restore the list from the original archive or check the data set's path")
    with named_errors():
        lines = [line.strip() for line in read_text(path).split("\n")]
    ids = [file_id(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    if not ids:
        raise DatasetError(f"{path}: lists no image; restore it from the original archive")
    if len(set(ids)) != len(ids):
        repeated = next(image_id for image_id, count in Counter(ids).items() if count > 1)
        raise DatasetError(f"{path}: lists {repeated} more than once; remove the repeated line")
    return ids


@contextmanager
def named_errors(where: str | None = None) -> Iterator[None]:
    """Turn a ValueError into a DatasetError that starts with `where`; without it the message names the file already."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise DatasetError(str(error) if where is None else f"{where}: {error}") from error


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place for errors, row) of a table that must have exactly these columns, in any order.

    Raises:
        DatasetError: names the file, the line and what to do.
    """
    header: list[str]
    lines: list[Line]
    with named_errors():
        header, lines = read_table(path)
    if sorted(header) != sorted(columns):
        raise DatasetError(f"{path}, line 1: expected the columns {','.join(columns)}, got {','.join(header)}; rename them")
    for where, cells in lines:
        yield where, dict(zip(header, cells))


def whole_number(value: Any) -> int:
    """Return a whole number of a JSON document; export tools write 40.0 for 40.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(value)


def read_json(path: Path, form: str, remedy: str) -> Any:
    """Return a JSON document, as `parse_json` does.

    Raises:
        DatasetError: not JSON; `form` and `remedy` stand in it.
    """
    require(path, remedy)
    try:
        return parse_json(path.read_bytes())
    except (OSError, *MALFORMED) as error:
        raise DatasetError(f"{path}: is not of the form {form} ({error!r}); {remedy}") from error
