"""The archive for the VOC server: layout, bytes, and that every faulty prediction is found."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.pictures import color_map
from pipeline.datasets.voc_submission import FOLDER, write_submission

SIZES = {"2008_000006": (7, 5), "2008_000011": (4, 6)}


def predictions():
    """Return a prediction per photo; together they hold the lowest and the highest class."""
    return {image_id: (np.arange(w * h).reshape(h, w) % 21).astype(np.uint8) for image_id, (w, h) in SIZES.items()}


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "out" / "voc.tgz"
    write_submission(path, predictions().items(), SIZES)
    return path


def test_paths_in_the_archive_are_those_of_the_server(archive):
    with tarfile.open(archive) as opened:
        assert opened.getnames() == [f"results/VOC2012/Segmentation/comp6_test_cls/{image_id}.png" for image_id in SIZES]


def test_written_files_hold_the_predictions_in_the_colours_of_voc(archive):
    with tarfile.open(archive) as opened:
        for image_id, values in predictions().items():
            with Image.open(opened.extractfile(f"{FOLDER}/{image_id}.png")) as image:
                assert (image.format, image.mode) == ("PNG", "P")
                assert np.array_equal(np.asarray(image), values)
                assert np.array_equal(np.reshape(image.getpalette("RGB"), (-1, 3)), color_map(256))


def test_written_files_have_8_bits_even_for_few_classes(tmp_path):
    write_submission(tmp_path / "a.tgz", [("a", np.zeros((2, 2), np.uint8))], {"a": (2, 2)})
    with tarfile.open(tmp_path / "a.tgz") as opened:
        assert opened.extractfile(f"{FOLDER}/a.png").read()[24] == 8


def test_bytes_depend_on_nothing_but_the_predictions(archive, tmp_path):
    other = tmp_path / "another_name.tgz"
    write_submission(other, ((name, values.astype(np.int64)) for name, values in reversed(predictions().items())), SIZES)
    assert other.read_bytes() == archive.read_bytes()
    assert archive.read_bytes()[4:8] == bytes(4)


def test_entries_carry_no_time_or_owner(archive):
    with tarfile.open(archive) as opened:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) for entry in opened} == {(0, 0, 0, "", 0o644)}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([("2008_000006", np.zeros((5, 7), int))], r"all 2 test photos, got 1; the first missing is 2008_000011"),
        ([("2008_000006", np.zeros((5, 7), int))] * 2, "2008_000006: expected one prediction per photo"),
        ([("other", np.zeros((5, 7), int))], "other: expected one of the 2 test photos"),
        ([("2008_000006", np.zeros((7, 5), int))], r"2008_000006: expected 7x5 pixels as the photo has, got shape \(7, 5\)"),
        ([("2008_000006", np.full((5, 7), 21))], r"expected values 0\.\.20, got 0\.\.21"),
        ([("2008_000006", np.full((5, 7), -1))], r"expected values 0\.\.20, got -1\.\.0"),
        ([("2008_000006", np.full((5, 7), VOID))], r"got 0\.\.255 \(void\)"),
        ([("2008_000006", np.zeros((5, 7)))], "expected integers, got float64"),
    ],
)
def test_bad_predictions_are_refused_and_leave_nothing_behind(tmp_path, items, message):
    with pytest.raises(ValueError, match=message):
        write_submission(tmp_path / "voc.tgz", items, SIZES)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_archive(archive):
    before = archive.read_bytes()
    with pytest.raises(ValueError, match="first missing"):
        write_submission(archive, [], SIZES)
    assert archive.read_bytes() == before


def test_archive_that_cannot_be_moved_into_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "voc.tgz").mkdir()
    with pytest.raises(OSError, match=r"voc\.tgz"):
        write_submission(tmp_path / "voc.tgz", predictions().items(), SIZES)
    assert [entry.name for entry in tmp_path.iterdir()] == ["voc.tgz"]
