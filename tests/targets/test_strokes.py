"""Scribbles drawn by people: their file, undo and erasure, and the seeds they become."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.conventions import VOID
from pipeline.targets.strokes import (
    HEADER,
    MOST_POINTS,
    Draw,
    Drawing,
    Erase,
    Stroke,
    Turn,
    check_strokes,
    draw_seeds,
    explain,
    format_rows,
    parse_strokes,
    read_strokes,
    standing,
)

NAMES = ["background", "cat", "dog"]
TIME = "2025-01-31T12:00:00Z"


def stroke(number=1, name="cat", points=((1.0, 2.0), (5.0, 2.0)), width=2.0, size=(20, 10)):
    return Stroke(id=f"{number:016x}", class_name=name, width_px=width, points=points, size_px=size)


def common(**changes):
    return {"image_id": "a", "annotator": "Ada", "seconds": 1.5, "timestamp": TIME, "picture": "0123456789ab"} | changes


def draw(number=1, changes=None, **given):
    return Draw(stroke=stroke(number, **given), **common(**changes or {}))


def erase(*numbers):
    return Erase(strokes=tuple(f"{number:016x}" for number in numbers), **common())


def turn(do, **changes):
    return Turn(do=do, **common(**changes))


def standing_after(*rows):
    """Return the numbers of the strokes that stand."""
    drawing = Drawing()
    for row in rows:
        drawing.apply(row)
    return [int(one.id, 16) for one in drawing.strokes]


UNDO, REDO = turn("undo"), turn("redo")


def test_rows_are_read_back(tmp_path):
    rows = [draw(changes={"image_id": "\u00e4\n\u2028"}), erase(1, 2), UNDO, REDO, turn("skip"), draw(points=((0.0, 9.99),))]
    (tmp_path / "s.jsonl").write_text(HEADER + format_rows(rows))
    assert read_strokes(tmp_path / "s.jsonl") == (rows, [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do": "paint"}, "Input tag 'paint'"),
        ({"do": ["draw"]}, "Input tag"),
        ({"do": "undo"}, "undo.stroke: Extra inputs"),
        ({"more": 1}, "draw.more: Extra inputs"),
        ({"stroke": None}, "draw.stroke: "),
        ({"image": ""}, "draw.image: "),
        ({"annotator": 5}, "draw.annotator: "),
        ({"seconds": -1}, "draw.seconds: "),
        ({"seconds": True}, "draw.seconds: "),
        ({"seconds": 10**400}, "draw.seconds: "),
        ({"timestamp": "2025-02-30T12:00:00Z"}, "draw.timestamp: timestamp: expected UTC"),
        ({"picture": "xyz"}, "draw.picture: "),
    ],
)
def test_line_that_is_no_action_is_refused(changes, message):
    line = json.dumps(json.loads(format_rows([draw()])) | changes).encode() + b"\n"
    with pytest.raises(ValueError, match=rf"s\.jsonl, line 2: {message}"):
        parse_strokes(HEADER.encode() + line + format_rows([UNDO]).encode(), "s.jsonl")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "xyz"}, "id: "),
        ({"id": f"{1:016x}\n"}, "id: "),
        ({"class": ""}, "class: "),
        ({"width": 0.5}, "width: "),
        ({"width": 21}, "width: expected at most the longest side of 20x10"),
        ({"width": float("nan")}, "width: "),
        ({"width": "3"}, "width: "),
        ({"size": [20]}, "size"),
        ({"size": [20.5, 10]}, "size"),
        ({"size": [0, 10]}, "size"),
        ({"size": [10**6, 10]}, "size"),
        ({"size": 5}, "size"),
        ({"points": []}, "points: "),
        ({"points": [[1, 1]] * (MOST_POINTS + 1)}, "points: Tuple should have at most 2000"),
        ({"points": "ab"}, "points: "),
        ({"points": [[1, 2, 3]]}, "points"),
        ({"points": [[1, "2"]]}, "points"),
        ({"points": [[20, 1]]}, "points: expected [x, y] within 20x10, got [20.0, 1.0]"),
        ({"points": [[1, -0.1]]}, "points: expected"),
        ({"points": [[1, float("inf")]]}, "points"),
        ({"points": [[[]]]}, "points"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_stroke_that_is_none_is_refused(changes, message):
    with pytest.raises(ValidationError) as caught:
        Stroke.model_validate_json(json.dumps(stroke().model_dump(by_alias=True) | changes))
    assert explain(caught.value).startswith(message)


@pytest.mark.parametrize("strokes", [[], ["x"], [5], "0" * 16, ["0" * 16] * 1001])
def test_erasure_of_something_else_than_strokes_is_refused(strokes):
    line = json.dumps(json.loads(format_rows([erase(1)])) | {"strokes": strokes})
    with pytest.raises(ValueError, match=r"line 2: erase\.strokes"):
        parse_strokes(f"{line}\n{line}\n".encode(), "s", first_line=2)


@pytest.mark.parametrize("line", [b"[]", b"5", b"{", b'{"do": "\xff"}', b"[" * 100_000, b"\x00"])
def test_line_that_is_no_object_is_refused(line):
    with pytest.raises(ValueError, match="line 2: "):
        parse_strokes(HEADER.encode() + line + b"\n" + format_rows([UNDO]).encode(), "s")


def test_file_cut_anywhere_gives_the_rows_before_the_cut():
    rows = [draw(1), draw(2), erase(1), UNDO]
    whole = (HEADER + format_rows(rows)).encode()
    ends = [index for index, byte in enumerate(whole) if byte == ord("\n")]  # a line break may be missing
    for cut in range(len(HEADER), len(whole) + 1):
        found = parse_strokes(whole[:cut], "s")
        assert found.rows == rows[: sum(end <= cut for end in ends) - 1]
        assert bool(found.damaged) == (cut not in ends and cut - 1 not in ends)


def test_damaged_line_in_the_middle_is_named():
    lines = (HEADER + format_rows([draw(1), draw(2)])).encode().splitlines(keepends=True)
    with pytest.raises(ValueError, match=r"s, line 2: .*; correct the line or remove it"):
        parse_strokes(lines[0] + lines[1][:30] + b"\n" + lines[2], "s")


@pytest.mark.parametrize("content", [b"id,value\n", b"{}\n", format_rows([UNDO]).encode()])
def test_other_file_is_refused(content):
    with pytest.raises(ValueError, match="line 1: expected"):
        parse_strokes(content, "s")


def test_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match="--task scribbles"):
        read_strokes(tmp_path / "s.jsonl")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([draw(1), draw(2)], [1, 2]),
        ([draw(1), draw(1)], [1]),
        ([draw(1), draw(2), UNDO], [1]),
        ([draw(1), draw(2), UNDO, UNDO, UNDO], []),
        ([draw(1), draw(2), UNDO, UNDO, REDO], [1]),
        ([draw(1), UNDO, draw(2), REDO], [2]),
        ([draw(1), draw(2), draw(3), erase(1, 3)], [2]),
        ([draw(1), draw(2), erase(1), UNDO], [1, 2]),
        ([draw(1), draw(2), erase(1), UNDO, REDO], [2]),
        ([draw(1), erase(1), erase(1), UNDO], [1]),
        ([draw(1), erase(7), UNDO], []),
        ([draw(1), UNDO, erase(1), REDO], [1]),
        ([UNDO, REDO, draw(1), turn("skip")], [1]),
    ],
)
def test_what_stands(rows, expected):
    assert standing_after(*rows) == expected


def test_people_draw_apart_from_each_other():
    rows = [draw(1), draw(1, {"annotator": "Bo"}), turn("undo", annotator="Bo")]
    drawings = standing(rows)
    assert [len(drawings[who]["a"].strokes) for who in ("Ada", "Bo")] == [1, 0]
    assert drawings["Bo"]["a"].seconds == 3.0


def test_seeds_have_the_width_and_the_class_of_each_stroke():
    wide = stroke(1, "dog", ((2.0, 2.5), (17.0, 2.5)), width=3)
    thin = stroke(2, "background", ((2.0, 7.5), (17.0, 7.5)), width=1)
    seeds, disputed = draw_seeds([[wide, thin]], (20, 10), NAMES)
    assert seeds[:, 10].tolist() == [VOID, 2, 2, 2, VOID, VOID, VOID, 0, VOID, VOID]
    assert disputed == 0


def test_thin_stroke_survives_when_seeds_are_smaller():
    thin = stroke(1, "cat", ((1.0, 5.0), (19.0, 5.0)), width=1)
    seeds, _ = draw_seeds([[thin]], (20, 10), NAMES, (4, 4))
    assert seeds.shape == (4, 4)
    assert (seeds == 1).any(0).all()


def test_later_stroke_of_a_person_lies_on_the_earlier():
    seeds, _ = draw_seeds([[stroke(1, "cat"), stroke(2, "dog")]], (20, 10), NAMES)
    assert set(np.unique(seeds)) == {2, VOID}


def test_where_people_disagree_nothing_is_drawn():
    cat = stroke(1, "cat", ((2.0, 2.5), (12.0, 2.5)), width=1)
    dog = stroke(1, "dog", ((8.0, 2.5), (18.0, 2.5)), width=1)
    seeds, disputed = draw_seeds([[cat], [dog], [cat]], (20, 10), NAMES)
    assert [seeds[2, x] for x in (4, 10, 16)] == [1, VOID, 2]
    assert disputed == (seeds[2, 7:13] == VOID).sum()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (draw(changes={"image_id": "b"}), "unknown image; a is the same picture: rename it back"),
        (draw(changes={"image_id": "b", "picture": ""}), "unknown image; correct the id"),
        (draw(name="horse"), "unknown class 'horse'"),
        (draw(changes={"picture": "f" * 12}), "was ffffffffffff when it was drawn on"),
    ],
)
def test_strokes_that_fit_no_picture_are_refused(row, message):
    with pytest.raises(ValueError, match=message):
        check_strokes([row], NAMES, known_ids=["a"], pictures={"a": "0123456789ab"})


def test_moved_lines_count_in_the_order_of_their_time():
    rows = [draw(1, {"timestamp": "2025-01-31T12:00:00.500000Z"}), turn("undo"), draw(2, {"timestamp": "2025-01-31T11:00:00Z"})]
    assert [int(one.id, 16) for one in standing(rows)["Ada"]["a"].strokes] == [1]


def outcome(action):
    """Return what an action returns, or the error it was allowed to raise."""
    try:
        return action()
    except ValueError as error:
        return error


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255) | st.none()), min_size=1, max_size=4))
def test_file_with_any_bytes_changed_is_read_or_named(changes):
    content = bytearray((HEADER + format_rows([draw(1), draw(2), erase(1), UNDO])).encode())
    for place, byte in changes:
        if byte is None:
            del content[place % len(content)]
        else:
            content[place % len(content)] = byte
    found = outcome(lambda: parse_strokes(bytes(content), "s.jsonl"))
    if isinstance(found, ValueError):
        assert str(found).startswith("s.jsonl, line ")
    else:
        assert parse_strokes((HEADER + format_rows(found.rows)).encode(), "s").rows == found.rows


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "class", "width", "points", "size", "more"]), VALUES, min_size=1))
def test_stroke_with_any_values_is_read_or_explained(changes):
    text = json.dumps(stroke().model_dump(by_alias=True) | changes)
    found = outcome(lambda: Stroke.model_validate_json(text))
    if isinstance(found, ValidationError):
        assert explain(found)
    else:
        assert Stroke.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_byte_order_mark_of_an_editor_is_taken():
    content = b"\xef\xbb\xbf" + (HEADER + format_rows([draw(1)])).encode()
    assert parse_strokes(content, "s") == ([draw(1)], [])
