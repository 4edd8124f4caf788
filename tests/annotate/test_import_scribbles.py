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


def run(folder, monkeypatch, *files, width="3"):
    paths = [str(folder / file) for file in files]
    source = ["--images", str(folder / "images"), "--classes", "cat,dog", "--out", str(folder / "s.csv")]
    monkeypatch.setattr(sys, "argv", ["import", *paths, *source, "--width", width])
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
        ({"shapes": [shape(points=[[1, "x"]])]}, "a.json: shapes.0.points.0.1"),
        ({"shapes": 5}, "a.json: shapes"),
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


def test_pictures_of_one_name_in_two_folders_of_cvat_are_refused(folder, monkeypatch, capsys):
    again = CVAT[CVAT.index("<image") : CVAT.index("</annotations>")]
    (folder / "c.xml").write_text(CVAT.replace("</annotations>", again.replace("sub/a.png", "far/a.png") + "</annotations>"))
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "c.xml")
    assert "strokes on sub/a.png and on far/a.png would be on one picture" in capsys.readouterr().err
    assert not (folder / "s.strokes.jsonl").exists()


def test_coordinates_that_are_no_numbers_are_refused(folder, monkeypatch, capsys):
    labelme(folder, shape(points=[[1, float("nan")], [2, 2]]))
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "a.json")
    assert "a.json: cannot be read as JSON (NaN is no number); a file of LabelMe is expected" in capsys.readouterr().err


def test_xml_of_something_else_is_refused(folder, monkeypatch, capsys):
    (folder / "c.xml").write_text("<annotation><object/></annotation>")
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "c.xml")
    assert "c.xml: is no XML of CVAT for images" in capsys.readouterr().err


def test_files_of_one_name_in_two_folders_are_both_taken_over(folder, monkeypatch):
    for name, points in (("one", [[1, 2], [3, 4]]), ("two", [[5, 6], [7, 8]])):
        (folder / name).mkdir()
        labelme(folder, shape(points=points), name=f"{name}/a.json")
        labelme(folder, name=f"{name}/._a.json")  # macOS puts its notes beside a file
        (folder / name / "._a.json").write_bytes(b"\0\5\x16\7")
    run(folder, monkeypatch, "one", "two")
    assert [one.points for one in strokes(folder)] == [((1, 2), (3, 4)), ((5, 6), (7, 8))]


def test_names_and_classes_are_the_same_however_accents_are_written(folder, monkeypatch):
    (folder / "images/a.png").rename(folder / "images/k\u00fc.png")
    labelme(folder, shape(), imagePath="ku\u0308.png")
    (folder / "a.json").write_bytes(b"\xef\xbb\xbf" + (folder / "a.json").read_bytes())
    run(folder, monkeypatch, "a.json")
    assert list(standing(read_strokes(folder / "s.strokes.jsonl").rows)["imported"]) == ["k\u00fc"]


@pytest.mark.parametrize("width", ["nan", "0", "inf", "1e6"])
def test_width_that_is_none_is_refused(folder, monkeypatch, capsys, width):
    labelme(folder, shape())
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "a.json", width=width)
    assert "--width: expected 1 to 100000 pixels" in capsys.readouterr().err
