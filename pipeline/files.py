"""Files that are either whole or absent: written under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears as `path`, whole, when the block ends, and not at all when it raises.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` keeps its old content and no temporary file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise OSError(
            f"{path}: could not be written ({error.strerror or error}); free some space or check permissions, then run again"
        ) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that no reader and no crash ever sees half of it; raises as `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys."""
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows with a header; floats with six significant digits, None and NaN as empty cells.

    The columns are those of all rows, in order of appearance; a row may leave some out.
    """
    rows = list(rows)
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
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
