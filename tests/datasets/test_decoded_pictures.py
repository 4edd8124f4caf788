"""The one decoder: what of a picture is seen, and what is refused."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.annotate.pictures import render
from pipeline.datasets.pictures import decode_mask, decode_photo, picture_size, read_photo, upright_size
from pipeline.datasets.raw_files import DatasetError, require
from pipeline.stages.raw import fingerprint


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def colors(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_picture_is_turned_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # turn by 90 degrees to the right
    Image.fromarray(colors(20, 30)).save(tmp_path / "a.png", exif=turned)
    assert np.array_equal(read_photo(tmp_path / "a.png"), np.rot90(colors(20, 30), -1))


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.png"), ("LA", "a.png"), ("1", "a.png"), ("P", "a.gif"), ("RGBA", "a.webp"), ("CMYK", "a.jpg"), ("RGB", "a.bmp")],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, name):
    Image.fromarray(colors(9, 7)).convert(mode).save(tmp_path / name)
    read = read_photo(tmp_path / name)
    assert (read.shape, read.dtype) == ((9, 7, 3), np.uint8)


def test_floating_point_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DatasetError, match=r"a\.tif: has 32 bits per value"):
        read_photo(tmp_path / "a.tif")


def test_sixteen_bit_grey_keeps_its_upper_eight():
    values = np.array([[0, 256, 65535]], np.uint16)
    assert decode_photo(encoded(Image.fromarray(values)), "a")[..., 0].tolist() == [[0, 1, 255]]


def test_twelve_bits_in_sixteen_are_refused():
    with pytest.raises(DatasetError, match=r"a: has more than 8 bits per channel .* no value above 4095.*export it with 8 bits"):
        decode_photo(encoded(Image.fromarray(np.array([[0, 4095]], np.uint16))), "a")


@pytest.mark.parametrize(("color", "alpha"), [(2, 0), (6, 1)])
def test_twelve_bits_in_sixteen_are_refused_in_colours_too(color, alpha):
    """Pillow reads the upper eight bits of colours, and does not say that there were more."""

    def png(most):
        row = np.full((1, 3 + alpha), most, ">u2")
        row[:, 3:] = 65535
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, color, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" + row.tobytes())) + chunk(b"IEND", b"")

    assert decode_photo(png(4096), "a").tolist() == [[[16] * 3]]
    with pytest.raises(DatasetError, match=r"a: has more than 8 bits per channel .* no value above 4095"):
        decode_photo(png(4095), "a")


def frames(form, count, **options):
    first, *others = [Image.fromarray(np.full((6, 8, 3), 40 * number, np.uint8)) for number in range(count)]
    return encoded(first, form, **({"save_all": True, "append_images": others} if others else {}), **options)


@pytest.mark.parametrize("form", ["TIFF", "GIF", "PNG", "WEBP", "AVIF"])
def test_file_of_several_pages_or_frames_is_refused(form, tmp_path):
    assert decode_photo(frames(form, 1), "a").shape == (6, 8, 3)
    (tmp_path / "a").write_bytes(content := frames(form, 3))
    for read in (decode_photo, upright_size, render, lambda _, name: picture_size(tmp_path / name)):
        with pytest.raises(DatasetError, match=f"a: holds 3 pages or frames \\({form}\\), .*; save each"):
            read(content, "a")


def test_mask_of_several_frames_is_refused():
    labels = [Image.fromarray(np.full((6, 8), number, np.uint8)) for number in range(2)]
    with pytest.raises(DatasetError, match=r"a: holds 2 pages or frames \(PNG\)"):
        decode_mask(encoded(labels[0], save_all=True, append_images=labels[1:]), 3, "a")


def test_further_views_of_a_camera_are_passed_over():
    assert decode_photo(frames("MPO", 3), "a").max() == 0


@pytest.mark.parametrize(("kind", "is_page"), [(0, True), (1, False), (2, True), (4, False)])
def test_preview_and_mask_of_a_tiff_are_no_further_page(kind, is_page):
    page, beside = Image.new("RGB", (8, 6), (9, 8, 7)), Image.new("RGB", (4, 3))
    beside.encoderinfo = {"tiffinfo": {254: kind}}
    content = encoded(page, "TIFF", save_all=True, append_images=[beside])
    if is_page:
        with pytest.raises(DatasetError, match="2 pages"):
            decode_photo(content, "a")
    else:
        assert np.array_equal(decode_photo(content, "a"), np.asarray(page))


def test_transparent_parts_lie_on_grey():
    assert decode_photo(encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 0))), "a").tolist() == [[[128, 128, 128]]]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ORIENTATION_AS_TEXT = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\x006\0\0\0\0\0\0\0"


@pytest.mark.parametrize("notes", [b"Exif\0\0", b"Exif\0\0garbage", ORIENTATION_AS_TEXT])
def test_notes_of_a_camera_that_cannot_be_read_are_passed_over(notes):
    assert decode_photo(encoded(Image.new("RGB", (3, 2)), "JPEG", exif=notes), "a").shape == (2, 3, 3)


def test_notes_behind_the_pixels_turn_the_picture_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    first, last = encoded(Image.new("RGB", (3, 2))), io.BytesIO()
    PngImagePlugin.putchunk(last, b"eXIf", exif.tobytes()[6:])
    (tmp_path / "a.png").write_bytes(first[:-12] + last.getvalue() + first[-12:])
    assert picture_size(tmp_path / "a.png") == (2, 3)
    assert decode_photo((tmp_path / "a.png").read_bytes(), "a").shape == (3, 2, 3)


def test_mask_that_is_to_be_turned_is_refused():
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(DatasetError, match="mask notes an orientation"):
        decode_mask(encoded(Image.new("L", (3, 2)), exif=exif), 2, "a")


def test_mask_that_is_no_png_is_refused():
    with pytest.raises(DatasetError, match="is a JPEG file; masks are PNG"):
        decode_mask(encoded(Image.new("L", (3, 2)), "JPEG"), 2, "a")


def test_change_in_a_linked_folder_changes_the_digest(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "far/a").write_text("1")
    (tmp_path / "near/link").symlink_to(tmp_path / "far")
    (tmp_path / "near/loop").symlink_to(tmp_path / "near")
    before = fingerprint(tmp_path / "near")
    os.utime(tmp_path / "far/a", ns=(1, 1))
    assert fingerprint(tmp_path / "near") != before


def test_a_picture_beyond_what_is_read_says_how_large_it_may_be(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    content = encoded(Image.new("L", (2000, 1001)))
    with pytest.raises(DatasetError, match=r"aerial\.png: has more than the 2 million pixels that are read; make it smaller"):
        decode_photo(content, "aerial.png")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_values_of_a_grey_mask_with_few_bits_are_its_classes(bits):
    """Pillow spreads them over 0..255."""
    labels = np.arange(16, dtype=np.uint8).reshape(2, 8) % 2**bits

    rows = b"".join(b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes() for row in labels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode_mask(content, 16, "a.png").tolist() == labels.tolist()


def test_picture_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: is no ordinary file; put one there"):
        require(tmp_path / "a.png", "put one there")
