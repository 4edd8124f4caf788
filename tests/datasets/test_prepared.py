"""The prepared archive: exact, reproducible, selective, and clear about broken files."""

import multiprocessing
import pickle
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.datasets.acdc import Acdc
from pipeline.datasets.base import Scribble
from pipeline.datasets.cityscapes import Cityscapes
from pipeline.datasets.natural_scene import NaturalScene
from pipeline.datasets.prepared import PreparedArchive, part_of_trial, write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.synthetic_cardiac import make_cardiac_scenes
from pipeline.datasets.synthetic_places import make_natural_scenes, make_street_scenes
from pipeline.datasets.voc import Voc
from pipeline.runs import open_view

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


def test_strokes_wholly_beside_the_picture_are_left_out_and_counted(tmp_path):
    far, across = Scribble(8, ((500.0, 3.0), (600.0, 6.0))), Scribble(8, ((-9.0, 3.0), (600.0, 3.0)))
    Voc.write(tmp_path / "raw", {"train": [replace(SCENES[0], scribbles=(*STROKES, far, across))], "val": []})
    counts = write_prepared(tmp_path / "train.zip", Voc(tmp_path / "raw"), "train")
    assert (counts["strokes"], counts["left_out_beside_the_picture"]) == (4, 1)
    assert far not in PreparedArchive(tmp_path / "train.zip").scribbles()[SCENES[0].image_id]


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


