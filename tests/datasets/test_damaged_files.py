"""Files as they come: damaged, renamed, re-saved, linked. What is read is right, or the error names the file.

`pytest --hypothesis-profile=thorough` tries a thousand of each.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import struct
import tempfile
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.annotate.import_scribbles import read_shapes, take_over
from pipeline.annotate.pictures import render
from pipeline.conventions import VOID
from pipeline.datasets.acdc import read_volume
from pipeline.datasets.base import Scene, Scribble, scribbles_from_json, scribbles_to_json
from pipeline.datasets.coco import decode_segmentation
from pipeline.datasets.folder import Folder
from pipeline.datasets.pictures import decode_mask, decode_photo, picture_size, read_photo
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError, read_list
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.voc import CLASS_NAMES, Voc, read_scribble_xml
from pipeline.files import read_table, walk
from pipeline.predict import find_pictures
from pipeline.targets.class_labels import read_class_labels
from pipeline.targets.rasters import RasterArchive, write_rasters
from pipeline.targets.scribbles import generate_scribbles, rasterize, shorten
from pipeline.targets.sizes import read_size_targets, write_size_targets
from pipeline.targets.strokes import to_scribbles
from pipeline.targets.tags import read_tags

NAMED = (DatasetError, ValueError, OSError)  # what `clear_errors` shows as one line; an OSError names its file
KINDS = sorted(DATASETS)
TEXTS = {".txt", ".csv", ".yaml", ".json", ".xml"}
WHOLE_COPIES = settings(max_examples=max(settings.default.max_examples // 5, 3))
"""Reading a whole copy takes longer than reading a file."""
IDS = {"cityscapes": "aachen_{:06d}_000019", "ade20k": "ADE_{:08d}"}


@contextlib.contextmanager
def named(path):
    """Let errors pass that name the file."""
    try:
        yield
    except NAMED as error:
        if str(path) not in str(error):
            raise AssertionError(f"error does not name {path}") from error


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def scene(kind, number):
    """Return a picture with two classes; of ACDC with the size that its reader does not change."""
    generator = np.random.default_rng(number)
    height, width = (256, 256) if kind == "acdc" else (8, 12)
    labels = np.zeros((height, width), np.uint8)
    labels[2:5, 2:9] = 1 + number % 2
    stroke = (Scribble(1 + number % 2, ((2.5, 2.5), (8.25, 4.0))),)
    return Scene(
        IDS.get(kind, "p{}").format(number),
        generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
        labels,
        scribbles=stroke,
        clicks=stroke[:1] and (Scribble(stroke[0].class_index, ((3.5, 3.5),)),),
        class_index=number % 6 if DATASETS[kind].task == "classification" else None,
        group=f"v{number}",
    )


@cache
def copy_of(kind):
    """Return every file of a small copy: path -> bytes."""
    with folder() as root:
        train, val = ((1,), (1,)) if kind == "acdc" else ((6,), (6,))
        DATASETS[kind].write(
            root, {"train": [scene(kind, n) for n in range(*train)], "val": [scene(kind, 9 + n) for n in range(*val)]}
        )
        if kind == "folder":
            (root / "sizes.csv").write_text("image_id,background,plane,bicycle,bird\np0,0.7,0.1,0.1,0.1\np1,0.5,0.5,0,0\n")
            (root / "scribbles").mkdir()
            drawn = np.full((8, 12), VOID, np.uint8)
            drawn[3, 3:6] = 1
            Image.fromarray(drawn).save(root / "scribbles/p0.png")
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def put(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read_all(kind, root):
    """Return everything that is read of a copy, through the prepared archive."""
    dataset = DATASETS[kind](root)
    dataset.verify()
    account = dataset.account()
    assert account.found == account.used + sum(map(len, account.left_out.values()))
    result = {}
    for split in dataset.splits:
        write_prepared(root.parent / f"{split}.zip", dataset, split)
        archive = PreparedArchive(root.parent / f"{split}.zip")
        for image_id in archive.ids:
            assert np.array_equal(archive.image(image_id), dataset.read_image(image_id))
            masked = dataset.task == "segmentation"
            raster = archive.scribble_raster(image_id)
            result[split, image_id] = (
                archive.image(image_id).tobytes(),
                archive.labels(image_id).tobytes() if masked else archive.image_class(image_id),
                None if raster is None else raster.tobytes(),
                (archive.scribbles() or {}).get(image_id),
                (archive.clicks() or {}).get(image_id),
                None if (sizes := (archive.sizes() or {}).get(image_id)) is None else sizes.tobytes(),
            )
    return result


@cache
def right(kind):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        return read_all(kind, place / "raw")


@cache
def used(kind):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        return DATASETS[kind](place / "raw").account().used


def damage(data, root):
    """Do one thing to one file."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, max(len(content) - 1, 0)))
    kind = data.draw(st.sampled_from(("flip", "cut", "empty", "gone", "other", "junk", "folder", "nowhere", "loop", "lines")))
    if kind == "flip" and content:
        content[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[place:]
    elif kind == "other":
        content = bytearray(data.draw(st.sampled_from(paths)).read_bytes())
    elif kind == "junk":
        content[place:place] = data.draw(st.binary(max_size=12))
    elif kind == "lines":
        content = bytearray(b"\n".join(data.draw(st.permutations(content.split(b"\n")[:40]))))
    else:
        content = bytearray()
    path.write_bytes(content)
    if kind in ("gone", "folder", "nowhere", "loop"):
        path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind in ("nowhere", "loop"):
        path.symlink_to(path if kind == "loop" else root / "no such file")


@pytest.mark.parametrize("kind", KINDS)
@WHOLE_COPIES
@given(data=st.data())
def test_damaged_copy_is_read_or_the_fault_is_named(kind, data):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        for _ in range(data.draw(st.integers(1, 2))):
            damage(data, place / "raw")
        with contextlib.suppress(*NAMED):
            read_all(kind, place / "raw")


def harmless(data, root):
    """Do one thing that other systems and programs do to files without changing what they say."""
    paths = list(walk(root))
    path = data.draw(st.sampled_from(paths))
    texts = [one for one in paths if one.suffix in TEXTS]
    kind = data.draw(st.sampled_from(("double", "mark", "windows", "link", "folder", "note", "thumbs")))
    if kind == "double":
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    elif kind == "mark" and texts:
        text = data.draw(st.sampled_from(texts))
        text.write_bytes(b"\xef\xbb\xbf" + text.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    elif kind == "windows" and texts:
        text = data.draw(st.sampled_from(texts))
        text.write_bytes(text.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    elif kind == "link" and not path.is_symlink():
        target = root.parent / f"elsewhere-{os.urandom(4).hex()}-{path.name}"
        shutil.move(path, target)
        path.symlink_to(target)
    elif kind == "folder" and path.parent != root and not path.parent.is_symlink():
        target = root.parent / f"linked-{path.parent.name}-{os.urandom(4).hex()}"
        here = path.parent
        shutil.move(here, target)
        here.symlink_to(target)
    elif kind == "note":
        (root / "README.md").write_text("notes")
    elif kind == "thumbs":
        (path.parent / "Thumbs.db").write_bytes(b"x")


@pytest.mark.parametrize("kind", KINDS)
@WHOLE_COPIES
@given(data=st.data())
def test_what_systems_add_changes_nothing_and_is_counted(kind, data):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        for _ in range(data.draw(st.integers(1, 3))):
            harmless(data, place / "raw")
        assert read_all(kind, place / "raw") == right(kind)
        account = DATASETS[kind](place / "raw").account()
        assert account.used == used(kind)


@pytest.mark.parametrize("kind", ["voc", "ade20k", "natural_scene", "folder"])
@WHOLE_COPIES
@given(suffix=st.sampled_from([".JPG", ".Jpeg", ".png", ".PNG", ".bmp", ".tif", ".webp"]), number=st.integers(0, 5))
def test_photos_of_other_formats_are_read(kind, suffix, number):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        photos = sorted(path for path in (place / "raw").rglob("*.jpg"))
        photo = photos[number]
        pixels = np.asarray(Image.open(photo))
        photo.unlink()
        options = {"lossless": True} if suffix == ".webp" else {}
        Image.fromarray(pixels).save(photo.with_suffix(suffix), **options)
        found = read_all(kind, place / "raw")
        assert list(found) == list(right(kind))
        if suffix.lower() not in (".jpg", ".jpeg"):
            assert found == right(kind)


@pytest.mark.parametrize("kind", ["voc", "ade20k", "natural_scene", "folder"])
@WHOLE_COPIES
@given(suffix=st.sampled_from([".JPG", ".png", ".tif"]), number=st.integers(0, 5))
def test_two_photos_of_one_name_are_refused(kind, suffix, number):
    with folder() as place:
        put(place / "raw", copy_of(kind))
        photo = sorted((place / "raw").rglob("*.jpg"))[number]
        Image.new("RGB", (12, 8)).save(photo.with_suffix(suffix))
        with pytest.raises(DatasetError, match="has the same id as"):
            read_all(kind, place / "raw")


FORMS = ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM"]
MODES = ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"]


@given(
    form=st.sampled_from(FORMS), mode=st.sampled_from(MODES), orientation=st.sampled_from([None, 1, 3, 5, 6, 8, 9, "6", (6, 6)]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_part_sees_the_same_picture(form, mode, orientation, size, seed):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(values).convert("L" if mode in ("I", "F") else mode)
    image = image.convert(mode) if mode in ("I", "F") else image
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    try:
        image.save(buffer, form, **({"exif": exif} if orientation is not None else {}))
    except Exception:
        return  # Pillow cannot write that
    with folder() as place:
        (place / "images").mkdir()
        path = place / "images" / "a.png"  # the content tells the format
        path.write_bytes(buffer.getvalue())
        (place / "classes.yaml").write_text("names: [background, cat]\n")
        try:
            seen = decode_photo(buffer.getvalue(), "a")
        except DatasetError:
            for read in (read_photo, lambda path: Folder(place).read_image("a"), lambda path: render(path.read_bytes(), "a")):
                with pytest.raises(DatasetError):
                    read(path)
            return
        dataset = Folder(place)
        assert picture_size(path) == seen.shape[1::-1] == dataset.read_labels("a").shape[::-1]
        assert np.array_equal(read_photo(path), seen)
        assert np.array_equal(decode_photo(dataset.image_bytes("a")[0], "a"), seen)
        assert Image.open(io.BytesIO(render(path.read_bytes(), "a"))).size == seen.shape[1::-1]
        if form in ("PNG", "TIFF") and mode == "RGB" and orientation != (6, 6):  # of two notes no one is right
            turned = np.rot90(values, {3: 2, 6: 3, 8: 1}.get(orientation, 0))
            assert np.array_equal(seen, values.transpose(1, 0, 2) if orientation == 5 else turned)


@given(form=st.sampled_from(FORMS), place=st.integers(0, 400), content=st.binary(min_size=1, max_size=8), cut=st.integers(0, 900))
def test_damaged_picture_is_named(form, place, content, cut):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(buffer, form)
    damaged = bytearray(buffer.getvalue())
    damaged[place : place + len(content)] = content
    for read in (decode_photo, lambda content, name: decode_mask(content, 3, name), render):
        with contextlib.suppress(DatasetError):
            read(bytes(damaged[:cut]), "a")


def grey_png(labels, depth, kind=0):
    """Return a grey (0) or palette (3) PNG of a depth that Pillow does not write."""
    import zlib

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    bits = np.unpackbits(labels[..., None], axis=2)[..., 8 - depth :].reshape(len(labels), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    head = struct.pack(">IIBBBBB", labels.shape[1], labels.shape[0], depth, kind, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(3 * 2**depth))) if kind else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@given(depth=st.sampled_from([1, 2, 4]), kind=st.sampled_from([0, 3]), seed=st.integers(0, 999), width=st.integers(1, 17))
def test_mask_of_any_depth_is_read_by_value(depth, kind, seed, width):
    labels = np.random.default_rng(seed).integers(0, 2**depth, (3, width), dtype=np.uint8)
    assert np.array_equal(decode_mask(grey_png(labels, depth, kind), 16, "a"), labels)


TABLE = "image_id,background,cat\na,0.7,0.3\nb,1,0\n"
XML = "<annotation><polygon><tag>cat</tag><point><X>3</X><Y>4</Y></point></polygon></annotation>"
STROKES = scribbles_to_json({"a": [Scribble(1, ((1.0, 2.0), (3.0, 4.0)))]})
CLICKS = '{"a": [{"x": 1, "y": 2, "cls": 1}]}'
YAML = "names: [background, cat]\ncolors: [[0, 0, 0], [1, 2, 3]]\n"


def read_classes(path):
    (path.parent / "images").mkdir(exist_ok=True)
    shutil.copy(path, path.parent / "classes.yaml")
    return Folder(path.parent).class_names


def read_clicks(path):
    home = path.parent / "points"
    home.mkdir(exist_ok=True)
    shutil.copy(path, home / "voc_whats_the_point.json")
    return Voc(path.parent)._clicks


LABELME = json.dumps(
    {
        "imagePath": "a.png",
        "imageWidth": 12,
        "imageHeight": 8,
        "shapes": [{"label": "cat", "points": [[1, 2], [3.5, 4]], "shape_type": "linestrip"}],
    }
)
CVAT = """<annotations><image id="0" name="a.png" width="12" height="8">
<polyline label="cat" points="1,2;3.5,4"/></image></annotations>"""


def imported(path, suffix):
    """Return the strokes of another tool's file on a picture of 12 x 8 pixels."""
    shutil.copy(path, path.with_suffix(suffix))
    shapes = read_shapes(path.with_suffix(suffix))
    rows = take_over([(str(path), shape) for shape in shapes], OnePicture, ["cat"], "Ada", 2.0)
    return {"a": [one for row in rows for one in to_scribbles([row.stroke], ["background", "cat"])]}


class OnePicture:
    """What `take_over` asks of pictures."""

    ids = ("a",)

    @staticmethod
    def content(image_id):
        buffer = io.BytesIO()
        Image.new("RGB", (12, 8)).save(buffer, "PNG")
        return buffer.getvalue()


READERS = {
    "labelme": (LABELME, lambda path: imported(path, ".json")),
    "cvat": (CVAT, lambda path: imported(path, ".xml")),
    "list": ("a\nb c\n", read_list),
    "class labels": (
        "image_id,class,eta\na,cat,0.5\nb,background,0\n",
        lambda path: read_class_labels(path, ["background", "cat"]),
    ),
    "table": (TABLE, read_table),
    "sizes": (TABLE, read_size_targets),
    "tags": ("image_id,background,cat\na,1,0\nb,1,1\n", lambda path: read_tags(path, ["background", "cat"])),
    "xml": (XML, lambda path: read_scribble_xml(path, CLASS_NAMES)),
    "strokes": (STROKES, lambda path: scribbles_from_json(path.read_bytes(), str(path))),
    "clicks": (CLICKS, read_clicks),
    "classes": (YAML, read_classes),
}
NASTY = st.sampled_from([
    "nan", "inf", "-1e400", "9" * 400, "1e308", "\ufeff", "\0", '"', "[" * 3000, "{" * 40, ";", "\t", "\r", "null", "&a;", "]]>",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>", "xmlns='x'", "\u2028", "\ud800", "true", "-", "1_0", "٣", "0x1",
])  # fmt: skip


@pytest.mark.parametrize("name", sorted(READERS))
@given(data=st.data())
def test_text_is_read_or_the_fault_is_named(name, data):
    text, read = READERS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 6)))
        text = text[:start] + data.draw(st.one_of(NASTY, st.text(max_size=5))) + text[end:]
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    with folder() as place:
        path = place / "file"
        path.write_bytes(text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace"))
        copied = name in ("classes", "clicks", "labelme", "cvat")  # to where they belong, or under another name
        place_named = place if copied else path
        with named(place_named):
            found = read(path)
            if name in ("xml", "strokes", "clicks", "labelme", "cvat"):
                strokes = found if name == "xml" else [one for some in (found or {}).values() for one in some]
                assert all(np.isfinite(stroke.points).all() for stroke in strokes)
                rasterize(strokes, (12, 8), (24, 16))
            if name == "sizes":
                assert all(abs(one.sum() - 1) < 1e-3 and (one >= 0).all() for one in found[1].values())
            if name == "class labels":
                assert all(abs(one.sum() - 1) < 1e-9 and (one >= 0).all() for one in found.values())


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5)


@given(
    st.dictionaries(NAMES, st.integers(0, 100), max_size=6),
    st.sampled_from([b"", b"\xef\xbb\xbf"]), st.sampled_from([b"\n", b"\r\n"]), st.randoms(),
)  # fmt: skip
def test_table_of_sizes_is_read_back_however_it_was_saved(given_sizes, mark, end, shuffler):
    composed = {unicodedata.normalize("NFC", name): percent for name, percent in given_sizes.items()}
    sizes = {name: np.array([percent, 100 - percent]) / 100 for name, percent in composed.items()}
    if not sizes:
        return
    with folder() as place:
        path = place / "sizes.csv"
        write_size_targets(path, list(sizes), np.stack(list(sizes.values())), ["background", "cat"])
        header, *lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
        shuffler.shuffle(lines)
        path.write_bytes(mark + end.join([header, *lines]) + end)
        names, found = read_size_targets(path)
        assert names == ["background", "cat"]
        assert found.keys() == sizes.keys()
        assert all(np.allclose(found[name], sizes[name]) for name in sizes)


FLOATS, SIDES = st.floats(allow_subnormal=False), st.floats(0, 500, allow_subnormal=False)
"""Compiled libraries that tests before have loaded may flush numbers below 1e-308 to zero."""
NUMBERS = st.one_of(st.integers(-5, 20), FLOATS, st.sampled_from([1e9, -1e9, 2**31, 2**63, 10**40, 99999.0]))
LENGTHS = st.one_of(NUMBERS, st.none(), st.text(max_size=2))
RUNS = st.one_of(st.lists(LENGTHS, max_size=6), st.text(max_size=12), st.binary(max_size=9))


@given(
    st.one_of(
        st.lists(st.lists(NUMBERS, max_size=12), max_size=3),
        st.fixed_dictionaries({"size": st.sampled_from([[6, 8], [8, 6], [6], None, [6.0, 8.0]]), "counts": RUNS}),
        st.recursive(st.none() | NUMBERS | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=9),
    )
)
def test_segmentation_of_coco_is_drawn_or_refused(segmentation):
    try:
        mask = decode_segmentation(segmentation, 6, 8, "image 1")
    except DatasetError:
        return
    assert (mask.shape, mask.dtype) == ((6, 8), bool)


@WHOLE_COPIES
@given(st.data())
def test_annotations_of_coco_are_read_or_the_fault_is_named(data):
    name = "annotations/instances_train2014.json"
    document = json.loads(copy_of("coco")[name])
    odd = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=3), st.lists(st.integers(), max_size=2))
    for _ in range(data.draw(st.integers(1, 2))):
        entry = data.draw(st.sampled_from(document[data.draw(st.sampled_from(["images", "annotations", "categories"]))]))
        key = data.draw(st.sampled_from(sorted(entry)))
        if data.draw(st.booleans()):
            entry[key] = data.draw(odd)
        else:
            del entry[key]
            entry.setdefault("id", -1)
    with folder() as place:
        put(place / "raw", copy_of("coco"))
        (place / "raw" / name).write_text(json.dumps(document))
        with contextlib.suppress(*NAMED):
            read_all("coco", place / "raw")


