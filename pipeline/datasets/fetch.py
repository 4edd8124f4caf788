"""Bring published files here: resumed after interruptions, checked, and extracted without surprises.

A file being fetched grows under a hidden name and gets its own name when it is complete and its checksum is right. Files whose
publishers give no checksum, or only the first digits of one, have theirs recorded in `checksums/` at the first download;
committed to git, the record makes every later download, on any machine, bring the same file or stop.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.datasets.raw_files import DatasetError
from pipeline.files import read_json, write_json

if TYPE_CHECKING:
    from requests import Response

CHECKSUMS = Path(__file__).with_name("checksums")
"""Folder of records {url, sha256, bytes}, one file for each fetched file."""
TIMEOUT_S = (20.0, 60.0)
"""To connect, and between two pieces of a file."""
ATTEMPTS = 6
"""Requests in a row that may fail without bringing the file any further."""
BACKOFF_S = 1.0
"""Wait after the first failure; it doubles with every further one."""
LONGEST_WAIT_S = 60.0
PIECE = 1 << 20
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
"""Answers of a server that is worth asking again."""


class Archive(NamedTuple):
    """One published file.

    Attributes:
        url: http or https.
        checksum: "md5:...", "sha1:..." or "sha256:..."; the first 8 digits or more suffice; None: none is published.
    """

    url: str
    checksum: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the file here: the last part of the address."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)


class _Retry(Exception):
    """The request failed in a way that may pass."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def fetch(archive: Archive, folder: Path, *, records: Path = CHECKSUMS) -> Path:
    """Return the path of a published file in `folder`, downloaded if it is not there, with the right checksum in any case.

    An interrupted download goes on where it stopped, also in a later call, if the server still has the same file. Proxies are
    taken from the environment (`https_proxy`, `no_proxy`).

    Args:
        archive: what to fetch.
        folder: where it is kept; a file put there by hand is used.
        records: folder of recorded checksums.

    Raises:
        DatasetError: no connection, no such file, a full disk, or a wrong checksum; says what to do. What has been received is
            kept for the next call, unless its checksum is wrong.
    """
    if not archive.url.startswith(("https://", "http://")):
        raise DatasetError(f"{archive.url}: not an address that can be downloaded; it must begin with https:// or http://")
    path = Path(folder) / archive.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        if path.exists():
            _check(archive, path, records, f"delete it to download it again, or remove its record in {records} if it is right")
            return path
        partial = path.with_name(f".{path.name}.part")
        tried_anew = False
        while True:
            in_pieces = _download(archive, partial)
            try:
                _check(archive, partial, records, "run again")
                break
            except DatasetError:
                _discard(partial)
                if tried_anew or not in_pieces:
                    raise
                tried_anew = True  # the pieces may have belonged to different files
        os.replace(partial, path)
        _discard(partial)
    return path


