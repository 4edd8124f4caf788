"""The page over HTTP: answers, and what is refused."""

import csv
import io
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.annotate import app as app_module
from pipeline.annotate.app import TAG_KEYS, create_app, is_loopback
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore

STYLE = Path(app_module.__file__).with_name("static").joinpath("annotate.css").read_text()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in "abc":
        Image.new("RGB", (8, 6), (200, 30, 30)).save(tmp_path / f"images/{name}.tif")
    Image.fromarray(np.array([[1, 0, 0, 0]], np.uint8)).save(tmp_path / "masks/a.png")
    (tmp_path / "images/broken.png").write_bytes(b"no image")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def client(folder, token=None, feedback=True):
    pictures = FolderPictures(folder / "images", ["cat", "dog"], folder / "masks")
    store = AnnotationStore(folder / "sizes.csv")
    return create_app(Project(pictures, store, ["cat", "dog"], feedback), token).test_client()


def post(page, path, **given):
    return page.post(path, json={"annotator": "Ada", "image": "a", "seconds": 1.0, "grid": "5x4", **given})


def tagged(page, **given):
    return post(page, "/api/tags", present=["cat"], **given)


def sized(page, size=0.25, **given):
    return post(page, "/api/size", size=size, method="cells", **{"class": "cat", **given})


def test_start_says_what_to_ask(folder):
    answer = client(folder).get("/api/start?annotator=Ada").json
    assert [(one["name"], one["key"]) for one in answer["classes"]] == [("cat", "1"), ("dog", "2")]
    assert (answer["picture"]["image"], answer["next"], answer["progress"]["total"]) == ("a", "b", 4)


def test_answer_is_stored_and_compared_with_the_mask(folder):
    page = client(folder)
    tagged(page)
    answer = sized(page, 0.3).json
    assert (answer["exact"], answer["error"]) == (0.25, pytest.approx(0.2))
    rows = list(csv.DictReader((folder / "sizes.csv").open()))
    assert [(row["class"], row["size_fraction"], row["flags"]) for row in rows] == [("cat", "", ""), ("cat", "0.3", "feedback")]


def test_without_feedback_no_exact_size_leaves_the_server(folder):
    page = client(folder, feedback=False)
    tagged(page)
    assert b"0.25" not in sized(page, 0.3).data


def test_exact_size_is_not_sent_before_the_answer(folder):
    page = client(folder)
    assert b"exact" not in tagged(page).data


def test_skip_and_undo(folder):
    page = client(folder)
    assert post(page, "/api/skip").json["next"] == "b"
    assert post(page, "/api/undo").json["undone"] is True
    assert post(page, "/api/undo").json["undone"] is False


def test_picture_is_converted(folder):
    answer = client(folder).get("/picture?id=a")
    assert answer.content_type == "image/jpeg"
    assert Image.open(io.BytesIO(answer.data)).size == (8, 6)


def test_picture_that_was_replaced_is_shown_anew(folder):
    page = client(folder)
    first = page.get("/picture?id=a")
    unchanged = page.get("/picture?id=a", headers={"If-None-Match": first.headers["ETag"]})
    assert unchanged.status_code == 304
    Image.new("RGB", (9, 9)).save(folder / "images/a.tif")
    again = page.get("/picture?id=a", headers={"If-None-Match": first.headers["ETag"]})
    assert Image.open(io.BytesIO(again.data)).size == (9, 9)


def test_one_annotator_on_two_servers_cannot_exceed_the_picture(folder):
    pages = [client(folder), client(folder)]
    post(pages[0], "/api/tags", present=["cat", "dog"])
    gate, statuses = threading.Barrier(2), []

    def give(page, name):
        gate.wait()
        statuses.append(sized(page, 0.6, **{"class": name}).status_code)

    threads = [threading.Thread(target=give, args=pair) for pair in zip(pages, ("cat", "dog"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200, 400]


@pytest.mark.parametrize(
    "body", [b"[" * 30000, b'{"annotator":' * 5000, b"", b"null", b"[]", b'{"annotator":"\xff"}', b"\xef\xbb\xbf{}"]
)
def test_body_that_is_no_answer_is_refused(folder, body):
    answer = client(folder).post("/api/tags", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "answer" in answer.json["error"] or "annotator" in answer.json["error"]


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400", "NaN", "-Infinity", "true"])
def test_number_that_is_no_time_is_refused(folder, number):
    body = f'{{"annotator": "Ada", "image": "a", "present": [], "grid": "none", "seconds": {number}}}'
    answer = client(folder).post("/api/tags", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "seconds" in answer.json["error"]


def test_broken_picture_is_explained(folder):
    answer = client(folder).get("/picture?id=broken")
    assert answer.status_code == 422
    assert "restore the file" in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "/picture?id=../secret.txt",
        "/picture?id=../secret",
        "/picture?id=%2Fetc%2Fpasswd",
        "/picture?id=",
        "/picture?id=a.tif",
        "/picture",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/sizes.csv",
    ],
)
def test_nothing_but_known_pictures_can_be_reached(folder, address):
    answer = client(folder).get(address)
    assert answer.status_code == 404
    assert b"secret" not in answer.data


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("/api/size", {"size": 0.2, "method": "cells", "class": "dog"}, "not tagged"),
        ("/api/size", {"size": 2, "method": "cells", "class": "cat"}, "at most 1"),
        ("/api/size", {"size": 0.2, "method": "cells"}, "class: Field required"),
        ("/api/tags", {"present": "cat"}, "present: Input should be a valid array"),
        ("/api/tags", {"present": [["cat"]]}, "present.0: Input should be a valid string"),
        ("/api/tags", {"present": ["cow"]}, "expected some of cat, dog"),
        ("/api/tags", {"present": ["cat"], "image": ["a"]}, "image:"),
        ("/api/tags", {"present": ["cat"], "annotator": ""}, "give a name"),
        ("/api/tags", {"present": ["cat"], "annotator": 5}, "annotator: Input should be a valid string"),
        ("/api/tags", {"present": ["cat"], "seconds": "1"}, "seconds: Input should be a valid number"),
        ("/api/skip", {"image": "zz"}, "not among the 4 pictures"),
    ],
)
def test_bad_answer_is_explained(folder, path, given, message):
    page = client(folder)
    tagged(page, image="a")
    answer = post(page, path, **given)
    assert answer.status_code == 400
    assert message in answer.json["error"]


