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
from pipeline.annotate.store import AnnotationStore
from pipeline.targets.annotations import SUM_TOLERANCE, read_annotations, standing

COMMON = {"annotator": "Ada", "image": "a", "seconds": 1.5, "grid": "5x4"}
BODIES = {
    "/api/tags": {**COMMON, "present": ["cat"]},
    "/api/size": {**COMMON, "class": "cat", "size": 0.6, "method": "cells", "unsure": False},
    "/api/skip": COMMON,
    "/api/undo": {"annotator": "Ada"},
}
SIZES = st.floats(0, 1, allow_subnormal=False)
RIGHT = st.one_of(
    st.fixed_dictionaries({"image": st.sampled_from("ab"), "present": st.sets(st.sampled_from(["cat", "dog"])).map(sorted)}),
    st.fixed_dictionaries({"image": st.sampled_from("ab"), "class": st.sampled_from(["cat", "dog"]), "size": SIZES}),
)
ADDRESSES = ["/", "/annotate", "/results", "/picture", "/api/start", "/api/picture", "/static/annotate.js", *BODIES]


@st.composite
def requests(draw):
    """Return the method, address and options of a request."""
    if draw(st.booleans()):
        path = draw(st.sampled_from(list(BODIES)))
        body = draw(
            st.one_of(st.just(BODIES[path]), RIGHT.map(lambda right: {**BODIES[path], **right}), damaged_tree(BODIES[path]))
        )
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
            project = Project(FolderPictures(folder, ["cat", "dog"]), AnnotationStore(folder / "s.csv"), ["cat", "dog"], True)
            pages.append(create_app(project, token).test_client())
            pages[-1].get("/?token=s3cret")
        for number, (method, path, options) in enumerate(asked):
            answer = pages[number % 2].open(path, method=method, **options)
            assert answer.status_code < 500, (method, path, options, answer.text)
            assert answer.status_code < 400 or answer.text.strip() or method == "HEAD"
        if not (folder / "s.csv").exists():
            return
        rows, damaged = read_annotations(folder / "s.csv")
        assert damaged == []
        assert {row.image_id for row in rows} <= {"a", "b"}
        for answers in standing(rows).values():
            assert all(one.total <= 1 + SUM_TOLERANCE for one in answers.values())


@given(JUNK)
def test_any_json_is_read_by_one_model(junk):
    with tempfile.TemporaryDirectory() as name:
        Image.new("RGB", (8, 6)).save(Path(name) / "a.png")
        project = Project(FolderPictures(Path(name), ["cat"]), AnnotationStore(Path(name) / "s.csv"), ["cat"])
        page = create_app(project).test_client()
        for path in BODIES:
            answer = page.post(path, data=json.dumps(junk), content_type="application/json")
            assert answer.status_code == 400
            assert answer.json["error"]
