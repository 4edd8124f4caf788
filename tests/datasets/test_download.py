"""Download and unpacking, against a server on this machine."""

import hashlib
import http.server
import io
import tarfile
import threading
from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.datasets.base import DatasetError
from pipeline.datasets.download import Archive, download, download_voc, fetch, unpack
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc

SCENES = make_scenes(6, seed=1, class_indices=[8, 12], size_px=(24, 18))
OFFICIAL = [scene for scene in SCENES if scene.official]
EXTRA = [scene for scene in SCENES if not scene.official]
HELD_OUT = make_scenes(2, seed=1, class_indices=[8], size_px=(24, 18), split="val")


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve a small VOC archive, without extended masks, and a small SBD archive."""
    folder = tmp_path_factory.mktemp("site")
    raw = tmp_path_factory.mktemp("raw")
    Voc.write(raw, {"train": SCENES, "val": HELD_OUT})
    base = raw / "VOCdevkit/VOC2012"
    (base / "ImageSets/Segmentation/train_aug.txt").unlink()
    for mask in (base / "SegmentationClassAug").iterdir():
        mask.unlink()
    (base / "SegmentationClassAug").rmdir()
    with tarfile.open(folder / "voc.tar", "w") as archive:
        archive.add(raw / "VOCdevkit", "VOCdevkit")
    sbd = tmp_path_factory.mktemp("sbd") / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    for scene in SCENES + HELD_OUT:
        without_void = np.where(scene.labels == 255, 0, scene.labels)
        savemat(sbd / "cls" / f"{scene.image_id}.mat", {"GTcls": {"Segmentation": without_void}})
    (sbd / "train.txt").write_text("".join(f"{scene.image_id}\n" for scene in SCENES[::-1]))
    (sbd / "val.txt").write_text("".join(f"{scene.image_id}\n" for scene in HELD_OUT))
    with tarfile.open(folder / "sbd.tgz", "w:gz") as archive:
        archive.add(sbd.parent, "benchmark_RELEASE")
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        files = {"voc": folder / "voc.tar", "sbd": folder / "sbd.tgz"}
        yield {name: Archive(f"{address}/{path.name}", md5(path)) for name, path in files.items()}
        server.shutdown()


@pytest.fixture(scope="module")
def fetched(site, tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "voc"
    download_voc(root, root.parent / "archives", **site)
    return root


def test_downloaded_set_verifies(fetched):
    Voc(fetched).verify()


def test_extended_list_is_train_and_what_sbd_adds_without_val(fetched):
    expected = [scene.image_id for scene in OFFICIAL] + sorted(scene.image_id for scene in EXTRA)
    assert Voc(fetched).ids("train") == expected


def test_official_masks_are_kept_and_the_others_come_from_sbd(fetched):
    dataset = Voc(fetched)
    for scene in SCENES:
        assert np.array_equal(dataset.read_labels(scene.image_id), scene.labels)


def test_no_temporary_file_is_left(fetched):
    assert [path.name for path in fetched.iterdir()] == ["VOCdevkit"]


def test_second_call_needs_no_server(fetched, tmp_path):
    download_voc(fetched, tmp_path, voc=Archive("http://127.0.0.1:9/voc.tar", "0"), sbd=Archive("http://127.0.0.1:9/s", "0"))


def test_archive_on_disk_is_not_fetched_again(site, tmp_path):
    path = fetch(site["voc"], tmp_path)
    offline = Archive("http://127.0.0.1:9/voc.tar", site["voc"].md5)
    assert fetch(offline, tmp_path) == path


def test_wrong_checksum_is_refused_and_nothing_kept(site, tmp_path):
    with pytest.raises(DatasetError, match=r"checksum md5:0123"):
        fetch(site["voc"]._replace(md5="0123" * 8), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_says_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match=r"download failed .*put the file into .* by hand, or set `source`"):
        download_voc(tmp_path / "voc", tmp_path / "archives", voc=Archive("http://127.0.0.1:9/voc.tar", "0" * 32))
    assert not (tmp_path / "voc").exists()


def test_missing_file_on_the_server_is_reported(site, tmp_path):
    gone = site["voc"].url.replace("voc.tar", "gone.tar")
    with pytest.raises(DatasetError, match=r"gone\.tar: download failed"):
        fetch(Archive(gone, "0" * 32), tmp_path)


def test_archive_of_another_form_leaves_nothing(site, tmp_path):
    with pytest.raises(DatasetError, match=r"holds no SBD"):
        download_voc(tmp_path / "voc", tmp_path / "archives", voc=site["voc"], sbd=site["voc"])
    assert list((tmp_path / "voc").iterdir()) == []


def test_member_that_points_outside_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("../outside.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"no"))
    (tmp_path / "inner").mkdir()
    with pytest.raises(DatasetError, match=r"bad\.tar: cannot be extracted"):
        unpack(tmp_path / "bad.tar", tmp_path / "inner")
    assert not (tmp_path / "outside.txt").exists()


def test_unknown_kind_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"'folder' cannot be downloaded, only voc"):
        download("folder", tmp_path)
