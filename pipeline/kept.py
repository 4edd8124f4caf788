"""Names for what is kept in the scratch folder: digests of all that it was made of, so that nothing stale is ever found."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def digest_of(values: Mapping[str, Any], files: Iterable[Path]) -> str:
    """Return a digest of plain values and of the content of files, code among them.

    Raises:
        OSError: a file is not there.
    """
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in files:
        if path.suffix == ".zip":  # the directory of an archive holds a checksum of every member
            with zipfile.ZipFile(path) as archive:
                digest.update(repr([(info.filename, info.CRC) for info in archive.infolist()]).encode())
        else:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
