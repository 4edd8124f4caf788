"""The archive for the VOC server: layout, bytes, and that every fault is found."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets import voc
from pipeline.evaluation.voc_submission import FOLDER, check_submission, color_map, write_submission

SIZES = {"2008_000006": (7, 5), "2008_000011": (4, 6)}


def predictions():
    """Return a prediction per photo; together they hold the lowest and the highest class."""
    return {image_id: (np.arange(w * h).reshape(h, w) % 21).astype(np.uint8) for image_id, (w, h) in SIZES.items()}


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "out" / "voc.tgz"
    write_submission(path, predictions().items(), SIZES)
    return path


def png(values, palette=None, image_format="PNG", mode="L", **options):
    """Return an encoded picture; a palette turns it into one of mode P."""
    image = Image.fromarray(values, mode="L").convert(mode)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def pack(path, entries):
    """Write (name, content) into a .tgz, a None as a folder."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            archive.addfile(entry, io.BytesIO(content or b""))


def good_files():
    return {f"{FOLDER}/{image_id}.png": png(values, color_map()) for image_id, values in predictions().items()}


def refused(tmp_path, files, message):
    pack(tmp_path / "bad.tgz", files)
    with pytest.raises(ValueError, match=message):
        check_submission(tmp_path / "bad.tgz", SIZES)


def test_paths_in_the_archive_are_those_of_the_server(archive):
    with tarfile.open(archive) as opened:
        assert opened.getnames() == [f"results/VOC2012/Segmentation/comp6_test_cls/{image_id}.png" for image_id in SIZES]


def test_written_files_hold_the_predictions(archive):
    with tarfile.open(archive) as opened:
        for image_id, values in predictions().items():
            with Image.open(opened.extractfile(f"{FOLDER}/{image_id}.png")) as image:
                assert (image.format, image.mode) == ("PNG", "P")
                assert np.array_equal(np.asarray(image), values)


def test_written_files_have_8_bits_even_for_few_classes(tmp_path):
    write_submission(tmp_path / "a.tgz", [("a", np.zeros((2, 2), np.uint8))], {"a": (2, 2)})
    with tarfile.open(tmp_path / "a.tgz") as opened:
        assert opened.extractfile(f"{FOLDER}/a.png").read()[24] == 8


def test_written_archive_passes_the_check(archive):
    check_submission(archive, SIZES)


def test_bytes_depend_on_nothing_but_the_predictions(archive, tmp_path):
    other = tmp_path / "another_name.tgz"
    write_submission(other, ((name, values.astype(np.int64)) for name, values in reversed(predictions().items())), SIZES)
    assert other.read_bytes() == archive.read_bytes()
    assert archive.read_bytes()[4:8] == bytes(4)


def test_entries_carry_no_time_or_owner(archive):
    with tarfile.open(archive) as opened:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) for entry in opened} == {(0, 0, 0, "", 0o644)}


def test_colors_are_those_of_the_data_set():
    assert color_map()[:21].tolist() == [list(color) for color in voc.color_map(21)]


def test_colors_of_all_values_differ():
    assert len(np.unique(color_map(), axis=0)) == 256


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


def test_folders_as_entries_are_allowed(tmp_path):
    pack(tmp_path / "a.tgz", [("results", None), ("results/VOC2012", None), *good_files().items()])
    check_submission(tmp_path / "a.tgz", SIZES)


@pytest.mark.parametrize("name", ["2008_000006.png", f"./{FOLDER}/2008_000006.png", f"{FOLDER}/2008_000006.PNG"])
def test_other_paths_are_refused(tmp_path, name):
    refused(tmp_path, [(name, good_files()[f"{FOLDER}/2008_000006.png"])], "expected only files results/VOC2012")


def test_other_files_are_refused(tmp_path):
    refused(tmp_path, [*good_files().items(), (f"{FOLDER}/2009_999999.png", b"")], "2009_999999.png: expected only files")


def test_missing_photo_is_found(tmp_path):
    refused(tmp_path, list(good_files().items())[:1], "first missing is 2008_000011")


def test_repeated_photo_is_found(tmp_path):
    refused(tmp_path, [*good_files().items(), *good_files().items()], "expected one file per photo")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(np.zeros((5, 7), np.uint8)), "8-bit palette PNG, got PNG of mode L"),
        (png(np.zeros((5, 7), np.uint8), mode="RGB"), "8-bit palette PNG, got PNG of mode RGB"),
        (png(np.zeros((5, 7), np.uint8), color_map(), image_format="GIF"), "8-bit palette PNG, got GIF"),
        (png(np.zeros((5, 7), np.uint8), color_map(), bits=4), "8-bit palette PNG, got PNG of mode P, 4 bits"),
        (png(np.zeros((5, 7), np.uint8), color_map()[::-1]), "expected the VOC colour map"),
        (png(np.zeros((5, 7), np.uint8), color_map()[:3]), "got PNG of mode P, 2 bits"),
        (png(np.zeros((7, 5), np.uint8), color_map()), "expected 7x5 pixels"),
        (png(np.full((5, 7), 21, np.uint8), color_map()), r"expected values 0\.\.20, got 0\.\.21"),
        (png(np.full((5, 7), VOID, np.uint8), color_map()), r"got 0\.\.255 \(void\)"),
        (png(np.zeros((5, 7), np.uint8), color_map())[:60], "expected a readable PNG"),
        (b"no picture", "expected a readable PNG"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_bad_file_in_the_archive_is_found(tmp_path, content, message):
    refused(tmp_path, [(f"{FOLDER}/2008_000006.png", content)], message)


@pytest.mark.parametrize("keep", [0, 5, 20, 200, -9])
def test_truncated_archive_is_found(archive, keep):
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(ValueError, match="expected a readable"):
        check_submission(archive, SIZES)


@pytest.mark.parametrize("position", [12, 60, 150, -7])
def test_damaged_archive_is_found(archive, position):
    content = bytearray(archive.read_bytes())
    content[position] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="expected a readable"):
        check_submission(archive, SIZES)


def test_missing_archive_is_found(tmp_path):
    with pytest.raises(ValueError, match="expected a readable"):
        check_submission(tmp_path / "none.tgz", SIZES)
