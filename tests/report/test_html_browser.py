"""The report in a real browser, from a file and without a network: search, tables, figures, colours, keyboard, print."""

import time

import pytest
from browser import MARKS, chromium
from report_folder import ReportFolder

pytestmark = MARKS

CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    while (element) {
      const color = getComputedStyle(element).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
      element = element.parentElement;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  const texts = "p, a, td, th, th button, .scale, .verdict, .detail, summary, h1, h2, h3, label";
  for (const element of document.querySelectorAll(texts)) {
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def browser():
    yield from chromium()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return ReportFolder(tmp_path_factory.mktemp("report")).write().as_uri()


@pytest.fixture(scope="module")
def address_of_record(tmp_path_factory):
    folder = ReportFolder(tmp_path_factory.mktemp("record"))
    folder.write_record()
    return folder.write().as_uri()


@pytest.fixture
def page(browser, address):
    """Return the page in a window of its own; its errors and whatever it asks for beside itself fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    opened, problems = context.new_page(), []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: problems.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    opened.goto(address)
    yield opened
    context.close()
    assert problems == []


def shown(page):
    return [article.get_attribute("id") for article in page.query_selector_all(".artifact") if article.is_visible()]


def column(page, index):
    return page.locator(f"#b-tab3 .compare td:nth-child({index + 1})").all_inner_texts()


def head(page, name):
    return page.locator("#b-tab3 .compare thead button", has_text=name)


def after_reload(page, element, expected, seconds=10):
    """Return an element's text after a reload, or after several: a browser's store may lag behind the page that fills it."""
    deadline = time.monotonic() + seconds
    while True:
        page.reload()
        text = page.inner_text(element)
        if text == expected or time.monotonic() > deadline:
            return text


def test_search_shows_artifacts_with_all_words(page):
    page.keyboard.press("/")
    page.keyboard.type("relaxations q-len100")
    assert shown(page) == ["b-tab3"]
    assert page.inner_text("#found") == "1 of 5 artifacts"
    assert page.locator("nav .id:visible").all_inner_texts() == ["b-tab3"]


def test_an_empty_search_shows_all(page):
    page.fill("#search", "nothing of this kind")
    assert shown(page) == []
    page.fill("#search", "")
    assert len(shown(page)) == 5


def test_a_link_to_what_the_search_hides_shows_it(page):
    page.fill("#search", "a-fig4a")
    page.evaluate("location.hash = 'b-fig7'")
    page.wait_for_function("!document.getElementById('b-fig7').hidden")


def test_a_column_sorts_up_then_down_then_as_written(page):
    written = column(page, 2)
    head(page, "ours").click()
    assert column(page, 2) == ["9.50", "71.00", "-"]
    head(page, "ours").click()
    assert column(page, 2) == ["71.00", "9.50", "-"]
    assert page.get_attribute("#b-tab3 .compare th:nth-child(3)", "aria-sort") == "descending"
    head(page, "ours").click()
    assert column(page, 2) == written


def test_a_column_of_text_sorts_by_keyboard(page):
    head(page, "relaxation").focus()
    page.keyboard.press("Enter")
    assert column(page, 0) == ["P_BL", "P_CD", "P_Q"]


def test_a_figure_opens_large_and_zooms_by_keyboard(page):
    page.locator("#a-fig4a .enlarge").focus()
    page.keyboard.press("Enter")
    figure = page.locator("#large-view svg")
    before = figure.bounding_box()["width"]
    page.keyboard.press("+")
    assert figure.bounding_box()["width"] == pytest.approx(1.25 * before, rel=0.01)
    page.keyboard.press("0")
    assert figure.bounding_box()["width"] == pytest.approx(before, rel=0.01)
    page.keyboard.press("Escape")
    assert not page.is_visible("#large")
    assert page.evaluate("document.activeElement.className") == "enlarge"


def test_the_wheel_zooms_about_the_pointer(page):
    page.click("#a-fig4a .enlarge")
    figure, view = page.locator("#large-view svg"), page.locator("#large-view").bounding_box()
    x, y = view["x"] + view["width"] / 2, view["y"] + view["height"] / 2
    before = figure.bounding_box()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function("before => document.querySelector('#large-view svg').clientWidth > 1.5 * before", arg=before["width"])
    after = figure.bounding_box()
    place = [(x - box["x"]) / box["width"] for box in (before, after)]
    assert place[1] == pytest.approx(place[0], abs=0.02)


def test_a_figure_fits_the_window_when_it_opens(page):
    page.click("#b-fig7 .enlarge")
    view, figure = page.locator("#large-view").bounding_box(), page.locator("#large-view img").bounding_box()
    assert figure["width"] <= view["width"]
    assert figure["height"] <= view["height"]


def test_the_switch_of_colours_is_kept(page):
    colors = []
    for _ in range(3):
        page.click("#theme")
        colors.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colors[0] == colors[2] != colors[1]
    page.click("#theme")
    page.click("#theme")
    assert after_reload(page, "#theme", "Colours: dark") == "Colours: dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []


def test_the_link_to_the_settings_of_a_run_unfolds_them(page):
    page.click("#b-tab3 .runs summary")
    page.click("#b-tab3 .runs a:has-text('settings')")
    page.wait_for_selector("#settings details[open] span:target")
    assert "q-len100" in page.inner_text("#settings span:target")


def test_everything_that_can_be_clicked_has_a_name(page):
    unnamed = "element => !(element.getAttribute('aria-label') || element.textContent).trim()"
    found = page.locator("button:visible, a:visible, summary:visible").all()
    assert found
    assert [element.evaluate("element => element.outerHTML") for element in found if element.evaluate(unnamed)] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_only_tables_are_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_a_record_is_no_wider_than_the_window(page, address_of_record, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address_of_record)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator("table.verdicts").bounding_box()
    assert table["x"] + table["width"] <= width


def test_a_search_or_a_link_unfolds_the_artifacts(page, address_of_record):
    page.goto(address_of_record)
    assert not page.is_visible("#b-tab3")
    page.fill("#search", "q-len100")
    assert page.is_visible("#b-tab3")
    page.goto("about:blank")
    page.goto(f"{address_of_record}#b-fig7")
    assert page.is_visible("#b-fig7")


def test_a_recorded_curve_opens_large(page, address_of_record):
    page.goto(address_of_record)
    page.click("#curves-a .enlarge")
    assert page.inner_text("#large-title") == "A curve"


def test_print_leaves_out_what_cannot_be_used_on_paper(page):
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("aside")
    assert page.is_visible("#b-tab3 .enlarge svg")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
