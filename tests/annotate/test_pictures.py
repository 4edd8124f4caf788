"""Sources of pictures: which files count, and what a browser gets."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.annotate.pictures import LONGEST_SIDE_PX, ArchivePictures, FolderPictures, render
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc


def save(path, size=(8, 6), color=(200, 30, 30), **options):
    Image.new("RGB", size, color).save(path, **options)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(content):
    return Image.open(io.BytesIO(render(content, "x")))


def test_pictures_are_found_in_natural_order(tmp_path):
    for name in ("img10.png", "img9.jpg", "b.TIFF", "notes.txt", ".hidden.png"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            save(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    assert FolderPictures(tmp_path, ["cat"]).ids == ["b", "img9", "img10"]


def test_link_that_leads_outside_is_no_picture(tmp_path):
    (tmp_path / "in").mkdir()
    save(tmp_path / "secret.png")
    save(tmp_path / "in/a.png")
    (tmp_path / "in/out.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "in/same.png").symlink_to(tmp_path / "in/a.png")
    assert FolderPictures(tmp_path / "in", ["cat"]).ids == ["a", "same"]


def test_two_pictures_of_one_name_are_refused(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="have the same name; rename"):
        FolderPictures(tmp_path, ["cat"])


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no picture"):
        FolderPictures(tmp_path, ["cat"])


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        FolderPictures(tmp_path / "x", ["cat"])


def test_picture_that_has_gone_is_named(tmp_path):
    save(tmp_path / "a.png")
    pictures = FolderPictures(tmp_path, ["cat"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.png: No such file"):
        pictures.content("a")


def test_picture_that_became_a_pipe_is_named_and_not_waited_for(tmp_path):
    save(tmp_path / "a.png")
    pictures = FolderPictures(tmp_path, ["cat"])
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: no ordinary file; .* skip the picture"):
        pictures.content("a")


def mask(tmp_path, values, name="a"):
    save(tmp_path / f"{name}.png")
    (tmp_path / "masks").mkdir(exist_ok=True)
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / f"masks/{name}.png")


@pytest.mark.parametrize("name", ["plot 10m²", "5²", "①", "Feld 3³ b", "٣", "1" * 240, "-b", " a ", "CON"])
def test_any_name_that_a_table_can_hold_is_taken(tmp_path, name):
    save(tmp_path / f"{name}.png")
    assert FolderPictures(tmp_path, ["cat"]).ids == [name]


@pytest.mark.parametrize("name", [b"K\xfche.png", b"line\nbreak.png", b"nul\x01.png"])
def test_name_that_no_table_can_hold_is_refused_before_anybody_annotates(tmp_path, name):
    save(tmp_path / "b.png")
    os.rename(tmp_path / "b.png", os.fsencode(tmp_path) + b"/" + name)
    with pytest.raises(DatasetError, match="rename it"):
        FolderPictures(tmp_path, ["cat"])


def test_picture_and_mask_whose_accents_are_stored_differently_belong_together(tmp_path):
    mask(tmp_path, [1, 0], "K\u00fche")
    (tmp_path / "K\u00fche.png").rename(tmp_path / "Ku\u0308he.png")
    pictures = FolderPictures(tmp_path, ["cat"], tmp_path / "masks")
    assert pictures.ids == ["K\u00fche"]
    assert pictures.exact_sizes("K\u00fche") == pytest.approx([0.5, 0.5])


def test_files_that_are_left_out_are_told_by_reason(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "d.svg").write_text("<svg/>")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    assert FolderPictures(tmp_path, ["cat"]).left_out == {
        "of no format that can be read": ["d.svg"],
        "folders, or links to nothing": ["gone.png"],
    }


def test_black_and_white_masks_are_not_taken_for_void(tmp_path):
    mask(tmp_path, [0, 0, 255])
    pictures = FolderPictures(tmp_path, ["cat"], tmp_path / "masks")
    with pytest.raises(DatasetError, match="--mask-values cat=255"):
        pictures.check_masks()
    said = FolderPictures(tmp_path, ["cat"], tmp_path / "masks", {"cat": 255})
    assert said.exact_sizes("a") == pytest.approx([2 / 3, 1 / 3])


def test_values_beyond_the_classes_are_refused_unless_values_were_given(tmp_path):
    mask(tmp_path, [0, 1, 128])
    with pytest.raises(DatasetError, match="holds the value 128"):
        FolderPictures(tmp_path, ["cat"], tmp_path / "masks").exact_sizes("a")
    assert FolderPictures(tmp_path, ["cat"], tmp_path / "masks", {"cat": 1}).exact_sizes("a") == pytest.approx([2 / 3, 1 / 3])


def test_one_broken_mask_among_good_ones_stops_nothing(tmp_path):
    mask(tmp_path, [0, 1], "a")
    mask(tmp_path, [0, 255], "b")
    FolderPictures(tmp_path, ["cat"], tmp_path / "masks").check_masks()


def test_first_picture_of_a_process_is_shown(tmp_path):
    """Pillow knows most formats only once it has been asked for all of them."""
    save(tmp_path / "a.webp")
    code = "import sys; from pipeline.annotate.pictures import render; render(open(sys.argv[1], 'rb').read(), 'a')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.webp")], check=True)


def test_exact_sizes_use_the_given_values_and_leave_void_out(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[8, 8, 0, 255], [12, 5, 0, 255]], np.uint8)).save(tmp_path / "masks/a.png")
    pictures = FolderPictures(tmp_path, ["dog", "cat"], tmp_path / "masks", {"cat": 8, "dog": 12})
    assert pictures.exact_sizes("a") == pytest.approx([3 / 6, 1 / 6, 2 / 6])


def test_masks_of_none_of_the_pictures_are_refused(tmp_path):
    mask(tmp_path, [0, 1], "b")
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="masks: holds no mask named as one of the 1 pictures"):
        FolderPictures(tmp_path, ["cat"], tmp_path / "masks")


@pytest.mark.parametrize(("name", "message"), [("a.PNG", "has the same id as a"), ("a.tif", r"a\.tif: is no PNG.*convert it")])
def test_masks_that_would_be_hidden_are_refused(tmp_path, name, message):
    mask(tmp_path, [0, 1])
    Image.new("L", (2, 1)).save(tmp_path / "masks" / name)
    with pytest.raises(DatasetError, match=message):
        FolderPictures(tmp_path, ["cat"], tmp_path / "masks")


def test_masks_of_other_pictures_are_told(tmp_path):
    for name in "ab":
        mask(tmp_path, [0, 1], name)
    (tmp_path / "b.png").unlink()
    assert FolderPictures(tmp_path, ["cat"], tmp_path / "masks").left_out["masks of no picture here"] == ["b.png"]


def test_link_to_itself_is_left_out(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("b.png")
    assert FolderPictures(tmp_path, ["cat"]).left_out == {"folders, or links to nothing": ["b.png"]}


def test_masks_are_optional(tmp_path):
    save(tmp_path / "a.png")
    mask(tmp_path, [0, 1], "b")
    assert FolderPictures(tmp_path, ["cat"]).exact_sizes("a") is None
    assert FolderPictures(tmp_path, ["cat"], tmp_path / "masks").exact_sizes("a") is None


def test_prepared_archive_gives_pictures_and_exact_sizes(tmp_path):
    scenes = make_scenes(3, seed=0, class_indices=(8, 12), size_px=(32, 24))
    Voc.write(tmp_path / "raw", {"train": scenes, "val": scenes[:1]})
    write_prepared(tmp_path / "train.zip", Voc(tmp_path / "raw"), "train")
    pictures = ArchivePictures(PreparedArchive(tmp_path / "train.zip", ["dog", "cat"]))
    first = next(scene for scene in scenes if scene.image_id == pictures.ids[0])
    sizes = pictures.exact_sizes(first.image_id)
    assert pictures.class_names == ["dog", "cat"]
    assert sizes[2] == pytest.approx((first.labels == 8).sum() / (first.labels != 255).sum())
    assert Image.open(io.BytesIO(pictures.content(first.image_id))).size == first.labels.shape[::-1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
def test_every_format_becomes_jpeg(kind):
    result = shown(encoded(Image.new("RGB", (8, 6), (200, 30, 30)), kind))
    assert (result.format, result.mode, result.size) == ("JPEG", "RGB", (8, 6))


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (40, 20), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 20, 20))
    result = shown(encoded(picture, "JPEG", exif=exif))
    assert result.size == (20, 40)
    assert result.getpixel((10, 5))[0] > 200
    assert result.getpixel((10, 35))[0] < 50


def test_sixteen_bits_are_shown_as_the_network_sees_them():
    values = np.array([[1000, 60000]], np.uint16).repeat(16, 0).repeat(16, 1)
    pixels = np.asarray(shown(encoded(Image.fromarray(values), "TIFF")))
    assert pixels[8, 4].max() < 20
    assert pixels[8, 28].min() > 220


def test_transparent_parts_are_grey():
    assert shown(encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 0)))).getpixel((8, 8)) == pytest.approx((128,) * 3, abs=3)


def test_large_pictures_are_scaled_down():
    assert shown(encoded(Image.new("L", (2 * LONGEST_SIDE_PX, 100)))).size == (LONGEST_SIDE_PX, 50)


@pytest.mark.parametrize("content", [b"", b"no image", encoded(Image.new("RGB", (64, 64)))[:60]])
def test_damaged_picture_is_named(content):
    with pytest.raises(DatasetError, match="x: cannot be read as an image"):
        render(content, "x")


def test_postscript_is_never_opened():
    with pytest.raises(DatasetError, match="cannot be read"):
        render(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "x")
