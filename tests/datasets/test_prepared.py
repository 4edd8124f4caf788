"""The prepared archive: exact, reproducible, selective, and clear about broken files."""

import multiprocessing
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.base import DatasetError, Scribble
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc

SCENES = make_scenes(12, seed=2, class_indices=[8, 12, 15], size_px=(32, 24))
STROKES = tuple(Scribble(index, ((2.0, 3.0), (5.5, 6.25))) for index in (0, 8, 12))
CLICKS = (Scribble(12, ((4.0, 4.0),)), Scribble(0, ((1.0, 1.0),)))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    Voc.write(root, {"train": [replace(scene, scribbles=STROKES, clicks=CLICKS) for scene in SCENES], "val": []})
    return Voc(root)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    Voc.write(root, {"train": SCENES, "val": []})
    return Voc(root)


@pytest.fixture
def archive(raw, tmp_path):
    write_prepared(tmp_path / "train.zip", raw, "train")
    return PreparedArchive(tmp_path / "train.zip")


def test_all_images_are_there_in_order(archive):
    assert archive.ids == [scene.image_id for scene in SCENES]
    assert len(archive) == 12


def test_photos_and_masks_are_those_of_the_reader(archive, raw):
    for image_id in archive.ids:
        assert np.array_equal(archive.image(image_id), raw.read_image(image_id))
        assert np.array_equal(archive.labels(image_id), raw.read_labels(image_id))


def test_photo_bytes_are_untouched(archive, raw):
    with zipfile.ZipFile(archive.path) as file:
        assert file.read("images/2007_000003.jpg") == raw.image_path("2007_000003").read_bytes()


def test_sizes_are_width_and_height(archive):
    height, width = SCENES[4].labels.shape
    assert archive.size(SCENES[4].image_id) == (width, height)


def test_class_names_and_palette_are_those_of_the_data_set(archive):
    assert archive.class_names == Voc.class_names
    assert archive.palette == Voc.palette
    assert archive.num_classes == 21


def test_same_data_give_same_bytes(raw, tmp_path):
    for name in ("a.zip", "b.zip"):
        write_prepared(tmp_path / name, raw, "train")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_strokes_and_clicks_are_kept(archive):
    assert archive.scribbles()["2007_000001"] == list(STROKES)
    assert archive.clicks()["2007_000001"] == list(CLICKS)


def test_set_without_annotations_has_none(plain, tmp_path):
    write_prepared(tmp_path / "a.zip", plain, "train")
    archive = PreparedArchive(tmp_path / "a.zip")
    assert archive.scribbles() is None
    assert archive.clicks() is None
    assert archive.scribble_raster(archive.ids[0]) is None


def test_drawn_scribbles_are_kept(tmp_path):
    Voc.write(tmp_path, {"train": SCENES[:2], "val": []})
    for scene in SCENES[:2]:
        folder = tmp_path / "pascal_2012_scribble"
        folder.mkdir(exist_ok=True)
        mask = tmp_path / f"VOCdevkit/VOC2012/SegmentationClassAug/{scene.image_id}.png"
        (folder / mask.name).write_bytes(mask.read_bytes())
    write_prepared(tmp_path / "a.zip", Voc(tmp_path), "train")
    archive = PreparedArchive(tmp_path / "a.zip")
    assert np.array_equal(archive.scribble_raster(SCENES[0].image_id), SCENES[0].labels)


def test_counts_are_those_of_the_masks(raw, tmp_path):
    counts = write_prepared(tmp_path / "a.zip", raw, "train")
    labels = [scene.labels for scene in SCENES]
    assert counts["images"] == 12
    assert counts["pixels"]["cat"] == sum(int((mask == 8).sum()) for mask in labels)
    assert counts["images_with"]["dog"] == sum(bool((mask == 12).any()) for mask in labels)
    assert counts["void_pixels"] == sum(int((mask == VOID).sum()) for mask in labels)
    assert counts["images_with_void"] == sum(scene.official for scene in SCENES)
    assert counts["images_without_background"] == sum(not (mask == 0).any() for mask in labels)
    assert (counts["strokes"], counts["clicks"]) == (36, 24)


