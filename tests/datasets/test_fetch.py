"""Fetching and extracting, against a server on this machine that misbehaves as told."""

import errno
import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
import time
import zipfile
from types import SimpleNamespace

import pytest

from pipeline.datasets import fetch as module
from pipeline.datasets.fetch import Archive, assembled, fetch, unpack
from pipeline.datasets.raw_files import DatasetError

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
OTHER = CONTENT[::-1]
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Site:
    """What the server holds, how the next requests go wrong, and what was asked.

    A fault is "cut N" (close after N bytes of the answer), "status CODE", "ignore range", "wrong part",
    "short N" (send only N bytes of the part) or "slow"; each is used once.
    """

    def __init__(self):
        self.content = CONTENT
        self.etag = '"one"'
        self.faults = []
        self.headers = {}
        self.redirects = {}
        self.asked = []

    def ranges(self):
        return [headers.get("Range") for _, headers in self.asked]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.site
        site.asked.append((self.path, dict(self.headers)))
        if self.path in site.redirects:
            self.answer(302, b"", {"Location": site.redirects[self.path]})
            return
        fault = site.faults.pop(0) if site.faults else ""
        if fault.startswith("status"):
            self.answer(int(fault.split()[1]), b"", site.headers)
            return
        if fault == "slow":
            time.sleep(0.2)
        start = self.start(fault)
        if start is not None and start >= len(site.content):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(site.content)}"})
            return
        self.body(fault, start)

    def start(self, fault):
        """Return where the part asked for begins, None for the whole file."""
        asked = self.headers.get("Range")
        current = self.headers.get("If-Range", self.site.etag) == self.site.etag
        if asked is None or fault == "ignore range" or not current:
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-")) - (100 if fault == "wrong part" else 0)

    def body(self, fault, start):
        content = self.site.content[start or 0 :]
        if fault.startswith("short"):
            content = content[: int(fault.split()[1])]
        code, headers = 200, dict(self.site.headers)
        if self.site.etag:
            headers["ETag"] = self.site.etag
        if start is not None:
            code = 206
            headers["Content-Range"] = f"bytes {start}-{len(self.site.content) - 1}/{len(self.site.content)}"
        self.answer(code, content, headers, int(fault.split()[1]) if fault.startswith("cut") else None)

    def answer(self, code, content, headers, cut=None):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def site(monkeypatch):
    state = Site()
    handler = type("BoundHandler", (Handler,), {"site": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(module, "BACKOFF_S", 0.001)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def get(site, tmp_path):
    """Fetch the file with its checksum, or without one (`checksum=None`)."""

    def run(checksum=CHECKSUM, path="/data.bin"):
        return fetch(Archive(site.url + path, checksum), tmp_path / "archives", records=tmp_path / "records")

    return run


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_file_is_fetched_under_its_name(get, tmp_path):
    assert get().read_bytes() == CONTENT
    assert visible(tmp_path / "archives") == ["data.bin"]


def test_name_leaves_out_queries_and_escapes():
    assert Archive("https://host/a/my%20file.zip?dl=1").file_name == "my file.zip"


def test_a_cut_connection_is_resumed_where_it_ended(site, get):
    site.faults = ["cut 4000"]
    assert get().read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=4000-"]


def test_a_later_call_resumes(site, get, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.faults = ["cut 4000", "status 503"]
    with pytest.raises(DatasetError, match=r"503 .*it goes on at 4,000 bytes"):
        get()
    assert get().read_bytes() == CONTENT
    assert site.ranges()[-1] == "bytes=4000-"


def test_more_cuts_than_attempts_are_survived_as_long_as_the_file_grows(site, get):
    site.faults = ["cut 500"] * 12
    assert module.ATTEMPTS < 12
    assert get().read_bytes() == CONTENT


def test_without_progress_it_ends(site, get):
    site.faults = ["cut 0"] * 50
    with pytest.raises(DatasetError, match=rf"failed {module.ATTEMPTS} times in a row"):
        get()
    assert len(site.asked) == module.ATTEMPTS


def test_a_server_that_ignores_ranges_sends_all_again(site, get):
    site.faults = ["cut 4000", "ignore range"]
    assert get().read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_fetched_anew(site, get, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.content, site.etag = OTHER, '"old"'
    site.faults = ["cut 4000", "cut 0"]
    with pytest.raises(DatasetError):
        get(checksum=None)
    site.content, site.etag = CONTENT, '"new"'
    assert get(checksum=None).read_bytes() == CONTENT


def test_halves_of_different_files_are_noticed_by_the_checksum_and_fetched_anew(site, get, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.content, site.etag = OTHER, ""
    site.faults = ["cut 4000", "cut 0"]
    with pytest.raises(DatasetError):
        get()
    site.content = CONTENT
    assert get().read_bytes() == CONTENT


def test_without_version_and_checksum_nothing_is_resumed(site, get):
    site.etag = ""
    site.faults = ["cut 4000"]
    assert get(checksum=None).read_bytes() == CONTENT
    assert site.ranges() == [None, None]


def test_a_wrong_part_is_not_appended(site, get):
    site.faults = ["cut 4000", "wrong part"]
    assert get(checksum=None).read_bytes() == CONTENT


def test_a_part_shorter_than_asked_for_is_continued(site, get):
    site.faults = ["cut 4000", "short 1000"]
    assert get(checksum=None).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=4000-", "bytes=5000-"]


def test_a_part_that_is_already_whole_is_accepted(site, get, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/.data.bin.part").write_bytes(CONTENT)
    assert get().read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_part_longer_than_the_file_is_dropped(site, get, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/.data.bin.part").write_bytes(CONTENT + b"more")
    assert get().read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site, get):
    site.faults = ["status 503", "status 429"]
    assert get().read_bytes() == CONTENT


def test_waits_grow_and_follow_the_servers_wish(site, get, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    monkeypatch.setattr(module, "BACKOFF_S", 1.0)
    site.faults, site.headers = ["status 503"] * 3, {}
    get()
    assert waits == [1.0, 2.0, 4.0]


def test_retry_after_is_respected(site, get, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    site.faults, site.headers = ["status 503"], {"Retry-After": "7"}
    get()
    assert waits == [7.0]


def test_a_missing_file_is_not_asked_for_again(site, get):
    site.faults = ["status 404"]
    with pytest.raises(DatasetError, match=r"data\.bin: download failed \(404 .*put it into .* as data\.bin"):
        get()
    assert len(site.asked) == 1


def test_redirects_are_followed_and_keep_the_range(site, get):
    site.redirects = {"/moved.bin": "/data.bin"}
    site.faults = ["cut 4000"]
    assert get(path="/moved.bin").read_bytes() == CONTENT
    assert site.asked[-1][0] == "/data.bin"
    assert site.ranges()[-1] == "bytes=4000-"


def test_wrong_bytes_are_refused_and_nothing_is_kept(site, get, tmp_path):
    site.content = OTHER
    with pytest.raises(DatasetError, match=r"has not the published checksum sha256:"):
        get()
    assert visible(tmp_path / "archives") == []
    assert len(site.asked) == 1


def test_a_file_declared_as_compressed_is_kept_as_sent(site, get):
    site.content = gzip.compress(CONTENT)
    site.headers = {"Content-Encoding": "gzip"}
    assert get(f"md5:{hashlib.md5(site.content).hexdigest()}").read_bytes() == site.content


def test_proxies_of_the_environment_are_used(site, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, site.url)
    fetch(Archive("http://publisher.invalid/data.bin"), tmp_path, records=tmp_path / "records")
    assert site.asked[0][0] == "http://publisher.invalid/data.bin"


def test_no_server_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BACKOFF_S", 0.001)
    with pytest.raises(DatasetError, match=r"check the connection and run again .* put the file into .* as data\.bin"):
        fetch(Archive("http://127.0.0.1:9/data.bin"), tmp_path, records=tmp_path)


def test_other_addresses_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"file:///etc/passwd: not an address"):
        fetch(Archive("file:///etc/passwd"), tmp_path, records=tmp_path)


def test_too_little_space_is_noticed_before_it_is_used(get, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(DatasetError, match=r"needs 10,240 more bytes, 100 are free"):
        get()


def test_a_disk_that_fills_up_is_named_and_the_part_is_kept(site, get, tmp_path, monkeypatch):
    def write_some(response, file, *_):
        file.write(CONTENT[:3000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_copy", write_some)
        with pytest.raises(DatasetError, match=r"archives: no space left while downloading .*data\.bin"):
            get()
    assert get().read_bytes() == CONTENT
    assert site.ranges()[-1] == "bytes=3000-"


def test_a_file_put_there_by_hand_is_used(site, get, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/data.bin").write_bytes(CONTENT)
    get()
    assert site.asked == []


def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(get, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/data.bin").write_bytes(OTHER)
    with pytest.raises(DatasetError, match="delete it to download it again"):
        get()
    assert (tmp_path / "archives/data.bin").read_bytes() == OTHER


def test_the_first_download_without_published_checksum_records_one(get, tmp_path):
    get(checksum=None)
    record = json.loads((tmp_path / "records/data.bin.json").read_text())
    assert (record["sha256"], record["bytes"]) == (CHECKSUM.removeprefix("sha256:"), len(CONTENT))


def test_later_downloads_must_match_the_record(site, get, tmp_path):
    get(checksum=None).unlink()
    site.content = OTHER
    with pytest.raises(DatasetError, match=r"but .*data\.bin\.json says [0-9a-f]{64}; the publisher has changed the file"):
        get(checksum=None)
    assert visible(tmp_path / "archives") == []


def test_the_first_digits_of_a_checksum_are_checked_and_the_rest_recorded(site, get, tmp_path):
    get(checksum=CHECKSUM[:15]).unlink()
    assert (tmp_path / "records/data.bin.json").exists()
    with pytest.raises(DatasetError, match="published checksum sha256:00000000"):
        get(checksum="sha256:00000000")


def test_a_complete_published_checksum_needs_no_record(get, tmp_path):
    get()
    assert not (tmp_path / "records").exists()


def test_two_at_once_fetch_it_once(site, get):
    site.faults = ["slow"]
    threads = [threading.Thread(target=get) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site.asked) == 1


OUTSIDE = ["../outside.txt", "a/../../outside.txt", "/tmp/outside.txt", "..\\outside.txt", "C:/outside.txt"]


def zip_with(path, name, mode=0o644):
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr("first.txt", "harmless")
        archive.writestr(member, "content")


def tar_with(path, name, kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, "w:gz") as archive:
        for entry, entry_kind, target in (("first.txt", tarfile.REGTYPE, ""), (name, kind, link)):
            member = tarfile.TarInfo(entry)
            member.type, member.linkname = entry_kind, target
            member.size = 7 if entry_kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"content"))


@pytest.mark.parametrize(("make", "suffix"), [(zip_with, ".zip"), (tar_with, ".tgz")])
def test_archives_are_extracted(make, suffix, tmp_path):
    make(tmp_path / f"a{suffix}", "folder/file.txt")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / f"a{suffix}", tmp_path / "out")
    assert (tmp_path / "out/folder/file.txt").read_text() == "content"


@pytest.mark.parametrize(("make", "suffix"), [(zip_with, ".zip"), (tar_with, ".tgz")])
@pytest.mark.parametrize(
    "name", ["../outside.txt", "a/../../outside.txt", "/tmp/outside.txt", "..\\outside.txt", "C:/outside.txt"]
)
def test_members_that_point_outside_are_refused_before_anything_is_written(make, suffix, name, tmp_path):
    make(tmp_path / f"a{suffix}", name)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="points outside the folder; nothing was extracted"):
        unpack(tmp_path / f"a{suffix}", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_tar_files_are_refused(kind, tmp_path):
    tar_with(tmp_path / "a.tgz", "link", kind, "first.txt")
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="is a link or a device"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


def test_links_in_zip_files_are_refused(tmp_path):
    zip_with(tmp_path / "a.zip", "link", 0o120777)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(("make", "suffix"), [(zip_with, ".zip"), (tar_with, ".tgz")])
def test_truncated_archives_are_refused(make, suffix, tmp_path):
    whole, half = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    make(whole, "folder/file.txt")
    half.write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match=r"half\.\w+: cannot be extracted .*delete it and run again"):
        unpack(half, tmp_path / "out")


def test_a_damaged_member_is_refused(tmp_path):
    zip_with(tmp_path / "a.zip", "folder/file.txt")
    damaged = (tmp_path / "a.zip").read_bytes().replace(b"content", b"cantent", 1)
    (tmp_path / "a.zip").write_bytes(damaged)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match=r"a\.zip: cannot be extracted \(Bad CRC-32"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    zip_with(tmp_path / "a.zip", "folder/file.txt")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=3))
    with pytest.raises(DatasetError, match=r"needs 15 bytes, 3 are free"):
        unpack(tmp_path / "a.zip", tmp_path)


def test_what_is_assembled_takes_its_place(tmp_path):
    with assembled(tmp_path / "sets/voc") as work:
        (work / "voc").mkdir()
        assert not (tmp_path / "sets/voc").exists()
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["voc"]


def fail_while_assembling(final):
    with assembled(final) as work:
        (work / final.name).mkdir()
        raise DatasetError("broken")


def test_nothing_is_left_of_what_fails(tmp_path):
    with pytest.raises(DatasetError, match="broken"):
        fail_while_assembling(tmp_path / "sets/voc")
    assert list((tmp_path / "sets").iterdir()) == []
