"""The tool end to end: a real server process and a real browser, driven by keyboard and mouse."""

import numpy as np
import pytest
from browser import MARKS, Server, ServerProcess, Visitor, chromium, opened
from PIL import Image

from pipeline.annotate.app import create_app
from pipeline.annotate.pictures import FolderPictures
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore
from pipeline.targets.annotated_sizes import combine, standing
from pipeline.targets.annotations import read_annotations

pytestmark = MARKS
NAMES = ["cat", "dog", "bird"]
PICTURES = 10


class Tool(Server):
    """A server in this process, on a folder of pictures."""

    def __init__(self, folder, classes=NAMES, masks=True):
        self.out = folder / "sizes.csv"
        pictures = FolderPictures(folder / "images", classes, folder / "masks" if masks else None)
        super().__init__(create_app(Project(pictures, AnnotationStore(self.out), classes, feedback=masks)))

    def rows(self):
        return read_annotations(self.out).rows

    def answers(self, who="Ada"):
        """Return what stands on disk: image id -> class -> size."""
        found = standing(self.rows())[who]
        return {image_id: {name: row and row.size for name, row in one.sizes.items()} for image_id, one in found.items()}


class ToolProcess(ServerProcess, Tool):
    """The same as a command that can be killed."""

    def __init__(self, folder):
        self.out = folder / "sizes.csv"
        given = ("--images", folder / "images", "--masks", folder / "masks", "--classes", ",".join(NAMES))
        super().__init__(*given, "--out", self.out)


class Person(Visitor):
    """Someone at the page."""

    def enter(self):
        self.act(lambda: self.press("Enter"))

    def type(self, text):
        self.page.keyboard.type(text)

    def tag(self, keys):
        self.press(*keys)
        self.enter()

    def phase(self):
        return next(part for part in ("tags", "size", "feedback", "done") if self.page.is_visible(f"#{part}"))

    def picture(self):
        return self.text("#caption").split(": ")[1]


@pytest.fixture(scope="module")
def browser():
    yield from chromium()


