"""Scribbles without a browser: what is stored, over HTTP, and what the export makes of it."""

import io
import json
import multiprocessing
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.annotate import __main__ as tool
from pipeline.annotate import export
from pipeline.annotate.app import create_app
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.scribble_views import CLASS_KEYS
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.conventions import VOID
from pipeline.datasets.folder import Folder
from pipeline.datasets.pictures import upright_size
from pipeline.datasets.voc import read_scribble_xml
from pipeline.targets.strokes import HEADER, Draw, Stroke, format_rows, read_strokes

NAMES = ["cat", "dog"]


class Network:
    """Predictions that are made by hand."""

    version = 1

    def __init__(self):
        self.heard = []

    def labels(self, image_id):
        return np.array([[0, 2], [1, VOID]], np.uint8) if image_id == "a" else None

    def order(self, ids):
        return list(reversed(ids))

    def status(self):
        return {"state": "busy", "text": "Training ..."}

    def train(self, shown=None):
        self.heard.append(("train", shown))

    def stop(self):
        self.heard.append(("stop",))

    def done(self, shown):
        self.heard.append(("done", shown))


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 40x30; c is stored lying on its side."""
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / f"images/{name}.png")
    turned = Image.new("RGB", (30, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "images/c.jpg", exif=exif)
    return tmp_path


def client(folder, token=None, predictions=None, asks_sizes=True):
    pictures = FolderPictures(folder / "images", NAMES)
    sizes, strokes = AnnotationStore(folder / "s.csv"), StrokeStore(folder / "s.strokes.jsonl")
    return create_app(Project(pictures, sizes, NAMES, False, strokes, asks_sizes, predictions), token).test_client()


def post(page, action, **given):
    return page.post(f"/api/scribbles/{action}", json={"annotator": "Ada", "image": "a", "seconds": 1.0, **given})


def drawn(page, number=1, name="cat", points=((5, 5), (30, 5)), **given):
    stroke = {"id": f"{number:016x}", "class": name, "width": 3, "points": points, "size": [40, 30]}
    request = {key: given.pop(key) for key in ("image", "annotator", "seconds") if key in given}
    return post(page, "draw", stroke=stroke | given, **request)


def turn(page, do, **given):
    return post(page, "act", do=do, **given)


def rows(folder):
    return read_strokes(folder / "s.strokes.jsonl").rows


def shown(page, image="a", who="Ada"):
    picture = page.get(f"/api/scribbles/picture?annotator={who}&image={image}").json["picture"]
    return [one["id"] for one in picture["strokes"] if one["id"] not in picture["hidden"]]


def test_start_says_what_can_be_drawn(folder):
    answer = client(folder).get("/api/scribbles/start?annotator=Ada").json
    assert [(one["name"], one["key"]) for one in answer["classes"]] == [("background", "0"), ("cat", "1"), ("dog", "2")]
    assert (answer["picture"]["image"], answer["picture"]["size"], answer["next"]) == ("a", [40, 30], "b")


def test_keys_of_classes_are_no_commands():
    assert len(set(CLASS_KEYS)) == len(CLASS_KEYS) > 20
    assert not set(CLASS_KEYS) & set("zybkhmergpf")


def test_stroke_is_in_the_file_when_the_answer_comes(folder):
    drawn(client(folder), points=((5, 5), (30.12, 5)))
    (row,) = rows(folder)
    assert (row.image_id, row.annotator, row.seconds) == ("a", "Ada", 1.0)
    assert row.stroke == stroke(1, ((5, 5), (30.12, 5)))
    assert len(row.picture) == 12


def test_stroke_that_is_sent_twice_is_stored_once(folder):
    page = client(folder)
    assert drawn(page).json["changed"] == drawn(page).json["changed"]
    assert len(rows(folder)) == 1


def test_undo_erase_and_redo_append_and_never_rewrite(folder):
    page = client(folder)
    drawn(page, 1)
    drawn(page, 2)
    before = (folder / "s.strokes.jsonl").read_text()
    turn(page, "undo")
    assert shown(page) == [f"{1:016x}"]
    changed = post(page, "erase", strokes=[f"{1:016x}"]).json["changed"]
    assert (changed["undo"], changed["redo"], len(changed["hidden"])) == (True, False, 2)
    turn(page, "undo")
    assert shown(page) == [f"{1:016x}"]
    assert (folder / "s.strokes.jsonl").read_text().startswith(before)
    assert [row.do for row in rows(folder)] == ["draw", "draw", "undo", "erase", "undo"]


def test_undo_reaches_back_before_a_restart(folder):
    drawn(client(folder))
    again = client(folder)
    assert again.get("/api/scribbles/picture?annotator=Ada&image=a").json["picture"]["undo"] is True
    turn(again, "undo")
    assert shown(again) == []


def test_two_servers_on_one_file(folder):
    one, other = client(folder), client(folder)
    drawn(one, 1)
    drawn(other, 2)
    drawn(other, 1, annotator="Bo")
    turn(one, "undo")
    assert shown(other) == [f"{1:016x}"]
    assert shown(one, who="Bo") == [f"{1:016x}"]


def stroke(number, points):
    return Stroke(id=f"{number:016x}", class_name="cat", width_px=3, points=points, size_px=(40, 30))


def draw_many(folder, who, count):
    store = StrokeStore(folder / "s.strokes.jsonl")
    for number in range(count):
        points = tuple((float(x), 1.0) for x in range(40))
        with store.transaction():
            time = store.timestamp()
            store.append([Draw(image_id="a", annotator=who, seconds=1.0, timestamp=time, stroke=stroke(number, points))])


def test_two_processes_lose_no_stroke(folder):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=draw_many, args=(folder, who, 40)) for who in ("Ada", "Bo")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    for who in ("Ada", "Bo"):
        assert [int(row.stroke.id, 16) for row in rows(folder) if row.annotator == who] == list(range(40))


def test_stroke_cut_off_by_a_crash_is_moved_aside_and_work_goes_on(folder):
    page = client(folder)
    drawn(page, 1)
    whole = (folder / "s.strokes.jsonl").read_text()
    with (folder / "s.strokes.jsonl").open("a") as file:
        file.write('{"image":"a","do":"dr')
    drawn(page, 2)
    assert (folder / "s.strokes.jsonl").read_text().startswith(whole)
    assert [row.stroke.id for row in rows(folder)] == shown(page) == [f"{1:016x}", f"{2:016x}"]
    assert "s.strokes.jsonl.damaged" in page.get("/").text


def test_header_cut_off_by_a_crash_is_written_anew(folder):
    (folder / "s.strokes.jsonl").write_text(HEADER[:10])
    drawn(client(folder))
    assert len(rows(folder)) == 1


@pytest.mark.parametrize(
    ("action", "given", "message"),
    [
        ("draw", {"class": "horse"}, "class: expected one of background, cat, dog"),
        ("draw", {"class": ["cat"]}, "stroke.class: "),
        ("draw", {"size": [80, 60]}, "the picture has 40x30 pixels"),
        ("draw", {"points": [[5, 31]]}, "points: expected"),
        ("draw", {"points": [[5, 5]] * 2001}, "at most 2000"),
        ("draw", {"points": {"a": 1}}, "stroke.points: "),
        ("draw", {"width": 41}, "width: expected at most the longest side of 40x30"),
        ("draw", {"id": "../../etc/passwd"}, "stroke.id: "),
        ("draw", {"image": "zz"}, "not among the 3 pictures"),
        ("draw", {"image": ["a"]}, "image: "),
        ("draw", {"annotator": "a" * 61}, "give a name"),
        ("draw", {"seconds": "1"}, "seconds: "),
        ("erase", {"strokes": ["x"]}, "strokes.0: "),
        ("erase", {}, "strokes: "),
        ("act", {"do": "undo", "image": "../a"}, "not among the 3 pictures"),
        ("act", {"do": "draw"}, "do: "),
    ],
)
def test_bad_request_is_explained_and_leaves_no_trace(folder, action, given, message):
    page = client(folder)
    answer = drawn(page, **given) if action == "draw" else post(page, action, **given)
    assert answer.status_code == 400
    assert message in answer.json["error"]
    assert not (folder / "s.strokes.jsonl").exists()


def test_largest_stroke_fits_a_request(folder):
    Image.new("L", (9000, 8000)).save(folder / "images/large.png")
    points = [(8000.25 + (index % 7), 7000.75 + index / 1000) for index in range(2000)]
    assert drawn(client(folder), image="large", points=points, size=[9000, 8000]).status_code == 200


def test_longer_request_is_refused(folder):
    assert drawn(client(folder), points=[[5.0, 5.0]] * 20_000).status_code == 413


def test_unknown_action_is_refused(folder):
    assert post(client(folder), "stroke").status_code == 404
    assert post(client(folder), "undo").status_code == 404


@pytest.mark.parametrize("address", ["/detail?id=../s", "/detail?id=a.png", "/detail", "/prediction?id=../a", "/prediction?id=a"])
def test_nothing_but_known_pictures_can_be_reached(folder, address):
    assert client(folder).get(address).status_code == 404


@pytest.mark.parametrize("address", ["/scribbles?annotator=Ada", "/detail?id=a", "/api/scribbles/start?annotator=Ada"])
def test_every_answer_is_hardened_and_needs_the_token(folder, address):
    headers = client(folder).get(address).headers
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert client(folder, token="s3cret").get(address).status_code == 403


def test_strokes_from_other_sites_are_refused(folder):
    answer = client(folder).post("/api/scribbles/act", json={"annotator": "Ada"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("asks_sizes", [True, False])
def test_pages_have_no_inline_script_or_style(folder, asks_sizes):
    page = client(folder, asks_sizes=asks_sizes)
    for address in ("/", "/scribbles?annotator=<b>Ada</b>"):
        text = page.get(address).text
        assert "style=" not in text
        assert "<b>Ada" not in text
        assert text.count("<script") == text.count('<script type="module" src=')


def test_picture_turned_by_its_camera_is_drawn_on_upright(folder):
    assert upright_size((folder / "images/c.jpg").read_bytes(), "c") == (40, 30)
    assert Image.open(io.BytesIO(client(folder).get("/detail?id=c").data)).size == (40, 30)


def test_broken_picture_can_be_skipped(folder):
    (folder / "images/a.png").write_bytes(b"no image")
    page = client(folder)
    assert "cannot be read as an image" in page.get("/api/scribbles/start?annotator=Ada").json["picture"]["problem"]
    assert drawn(page).status_code == 422
    assert turn(page, "skip").json["next"] == "b"


def test_large_picture_is_loaded_whole_on_demand(folder):
    Image.new("RGB", (2400, 1200)).save(folder / "images/large.png")
    page = client(folder)
    sizes = [Image.open(io.BytesIO(page.get(f"/{view}?id=large").data)).size for view in ("picture", "detail")]
    assert sizes == [(1600, 800), (2400, 1200)]


def test_prediction_is_served_as_class_indices(folder):
    page = client(folder, predictions=Network())
    image = Image.open(io.BytesIO(page.get("/prediction?id=a").data))
    assert (image.mode, np.asarray(image).tolist()) == ("L", [[0, 2], [1, VOID]])
    assert page.get("/prediction?id=b").status_code == 404
    assert drawn(page).json["prediction"] == 1


def test_page_starts_and_stops_training(folder):
    network = Network()
    page = client(folder, predictions=network)
    assert post(page, "train", image="b").json["live"] == {"state": "busy", "text": "Training ..."}
    assert post(page, "train", image="../b").status_code == 400
    assert post(page, "stop", image="b").status_code == 200
    page.get("/api/scribbles/picture?annotator=Ada&image=c")
    assert network.heard == [("train", "b"), ("stop",), ("done", "c")]


def test_nothing_is_trained_where_there_is_no_network(folder):
    answer = post(client(folder), "train")
    assert (answer.status_code, answer.json) == (400, {"error": "nothing is trained here"})


def test_most_uncertain_picture_comes_next_wherever_one_is(folder):
    page = client(folder, predictions=Network())
    assert page.get("/api/scribbles/live?annotator=Ada&image=b").json["next"] == "c"
    assert page.get("/api/scribbles/live?annotator=Ada&image=c").json["next"] == "b"


def test_pictures_come_in_the_order_of_the_network(folder):
    assert client(folder, predictions=Network()).get("/api/scribbles/start?annotator=Ada").json["picture"]["image"] == "c"


def test_without_the_task_there_is_no_page_of_scribbles(folder):
    pictures = FolderPictures(folder / "images", NAMES)
    page = create_app(Project(pictures, AnnotationStore(folder / "s.csv"), NAMES)).test_client()
    assert page.get("/scribbles?annotator=Ada").status_code == 404
    assert "cribbles" not in page.get("/").text + page.get("/annotate?annotator=Ada").text


def run_export(folder, monkeypatch, *more):
    source = ["--images", str(folder / "images"), "--classes", "cat,dog"]
    monkeypatch.setattr(sys, "argv", ["export", str(folder / "s.csv"), *source, *more])
    export.main()


def test_exported_scribbles_are_read_by_the_readers_of_data_sets(folder, monkeypatch, capsys):
    page = client(folder)
    drawn(page, 1, "cat")
    drawn(page, 2, "background", ((5, 20), (30, 20)))
    drawn(page, 3, "dog", ((5, 12), (30, 12)))
    turn(page, "undo")
    drawn(page, 4, "dog", ((1, 1), (1, 28)), image="c")
    run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"), "--xml", str(folder / "xml"))
    (folder / "classes.yaml").write_text("names: [background, cat, dog]")
    data = Folder(folder)
    data.verify()
    raster = data.read_scribble_raster("a")
    assert raster[[5, 20, 12, 0], 15].tolist() == [1, 0, VOID, VOID]
    assert raster[4:7, 15].tolist() == [1, 1, 1]
    assert data.classes_in("c", np.full((30, 40), VOID, np.uint8)) == [2]
    strokes = read_scribble_xml(folder / "xml/a.xml", ["background", "cat", "dog"])
    assert [(one.class_index, one.points) for one in strokes] == [(1, ((5, 5), (30, 5))), (0, ((5, 20), (30, 20)))]
    assert "Ada: 3 strokes on 2 pictures, 2.5 s per picture" in capsys.readouterr().out


def test_scribbles_left_from_an_earlier_export_are_named(folder, monkeypatch, capsys):
    page = client(folder)
    drawn(page)
    run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"))
    turn(page, "undo")
    run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"))
    assert "a.png is there, but nothing is drawn on a any more; remove it" in capsys.readouterr().out


def test_where_people_disagree_the_export_says_so(folder, monkeypatch, capsys):
    page = client(folder)
    drawn(page, 1, "cat")
    drawn(page, 1, "dog", annotator="Bo")
    run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"))
    assert "people disagree: 1 pictures, the first is a" in capsys.readouterr().out


def test_exchanged_picture_stops_the_export(folder, monkeypatch, capsys):
    drawn(client(folder))
    Image.new("RGB", (40, 30)).save(folder / "images/a.png")
    with pytest.raises(SystemExit):
        run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"))
    assert "restore it, or draw on it anew" in capsys.readouterr().err
    assert not (folder / "scribbles").exists()


def test_skipped_picture_that_was_taken_away_does_not_stop_the_export(folder, monkeypatch):
    page = client(folder)
    drawn(page)
    turn(page, "skip", image="b")
    (folder / "images/b.png").unlink()
    run_export(folder, monkeypatch, "--scribbles", str(folder / "scribbles"))
    assert (folder / "scribbles/a.png").exists()


def test_scribbles_of_an_unknown_class_stop_the_tool(folder):
    drawn(client(folder), name="dog")
    with pytest.raises(ValueError, match=r"s\.strokes\.jsonl: holds annotations of dog, which --classes does not name"):
        tool.check_file(StrokeStore(folder / "s.strokes.jsonl"), ["cat"], ["a"])


def test_rows_keep_one_line_each(folder):
    page = client(folder)
    drawn(page, annotator='A"\\', points=((5.5, 5),))
    assert [json.loads(line)["annotator"] for line in (folder / "s.strokes.jsonl").read_text().splitlines()[1:]] == ['A"\\']
    assert format_rows(rows(folder)).count("\n") == 1
