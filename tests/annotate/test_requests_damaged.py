"""Whatever is asked of the page, it answers with a page, an answer or a named error, and the file stays what can be exported."""

import json
import tempfile
from pathlib import Path

from damage import JUNK, NAMES, damaged_bytes, damaged_tree
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.annotate.app import create_app
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.targets.annotated_sizes import SUM_TOLERANCE, standing
from pipeline.targets.annotations import read_annotations
from pipeline.targets.strokes import Draw, check_strokes, draw_seeds, read_strokes, strokes_by_image

COMMON = {"annotator": "Ada", "image": "a", "seconds": 1.5, "grid": "5x4"}
STROKE = {"id": "0123456789abcdef", "class": "cat", "width": 2.0, "points": [[1.0, 2.0], [5.5, 3.0]], "size": [8, 6]}
ON_PICTURE = {"annotator": "Ada", "image": "a", "seconds": 1.5}
BODIES = {
    "/api/scribbles/draw": {**ON_PICTURE, "stroke": STROKE},
    "/api/scribbles/erase": {**ON_PICTURE, "strokes": [STROKE["id"]]},
    "/api/scribbles/act": {**ON_PICTURE, "do": "undo"},
    "/api/scribbles/train": {"annotator": "Ada", "image": "a"},
    "/api/scribbles/stop": {"annotator": "Ada", "image": "a"},
    "/api/tags": {**COMMON, "present": ["cat"]},
    "/api/size": {**COMMON, "class": "cat", "size": 0.6, "method": "cells", "unsure": False},
    "/api/skip": COMMON,
    "/api/undo": {"annotator": "Ada"},
}
IMAGES, NAMED = st.sampled_from("ab"), st.sampled_from(["cat", "dog"])
STROKE_IDS = st.integers(0, 9).map("{:016x}".format)
POINTS = st.lists(st.tuples(st.floats(0, 7.9), st.floats(0, 5.9)), min_size=1, max_size=4)
STROKES = st.builds(
    lambda stroke, name, points: {**STROKE, "id": stroke, "class": name, "points": points}, STROKE_IDS, NAMED, POINTS
)
RIGHT = {
    "/api/tags": {"present": st.sets(NAMED).map(sorted)},
    "/api/size": {"class": NAMED, "size": st.floats(0, 1, allow_subnormal=False)},
    "/api/scribbles/draw": {"stroke": STROKES},
    "/api/scribbles/erase": {"strokes": st.lists(STROKE_IDS, min_size=1, max_size=3)},
    "/api/scribbles/act": {"do": st.sampled_from(["undo", "redo", "skip"])},
}
"""Address -> what of its body may be said in other ways."""
ADDRESSES = [
    "/", "/annotate", "/results", "/picture", "/api/start", "/api/picture", "/static/annotate.js", "/scribbles", "/detail",
    "/prediction", "/api/scribbles/start", "/api/scribbles/picture", "/api/scribbles/live", *BODIES,
]  # fmt: skip


def right(path):
    """Return bodies that an address takes."""
    return st.fixed_dictionaries({"image": IMAGES, **RIGHT.get(path, {})}).map(lambda changes: {**BODIES[path], **changes})


def opened(folder):
    """Return what a server has in hand: the pictures and the files in a folder."""
    files = AnnotationStore(folder / "s.csv"), StrokeStore(folder / "s.strokes.jsonl")
    pictures = FolderPictures(folder, ["cat", "dog"])
    return Project(pictures, files[0], ["cat", "dog"], feedback=True, strokes=files[1])


@st.composite
def requests(draw):
    """Return the method, address and options of a request."""
    if draw(st.booleans()):
        path = draw(st.sampled_from(list(BODIES)))
        body = draw(st.one_of(st.just(BODIES[path]), right(path), damaged_tree(BODIES[path])))
        content = json.dumps(body).encode()
        if draw(st.integers(0, 3)) == 0:
            content = draw(st.one_of(damaged_bytes(content), st.binary(max_size=30), st.just(b"[" * 30000)))
        return "POST", path, {"data": content, "content_type": "application/json"}
    query = draw(st.dictionaries(st.sampled_from(["annotator", "image", "id", "token"]), NAMES.map(printed), max_size=3))
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "PUT", "POST"]))
    headers = draw(st.dictionaries(st.sampled_from(["Host", "Origin", "If-None-Match", "Cookie"]), NAMES.map(header), max_size=2))
    return method, draw(st.sampled_from(ADDRESSES)), {"query_string": query, "headers": headers}


def printed(text):
    """Return a text as a query can hold it."""
    return text.encode("utf-8", "replace").decode()


def header(text):
    """Return a text as a header can hold it."""
    return "".join(one for one in text if " " <= one < "\x7f")


@given(st.lists(requests(), max_size=8), st.sampled_from([None, "s3cret"]))
def test_every_request_is_answered_or_refused(asked, token):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for image_id in "ab":
            Image.new("RGB", (8, 6)).save(folder / f"{image_id}.png")
        pages = []
        for _ in range(2):  # two servers on one file
            pages.append(create_app(opened(folder), token).test_client())
            pages[-1].get("/?token=s3cret")
        for number, (method, path, options) in enumerate(asked):
            answer = pages[number % 2].open(path, method=method, **options)
            assert answer.status_code < 500, (method, path, options, answer.text)
            assert answer.status_code < 400 or answer.text.strip() or method == "HEAD"
        check_sizes(folder / "s.csv")
        check_drawn(folder / "s.strokes.jsonl")


def check_sizes(path):
    """Check that a file of sizes can be exported."""
    if path.exists():
        rows, damaged = read_annotations(path)
        assert damaged == []
        assert {row.image_id for row in rows} <= {"a", "b"}
        for answers in standing(rows).values():
            assert all(one.total <= 1 + SUM_TOLERANCE for one in answers.values())


def check_drawn(path):
    """Check that a file of strokes can be exported, and that no stroke is there twice."""
    if path.exists():
        rows, damaged = read_strokes(path)
        assert damaged == []
        check_strokes(rows, ["background", "cat", "dog"], known_ids=["a", "b"])
        drawn = [(row.annotator, row.image_id, row.stroke.id) for row in rows if isinstance(row, Draw)]
        assert len(set(drawn)) == len(drawn)
        for drawings in strokes_by_image(rows).values():
            assert draw_seeds(drawings, (8, 6), ["background", "cat", "dog"])[0].shape == (6, 8)


@given(JUNK)
def test_any_json_is_read_by_one_model(junk):
    with tempfile.TemporaryDirectory() as name:
        Image.new("RGB", (8, 6)).save(Path(name) / "a.png")
        page = create_app(opened(Path(name))).test_client()
        for path in BODIES:
            answer = page.post(path, data=json.dumps(junk), content_type="application/json")
            assert answer.status_code == 400
            assert answer.json["error"]