@pytest.fixture
def folder(tmp_path):
    """Ten pictures, each with a mask: cats (value 1) cover number + 1 twentieths of the picture."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(PICTURES):
        labels = np.zeros((40, 60), np.uint8)
        labels[:, : 3 * (number + 1)] = 1
        Image.fromarray(labels).save(tmp_path / f"masks/p{number}.png")
        Image.fromarray(120 * labels + number).convert("RGB").save(tmp_path / f"images/p{number}.jpg")
    return tmp_path


@pytest.fixture
def begin(browser, folder):
    """Return a function that starts the tool and opens its page."""
    yield from opened(browser, folder, Tool, Person)


def test_ten_pictures_with_keyboard_and_mouse_and_a_killed_server(begin, folder):
    tool, ada = begin(tool=ToolProcess(folder))
    for number in range(4):  # keyboard: cells
        ada.tag("1")
        ada.type(str(number + 1))
        ada.enter()
        assert "Relative error +0 %" in ada.text("#verdict")
        ada.enter()
    ada.tag("1")
    ada.page.locator(".cell").nth(7).click()  # mouse: cells
    tool.stop()
    ada.act(lambda: ada.page.get_by_role("button", name="Save").click())
    assert "Not saved: the server does not answer" in ada.text("#message")
    tool.start()
    for cell in (2, 12, 17, 3):
        ada.page.locator(".cell").nth(cell).click()
    ada.act(lambda: ada.page.get_by_role("button", name="Save").click())
    ada.act(lambda: ada.page.get_by_role("button", name="Continue").click())
    assert ada.picture() == "p5"
    ada.page.get_by_role("button", name="cat").click()
    tool.stop()
    tool.start()
    ada.page.reload()  # a new page continues where the old one stopped
    ada.page.wait_for_selector("#tool[data-ready]")
    assert ada.picture() == "p5"
    for number in range(5, PICTURES):  # percent
        ada.tag("1")
        ada.press("p")
        ada.type(str(5 * (number + 1)))
        ada.enter()
        ada.enter()
    assert ada.phase() == "done"
    assert "10 of 10" in ada.text("#pace")
    sizes = combine(tool.rows(), ["background", *NAMES], [f"p{number}" for number in range(PICTURES)]).sizes
    assert sizes[:, 1] == pytest.approx(np.arange(1, 11) / 20)
    assert all("ERR_CONNECTION_REFUSED" in problem for problem in ada.problems)


def test_every_way_to_give_a_size_by_keyboard(begin):
    tool, ada = begin(masks=False)
    ada.tag("123")
    ada.type("2 1/4")
    assert "2.25 of 20 cells = 11.25 %" in ada.text("#reading")
    ada.enter()
    ada.type("12,5%")
    assert ada.page.is_checked("input[value=percent]")
    ada.enter()
    ada.press("s", "ArrowRight", "ArrowRight", "ArrowRight", "u")
    ada.enter()
    stored = standing(tool.rows())["Ada"]["p0"].sizes
    assert [(row.size, row.method) for row in stored.values()] == [(0.1125, "cells"), (0.125, "percent"), (0.015, "slider")]
    assert stored["bird"].flags == ("unsure",)
    assert ada.problems == []


def test_clicks_count_wholes_halves_and_quarters(begin):
    _, ada = begin()
    ada.tag("1")
    cells = ada.page.locator(".cell")
    cells.nth(0).click()
    ada.press("e")
    cells.nth(1).click()
    ada.press("r")
    for _ in range(3):
        cells.nth(2).click()
    assert ada.page.input_value("#amount") == "2.25"
    assert [cells.nth(index).inner_text() for index in range(4)] == ["1", "½", "¾", ""]
    cells.nth(0).click()
    assert ada.page.input_value("#amount") == "1.25"


def test_grid_is_switched_by_a_key_and_the_size_stays(begin):
    tool, ada = begin(masks=False)
    ada.tag("1")
    ada.type("10")
    ada.press("g")
    assert ada.page.locator(".cell").count() == 9
    assert ada.page.input_value("#amount") == "4.5"
    ada.press("o")
    assert not ada.page.is_visible("#cells")
    assert ada.page.input_value("#amount") == "50"
    ada.enter()
    assert tool.rows()[-1].grid == "none"
    assert tool.rows()[-1].size == 0.5


def test_changing_the_grid_does_not_change_how_a_size_is_read(begin):
    tool, ada = begin(masks=False)
    ada.tag("1")
    for keys in ("g", "gg", "oo", "og", "goo"):
        ada.press(*keys)
        assert ada.page.is_checked("input[value=cells]"), keys
    ada.type("5")
    ada.enter()
    assert tool.answers()["p0"] == {"cat": 0.25}


def test_old_answer_in_percent_leaves_the_next_one_in_cells(begin):
    tool, ada = begin(masks=False)
    ada.tag("1")
    ada.type("5%")
    ada.enter()
    ada.act(lambda: ada.press("b"))
    assert ada.page.is_checked("input[value=percent]")
    ada.enter()
    ada.tag("1")
    ada.type("5")
    ada.enter()
    assert [one["cat"] for one in tool.answers().values()] == [0.05, 0.25]


def test_sum_is_shown_and_may_not_exceed_the_picture(begin):
    tool, ada = begin(masks=False)
    ada.tag("12")
    ada.type("15")
    assert "cat 75 % + background 25 % = 100 %" in ada.text("#sum")
    ada.enter()
    ada.type("6")
    assert "= 105 %, more than the picture" in ada.text("#sum")
    ada.enter()
    assert "Only 25 % of the picture is left" in ada.text("#message")
    assert tool.answers()["p0"] == {"cat": 0.75, "dog": None}


@pytest.mark.parametrize(("text", "message"), [("", "Give a size first"), ("x/0", "Give a size first"), ("0", "A size of 0?")])
def test_unusable_size_is_not_sent(begin, text, message):
    _, ada = begin()
    ada.tag("1")
    ada.page.fill("#amount", text)
    ada.enter()
    assert message in ada.text("#message")
    assert ada.phase() == "size"


def test_undo_back_and_skip(begin):
    tool, ada = begin(masks=False)
    ada.tag("1")
    ada.type("4")
    ada.enter()
    assert ada.picture() == "p1"
    ada.act(lambda: ada.press("b"))
    assert (ada.picture(), ada.page.input_value("#amount")) == ("p0", "4")
    ada.type("5")
    ada.enter()
    assert tool.answers()["p0"] == {"cat": 0.25}
    ada.act(lambda: ada.press("Control+z"))
    assert tool.answers()["p0"] == {"cat": 0.2}
    ada.act(lambda: ada.press("z"))
    assert tool.answers()["p0"] == {"cat": None}
    ada.act(lambda: ada.press("k"))
    assert ada.picture() == "p1"
    assert "1 put off" in ada.text("#pace")


def test_back_leads_through_classes_and_tags(begin):
    _, ada = begin(masks=False)
    ada.tag("12")
    ada.type("1")
    ada.enter()
    assert "dog" in ada.text("#title")
    ada.act(lambda: ada.press("b"))
    assert "cat" in ada.text("#title")
    ada.act(lambda: ada.press("b"))
    assert ada.phase() == "tags"
    assert ada.page.get_attribute("#tag-buttons button:nth-child(2)", "aria-pressed") == "true"


def test_picture_without_classes_takes_one_key(begin):
    tool, ada = begin()
    ada.enter()
    assert ada.picture() == "p1"
    assert tool.rows()[0].class_name == "background"


def test_time_stops_while_the_page_is_hidden(begin):
    tool, ada = begin(masks=False)
    later = """(seconds) => { const now = performance.now.bind(performance), shift = 1000 * seconds;
        performance.now = () => now() + shift; }"""
    hide = """hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange')); }"""
    ada.tag("1")
    ada.page.evaluate(later, 2)
    ada.page.evaluate(hide, True)
    ada.page.evaluate(later, 600)
    ada.page.evaluate(hide, False)
    ada.page.evaluate(later, 3)
    ada.type("4")
    ada.enter()
    assert 5 <= tool.rows()[-1].seconds < 300


