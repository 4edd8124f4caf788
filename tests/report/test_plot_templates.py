import json
from pathlib import Path

import pytest

PLOTS = Path(__file__).parents[2] / ".dvc" / "plots"
ANCHORS = ("DATA", "TITLE", "X", "Y", "X_LABEL", "Y_LABEL")


@pytest.mark.parametrize("name", ["series", "curves"])
def test_a_template_is_json_with_every_anchor(name):
    text = json.dumps(json.loads((PLOTS / f"{name}.json").read_text()))
    assert all(f'"<DVC_METRIC_{anchor}>"' in text for anchor in ANCHORS)


@pytest.mark.parametrize(("name", "column"), [("series", "series"), ("curves", "run")])
def test_colour_is_the_series_and_the_line_is_the_revision(name, column):
    encoding = json.loads((PLOTS / f"{name}.json").read_text())["encoding"]
    assert encoding["color"]["field"] == column
    assert encoding["strokeDash"]["field"] == "rev"


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
