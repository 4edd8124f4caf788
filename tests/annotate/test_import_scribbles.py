"""Strokes of other tools become strokes of ours."""

import json
import sys

import pytest
from PIL import Image

from pipeline.annotate import import_scribbles
from pipeline.targets.strokes import MOST_POINTS, read_strokes, standing

CVAT = """<?xml version="1.0"?><annotations><image id="0" name="sub/a.png" width="40" height="30">
<polyline label="cat" points="1.5,2.0;30.0,2.0"/><points label="dog" points="5,5;6,6"/>
<box label="dog" xtl="1"/></image></annotations>"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images/a.png")
    return tmp_path


def labelme(folder, *shapes, name="a.json", **changes):
    given = {"shapes": list(shapes), "imagePath": "..\\images\\a.png", "imageWidth": 40, "imageHeight": 30} | changes
    (folder / name).write_text(json.dumps(given))


def shape(kind="linestrip", label="cat", points=((1, 2), (30, 2))):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None}


def run(folder, monkeypatch, *files):
    paths = [str(folder / file) for file in files]
    source = ["--images", str(folder / "images"), "--classes", "cat,dog", "--out", str(folder / "s.csv")]
    monkeypatch.setattr(sys, "argv", ["import", *paths, *source])
    import_scribbles.main()


def strokes(folder):
    return standing(read_strokes(folder / "s.strokes.jsonl").rows)["imported"]["a"].strokes


def test_lines_and_points_of_labelme_become_strokes(folder, monkeypatch, capsys):
    labelme(folder, shape(), shape("point", "background", [[5, 40]]), shape("polygon"))
    run(folder, monkeypatch, "a.json")
    line, dab = strokes(folder)
    assert (line.class_name, line.points, line.width_px, line.size_px) == ("cat", ((1, 2), (30, 2)), 3, (40, 30))
    assert (dab.class_name, dab.points) == ("background", ((5, 29.99),))
    assert "left out: 1 of kind polygon" in capsys.readouterr().out


def test_lines_and_points_of_cvat_become_strokes(folder, monkeypatch, capsys):
    (folder / "c.xml").write_text(CVAT)
    run(folder, monkeypatch, "c.xml")
    assert [(one.class_name, one.points) for one in strokes(folder)] == [
        ("cat", ((1.5, 2), (30, 2))),
        ("dog", ((5, 5),)),
        ("dog", ((6, 6),)),
    ]
    assert "left out: 1 of kind box" in capsys.readouterr().out


def test_same_file_again_adds_nothing(folder, monkeypatch, capsys):
    labelme(folder, shape(), shape("line", "dog"))
    run(folder, monkeypatch, ".")
    run(folder, monkeypatch, "a.json")
    assert len(strokes(folder)) == 2
    assert "0 strokes of imported added, 2 were there" in capsys.readouterr().out


def test_long_line_is_split_without_a_gap(folder, monkeypatch):
    points = [[1 + index / 1000, 2] for index in range(2 * MOST_POINTS)]
    labelme(folder, shape(points=points))
    run(folder, monkeypatch, "a.json")
    parts = [one.points for one in strokes(folder)]
    assert [len(part) for part in parts] == [MOST_POINTS, MOST_POINTS, 2]
    assert parts[0][-1] == parts[1][0]
    assert parts[1][-1] == parts[2][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imagePath": "b.png"}, "a.json, shape 0, image b: is not among the 1 pictures"),
        ({"imageWidth": 80}, "was drawn on a picture of (80, 30), but this one is (40, 30)"),
        ({"shapes": [shape(label="horse")]}, "unknown class 'horse'; the classes are background, cat, dog"),
        ({"shapes": [shape(points=[[1, "x"]])]}, "a.json: is no file of LabelMe: shapes.0.points.0.1"),
        ({"shapes": 5}, "a.json: is no file of LabelMe: shapes"),
    ],
)
def test_file_that_does_not_fit_is_named_and_nothing_is_added(folder, monkeypatch, capsys, changes, message):
    labelme(folder, shape(), **changes)
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "a.json")
    assert message in capsys.readouterr().err
    assert not (folder / "s.strokes.jsonl").exists()


@pytest.mark.parametrize("text", ["<a", '<annotations><image name="a.png"/></annotations>', CVAT.replace("1.5,2.0", "1.5")])
def test_broken_xml_is_named(folder, monkeypatch, capsys, text):
    (folder / "c.xml").write_text(text)
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "c.xml")
    assert "c.xml: is no XML of CVAT for images" in capsys.readouterr().err
