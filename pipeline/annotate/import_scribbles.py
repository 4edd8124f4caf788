"""Take over strokes from other tools: `python -m pipeline.annotate.import_scribbles FILES --images DIR --classes A,B --out CSV`.

LabelMe's JSON (shapes `linestrip`, `line`, `point`) and CVAT's XML for images (`polyline`, `points`) become strokes in the file
that belongs to `--out`, as if they had been drawn on the page. Polygons, boxes and masks are no scribbles: they are counted and
left out. The same file again adds nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.annotate.__main__ import add_source_arguments, open_pictures, strokes_file
from pipeline.annotate.pictures import Pictures
from pipeline.annotate.session import check_annotator
from pipeline.annotate.store import StrokeStore
from pipeline.command import command_parser
from pipeline.datasets.pictures import upright_size
from pipeline.datasets.raw_files import DatasetError, is_system_file
from pipeline.errors import clear_errors
from pipeline.files import finite_number, read_bytes, read_form
from pipeline.targets.annotations import BACKGROUND, fingerprint
from pipeline.targets.strokes import LONGEST_SIDE_PX, MOST_POINTS, Draw, Stroke, explain

LINES = ("linestrip", "line", "polyline")
POINTS = ("point", "points")


class Shape(NamedTuple):
    """One shape of another tool.

    Attributes:
        image_id: name of the picture's file without suffix.
        size_px: (width, height) that the tool noted, or None.
        kind: its name of the shape.
        label: class.
        points: (x, y) in pixels of the picture.
    """

    image_id: str
    size_px: tuple[int, int] | None
    kind: str
    label: str
    points: list[tuple[float, float]]


class _LabelMeShape(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"


class _LabelMe(BaseModel):
    shapes: list[_LabelMeShape]
    imagePath: str
    imageWidth: int | None = None
    imageHeight: int | None = None


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(
        __doc__, "pipeline.annotate.import_scribbles labels --images photos --classes cat,dog --out annotations.csv"
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="LabelMe's .json or CVAT's .xml, or folders of them")
    add_source_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="annotation file that the strokes belong to")
    parser.add_argument("--width", type=float, default=3.0, metavar="PX", help="of strokes, in pixels of the picture (3)")
    parser.add_argument("--annotator", default="imported", help="name of who drew them (default: imported)")
    return parser.parse_args(arguments)


def read_shapes(path: Path) -> Iterator[Shape]:
    """Yield the shapes of one file.

    Raises:
        ValueError: it is of neither form; names the file and the fault.
    """
    if path.suffix.lower() == ".json":
        given = read_form(path, _LabelMe, "a file of LabelMe is expected: export it again")
        size = (given.imageWidth, given.imageHeight) if given.imageWidth and given.imageHeight else None
        for shape in given.shapes:
            yield Shape(_stem(given.imagePath), size, shape.shape_type, _composed(shape.label), shape.points)
        return
    try:
        images = list(ElementTree.fromstring(read_bytes(path)).iter("image"))
        if not images:
            raise ValueError("it has no element 'image'")
        names: dict[str, str] = {}
        for image in images:
            name = image.attrib["name"]
            if (other := names.setdefault(_stem(name), name)) != name:
                raise ValueError(f"strokes on {other} and on {name} would be on one picture: rename one of them")
            size = (int(image.attrib["width"]), int(image.attrib["height"]))
            for node in image:
                pairs = [pair.split(",") for pair in node.get("points", "").split(";") if pair]
                points = [(finite_number(x), finite_number(y)) for x, y in pairs]
                yield Shape(_stem(name), size, node.tag, _composed(node.get("label", "")), points)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: is no XML of CVAT for images ({error!r}); export it again") from error


def _stem(name: str) -> str:
    return _composed(PurePath(name.replace("\\", "/")).stem)


def _composed(text: str) -> str:
    """Return a text with its accents composed, as ids and classes are."""
    return unicodedata.normalize("NFC", text)


def to_strokes(shape: Shape, size_px: tuple[int, int], width_px: float) -> list[Stroke]:
    """Return the strokes of a shape: lines in parts of at most `MOST_POINTS`, points one by one; none for other shapes.

    Args:
        shape: as read.
        size_px: (width, height) of the picture; vertices beyond its border are moved onto it.
        width_px: of the brush.

    Raises:
        ValidationError: a label or a width that no stroke has; it is a ValueError.
    """
    width, height = size_px
    points = [(min(max(x, 0.0), width - 0.01), min(max(y, 0.0), height - 0.01)) for x, y in shape.points]
    if shape.kind in LINES:
        parts = [points[start : start + MOST_POINTS] for start in range(0, max(1, len(points) - 1), MOST_POINTS - 1)]
    else:
        parts = [[point] for point in points] if shape.kind in POINTS else []
    key = f"{shape.kind} {shape.label} {shape.points}"  # what is drawn, so that the same again is known wherever it stands
    ids = [hashlib.sha256(f"{key} {number}".encode("utf-8", "surrogatepass")).hexdigest()[:16] for number in range(len(parts))]
    return [
        Stroke(id=name, class_name=shape.label, width_px=width_px, points=tuple(part), size_px=size_px)
        for name, part in zip(ids, parts)
        if part
    ]


def take_over(
    shapes: Sequence[tuple[str, Shape]], pictures: Pictures, class_names: Sequence[str], annotator: str, width_px: float
) -> list[Draw]:
    """Return the rows that shapes become, without time stamps worth anything; nothing is written.

    Raises:
        ValueError: an unknown picture or class, or a picture of another size; names the file.
    """
    known, names = set(pictures.ids), [BACKGROUND, *class_names]
    rows = []
    for key, shape in shapes:
        where = f"{key}, image {shape.image_id}"
        if shape.kind not in LINES + POINTS:
            continue
        if shape.image_id not in known:
            raise ValueError(f"{where}: is not among the {len(known)} pictures; rename it, or take its file out")
        if shape.label not in names:
            raise ValueError(f"{where}: unknown class {shape.label!r}; the classes are {', '.join(names)}")
        content = pictures.content(shape.image_id)
        size = upright_size(content, shape.image_id)
        if shape.size_px not in (None, size):
            raise ValueError(f"{where}: was drawn on a picture of {shape.size_px}, but this one is {size}; restore that picture")
        try:
            strokes = to_strokes(shape, size, width_px)
        except ValidationError as error:
            raise ValueError(f"{where}: {explain(error)}; correct it in the other tool") from error
        for stroke in strokes:
            rows.append(
                Draw(
                    image_id=shape.image_id, annotator=annotator, seconds=0.0, timestamp="2000-01-01T00:00:00Z",
                    picture=fingerprint(content), stroke=stroke,
                )
            )  # fmt: skip
    return rows


def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    with clear_errors(DatasetError):
        if not 1 <= arguments.width <= LONGEST_SIDE_PX:
            raise ValueError(f"--width: expected 1 to {LONGEST_SIDE_PX} pixels, got {arguments.width}")
        pictures, class_names = open_pictures(arguments)
        annotator = check_annotator(arguments.annotator)
        shapes, counts = [], Counter[str]()
        for path in arguments.files:
            inside = sorted(path.iterdir()) if path.is_dir() else []
            wanted = [one for one in inside if one.suffix.lower() in (".json", ".xml") and not is_system_file(one.name)]
            if path.is_dir() and not wanted:
                raise ValueError(f"{path}: holds no .json of LabelMe and no .xml of CVAT; give the folder that does")
            for file in wanted or [path]:
                for number, shape in enumerate(read_shapes(file)):
                    shapes.append((f"{file.name}, shape {number}", shape))
                    counts[shape.kind] += 1
        rows = take_over(shapes, pictures, class_names, annotator, arguments.width)
        store = StrokeStore(strokes_file(arguments.out))
        with store.transaction():
            fresh = [row for row in rows if not store.answer(annotator, row.image_id).has(row.stroke.id)]
            store.append([row.model_copy(update={"timestamp": store.timestamp()}) for row in fresh])
        for kind in sorted(set(counts) - {*LINES, *POINTS}):
            print(f"left out: {counts[kind]} of kind {kind}, which are no scribbles")
        print(f"{store.path}: {len(fresh)} strokes of {annotator} added, {len(rows) - len(fresh)} were there")


if __name__ == "__main__":
    main()