def test_two_people_at_the_same_time(begin):
    tool, ada = begin(masks=False)
    _, bo = begin("Bo", tool)
    for _ in range(3):
        for person, size in ((ada, "4"), (bo, "5")):
            person.tag("1")
            person.type(size)
            person.enter()
    expected = [f"p{number}" for number in range(3)]
    assert list(tool.answers("Ada")) == list(tool.answers("Bo")) == expected
    ada.page.goto(tool.address)
    assert "Ada and Bo" in ada.page.inner_text("main")
    assert "22.2 %" in ada.page.inner_text("main")


def test_classes_without_a_key_are_found_by_name(begin):
    tool, ada = begin(classes=[f"class{number:02d}" for number in range(40)], masks=False)
    ada.press("m")
    ada.type("class33")
    ada.press("Enter", "Escape")
    ada.enter()
    assert tool.answers()["p0"] == {"class33": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("2.5", 2.5), ("2,5", 2.5), (".5", 0.5), ("5/4", 1.25), ("2 1/4", 2.25), ("2+1/4", 2.25), ("10 %", 10),
     ("1/0", None), ("a", None), ("-1", None), ("", None), ("1//2", None)],
)  # fmt: skip
def test_amounts_are_read(shared_page, text, value):
    read = shared_page.evaluate("async text => (await import('/static/annotate.js')).parseAmount(text)", text)
    assert (None if np.isnan(read) else read) == value


@pytest.fixture(scope="module")
def shared_page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    Image.new("RGB", (60, 40)).save(folder / "images/a.png")
    tool = Tool(folder, masks=False)
    page = browser.new_page()
    Person(page, tool)
    yield page
    page.close()
    tool.stop()


def test_every_control_has_a_name(begin):
    _, ada = begin()
    nameless = """() => [...document.querySelectorAll('button, input, a')]
        .filter(one => one.offsetParent !== null)
        .filter(one => !(one.labels?.length || one.textContent.trim() || one.getAttribute('aria-label')))
        .map(one => one.outerHTML)"""
    assert ada.page.evaluate(nameless) == []
    ada.tag("1")
    assert ada.page.evaluate(nameless) == []


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1024, 768), (768, 1024)])
def test_everything_fits_on_laptop_and_tablet(begin, width, height):
    _, ada = begin()
    ada.page.set_viewport_size({"width": width, "height": height})
    ada.tag("1")
    for name in ("#picture", "#amount", "#size .primary"):
        box = ada.page.locator(name).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert 0 <= box["y"] <= box["y"] + box["height"] <= height
    assert ada.page.evaluate("document.documentElement.scrollWidth") <= width


def test_results_page_shows_the_annotators_histogram(begin):
    tool, ada = begin()
    for size in ("2", "2"):
        ada.tag("1")
        ada.type(size)
        ada.enter()
        ada.enter()
    ada.page.goto(f"{tool.address}results?annotator=Ada")
    assert ada.page.locator("svg .bin").count() == 20
    assert "50.0 %" in ada.page.inner_text("main")
    assert ada.problems == []
