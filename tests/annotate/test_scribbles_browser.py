"""Drawing end to end: a real server and a real browser, by mouse, pen, fingers and keyboard."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from browser import MARKS, Server, ServerProcess, Visitor, chromium, opened
from PIL import Image
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.annotate.app import create_app
from pipeline.annotate.live import STOPPED, Live
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.targets.strokes import read_strokes, standing

pytestmark = MARKS
REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ["cat", "dog", "bird"]
SIZE = (600, 400)


class Network:
    """A network that sees a dog everywhere on the left, and is least sure of the last picture."""

    def __init__(self):
        self.version = 0

    def labels(self, _):
        return np.repeat(np.array([[2, 0]], np.uint8), 2, axis=0)

    def order(self, ids):
        return list(reversed(ids))

    def status(self):
        return {"state": "idle", "text": ""}

    def done(self, _):
        pass


class Tool(Server):
    """A server in this process, on a folder of pictures."""

    def __init__(self, folder, classes=NAMES, asks_sizes=False, predictions=None):
        self.out = folder / "a.strokes.jsonl"
        pictures = FolderPictures(folder / "images", classes)
        store = AnnotationStore(folder / "a.csv")
        super().__init__(create_app(Project(pictures, store, classes, False, StrokeStore(self.out), asks_sizes, predictions)))

    def rows(self):
        return read_strokes(self.out).rows

    def strokes(self, image="p0", who="Ada"):
        """Return what stands on disk."""
        return standing(self.rows())[who][image].strokes


class ToolProcess(ServerProcess, Tool):
    """The same as a command that can be killed."""

    def __init__(self, folder):
        self.out = folder / "a.strokes.jsonl"
        given = ("--images", folder / "images", "--classes", ",".join(NAMES), "--task", "scribbles")
        super().__init__(*given, "--out", folder / "a.csv")


class Person(Visitor):
    """Someone at the page. Places are given in pixels of the picture."""

    def __init__(self, page, tool, who="Ada"):
        super().__init__(page, tool, who)
        self.client = None
        self.painted()

    def painted(self):
        """Wait until what was asked for is on the screen, and the view stands still."""
        self.page.wait_for_function("() => !document.querySelector('.moving')")
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ask(self, *keys):
        for key in keys:
            self.act(lambda key=key: self.press(key))

    def place(self, x, y):
        """Return where a place of the picture is on the screen."""
        self.painted()
        box = self.page.locator("#world").bounding_box()
        return box["x"] + x * box["width"] / SIZE[0], box["y"] + y * box["height"] / SIZE[1]

    def trace(self, *points, button="left"):
        mouse = self.page.mouse
        mouse.move(*self.place(*points[0]))
        mouse.down(button=button)
        for point in points[1:]:
            mouse.move(*self.place(*point), steps=5)
        mouse.up(button=button)

    def draw(self, *points):
        self.act(lambda: self.trace(*points))

    def touch(self, kind, *points):
        """Send one touch event with fingers at places on the screen."""
        self.client = self.client or self.page.context.new_cdp_session(self.page)
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})

    def ink(self, x, y, canvas="ink"):
        """Return red, green, blue, alpha of a canvas at a place of the picture."""
        left, top = self.place(x, y)
        box = self.page.locator("#view").bounding_box()
        read = """([id, x, y]) => { const canvas = document.getElementById(id), ratio = devicePixelRatio;
            return [...canvas.getContext('2d').getImageData(ratio * x, ratio * y, 1, 1).data]; }"""
        return self.page.evaluate(read, [canvas, left - box["x"] - 1, top - box["y"] - 1])

    def sees(self, message):
        """Wait for a message."""
        self.page.wait_for_function("text => document.getElementById('message').textContent === text", arg=message)

    def picture(self):
        return self.text("#caption").split(": ")[1].split(" ")[0]


@pytest.fixture(scope="module")
def browser():
    yield from chromium()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", SIZE, (60 * number, 90, 90)).save(tmp_path / f"images/p{number}.jpg")
    return tmp_path


@pytest.fixture
def begin(browser, folder):
    """Return a function that starts the tool and opens its page."""
    yield from opened(browser, folder, Tool, Person)


def near(points, expected):
    """Whether the ends of a stroke are where the mouse was, to a pixel of the picture."""
    return np.abs(np.array([points[0], points[-1]]) - [expected[0], expected[-1]]).max() < 1


def test_stroke_of_the_mouse_is_stored_in_pixels_of_the_picture(begin):
    tool, ada = begin()
    path = [(100, 100), (200, 150), (300, 100)]
    ada.press("2")
    ada.draw(*path)
    (stroke,) = tool.strokes()
    assert (stroke.class_name, stroke.size_px) == ("dog", SIZE)
    assert near(stroke.points, path)
    assert min(abs(x - 200) + abs(y - 150) for x, y in stroke.points) < 3
    assert len(stroke.points) < 8
    assert tool.rows()[0].seconds > 0
    assert ada.problems == []


def test_width_is_that_on_the_screen(begin):
    tool, ada = begin()
    scale = ada.page.locator("#world").bounding_box()["width"] / SIZE[0]
    ada.press("]")
    ada.draw((100, 100), (200, 100))
    ada.press("+", "+")
    ada.draw((270, 200), (330, 200))
    first, second = tool.strokes()
    assert first.width_px == pytest.approx(16 / scale, abs=0.01)
    assert second.width_px == pytest.approx(16 / scale / 1.25**2, abs=0.01)


def test_stroke_grows_under_the_mouse_and_stays_in_its_colour(begin):
    _, ada = begin()
    ada.page.mouse.move(*ada.place(100, 100))
    ada.page.mouse.down()
    ada.page.mouse.move(*ada.place(200, 100), steps=3)
    orange = [0xE6, 0x9F, 0x00, 255]
    assert ada.ink(150, 100, "live") == orange
    assert ada.ink(150, 100)[3] == 0
    ada.page.mouse.move(*ada.place(300, 100), steps=3)
    assert ada.ink(250, 100, "live") == orange
    ada.act(ada.page.mouse.up)
    assert ada.ink(250, 100) == orange
    assert ada.ink(150, 100, "live")[3] == 0


def test_background_is_a_class_of_its_own(begin):
    tool, ada = begin()
    ada.press("0")
    ada.draw((10, 10), (500, 10))
    assert tool.strokes()[0].class_name == "background"
    assert ada.ink(250, 10) == [255, 255, 255, 255]


def test_click_is_a_dab(begin):
    tool, ada = begin()
    ada.draw((300, 200))
    assert len(tool.strokes()[0].points) == 1
    assert ada.ink(300, 200)[3] == 255


def test_stroke_beyond_the_border_ends_at_it(begin):
    tool, ada = begin()
    ada.draw((500, 200), (700, 200))
    assert tool.strokes()[0].points[-1][0] == pytest.approx(SIZE[0] - 0.01)
    ada.trace((-5, 200), (-2, 100))
    assert len(tool.rows()) == 1


def test_undo_and_redo_per_stroke(begin):
    tool, ada = begin()
    ada.draw((100, 100), (200, 100))
    ada.draw((100, 200), (200, 200))
    ada.ask("z")
    assert (ada.ink(150, 200)[3], ada.ink(150, 100)[3]) == (0, 255)
    ada.ask("Control+z")
    assert tool.strokes() == []
    assert ada.page.is_disabled("#undo")
    ada.ask("y", "Control+Shift+z")
    assert len(tool.strokes()) == 2
    assert ada.ink(150, 200)[3] == 255
    ada.act(lambda: ada.page.get_by_role("button", name="Undo").click())
    assert ada.text("#count") == "1 stroke on this picture"
    assert [row.do for row in tool.rows()] == ["draw", "draw", "undo", "undo", "redo", "redo", "undo"]


def test_eraser_takes_the_strokes_it_touches_and_undo_brings_them_back(begin):
    tool, ada = begin()
    for y in (100, 200, 300):
        ada.draw((100, y), (300, y))
    ada.press("e")
    ada.draw((200, 50), (200, 220))
    assert [stroke.points[0][1] for stroke in tool.strokes()] == [pytest.approx(300, abs=1)]
    assert ada.ink(150, 100)[3] == 0
    ada.ask("z")
    assert [round(stroke.points[0][1]) for stroke in tool.strokes()] == [100, 200, 300]
    assert ada.ink(150, 100)[3] == 255
    ada.trace((450, 50), (450, 350))
    assert tool.rows()[-1].do == "undo"


def test_wheel_zooms_where_the_mouse_is_and_strokes_stay_in_place(begin):
    tool, ada = begin()
    ada.draw((400, 300), (500, 300))
    here = ada.place(450, 300)
    ada.page.mouse.move(*here)
    ada.page.mouse.wheel(0, -500)
    assert ada.place(450, 300) == pytest.approx(here, abs=1)
    assert ada.ink(450, 300)[3] == 255
    ada.draw((430, 250), (470, 250))
    assert near(tool.strokes()[1].points, [(430, 250), (470, 250)])
    ada.press("f")
    assert ada.ink(450, 250)[3] == 255


@pytest.mark.parametrize("button", ["right", "middle", "shift"])
def test_picture_is_moved_by_other_buttons(begin, button):
    tool, ada = begin()
    before = ada.place(0, 0)
    if button == "shift":
        ada.page.keyboard.down("Shift")
    ada.trace((300, 200), (350, 220), button="left" if button == "shift" else button)
    after = ada.place(0, 0)
    scale = ada.page.locator("#world").bounding_box()["width"] / SIZE[0]
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((50 * scale, 20 * scale), abs=2)
    assert not tool.out.exists()


def test_finger_draws_and_two_fingers_zoom(begin):
    tool, ada = begin(touch=True)
    a, b = ada.place(100, 100), ada.place(200, 100)
    ada.touch("Start", a)
    ada.touch("Move", b)
    ada.act(lambda: ada.touch("End"))
    assert near(tool.strokes()[0].points, [(100, 100), (200, 100)])
    before = ada.page.locator("#world").bounding_box()["width"]
    ada.touch("Start", ada.place(250, 200))
    ada.touch("Move", ada.place(252, 200))
    ada.touch("Start", ada.place(252, 200), ada.place(350, 200))
    ada.touch("Move", ada.place(200, 200), ada.place(400, 200))
    ada.touch("End")
    ada.painted()
    assert ada.page.locator("#world").bounding_box()["width"] > 1.5 * before
    assert len(tool.rows()) == 1, "the finger that came first must not leave a stroke"


def test_beside_a_pen_a_hand_does_not_draw(begin):
    tool, ada = begin(touch=True)
    client = ada.page.context.new_cdp_session(ada.page)
    for kind, point in (("mousePressed", (100, 100)), ("mouseMoved", (200, 100)), ("mouseReleased", (200, 100))):
        x, y = ada.place(*point)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
        client.send("Input.dispatchMouseEvent", event)
    ada.painted()
    assert near(tool.strokes()[0].points, [(100, 100), (200, 100)])
    before = ada.place(0, 0)
    ada.touch("Start", ada.place(300, 300))
    ada.touch("Move", ada.place(300, 250))
    ada.touch("End")
    assert ada.place(0, 0)[1] < before[1] - 10
    assert len(tool.rows()) == 1


def test_keyboard_alone_draws_erases_and_moves_on(begin):
    tool, ada = begin()
    ada.press("3", *["ArrowLeft"] * 10, " ", *["Shift+ArrowRight"] * 4)
    ada.ask(" ")
    (stroke,) = tool.strokes()
    scale = ada.page.locator("#world").bounding_box()["width"] / SIZE[0]
    assert stroke.class_name == "bird"
    assert stroke.points[-1][0] - stroke.points[0][0] == pytest.approx(160 / scale, abs=1)
    ada.press("e", " ", "ArrowLeft")
    ada.ask(" ")
    assert tool.strokes() == []
    ada.ask("z")
    ada.press("r", " ", "ArrowDown", "Escape")
    ada.ask("Enter")
    assert ada.picture() == "p1"
    ada.ask("b")
    assert ada.picture() == "p0"
    assert len(tool.strokes()) == 1
    ada.ask("PageDown", "PageDown")
    assert ada.picture() == "p2"
    assert ada.problems == []


def test_brush_that_leaves_the_screen_takes_the_picture_along(begin):
    _, ada = begin()
    ada.press(*["+"] * 8, *["Shift+ArrowRight"] * 30)
    ring, view = (ada.page.locator(name).bounding_box() for name in ("#ring", "#view"))
    assert view["x"] <= ring["x"] <= ring["x"] + ring["width"] <= view["x"] + view["width"]


def test_pictures_without_strokes_come_first_and_skipped_ones_last(begin):
    tool, ada = begin()
    ada.draw((100, 100), (200, 100))
    ada.ask("Enter")
    assert ada.picture() == "p1"
    ada.ask("k")
    assert ada.picture() == "p2"
    assert "1 put off" in ada.text("#pace")
    ada.draw((100, 100), (200, 100))
    ada.ask("Enter")
    assert ada.picture() == "p1"
    ada.draw((100, 100), (200, 100))
    ada.ask("Enter")
    assert "Every picture has strokes" in ada.text("#message")
    assert "3 of 3" in ada.text("#pace")
    assert [row.image_id for row in tool.rows()] == ["p0", "p1", "p2", "p1"]


def test_server_killed_between_strokes_loses_none(begin, folder):
    tool, ada = begin(tool=ToolProcess(folder))
    ada.draw((100, 100), (200, 100))
    tool.stop()
    ada.act(lambda: ada.trace((100, 200), (200, 200)))
    assert "Not saved: the server does not answer" in ada.text("#message")
    assert ada.ink(150, 200)[3] == 255
    ada.trace((100, 300), (200, 300))  # nothing begins while a stroke is not on disk
    assert ada.ink(150, 300)[3] == 0
    assert len(tool.strokes()) == 1
    tool.start()
    ada.sees("Saved.")
    ada.draw((100, 300), (200, 300))
    assert [round(stroke.points[0][1]) for stroke in tool.strokes()] == [100, 200, 300]
    tool.stop()
    tool.start()
    ada.page.reload()
    ada.page.wait_for_selector("#tool[data-ready]")
    ada.ask("PageUp")  # the page goes on with the next picture
    assert ada.text("#count") == "3 strokes on this picture"
    ada.ask("z")
    assert len(tool.strokes()) == 2
    assert all("ERR_CONNECTION_REFUSED" in problem for problem in ada.problems)


def test_stroke_that_is_drawn_fast_after_another_waits_for_it(begin):
    tool, ada = begin()
    held = []
    ada.page.route("**/api/scribbles/draw", lambda route: route.continue_() if held else held.append(route))
    ada.trace((100, 100), (200, 100))
    ada.page.mouse.move(*ada.place(100, 200))
    ada.page.mouse.down()
    ada.page.mouse.move(*ada.place(200, 200), steps=3)
    assert ada.ink(150, 200, "live")[3] == 0
    ada.act(held[0].continue_)
    assert ada.ink(150, 200, "live")[3] == 255
    ada.act(ada.page.mouse.up)
    assert len(tool.strokes()) == 2


def test_stroke_whose_answer_was_lost_is_stored_once(begin):
    tool, ada = begin()
    lost = []

    def lose(route):
        if not lost:
            lost.append(route.fetch())
            route.abort()
        else:
            route.continue_()

    ada.page.route("**/api/scribbles/draw", lose)
    ada.act(lambda: ada.trace((100, 100), (200, 100)))
    ada.sees("Saved.")
    assert [row.do for row in tool.rows()] == ["draw"]
    assert ada.ink(150, 100)[3] == 255


def test_full_disk_keeps_the_stroke_on_the_page(begin, monkeypatch):
    tool, ada = begin()
    real = StrokeStore.append
    monkeypatch.setattr(StrokeStore, "append", lambda *_: (_ for _ in ()).throw(OSError("disk full; the answer is not saved")))
    ada.act(lambda: ada.trace((100, 100), (200, 100)))
    assert "disk full" in ada.text("#message")
    assert ada.ink(150, 100)[3] == 255
    ada.act(lambda: monkeypatch.setattr(StrokeStore, "append", real))
    assert len(tool.strokes()) == 1


def test_two_people_draw_at_the_same_time(begin):
    tool, ada = begin()
    _, bo = begin("Bo", tool)
    for y in (100, 200):
        for person in (ada, bo):
            person.draw((100, y), (200, y))
    ada.ask("z")
    assert [len(tool.strokes(who=who)) for who in ("Ada", "Bo")] == [1, 2]
    assert bo.ink(150, 200)[3] == 255


def test_two_pages_of_one_person_come_together(begin):
    tool, ada = begin()
    _, again = begin("Ada", tool)
    ada.draw((100, 100), (200, 100))
    again.draw((100, 200), (200, 200))
    assert again.ink(150, 100)[3] == 255
    ada.ask("z")
    assert [round(stroke.points[0][1]) for stroke in tool.strokes()] == [100]
    assert ada.text("#count") == "1 stroke on this picture"


def test_picture_that_cannot_be_shown_is_skipped(begin, folder):
    (folder / "images/p0.jpg").write_bytes(b"no image")
    tool, ada = begin()
    assert "Skip it with k" in ada.text("#message")
    ada.page.locator("#view").click()
    ada.ask("k")
    assert ada.picture() == "p1"
    ada.draw((100, 100), (200, 100))
    assert [row.do for row in tool.rows()] == ["skip", "draw"]


def test_prediction_lies_over_the_picture_with_adjustable_opacity(begin):
    network = Network()
    _, ada = begin(predictions=network)
    assert not ada.page.is_visible("#overlay-control")
    network.version = 1
    ada.draw((100, 100), (200, 100))
    ada.page.wait_for_function("() => document.getElementById('overlay').width === 2")
    read = "[...document.getElementById('overlay').getContext('2d').getImageData(0, 0, 2, 1).data]"
    assert ada.page.evaluate(read) == [0x56, 0xB4, 0xE9, 255, 0, 0, 0, 0]
    assert ada.page.evaluate("document.getElementById('overlay').style.opacity") == "0.5"
    ada.press("p")
    assert ada.page.evaluate("document.getElementById('overlay').style.opacity") == "0"
    ada.ask("Enter")
    assert ada.picture() == "p2"  # the network's order


@pytest.fixture
def live(folder, monkeypatch):
    """Return a function that starts the tool with a network that learns, from pictures made small so that it takes a second."""
    tree = YAML().load(REPOSITORY / paths.OWN)
    tree["training"]["image_size_px"] = 64
    (folder / paths.OWN).parent.mkdir()
    with (folder / paths.OWN).open("w") as file:
        YAML().dump(tree, file)
    monkeypatch.chdir(folder)
    made = []

    def start(**options):
        pictures = FolderPictures(folder / "images", NAMES)
        stores = AnnotationStore(folder / "a.csv"), StrokeStore(folder / "a.strokes.jsonl")
        made.append(Live(pictures, NAMES, *stores, **options))
        return made[-1]

    yield start
    for network in made:
        network.close()


def test_training_shows_its_prediction_while_one_goes_on_drawing(begin, live):
    tool, ada = begin(predictions=live())
    ada.press("t")
    ada.sees("Nothing is drawn yet. Draw a stroke on every object, and one on the background, then train.")
    ada.draw((100, 100), (200, 100))
    ada.press("0")
    ada.draw((100, 300), (200, 300))
    ada.press("t")
    ada.page.wait_for_selector("#stop:visible")
    ada.draw((100, 200), (200, 200))
    assert len(tool.strokes()) == 3, "strokes are stored while a training goes on"
    ada.page.wait_for_function("() => document.getElementById('overlay').width === 64", timeout=120_000)
    assert ada.text("#news") == "Trained on 1 picture."
    assert ada.page.is_visible("#train")
    ada.page.evaluate("document.getElementById('overlay-opacity').value = 80")
    ada.page.locator("#overlay-opacity").dispatch_event("input")
    assert ada.page.evaluate("document.getElementById('overlay').style.opacity") == "0.8"
    ada.ask("Enter")
    ada.page.wait_for_function("() => !document.getElementById('overlay').hidden")
    assert [problem for problem in ada.problems if "400" not in problem] == []


def test_training_that_dies_leaves_annotation_untouched(begin, live):
    network = live(automatic=True)
    tool, ada = begin(predictions=network)
    ada.draw((100, 100), (200, 100))
    ada.ask("Enter")  # with --live, going on to another picture begins a training
    ada.page.wait_for_selector("#stop:visible")
    os.kill(network._process.pid, signal.SIGKILL)
    text = "Training failed: its process ended with status -9."
    ada.page.wait_for_function("text => document.getElementById('news').textContent === text", arg=text)
    ada.draw((100, 100), (200, 100))
    assert [len(tool.strokes(image)) for image in ("p0", "p1")] == [1, 1]
    assert ada.page.is_visible("#train")
    assert ada.problems == []


def test_training_is_stopped_from_the_page(begin, live):
    network = live()
    tool, ada = begin(predictions=network)
    ada.draw((100, 100), (200, 100))
    ada.press("t")
    ada.page.wait_for_selector("#stop:visible")
    ada.page.get_by_role("button", name="Stop training").click()
    ada.page.wait_for_selector("#train:visible", timeout=60_000)
    assert (ada.text("#news") == STOPPED) == (network.version == 0)  # on a busy machine it may have ended before
    assert len(tool.strokes()) == 1


def test_classes_without_a_key_are_found_by_name(begin):
    tool, ada = begin(classes=[f"class{number:02d}" for number in range(40)])
    ada.press("m")
    ada.page.keyboard.type("class33")
    ada.press("Enter")
    ada.draw((100, 100), (200, 100))
    assert tool.strokes()[0].class_name == "class33"


def test_both_tasks_are_linked(begin):
    tool, ada = begin(asks_sizes=True)
    assert ada.page.is_visible("#tags")  # Enter on the start page gives sizes
    ada.page.get_by_role("link", name="Scribbles").click()
    ada.page.wait_for_selector("#tool[data-ready]")
    ada.draw((100, 100), (200, 100))
    assert len(tool.strokes()) == 1
    ada.page.get_by_role("link", name="Sizes").click()
    ada.page.wait_for_selector("#tags", state="visible")
    ada.page.goto(tool.address)
    ada.page.get_by_label("Your name").fill("Ada")
    ada.page.get_by_role("button", name="Draw scribbles").click()
    ada.page.wait_for_selector("#classes")
    assert ada.problems == []


def test_every_control_has_a_name(begin):
    _, ada = begin()
    nameless = """() => [...document.querySelectorAll('button, input, a, [tabindex="0"]')]
        .filter(one => one.offsetParent !== null)
        .filter(one => !(one.labels?.length || one.textContent.trim() || one.getAttribute('aria-label')))
        .map(one => one.outerHTML)"""
    assert ada.page.evaluate(nameless) == []


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1024, 768), (768, 1024)])
def test_everything_fits_on_laptop_and_tablet(begin, width, height):
    _, ada = begin()
    ada.page.set_viewport_size({"width": width, "height": height})
    for name in ("#view", "#classes", "#undo", "#fit"):
        box = ada.page.locator(name).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert 0 <= box["y"] <= box["y"] + box["height"] <= height
    assert ada.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("from_", "to", "expected"),
    [
        ((5, -5), (5, 5), True),
        ((5, 1.9), (6, 1.9), True),
        ((5, 2.1), (6, 2.1), False),
        ((12.1, 0), (14, 0), False),
        ((11, 0), (11, 0), True),
    ],
)
def test_eraser_touches_what_it_covers(shared_page, from_, to, expected):
    ask = "async given => (await import('/static/scribbles.js')).touches(...given)"
    stroke = {"width": 2, "points": [[0, 0], [10, 0]]}
    assert shared_page.evaluate(ask, [stroke, from_, to, 1]) is expected


def test_thinned_out_stroke_stays_near(shared_page):
    ask = "async given => (await import('/static/scribbles.js')).thinOut(...given)"
    wave = [[x / 10, float(np.sin(x / 100))] for x in range(1000)]
    kept = np.array(shared_page.evaluate(ask, [wave, 0.05]))
    assert len(kept) < 60
    assert kept[0].tolist() == wave[0]
    assert kept[-1].tolist() == wave[-1]
    along = np.array(wave)
    assert np.abs(np.interp(along[:, 0], kept[:, 0], kept[:, 1]) - along[:, 1]).max() <= 0.06


@pytest.fixture(scope="module")
def shared_page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    Image.new("RGB", SIZE).save(folder / "images/a.png")
    tool = Tool(folder)
    page = browser.new_page()
    Person(page, tool)
    yield page
    page.close()
    tool.stop()