def test_answer_that_is_not_saved_says_so(folder, monkeypatch):
    page = client(folder)
    monkeypatch.setattr(
        AnnotationStore, "append", lambda *_: (_ for _ in ()).throw(OSError("disk full; the answer is not saved"))
    )
    answer = tagged(page)
    assert answer.status_code == 507
    assert "not saved" in answer.json["error"]


@pytest.mark.parametrize(
    "address", ["/", "/annotate?annotator=Ada", "/results?annotator=Ada", "/picture?id=a", "/api/start?annotator=Ada"]
)
def test_every_answer_is_hardened(folder, address):
    headers = client(folder).get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("address", ["/", "/annotate?annotator=Ada", "/results?annotator=Ada"])
def test_pages_have_no_inline_script_or_style(folder, address):
    page = client(folder)
    tagged(page)
    sized(page)
    text = page.get(address).text
    assert "style=" not in text
    assert "<style" not in text
    assert " onclick" not in text
    assert text.count("<script") == text.count('<script type="module" src=')


def test_names_are_escaped(folder):
    page = client(folder)
    tagged(page, annotator="<b>Ada</b>")
    assert "<b>Ada" not in page.get("/").text


def test_foreign_host_name_is_refused(folder):
    assert client(folder).get("/", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:1", "[::1]:8765"])
def test_this_machine_is_answered(folder, host):
    assert client(folder).get("/", headers={"Host": host}).status_code == 200


def test_answers_from_other_sites_are_refused(folder):
    page = client(folder)
    given = {"annotator": "Ada", "image": "a", "seconds": 1}
    assert page.post("/api/skip", json=given, headers={"Origin": "http://evil.example"}).status_code == 403
    assert page.post("/api/skip", data='{"annotator": "Ada"}', content_type="text/plain").status_code == 415
    assert page.post("/api/skip", json=given, headers={"Origin": "http://localhost"}).status_code == 200


def test_long_answers_are_refused(folder):
    assert tagged(client(folder), image="a" * 100_000).status_code == 413


def test_token_is_needed_and_remembered(folder):
    page = client(folder, token="s3cret")
    assert page.get("/").status_code == 403
    assert page.get("/picture?id=a").status_code == 403
    assert page.get("/?token=wrong").status_code == 403
    answer = page.get("/?token=s3cret")
    assert (answer.status_code, answer.location) == (302, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Strict" in answer.headers["Set-Cookie"]
    assert page.get("/").status_code == 200


def test_people_and_agreement_are_on_the_start_page(folder):
    page = client(folder)
    for who, size in (("Ada", 0.2), ("Bo", 0.3)):
        tagged(page, annotator=who)
        sized(page, size, annotator=who)
    text = page.get("/").text
    assert "1 of 4" in text
    assert "Ada and Bo" in text
    assert "40.0 %" in text


def test_results_show_errors_and_histogram(folder):
    page = client(folder)
    tagged(page)
    sized(page, 0.3)
    text = page.get("/results?annotator=Ada").text
    assert "+20.0 %" in text
    assert "<svg" in text
    assert "No class was answered both with and without a grid" in text


def test_results_without_masks_say_so(folder):
    page = client(folder)
    tagged(page, image="b")
    sized(page, image="b")
    assert "no answered picture has a known mask" in page.get("/results?annotator=Ada").text


def test_damaged_line_is_reported_on_the_start_page(folder):
    page = client(folder)
    tagged(page)
    with (folder / "sizes.csv").open("a") as file:
        file.write("a,ca")
    assert "A damaged line was set aside in sizes.csv.damaged" in page.get("/").text


def luminance(color):
    """Relative luminance of WCAG 2."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_are_readable(scheme):
    block = STYLE.split(":root {")[1 + scheme].split("}")[0]
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    pairs = [("text", "ground"), ("text", "surface"), ("soft", "ground"), ("soft", "surface"), ("accent", "surface")]
    pairs += [("on-accent", "accent"), ("error", "surface"), ("text", "note")]
    assert {
        pair: contrast(*(colors[name] for name in pair)) for pair in pairs if contrast(*(colors[name] for name in pair)) < 4.5
    } == {}


def test_colours_of_classes_carry_white_text():
    marks = re.findall(r"\.m\d \{ --mark: (#[0-9a-f]{6})", STYLE)
    assert len(marks) == 8
    assert min(contrast(mark, "#ffffff") for mark in marks) >= 4.5


def test_keys_of_classes_are_no_commands():
    assert len(set(TAG_KEYS)) == len(TAG_KEYS) >= 20
    assert not set(TAG_KEYS) & set("zbkhm")


@pytest.mark.parametrize(("host", "expected"), [("::1", True), ("127.1.2.3", True), ("0.0.0.0", False), ("192.168.0.2", False)])
def test_loopback_addresses(host, expected):
    assert is_loopback(host) == expected