class TestPartsOfTrials:
    def test_parts_are_different_images_that_are_all_together(self, archive):
        parts = [PreparedArchive(archive.path, part=part).ids for part in ("train", "val")]
        assert all(parts)
        assert sorted(parts[0] + parts[1]) == sorted(archive.ids)

    def test_a_trial_is_scored_on_training_images_that_it_does_not_see(self, raw, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        paths.prepared("voc", "train").parent.mkdir(parents=True)
        write_prepared(paths.prepared("voc", "train"), raw, "train")
        seen, scored = (open_view("voc", split, {}, {"rate_factor": 1.0}).ids for split in ("train", "val"))
        assert {*seen, *scored} == {scene.image_id for scene in SCENES}
        assert not {*seen} & {*scored}

    def test_a_part_does_not_change_when_images_are_added(self, archive, raw, tmp_path):
        write_prepared(tmp_path / "fewer.zip", raw, "train", limit=len(archive.ids) - 1)
        fewer = PreparedArchive(tmp_path / "fewer.zip", part="val")
        assert fewer.ids == [image_id for image_id in PreparedArchive(archive.path, part="val").ids if image_id in fewer.ids]

    def test_too_few_images_for_a_trial_are_refused(self, raw, tmp_path):
        write_prepared(tmp_path / "one.zip", raw, "train", limit=1)
        other = "train" if part_of_trial(PreparedArchive(tmp_path / "one.zip").ids[0]) == "val" else "val"
        with pytest.raises(DatasetError, match="1 images are too few for a trial"):
            PreparedArchive(tmp_path / "one.zip", part=other)


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
        with pytest.raises(DatasetError, match=r"voc: .*different foreground classes; choose from aeroplane"):
            write_prepared(tmp_path / "a.zip", raw, "train", classes=classes)

    def test_selection_without_any_image_is_refused(self, raw, tmp_path):
        with pytest.raises(DatasetError, match=r"no image with a pixel of bus"):
            write_prepared(tmp_path / "a.zip", raw, "train", classes=["bus"])

    def test_all_images_may_be_kept(self, raw, tmp_path):
        write_prepared(tmp_path / "all.zip", raw, "train", classes=["cat"], images="all")
        archive = PreparedArchive(tmp_path / "all.zip")
        assert archive.ids == [scene.image_id for scene in SCENES]
        assert archive.num_classes == 2


class TestView:
    @pytest.fixture
    def view(self, archive):
        return PreparedArchive(archive.path, classes=["person", "cat"])

    @pytest.fixture
    def smaller(self, raw, tmp_path):
        write_prepared(tmp_path / "some.zip", raw, "train", classes=["person", "cat"])
        return PreparedArchive(tmp_path / "some.zip")

    def test_shows_what_an_archive_of_these_classes_holds(self, view, smaller):
        assert view.ids == smaller.ids
        assert (view.class_names, view.palette, view.num_classes) == (smaller.class_names, smaller.palette, smaller.num_classes)
        assert view.scribbles() == smaller.scribbles()
        assert view.clicks() == smaller.clicks()
        for image_id in view.ids:
            assert view.size(image_id) == smaller.size(image_id)
            assert view.classes_in(image_id) == smaller.classes_in(image_id)
            assert np.array_equal(view.labels(image_id), smaller.labels(image_id))
            assert np.array_equal(view.image(image_id), smaller.image(image_id))

    def test_drawn_scribbles_are_renumbered(self, tmp_path):
        Voc.write(tmp_path, {"train": SCENES[:3], "val": []})
        shutil.copytree(tmp_path / "VOCdevkit/VOC2012/SegmentationClassAug", tmp_path / "pascal_2012_scribble")
        write_prepared(tmp_path / "a.zip", Voc(tmp_path), "train")
        view = PreparedArchive(tmp_path / "a.zip", classes=["dog"])
        assert view.ids
        for image_id in view.ids:
            assert np.array_equal(view.scribble_raster(image_id), view.labels(image_id))

    def test_all_images_may_be_shown(self, archive):
        view = PreparedArchive(archive.path, classes=["cat"], images="all")
        assert view.ids == archive.ids
        assert {index for image_id in view.ids for index in view.classes_in(image_id)} == {0, 1}

    def test_images_left_out_are_unknown(self, view):
        left_out = next(scene.image_id for scene in SCENES if scene.image_id not in view.ids)
        with pytest.raises(DatasetError, match="holds no image"):
            view.image(left_out)

    def test_no_mask_is_decoded_at_open(self, archive, monkeypatch):
        def refuse(*args):
            raise AssertionError("a mask was decoded")

        monkeypatch.setattr("pipeline.datasets.prepared.decode_mask", refuse)
        assert PreparedArchive(archive.path, classes=["cat"]).ids

    def test_pickled_view_is_the_same_view(self, view):
        copy = pickle.loads(pickle.dumps(view))
        assert np.array_equal(copy.labels(copy.ids[0]), view.labels(view.ids[0]))
        assert copy.class_names == ("background", "person", "cat")

    def test_unknown_class_is_refused_with_the_known_ones(self, archive):
        with pytest.raises(DatasetError, match=r"train\.zip: classes \['unicorn'\].*choose from aeroplane, bicycle"):
            PreparedArchive(archive.path, classes=["unicorn"])

    def test_view_without_any_image_is_refused(self, archive):
        with pytest.raises(DatasetError, match="no image with a pixel of bus"):
            PreparedArchive(archive.path, classes=["bus"])

    def test_unknown_kind_of_images_is_refused(self, archive):
        with pytest.raises(ValueError, match="expected 'containing' or 'all', got 'some'"):
            PreparedArchive(archive.path, classes=["cat"], images="some")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    root = tmp_path_factory.mktemp("street")
    classes = {"class_indices": [0, 1, 2, 8, 10, 13], "size_px": (32, 16)}
    Cityscapes.write(root, {"train": make_street_scenes(6, seed=0, **classes), "val": []})
    write_prepared(root / "a.zip", Cityscapes(root), "train")
    return PreparedArchive(root / "a.zip")


class TestSetWithoutBackground:
    def test_says_so(self, street):
        assert not street.has_background
        assert street.class_names[0] == "road"
        assert "images_without_background" not in street.counts

    def test_view_gets_a_background_of_all_other_classes(self, street):
        view = PreparedArchive(street.path, classes=["sky", "road"], images="all")
        assert view.has_background
        assert view.class_names == ("background", "sky", "road")
        assert len(set(view.palette)) == 3
        for image_id in street.ids:
            labels = street.labels(image_id)
            expected = np.select([labels == 10, labels == 0, labels == VOID], [1, 2, VOID], default=0)
            assert np.array_equal(view.labels(image_id), expected)

    def test_first_class_may_be_chosen(self, street):
        assert PreparedArchive(street.path, classes=["road"]).ids == street.ids


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    root = tmp_path_factory.mktemp("classified")
    NaturalScene.write(root, {"train": make_natural_scenes(12, seed=0, class_indices=range(6), size_px=(16, 16)), "val": []})
    return NaturalScene(root)


class TestClassificationSet:
    @pytest.fixture
    def archive(self, classified, tmp_path):
        self.counts = write_prepared(tmp_path / "a.zip", classified, "train")
        return PreparedArchive(tmp_path / "a.zip")

    def test_images_have_classes_and_no_masks(self, archive, classified):
        assert archive.task == "classification"
        assert [archive.image_class(image_id) for image_id in archive.ids] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        with zipfile.ZipFile(archive.path) as file:
            assert not [name for name in file.namelist() if name.startswith("labels/")]
            assert file.read("index.csv").decode().splitlines()[:2] == [
                "id,width,height,classes,class",
                "train_buildings_00000,16,16,0,0",
            ]

    def test_images_are_counted_by_class(self, archive):
        assert archive.counts == self.counts == {"images": 12, "images_with": dict.fromkeys(NaturalScene.class_names, 2)}

    def test_view_numbers_its_classes_from_zero(self, archive):
        view = PreparedArchive(archive.path, classes=["sea", "forest"])
        assert view.class_names == ("sea", "forest")
        assert {image_id.split("_")[1]: view.image_class(image_id) for image_id in view.ids} == {"sea": 0, "forest": 1}

    def test_smaller_archive_equals_the_view(self, archive, classified, tmp_path):
        write_prepared(tmp_path / "b.zip", classified, "train", classes=["sea", "forest"])
        view, smaller = PreparedArchive(archive.path, classes=["sea", "forest"]), PreparedArchive(tmp_path / "b.zip")
        assert view.ids == smaller.ids
        assert [view.image_class(image_id) for image_id in view.ids] == [smaller.image_class(image_id) for image_id in view.ids]

    def test_view_of_all_images_is_refused(self, archive):
        with pytest.raises(DatasetError, match="use images 'containing'"):
            PreparedArchive(archive.path, classes=["sea"], images="all")

    def test_class_of_a_segmented_image_is_refused(self, street):
        with pytest.raises(DatasetError, match="is a segmentation set; its images have masks"):
            street.image_class(street.ids[0])


def test_slices_keep_their_volume_in_views_too(tmp_path):
    scenes = make_cardiac_scenes(48, seed=0, class_indices=[1, 2, 3], size_px=(20, 20))
    Acdc.write(tmp_path, {"train": scenes[6:], "val": scenes[:6]})
    write_prepared(tmp_path / "a.zip", Acdc(tmp_path), "val")
    view = PreparedArchive(tmp_path / "a.zip", classes=["left_ventricle"], images="all")
    assert len(view) == 6
    assert len({view.group(image_id) for image_id in view.ids}) == 1
    assert view.class_names == ("background", "left_ventricle")


def test_single_images_have_no_group(archive):
    assert archive.group(archive.ids[0]) is None


def test_index_lists_the_classes_of_each_mask_without_void(archive):
    for scene in SCENES:
        assert archive.classes_in(scene.image_id) == sorted(set(np.unique(scene.labels).tolist()) - {VOID})


def test_archive_of_an_earlier_form_is_refused(archive, tmp_path):
    with zipfile.ZipFile(archive.path) as source, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        for name in source.namelist():
            old.writestr(name, source.read(name).replace(b'"format": 2', b'"format": 1'))
    with pytest.raises(DatasetError, match=r"old\.zip: is not a prepared archive.*format 1, expected 2.*dvc repro"):
        PreparedArchive(tmp_path / "old.zip")


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
