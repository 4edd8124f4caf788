"""Sizes given by people: file, checks, combination, errors, and the simulated annotator."""

import codecs
import csv

import pytest
from annotation_rows import HEART, row, tag

from pipeline.targets.annotations import FIELDS, format_rows, parse_annotations, read_annotations


def test_rows_are_read_back(tmp_path):
    rows = [
        row(),
        tag(class_name=HEART, who='Zoë "Z", B.'),
        row(size=1 / 3, flags=("unsure", "feedback"), picture="e3b0c44298fc"),
    ]
    (tmp_path / "s.csv").write_text(",".join(FIELDS) + "\n" + format_rows(rows))
    back = read_annotations(tmp_path / "s.csv")
    assert back.damaged == []
    assert back.rows[:2] == rows[:2]
    assert back.rows[2].size == pytest.approx(1 / 3, abs=1e-9)


def test_line_break_in_a_text_is_refused():
    with pytest.raises(ValueError, match="must not hold line breaks"):
        format_rows([row(who="A\nB")])


def test_row_that_could_not_be_read_back_is_not_written():
    with pytest.raises(ValueError, match=r"size_fraction: expected a fraction of the picture, 0 to 1, got 25"):
        format_rows([row(size=25)])


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_last_line_cut_anywhere_is_set_aside_and_the_rest_read(kept):
    whole = (",".join(FIELDS) + "\n" + format_rows([row(), row("b", who='An "n"')])).encode()
    start = whole.index(b"\nb,") + 1
    back = parse_annotations(whole[: start + kept], "s.csv")
    assert [one.image_id for one in back.rows] == ["a"]
    assert len(back.damaged) == 1
    assert whole[start : start + kept].decode() in back.damaged[0]


def test_a_damaged_line_is_named_where_none_may_be_missing():
    whole = (",".join(FIELDS) + "\n" + format_rows([row(), row("b")])).encode()
    assert parse_annotations(whole, "s.csv").whole("s.csv") == parse_annotations(whole, "s.csv").rows
    with pytest.raises(ValueError, match=r"s\.csv, line 3: the line is cut off.*remove the line, or open the file once"):
        parse_annotations(whole[:-5], "s.csv").whole("s.csv")


def test_last_line_that_lacks_its_line_break_alone_is_kept():
    whole = (",".join(FIELDS) + "\n" + format_rows([row(), row("b")])).encode()
    assert parse_annotations(whole[:-1], "s.csv") == parse_annotations(whole, "s.csv")
    assert "cut off" in parse_annotations(whole[:-2], "s.csv").damaged[0]


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("size_fraction", "0_25", "expected a number"),
        ("size_fraction", "\N{ARABIC-INDIC DIGIT ONE}", "expected a number"),
        ("seconds", "1e300", "at most"),
        ("timestamp", "31/01/2025 12:00", "expected UTC"),
        ("timestamp", "2025-02-30T12:00:00Z", "expected UTC"),
        ("picture", "abc", "12 hexadecimal digits"),
        ("class", "c\x00at", "control characters"),
    ],
)
def test_cells_that_only_python_would_take_are_refused(column, text, message):
    cells = dict(zip(FIELDS, next(csv.reader([format_rows([row()])])))) | {column: text}
    lines = f"{','.join(FIELDS)}\n{','.join(cells.values())}\n{format_rows([row()])}"
    with pytest.raises(ValueError, match=rf"s\.csv, line 2: .*{message}"):
        parse_annotations(lines.encode(), "s.csv")


def test_byte_order_mark_blank_lines_and_decomposed_names_are_taken():
    text = ",".join(FIELDS) + "\r\n" + format_rows([row("Ku\u0308he", who="Ada ")]).replace("\n", "\r\n") + ",,,,,,,,,\r\n"
    (one,) = parse_annotations(codecs.BOM_UTF8 + text.encode(), "s.csv").rows
    assert (one.image_id, one.annotator) == ("K\u00fche", "Ada")


def test_damaged_line_before_the_last_is_named():
    lines = [",".join(FIELDS), "a,cat,0.1", format_rows([row()])]
    with pytest.raises(ValueError, match=r"s\.csv, line 2: expected 10 columns, got 3; correct"):
        parse_annotations("\n".join(lines).encode(), "s.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cat": "background"}, "only 1 may be given"),
        ({"9.50": "-1"}, "seconds: expected a number >= 0"),
        ({"5x4": "7x7"}, "grid: expected one of 5x4, 3x3, none, got '7x7'"),
        ({"cells": "guess"}, "method: expected one of tag"),
        ({"unsure": "unshure"}, "flags: expected words"),
        ({"0.25": "1.25"}, "size_fraction: expected a fraction"),
        ({"cat": ""}, "class: is empty for a skipped picture"),
        ({"Ada": ""}, "annotator must not be empty"),
        ({"0.25": "nan"}, "size_fraction: expected a number"),
    ],
)
def test_bad_cell_is_explained(change, message):
    line = format_rows([row(flags=("unsure",))])
    for old, new in change.items():
        line = line.replace(old, new)
    text = ",".join(FIELDS) + "\n" + line + format_rows([row()])
    with pytest.raises(ValueError, match=message):
        parse_annotations(text.encode(), "s.csv")


def test_other_header_is_refused():
    with pytest.raises(ValueError, match="line 1: expected the header image_id,class"):
        parse_annotations(b"id,size\n", "s.csv")


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"python -m pipeline\.annotate"):
        read_annotations(tmp_path / "s.csv")


@pytest.mark.parametrize(
    "spoil", [lambda text: text.replace("\n", "\r"), lambda text: text.replace(",", ";"), lambda text: "\xe9" + text]
)
def test_header_that_a_spreadsheet_has_changed_says_how_to_save_it(spoil):
    content = spoil(",".join(FIELDS) + "\n" + format_rows([row()])).encode("latin-1")
    with pytest.raises(
        ValueError, match=r"s\.csv, line 1: .* must save the table as UTF-8 with commas .* and a line break after each"
    ):
        parse_annotations(content, "s.csv")
