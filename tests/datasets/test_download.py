"""Data sets made of their published archives, from a server on this machine; fetching itself is tested in test_fetch."""

import hashlib
import http.server
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.conventions import VOID
from pipeline.datasets import fetch as fetching
from pipeline.datasets.download import ARCHIVES, FOLDERS, VOC_TEST, download, download_voc
from pipeline.datasets.fetch import Archive
from pipeline.datasets.pictures import write_mask
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.scenes import SCENES
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc

TRAIN = make_scenes(6, seed=1, class_indices=[8, 12], size_px=(24, 18))
OFFICIAL = [scene for scene in TRAIN if scene.official]
EXTRA = [scene for scene in TRAIN if not scene.official]
HELD_OUT = make_scenes(2, seed=1, class_indices=[8], size_px=(24, 18), split="val")
GONE = Archive("http://127.0.0.1:9/gone.zip", "md5:00000000")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def zip_of(path, folder, name):
    """Archive `folder` as `name`, as publishers do."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{name}/{file.relative_to(folder)}")


def write_voc_archives(site, work):
    """Write the files of VOC (without extended masks), SBD, ready-made masks and drawn scribbles."""
    raw = work / "raw"
    Voc.write(raw, {"train": TRAIN, "val": HELD_OUT})
    base = raw / "VOCdevkit/VOC2012"
    (base / "ImageSets/Segmentation/train_aug.txt").unlink()
    zip_of(site / "voc_masks.zip", base / "SegmentationClassAug", "SegmentationClassAug")
    for mask in (base / "SegmentationClassAug").iterdir():
        mask.unlink()
    (base / "SegmentationClassAug").rmdir()
    with tarfile.open(site / "voc.tar", "w") as archive:
        archive.add(raw / "VOCdevkit", "VOCdevkit")
    sbd = work / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    drawn = work / "pascal_2012_scribble"
    drawn.mkdir()
    for scene in TRAIN + HELD_OUT:
        without_void = np.where(scene.labels == VOID, 0, scene.labels)
        savemat(sbd / "cls" / f"{scene.image_id}.mat", {"GTcls": {"Segmentation": without_void}})
        write_mask(drawn / f"{scene.image_id}.png", np.full_like(scene.labels, VOID), Voc.palette)
    (sbd / "train.txt").write_text("".join(f"{scene.image_id}\n" for scene in TRAIN[::-1]))
    (sbd / "val.txt").write_text("".join(f"{scene.image_id}\n" for scene in HELD_OUT))
    with tarfile.open(site / "sbd.tgz", "w:gz") as archive:
        archive.add(sbd.parent, "benchmark_RELEASE")
    zip_of(site / "voc_scribbles.zip", drawn, "pascal_2012_scribble")


def write_other_archives(site, work):
    """Write the files of COCO and ADE20K."""
    for kind, classes in (("coco", [1, 2]), ("ade20k", [0, 3, 5])):
        splits = {s: SCENES[kind](3, seed=1, class_indices=classes, size_px=(32, 24), split=s) for s in ("train", "val")}
        DATASETS[kind].write(work / kind, splits)
    for name, folder in (("coco_train", "train2014"), ("coco_val", "val2014"), ("coco_annotations", "annotations")):
        zip_of(site / f"{name}.zip", work / "coco" / folder, folder)
    zip_of(site / "ade20k.zip", work / "ade20k" / "ADEChallengeData2016", "ADEChallengeData2016")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Serve small archives of every set, under the names of the real ones."""
    site = tmp_path_factory.mktemp("site")
    write_voc_archives(site, tmp_path_factory.mktemp("voc"))
    write_other_archives(site, tmp_path_factory.mktemp("others"))
    handler = partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "BACKOFF_S", 0.001)
        patch.setenv("no_proxy", "127.0.0.1")
        threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield {
            path.stem: Archive(f"{address}/{path.name}", f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
            for path in site.iterdir()
        }
        server.shutdown()


@pytest.fixture(scope="module")
def voc(sources, tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "voc"
    download_voc(root, root.parent / "archives", sources)
    return root


def test_the_server_has_every_registered_archive(sources):
    assert sources.keys() == ARCHIVES.keys()


@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_registered_checksums_are_complete(name):
    if ARCHIVES[name].checksum is not None:
        algorithm, _, digits = ARCHIVES[name].checksum.partition(":")
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size


def test_registered_files_do_not_share_a_name():
    names = [archive.file_name for archive in ARCHIVES.values()]
    assert len(set(names)) == len(names)


def test_downloaded_voc_verifies(voc):
    Voc(voc).verify()


def test_extended_list_is_train_and_what_sbd_adds_without_val(voc):
    expected = [scene.image_id for scene in OFFICIAL] + sorted(scene.image_id for scene in EXTRA)
    assert Voc(voc).ids("train") == expected


def test_official_masks_are_kept_and_the_others_come_from_sbd(voc):
    dataset = Voc(voc)
    for scene in TRAIN:
        assert np.array_equal(dataset.read_labels(scene.image_id), scene.labels)


def test_extended_masks_include_the_official_ones_unchanged(voc):
    base = voc / "VOCdevkit/VOC2012"
    for scene in OFFICIAL + HELD_OUT:
        name = f"{scene.image_id}.png"
        assert (base / "SegmentationClassAug" / name).read_bytes() == (base / "SegmentationClass" / name).read_bytes()


def test_published_scribbles_are_found_by_the_reader(voc):
    raster = Voc(voc).read_scribble_raster(TRAIN[0].image_id)
    assert (raster == VOID).all()


def test_no_temporary_file_is_left(voc):
    assert [path.name for path in voc.iterdir()] == ["VOCdevkit"]


def test_second_call_needs_no_server(voc, tmp_path):
    download_voc(voc, tmp_path, dict.fromkeys(ARCHIVES, GONE))


def test_without_sbd_the_ready_masks_give_the_same_set(sources, voc, tmp_path, caplog):
    download_voc(tmp_path / "voc", tmp_path, {**sources, "sbd": GONE})
    first, second = Voc(voc), Voc(tmp_path / "voc")
    assert first.ids("train") == second.ids("train")
    assert all(np.array_equal(first.read_labels(name), second.read_labels(name)) for name in first.ids("train"))
    assert "Taking the ready-made masks" in caplog.text


def test_without_published_scribbles_a_warning_says_so(sources, tmp_path, caplog):
    download_voc(tmp_path / "voc", tmp_path, {**sources, "voc_scribbles": GONE})
    assert "they will be generated from masks" in caplog.text
    assert Voc(tmp_path / "voc").read_scribble_raster(TRAIN[0].image_id) is None


def write_test_photos(path, work):
    """Write the archive of test photos as the evaluation server gives it: a list and photos in VOCdevkit."""
    Voc.write(work, {"test": make_scenes(3, seed=1, class_indices=[8], size_px=(24, 18), split="test")})
    base = work / "VOCdevkit/VOC2012"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in ("ImageSets/Segmentation/test.txt", "JPEGImages"):
            archive.add(base / name, f"VOCdevkit/VOC2012/{name}")


def test_test_photos_put_there_by_hand_are_added_and_change_nothing_else(sources, voc, tmp_path):
    write_test_photos(tmp_path / "archives" / VOC_TEST, tmp_path / "work")
    download_voc(tmp_path / "voc", tmp_path / "archives", sources)
    base = tmp_path / "voc/VOCdevkit/VOC2012"
    ids = (base / "ImageSets/Segmentation/test.txt").read_text().split()
    assert len(ids) == 3
    assert all((base / f"JPEGImages/{image_id}.jpg").is_file() for image_id in ids)
    for split in ("train", "val"):
        assert Voc(tmp_path / "voc").ids(split) == Voc(voc).ids(split)


def test_an_archive_of_something_else_in_place_of_the_test_photos_is_refused(sources, tmp_path):
    (tmp_path / "archives").mkdir()
    with tarfile.open(tmp_path / "archives" / VOC_TEST, "w"):
        pass
    with pytest.raises(DatasetError, match=r"VOC2012test\.tar holds no test list of VOC 2012"):
        download_voc(tmp_path / "voc", tmp_path / "archives", sources)


def test_no_connection_says_what_to_do_and_leaves_nothing(tmp_path, sources):
    with pytest.raises(DatasetError, match=r"gone\.zip: download failed .*put the file into"):
        download_voc(tmp_path / "voc", tmp_path / "archives", dict.fromkeys(ARCHIVES, GONE))
    assert not (tmp_path / "voc").exists()


def test_archive_of_another_form_leaves_nothing(sources, tmp_path):
    with pytest.raises(DatasetError, match=r"holds no SBD"):
        download_voc(tmp_path / "voc", tmp_path / "archives", {**sources, "sbd": sources["voc"]})
    assert list((tmp_path / "voc").iterdir()) == []


@pytest.mark.parametrize("kind", FOLDERS)
def test_other_sets_verify(kind, sources, tmp_path):
    download(kind, tmp_path / kind, tmp_path / "archives", sources)
    dataset = DATASETS[kind](tmp_path / kind)
    dataset.verify()
    assert len(dataset.ids("val")) == 3


def test_coco_fetches_only_what_is_missing(sources, tmp_path):
    (tmp_path / "coco/train2014").mkdir(parents=True)
    (tmp_path / "coco/annotations").mkdir()
    download("coco", tmp_path / "coco", tmp_path / "archives", {**dict.fromkeys(ARCHIVES, GONE), "coco_val": sources["coco_val"]})
    assert (tmp_path / "coco/val2014").is_dir()


@pytest.mark.parametrize("kind", sorted(set(DATASETS) - {"voc", *FOLDERS}))
def test_sets_behind_a_login_say_how_to_get_them(kind, tmp_path):
    with pytest.raises(DatasetError, match=rf"'{kind}' cannot be downloaded, only voc, coco, ade20k\. How to get it: ") as caught:
        download(kind, tmp_path, tmp_path)
    assert DATASETS[kind].obtain in str(caught.value)


def test_unknown_kind_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"'imagenet' cannot be downloaded.* no such data set"):
        download("imagenet", tmp_path, tmp_path)