@WHOLE_COPIES
@given(st.data())
def test_categories_of_coco_may_be_numbered_in_any_way(data):
    name = "annotations/instances_{}2014.json"
    numbers = data.draw(st.permutations(range(1, 81)))
    with folder() as place:
        put(place / "raw", copy_of("coco"))
        for split in ("train", "val"):
            path = place / "raw" / name.format(split)
            document = json.loads(path.read_text())
            renamed = {category["id"]: number for category, number in zip(document["categories"], numbers)}
            for category in document["categories"]:
                category["id"] = renamed[category["id"]]
            for one in document["annotations"]:
                one["category_id"] = renamed[one["category_id"]]
            path.write_text(json.dumps(document))
        assert read_all("coco", place / "raw") == right("coco")


@given(st.data())
def test_damaged_volume_is_named(data):
    packed = next(content for name, content in copy_of("acdc").items() if name.endswith("_gt.nii.gz"))
    content = bytearray(gzip.decompress(packed))[: data.draw(st.integers(340, 2000))]
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, 351)) % len(content)] = data.draw(st.integers(0, 255))
    with folder() as place:
        path = place / data.draw(st.sampled_from(["a.nii", "a.nii.gz"]))
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
        with named(path):
            assert np.isfinite(read_volume(path)).all()


MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(0, 9999), st.integers(1, 3), st.sampled_from([0, 0.3]))


@given(MASKS)
def test_every_vertex_of_a_generated_stroke_lies_on_its_class(given_mask):
    height, width, seed, scale, void = given_mask
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, (height, width), dtype=np.uint8).repeat(scale, 0).repeat(scale, 1)
    labels[generator.random(labels.shape) < void] = VOID
    strokes = generate_scribbles(labels, min_area_px=1, generator=generator)
    kept = scribbles_from_json(scribbles_to_json({"a": strokes}), "a")["a"]
    for stroke in (*strokes, *kept, *(shorten(one, 0) for one in strokes)):
        assert all(labels[int(y), int(x)] == stroke.class_index for x, y in stroke.points)


@given(st.tuples(SIDES, SIDES))
def test_a_written_point_stays_in_its_pixel(point):
    kept = scribbles_from_json(scribbles_to_json({"a": [Scribble(1, (point,))]}), "a")["a"][0].points[0]
    assert np.floor(kept).tolist() == np.floor(point).tolist()
    assert np.abs(np.subtract(kept, point)).max() <= 0.011


@given(st.data())
def test_linked_pictures_are_found_and_loops_end(data):
    with folder() as place:
        homes = [place / "in"]
        homes[0].mkdir()
        expected = set()
        for number in range(data.draw(st.integers(1, 5))):
            home = data.draw(st.sampled_from(homes))
            kind = data.draw(st.sampled_from(["picture", "folder", "link", "loop", "broken"]))
            if kind == "picture":
                Image.new("RGB", (2, 2)).save(home / f"{number}.png")
                expected.add((home / f"{number}").relative_to(homes[0]).as_posix())
            elif kind == "folder":
                (home / f"d{number}").mkdir()
                homes.append(home / f"d{number}")
            elif kind == "link":
                (place / f"out{number}").mkdir()
                Image.new("RGB", (2, 2)).save(place / f"out{number}/x.png")
                (home / f"l{number}").symlink_to(place / f"out{number}")
                expected.add((home / f"l{number}/x").relative_to(homes[0]).as_posix())
            elif kind == "loop":
                (home / f"o{number}").symlink_to(homes[0])
            else:
                (home / f"b{number}.png").symlink_to(place / "nothing")
        try:
            assert set(find_pictures(homes[0], place / "results").pictures) == expected
        except ValueError:
            assert not expected


@given(place=st.integers(0, 300), value=st.integers(1, 255))
def test_damaged_seeds_are_named(place, value):
    with folder() as home:
        path = home / "seeds.zip"
        write_rasters(path, [("a", np.eye(5, dtype=np.uint8))])
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= value
        path.write_bytes(content)
        with named(path):
            rasters = RasterArchive(path)
            assert all(rasters[name].dtype == np.uint8 for name in rasters)


@given(place=st.integers(0, 5000), value=st.integers(1, 255), cut=st.booleans())
def test_damaged_archive_is_named(place, value, cut):
    with folder() as home:
        put(home / "raw", copy_of("voc"))
        path = home / "train.zip"
        write_prepared(path, Voc(home / "raw"), "train")
        content = bytearray(path.read_bytes())
        place %= len(content)
        content[place] ^= value
        path.write_bytes(content[:place] if cut else content)
        with named(path):
            archive = PreparedArchive(path)
            for image_id in archive.ids:
                archive.image(image_id), archive.labels(image_id), archive.size(image_id)
            archive.scribbles(), archive.clicks(), archive.sizes()
