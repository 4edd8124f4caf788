import json
from pathlib import Path

import pytest

PLOTS = Path(__file__).parents[2] / ".dvc" / "plots"
ANCHORS = ("DATA", "TITLE", "X", "Y", "X_LABEL", "Y_LABEL")


@pytest.mark.parametrize("name", ["series", "curves", "confusion"])
def test_a_template_is_json_with_every_anchor(name):
    text = json.dumps(json.loads((PLOTS / f"{name}.json").read_text()))
    assert all(f'"<DVC_METRIC_{anchor}>"' in text for anchor in ANCHORS)


@pytest.mark.parametrize(("name", "column"), [("series", "series"), ("curves", "run")])
def test_colour_is_the_series_and_the_line_is_the_revision(name, column):
    encoding = json.loads((PLOTS / f"{name}.json").read_text())["encoding"]
    assert encoding["color"]["field"] == column
    assert encoding["strokeDash"]["field"] == "rev"


def confusion():
    return json.loads((PLOTS / "confusion.json").read_text())


def test_a_confusion_matrix_stands_alone_for_each_run_and_revision():
    assert {place: facet["field"] for place, facet in confusion()["facet"].items()} == {"row": "run", "column": "rev"}


def test_a_confusion_matrix_is_coloured_by_the_share_of_the_true_class():
    rectangles, numbers = confusion()["spec"]["layer"]
    assert rectangles["encoding"]["color"]["field"] == numbers["encoding"]["text"]["field"] == "share_percent"
    assert rectangles["encoding"]["color"]["scale"]["domain"] == [0, 100]


def test_axes_of_a_confusion_matrix_are_named_and_keep_the_order_of_the_classes():
    encoding = confusion()["spec"]["encoding"]
    assert (encoding["x"]["title"], encoding["y"]["title"]) == ("<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>")
    assert encoding["x"]["sort"] is encoding["y"]["sort"] is None


def test_the_page_has_the_places_dvc_fills_in():
    page = (PLOTS / "page.html").read_text()
    assert page.count("{plot_divs}") == 1
    assert page.count("{refresh_tag}") == 1


def test_the_page_loads_nothing_from_the_network():
    page = (PLOTS / "page.html").read_text()
    assert "<script src" not in page
    assert "<link" not in page
    assert "jsdelivr" not in page


def test_the_page_keeps_the_licence_of_its_scripts():
    page = (PLOTS / "page.html").read_text()
    assert "Redistributions in binary form must reproduce the above copyright notice" in page
    assert page.count("BSD-3-Clause, see the notice above") == 3