def unpack(file: Path, folder: Path) -> None:
    """Extract a .zip or a (compressed) .tar into an existing folder.

    Members with absolute paths, with "..", and links or devices are refused before anything is written.

    Raises:
        DatasetError: broken archive, unsafe member, or a full disk. `folder` may then hold a part: use `assembled`.
    """
    try:
        with file.open("rb") as content:
            is_zip = content.read(2) == b"PK"
        if is_zip:
            with zipfile.ZipFile(file) as archive:
                _unpack_zip(archive, file, folder)
        else:
            with tarfile.open(file) as archive:
                _unpack_tar(archive, file, folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DatasetError(f"{folder}: no space left while extracting {file}; free some and run again") from error
        raise DatasetError(f"{file}: cannot be extracted ({error}); delete it and run again") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile appends a line for every compression it tried
        raise DatasetError(f"{file}: cannot be extracted ({reason}); delete it and run again") from error


@contextmanager
def assembled(final: Path) -> Iterator[Path]:
    """Give a temporary folder beside `final`; what is in it under the same name takes its place when the block ends well.

    The temporary folder is removed in any case.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".unpacking-", suffix=".tmp") as folder:
        yield Path(folder)
        os.replace(Path(folder) / final.name, final)


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time fetch `path`; the others wait and then find it."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check(archive: Archive, path: Path, records: Path, remedy: str) -> None:
    """Compare a file with its published and its recorded checksum, and record the latter if there is none."""
    if archive.checksum is not None:
        algorithm, _, digits = archive.checksum.partition(":")
        if not file_digest(path, algorithm).startswith(digits):
            raise DatasetError(f"{archive.url}: {path} has not the published checksum {archive.checksum}; {remedy}")
        if len(digits) == hashlib.new(algorithm).digest_size * 2:
            return
    record = records / f"{archive.file_name}.json"
    found = file_digest(path, "sha256")
    if not record.exists():
        write_json(record, {"url": archive.url, "sha256": found, "bytes": path.stat().st_size})
    elif (known := read_json(record, "delete it, then run the same again").get("sha256")) != found:
        raise DatasetError(
            f"{archive.url}: {path} has the checksum sha256:{found}, but {record} says {known}; "
            f"the publisher has changed the file, or it is damaged: {remedy}"
        )


def _download(archive: Archive, partial: Path) -> bool:
    """Bring `partial` to its full length; return whether more than one answer of the server went into it.

    Failures that may pass are repeated with growing waits, as long as the file gets longer from time to time.
    """
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    started_with = partial.stat().st_size if partial.exists() else 0
    longest, failures, requests_made = started_with, 0, 0
    while True:
        requests_made += 1
        try:
            _request(archive, partial)
            return requests_made > 1 or started_with > 0
        except (RequestException, HTTPError, _Retry) as error:
            size = partial.stat().st_size if partial.exists() else 0
            failures = 0 if size > longest else failures + 1
            longest = max(longest, size)
            if failures >= ATTEMPTS:
                raise DatasetError(
                    f"{archive.url}: download failed {failures} times in a row ({error}); check the connection and run again "
                    f"(it goes on at {size:,} bytes), or put the file into {partial.parent} as {archive.file_name}"
                ) from error
            asked = error.wait_s if isinstance(error, _Retry) else 0.0
            time.sleep(min(max(BACKOFF_S * 2.0 ** (failures - 1), asked), LONGEST_WAIT_S))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise DatasetError(f"{partial.parent}: cannot be written ({error}); check its permissions") from error
            raise DatasetError(
                f"{partial.parent}: no space left while downloading {archive.url}; free some and run again, it goes on there"
            ) from error


def _request(archive: Archive, partial: Path) -> None:
    """Ask once for what is missing of the file and append it."""
    import requests

    have = partial.stat().st_size if partial.exists() else 0
    validator = _read_validator(partial)
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    elif have and archive.checksum is not None:
        headers["Range"] = f"bytes={have}-"  # if the file has changed in the meantime, the checksum tells
    with requests.get(archive.url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        start, total = _read_head(archive, partial, response, have)
        _write_validator(partial, response)
        free = shutil.disk_usage(partial.parent).free
        if total is not None and total - start > free:
            raise DatasetError(
                f"{partial.parent}: {archive.url} needs {total - start:,} more bytes, {free:,} are free; free some and run again"
            )
        with partial.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            _copy(response, file, archive.file_name, start, total)
            file.flush()
            os.fsync(file.fileno())
    size = partial.stat().st_size
    if total is not None and size < total:
        raise _Retry(f"the connection ended after {size:,} of {total:,} bytes")


def _read_head(archive: Archive, partial: Path, response: Response, have: int) -> tuple[int, int | None]:
    """Return where the answer's first byte belongs and how long the whole file is, if the server says so."""
    code = response.status_code
    length = response.headers.get("Content-Length")
    if code == 200:
        return 0, int(length) if length is not None else None
    if code == 206:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span.partition("-")[0] != str(have):
            _discard(partial)
            raise _Retry(f"the server sent the wrong part ({span or 'not named'})")
        return have, int(total) if total.isdigit() else None
    if code == 416:  # nothing is missing, or the file has become shorter: the checksum will tell, if there is one
        if response.headers.get("Content-Range", "").removeprefix("bytes */") == str(have):
            response.close()
            return have, have
        _discard(partial)
        raise _Retry("the server has a shorter file now")
    reason = f"{code} {response.reason}"
    if code in TRANSIENT:
        wait = response.headers.get("Retry-After", "")
        raise _Retry(reason, float(wait) if wait.isdigit() else 0.0)
    raise DatasetError(
        f"{archive.url}: download failed ({reason}); find the file elsewhere and put it into {partial.parent} "
        f"as {archive.file_name}, or set `source` to the path of an existing copy"
    )


def _copy(response: Response, file: IO[bytes], label: str, start: int, total: int | None) -> None:
    """Append the body of an answer to a file, with a progress bar on a terminal."""
    from tqdm import tqdm

    if start == total:
        return
    with tqdm(
        total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024, desc=label, disable=None, leave=False
    ) as bar:
        for piece in response.raw.stream(PIECE, decode_content=False):  # some servers declare a .tgz as a compressed .tar
            file.write(piece)
            bar.update(len(piece))


def _validator_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.validator")


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _validator_file(partial).unlink(missing_ok=True)


def _read_validator(partial: Path) -> str:
    """Return what the server called the version of the file that `partial` is a part of; "" if unknown."""
    file = _validator_file(partial)
    return file.read_text() if file.exists() else ""


def _write_validator(partial: Path, response: Response) -> None:
    """Note the version of the file; weak ETags do not promise equal bytes."""
    tag = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if version:
        _validator_file(partial).write_text(version)
    else:
        _validator_file(partial).unlink(missing_ok=True)


def _unpack_zip(archive: zipfile.ZipFile, file: Path, folder: Path) -> None:
    members = archive.infolist()
    for member in members:
        mode = member.external_attr >> 16
        special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        _refuse_unsafe(file, member.filename, special)
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetError(f"{folder}: extracting {file} needs {needed:,} bytes, {free:,} are free; free some and run again")
    archive.extractall(folder)


def _unpack_tar(archive: tarfile.TarFile, file: Path, folder: Path) -> None:
    members = archive.getmembers()
    for member in members:
        _refuse_unsafe(file, member.name, not (member.isfile() or member.isdir()))
    archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 knows no filters
    archive.extractall(folder, members)


def _refuse_unsafe(file: Path, name: str, special: bool) -> None:
    """Raise DatasetError for a member that could end up outside the folder, or that is neither file nor folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if special or ".." in parts or parts[:1] == ("/",) or (parts and ":" in parts[0]):
        fault = "is a link or a device" if special else "points outside the folder"
        raise DatasetError(f"{file}: member {name!r} {fault}; nothing was extracted, get the archive from its publisher")
