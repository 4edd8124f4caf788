"""A user's own images: odd names and formats, partial annotation, and clear errors for each thing that can be wrong."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.folder import Folder
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError

NAMES = ["a.jpg", "Kuh 12.JPG", "field.north.tif", "\u0447\u0430\u0439.PNG", "e.bmp", "f.webp", "g.jpeg"]


@pytest.fixture
def root(tmp_path):
    """Seven images of 6x4 pixels; the first six have masks."""
    folder = tmp_path / "mine"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.yaml").write_text("names: [background, cow, tree line]\n")
    for index, name in enumerate(NAMES):
        Image.new("RGB", (6, 4), (10 * index, 0, 0)).save(folder / "images" / name)
    for name in NAMES[:-1]:
        Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 3).save(folder / "masks" / f"{name.rpartition('.')[0]}.png")
    return folder


def add(root, name, text):
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_names_with_capitals_spaces_dots_and_other_alphabets_work(root, tmp_path):
    dataset = Folder(root)
    dataset.verify()
    ids = {*dataset.ids("train"), *dataset.ids("val")}
    assert ids == {name.rpartition(".")[0] for name in NAMES}
    write_prepared(tmp_path / "a.zip", dataset, "train")
    archive = PreparedArchive(tmp_path / "a.zip")
    assert archive.ids == dataset.ids("train")
    assert all(np.array_equal(archive.image(image_id), dataset.read_image(image_id)) for image_id in archive.ids)


def test_every_fifth_masked_image_is_for_validation(root):
    ids = sorted(name.rpartition(".")[0] for name in NAMES[:-1])
    assert Folder(root).ids("val") == ids[4:5]


def test_a_single_masked_image_is_for_validation(root):
    for path in sorted((root / "masks").iterdir())[1:]:
        path.unlink()
    assert len(Folder(root).ids("val")) == 1


def test_lists_may_hold_names_with_spaces(root):
    add(root, "splits/train.txt", "Kuh 12\n\na\n")
    add(root, "splits/val.txt", "e\n")
    dataset = Folder(root)
    assert (dataset.ids("train"), dataset.ids("val")) == (["Kuh 12", "a"], ["e"])


def test_missing_list_is_what_the_other_leaves(root):
    add(root, "splits/train.txt", "Kuh 12\na\ne\n")
    assert Folder(root).ids("val") == ["f", "field.north", "\u0447\u0430\u0439"]
    (root / "splits/train.txt").rename(root / "splits/val.txt")
    assert Folder(root).ids("train") == ["f", "field.north", "g", "\u0447\u0430\u0439"]


def test_image_without_mask_is_void_everywhere(root):
    labels = Folder(root).read_labels("g")
    assert labels.shape == (4, 6)
    assert (labels == VOID).all()


def test_image_without_mask_holds_the_classes_of_its_other_annotation(root):
    dataset = Folder(root)
    assert dataset.classes_in("g", dataset.read_labels("g")) == []
    add(root, "clicks.csv", "image_id,class,x,y\ng,cow,1,1\n")
    add(root, "sizes.csv", "image_id,background,cow,tree line\ng,0.25,0,0.75\n")
    dataset = Folder(root)
    assert dataset.classes_in("g", dataset.read_labels("g")) == [0, 1, 2]


def test_sizes_clicks_and_scribbles_reach_the_archive_and_its_views(root, tmp_path):
    add(root, "clicks.csv", "image_id,class,x,y\ng,cow,1,1.5\ng,tree line,0,0\n")
    add(root, "sizes.csv", "image_id,tree line,cow,background\ng,0.5,0.2,0.3\n")
    raster = np.full((4, 6), VOID, np.uint8)
    raster[1, 1], raster[2, 2] = 2, 0
    (root / "scribbles").mkdir()
    Image.fromarray(raster).save(root / "scribbles/g.png")
    write_prepared(tmp_path / "a.zip", Folder(root), "train")
    archive, view = PreparedArchive(tmp_path / "a.zip"), PreparedArchive(tmp_path / "a.zip", classes=["tree line"])
    assert archive.sizes()["g"] == pytest.approx([0.3, 0.2, 0.5])
    assert view.sizes()["g"] == pytest.approx([0.5, 0.5])
    assert archive.clicks()["g"] == [Scribble(1, ((1.0, 1.5),)), Scribble(2, ((0.0, 0.0),))]
    assert [click.class_index for click in view.clicks()["g"]] == [0, 1]
    assert np.array_equal(archive.scribble_raster("g"), raster)
    assert view.scribble_raster("g")[1, 1] == 1
    assert (archive.scribble_raster("a") == VOID).all()


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_photo_is_turned_upright(root, tmp_path, orientation, turns):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(root / "images/turned.png", exif=exif)
    upright = np.rot90(pixels, turns)
    dataset = Folder(root)
    assert np.array_equal(dataset.read_image("turned"), upright)
    assert dataset.read_labels("turned").shape == upright.shape[:2]
    add(root, "splits/train.txt", "turned\n")
    write_prepared(tmp_path / "a.zip", Folder(root), "train")
    assert np.array_equal(PreparedArchive(tmp_path / "a.zip").image("turned"), upright)


def test_upright_jpeg_keeps_its_bytes_and_other_formats_become_png(root):
    dataset = Folder(root)
    assert dataset.image_bytes("Kuh 12") == ((root / "images/Kuh 12.JPG").read_bytes(), ".jpg")
    assert dataset.image_bytes("e")[1] == ".png"


def test_colours_and_missing_background_are_read(root):
    add(root, "classes.yaml", "names: [sky, road]\ncolors: [[1, 2, 3], [4, 5, 6]]\nbackground: false\n")
    dataset = Folder(root)
    assert (dataset.class_names, dataset.palette, dataset.has_background) == (("sky", "road"), ((1, 2, 3), (4, 5, 6)), False)


def test_file_in_place_of_a_folder_and_the_other_way_are_named(root):
    shutil.rmtree(root / "masks")
    add(root, "masks", "x")
    with pytest.raises(DatasetError, match="masks: is no folder; restore"):
        Folder(root)
    (root / "masks").unlink()
    (root / "sizes.csv").mkdir()
    with pytest.raises(DatasetError, match=r"no ordinary file; put one in its place, or take it away: '.*sizes\.csv'"):
        Folder(root)


def test_message_about_a_name_stays_short_however_much_its_aliases_stand_for(root):
    nested = "".join(f", &a{level} [{', '.join(9 * [f'*a{level - 1}'])}]" for level in range(1, 4))
    add(root, "classes.yaml", f"names: [background, &a0 [x]{nested}]\n")
    with pytest.raises(DatasetError, match="is no name of a class") as caught:
        Folder(root)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classes.yaml", "[", "expected 'names"),
        ("classes.yaml", "names: [a]", "names: expected 2 to 255, got 1"),
        ("classes.yaml", "names: [a, A]", "names: 'A' and 'a' are one name"),
        ("classes.yaml", "names: [a, 1]", "names: 1 is no name of a class; quote numbers"),
        ("classes.yaml", "names: [a, b]\ncolours: []", "unknown key 'colours'"),
        ("classes.yaml", "names: [a, b]\ncolors: [[0, 0, 0]]", "one .red, green, blue. of 0..255 per name"),
        ("classes.yaml", "names: [a, b]\nbackground: 3", "background must be true or false"),
        ("classes.yaml", "names: [cow, background, tree]", "'background' is class 1; a background must be class 0"),
        ("classes.yaml", "names: [cow, tree]", "no class is named 'background'; write `background: true`"),
        ("classes.yaml", "names: {background: 0, cow: 2}", "expected the class numbers 0 to 1, each once"),
        ("classes.yaml", "names: [background, cow]\nnames: [background, tree]", "found duplicate key"),
        ("classes.yaml", "names: background,cow", "names: expected a list"),
        ("classes.yaml", "names: [background, 'cow ']", "'cow ' is no name of a class; .* leave no spaces around names"),
        ("masks/a.tif", "x", r"masks/a\.tif: is no PNG, whose values are classes; convert it"),
        ("scribbles/a.npy", "x", r"scribbles/a\.npy: is no PNG"),
        ("clicks.csv", "image_id;class;x;y\na;cow;1;1\n", "line 1: columns are separated by ';'; save the table with commas"),
        ("sizes.csv", "image_id,background,cow,tree line\na,1.1,-0.1,0\n", "but cow has -0.1"),
        ("clicks.csv", "image_id,class,x\n", "expected the columns image_id,class,x,y"),
        ("clicks.csv", "image_id,class,x,y\na,dog,1,1\n", "line 2: unknown class 'dog'; known classes are background, cow"),
        ("clicks.csv", "image_id,class,x,y\nz,cow,1,1\n", "line 2: there is no image 'z'"),
        ("clicks.csv", "image_id,class,x,y\na,cow,one,1\n", "line 2: 'one' is no number"),
        ("clicks.csv", "image_id,class,x,y\na,cow,1\n", "line 2: expected 4 values"),
        ("clicks.csv", "image_id,class,x,y\na,cow,1,1\na,background,1.5,1.2\n", "at 1.5, 1.2 differ in their class"),
        ("sizes.csv", "image_id,background,cow,tree line\na,1,0,0%\n", "line 2: tree line: '0%' is no number"),
        ("clicks.csv", "image_id,class,x,y\na,cow,6,1\n", "a click of a at 6, 1 is outside its 6x4 pixels"),
        ("sizes.csv", "image_id,background,cow\n", "expected the columns image_id,background,cow,tree line"),
        ("sizes.csv", "image_id,background,cow,tree line\na,0.5,0.2,0.2\n", "line 2: sizes must be at least 0 and sum to 1"),
        ("sizes.csv", "image_id,background,cow,tree line\na,1,0,0\na,1,0,0\n", "line 3: image a has a line already"),
        ("splits/train.txt", "a\nnot there\n", "there is no image 'not there'"),
        ("splits/train.txt", "a\na\n", "lists a more than once"),
        ("splits/val.txt", "g\n", r"g\.png: not found; an image for validation needs a mask"),
        ("images/notes.txt", "x", r"notes\.txt: is no picture that can be read"),
        ("images/a.png", "x", r"has the same id as a\.jpg"),
    ],
)
def test_fault_is_named(root, name, text, message):
    add(root, name, text)
    with pytest.raises(DatasetError, match=message):
        Folder(root).verify()


def test_image_in_both_lists_is_named(root):
    add(root, "splits/train.txt", "a\ne\n")
    add(root, "splits/val.txt", "e\n")
    with pytest.raises(DatasetError, match="image e is in both lists"):
        Folder(root).verify()


def test_mask_without_image_is_named(root):
    (root / "masks/a.png").rename(root / "masks/A1.png")
    with pytest.raises(DatasetError, match="there is no image 'A1'"):
        Folder(root).verify()


def test_folder_without_masks_is_for_training_only(root):
    for path in (root / "masks").iterdir():
        path.unlink()
    folder = Folder(root)
    folder.verify()
    assert folder.ids("val") == []
    assert folder.ids("train")


def test_deep_images_are_refused(root):
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(root / "images/deep.png")
    with pytest.raises(DatasetError, match=r"deep\.png: has more than 8 bits per channel"):
        Folder(root).read_image("deep")


def test_files_of_the_system_are_ignored(root):
    for name in (".DS_Store", "Thumbs.db"):
        (root / "images" / name).write_bytes(b"x")
    Folder(root).verify()


def test_names_may_be_numbered(root):
    add(root, "classes.yaml", "names: {background: 0, tree line: 2, cow: 1}\n")
    assert Folder(root).class_names == ("background", "cow", "tree line")
    add(root, "classes.yaml", "names: {2: tree line, 0: background, 1: cow}\n")
    assert Folder(root).class_names == ("background", "cow", "tree line")


def test_black_and_white_masks_are_refused(root):
    for path in (root / "masks").iterdir():
        Image.fromarray(np.repeat(np.array([[0, VOID]], np.uint8), [3, 3], axis=1).repeat(4, axis=0)).save(path)
    with pytest.raises(DatasetError, match=r"masks: the masks hold the values 0 and 255 alone.*save the object with its class"):
        Folder(root).verify()


def test_scribbles_with_zero_where_nothing_is_drawn_are_refused(root, tmp_path):
    (root / "scribbles").mkdir()
    Image.fromarray(np.eye(4, 6, dtype=np.uint8)).save(root / "scribbles/a.png")
    with pytest.raises(DatasetError, match="drawn scribbles of image a: 100% of the pixels count as drawn, 83% as class 0"):
        write_prepared(tmp_path / "a.zip", Folder(root), "train")


def test_files_left_out_are_counted_by_reason(root):
    add(root, "notes.md", "x")
    add(root, "images/._a.jpg", "x")
    (root / "more").mkdir()
    Image.new("RGB", (6, 4)).save(root / "more/x.jpg")
    account = Folder(root).account()
    assert (account.found, account.used) == (len(NAMES) + len(NAMES) - 1 + 1 + 3, 2 * len(NAMES))
    assert {reason: [str(path) for path in paths] for reason, paths in account.left_out.items()} == {
        ".md, which is not read": ["notes.md"],
        "hidden or made by the operating system": ["images/._a.jpg"],
        ".jpg belonging to no image of a split": ["more/x.jpg"],
    }
    assert "1 .md, which is not read, the first is notes.md" in str(account)


def test_photo_or_mask_that_is_a_pipe_is_named(root):
    (root / "masks/a.png").unlink()
    os.mkfifo(root / "masks/a.png")
    with pytest.raises(DatasetError, match=r"masks/a\.png: is a link to nothing, or no ordinary file; restore it"):
        Folder(root)


@pytest.mark.parametrize("given", ["A", "a.jpg", "A.JPG", " a"])
def test_unknown_id_is_answered_with_one_that_looks_like_it(root, given):
    add(root, "clicks.csv", f"image_id,class,x,y\n{given},cow,1,1\n")
    with pytest.raises(DatasetError, match=r"there is no image .* \(did you mean 'a'\?\)"):
        Folder(root)


def test_classes_are_the_same_however_accents_are_written(root):
    add(root, "classes.yaml", "names: [background, ku\u0308he]\n")
    add(root, "sizes.csv", "image_id,background,k\u00fche\na,0.5,0.5\n")
    assert Folder(root).class_names == ("background", "k\u00fche")


def test_clicks_as_fractions_of_the_picture_are_refused(root, tmp_path):
    for path in (root / "images").iterdir():
        Image.new("RGB", (60, 40)).save(path)
    shutil.rmtree(root / "masks")
    add(root, "clicks.csv", "image_id,class,x,y\na,cow,0.5,0.5\ne,cow,0.25,1\nf,cow,0.1,0.9\n")
    with pytest.raises(DatasetError, match=r"all 3 points of clicks lie within the first pixel.*multiply fractions"):
        write_prepared(tmp_path / "a.zip", Folder(root), "train")


@pytest.mark.parametrize("name", ["masks", "scribbles", "clicks.csv", "sizes.csv", "splits/train.txt"])
def test_what_may_be_left_out_is_missed_where_a_link_leads_to_nothing(root, name):
    shutil.rmtree(root / "masks")
    (root / "splits").mkdir()
    (root / name).symlink_to(root / "moved away")
    with pytest.raises((DatasetError, OSError), match="is a link to nothing; restore what it leads to, or remove it"):
        Folder(root).verify()