class TestSelectionOfClasses:
    @pytest.fixture
    def selected(self, raw, tmp_path):
        write_prepared(tmp_path / "some.zip", raw, "train", classes=["person", "cat"])
        return PreparedArchive(tmp_path / "some.zip")

    def test_images_without_a_kept_class_are_left_out(self, selected):
        expected = [scene.image_id for scene in SCENES if ((scene.labels == 8) | (scene.labels == 15)).any()]
        assert selected.ids == expected
        assert len(expected) < len(SCENES)

    def test_kept_classes_are_numbered_in_the_given_order(self, selected):
        assert selected.class_names == ("background", "person", "cat")
        assert selected.palette == (Voc.palette[0], Voc.palette[15], Voc.palette[8])

    def test_other_classes_become_background_and_void_stays(self, selected):
        for scene in SCENES:
            if scene.image_id in selected.ids:
                expected = np.select([scene.labels == 15, scene.labels == 8, scene.labels == VOID], [1, 2, VOID], default=0)
                assert np.array_equal(selected.labels(scene.image_id), expected)

    def test_strokes_and_clicks_of_other_classes_become_background(self, selected):
        image_id = selected.ids[0]
        assert [stroke.class_index for stroke in selected.scribbles()[image_id]] == [0, 2, 0]
        assert [click.class_index for click in selected.clicks()[image_id]] == [0, 0]

    @pytest.mark.parametrize("classes", [["unicorn"], ["background"], [], ["cat", "cat"]])
    def test_wrong_classes_are_refused(self, raw, tmp_path, classes):
        with pytest.raises(DatasetError, match=r"different foreground classes of voc; choose from aeroplane"):
            write_prepared(tmp_path / "a.zip", raw, "train", classes=classes)

    def test_selection_without_any_image_is_refused(self, raw, tmp_path):
        with pytest.raises(DatasetError, match=r"no image with a pixel of bus"):
            write_prepared(tmp_path / "a.zip", raw, "train", classes=["bus"])


def test_limit_counts_the_images_kept(raw, tmp_path):
    write_prepared(tmp_path / "a.zip", raw, "train", classes=["cat"], limit=3)
    with_cat = [scene.image_id for scene in SCENES if (scene.labels == 8).any()]
    assert PreparedArchive(tmp_path / "a.zip").ids == with_cat[:3]


def test_broken_photo_is_named_and_leaves_no_file(tmp_path):
    Voc.write(tmp_path / "raw", {"train": SCENES[:3], "val": []})
    dataset = Voc(tmp_path / "raw")
    path = dataset.image_path(SCENES[1].image_id)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=SCENES[1].image_id):
        write_prepared(tmp_path / "out" / "a.zip", dataset, "train")
    assert list((tmp_path / "out").iterdir()) == []


def test_photo_of_another_size_than_its_mask_is_named(tmp_path):
    Voc.write(tmp_path / "raw", {"train": [replace(SCENES[0], image=SCENES[0].image[:-1])], "val": []})
    with pytest.raises(DatasetError, match=f"{SCENES[0].image_id}.*but its mask is"):
        write_prepared(tmp_path / "a.zip", Voc(tmp_path / "raw"), "train")


def test_missing_archive_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match=r"not found; run `dvc repro`"):
        PreparedArchive(tmp_path / "a.zip")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_archive_is_reported(archive, tmp_path, share):
    content = archive.path.read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=r"cut\.zip.*delete it and run"):
        PreparedArchive(path)


def test_damaged_entry_is_named(archive, tmp_path):
    content = bytearray(archive.path.read_bytes())
    with zipfile.ZipFile(archive.path) as file:
        start = file.getinfo("images/2007_000004.jpg").header_offset
    content[start + 200 : start + 260] = bytes(60)
    path = tmp_path / "bad.zip"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"images/2007_000004\.jpg"):
        PreparedArchive(path).image("2007_000004")


def test_other_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("meta.json", "{}")
        file.writestr("index.csv", "id\n")
    with pytest.raises(DatasetError, match=r"is not a prepared archive"):
        PreparedArchive(tmp_path / "a.zip")


def test_unknown_image_is_named(archive):
    for read in (archive.size, archive.image, archive.labels, archive.scribble_raster):
        with pytest.raises(DatasetError, match=r"holds no image 'x'"):
            read("x")


def test_pickled_archive_reads_on(archive):
    archive.image(archive.ids[0])
    copy = pickle.loads(pickle.dumps(archive))
    assert np.array_equal(copy.labels(copy.ids[3]), archive.labels(archive.ids[3]))


def _sums(archive):
    return [int(archive.image(image_id).sum()) for image_id in archive.ids for _ in range(20)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_the_same(archive, method):
    expected = _sums(archive)  # also opens the file before the processes start
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_sums, [archive, archive, archive]) == [expected] * 3


def _sums_inherited(index):
    return _sums(INHERITED[index])


INHERITED = []


def test_forked_workers_do_not_share_the_file_position(archive):
    INHERITED.append(archive)
    expected = _sums(archive)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_sums_inherited, [0] * 4, chunksize=1) == [expected] * 4


def test_closed_archive_opens_again(archive):
    archive.close()
    assert archive.labels(archive.ids[0]).size
