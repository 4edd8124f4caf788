"""Sizes given by people: file, checks, combination, errors, and the simulated annotator."""

import codecs
import csv
import dataclasses
import itertools
import math

import numpy as np
import pytest

from pipeline.targets.annotations import (
    BACKGROUND,
    FIELDS,
    Annotation,
    AnnotationError,
    Calibration,
    agreement,
    annotation_errors,
    combine,
    fit_calibration,
    format_rows,
    parse_annotations,
    read_annotations,
    simulate,
    standing,
    write_annotations,
)

NAMES = [BACKGROUND, "cat", "left ventricle"]
CAT, HEART = NAMES[1:]
WHEN = "2025-01-31T12:00:00Z"


def row(image_id="a", class_name=CAT, size=0.25, *, seconds=9.5, who="Ada", method="cells", flags=(), picture=""):
    return Annotation(image_id, class_name, size, seconds, "5x4", who, WHEN, method, flags, picture)


def tag(image_id="a", class_name=CAT, **more):
    return row(image_id, class_name, None, method="tag", **more)


def targets(rows, ids=("a",), **more):
    return combine(rows, NAMES, list(ids), **more)


def log_uniform(count, generator):
    exact = np.exp(generator.uniform(np.log(0.02), np.log(0.5), count))
    return np.stack([1 - exact, exact], 1)


# file


def test_rows_are_read_back(tmp_path):
    rows = [
        row(),
        tag(class_name=HEART, who='Zoë "Z", B.'),
        row(size=1 / 3, flags=("unsure", "feedback"), picture="e3b0c44298fc"),
    ]
    write_annotations(tmp_path / "s.csv", rows)
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


def test_last_line_that_lacks_its_line_break_alone_is_kept():
    whole = (",".join(FIELDS) + "\n" + format_rows([row(), row("b")])).encode()
    assert parse_annotations(whole[:-1], "s.csv") == parse_annotations(whole, "s.csv")
    assert "cut off" in parse_annotations(whole[:-2], "s.csv").damaged[0]


def sized(image_id, size, when):
    return dataclasses.replace(row(image_id, size=size), timestamp=f"2025-01-31T12:00:{when}Z")


def test_the_latest_answer_stands_wherever_its_line_is():
    rows = [sized("a", 0.5, "03"), sized("b", 0.3, "04"), sized("a", 0.1, "09")]
    for moved in itertools.permutations(rows):
        assert combine(moved, ["background", "cat"], ["a", "b"]).sizes[:, 1].tolist() == [0.1, 0.3]


def test_fractions_of_a_second_tell_the_order():
    rows = [sized("a", 0.1, "03.000002"), sized("a", 0.5, "03"), sized("a", 0.2, "03.000001")]
    assert standing(rows)["Ada"]["a"].total == 0.1


def test_answers_of_one_second_stay_in_the_order_of_the_file_unless_lines_were_moved():
    rows = [sized("a", 0.5, "03"), sized("a", 0.1, "03"), sized("b", 0.3, "04")]
    assert standing(rows)["Ada"]["a"].total == 0.1
    with pytest.raises(ValueError, match=r"image a, annotator Ada: 2 different lines of 2025-01-31T12:00:03Z"):
        standing(rows[::-1])
    assert standing([*rows[1:], rows[1]])["Ada"]["a"].total == 0.1  # the same line twice contradicts nothing


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


# what stands


def test_last_answer_stands():
    assert targets([row(size=0.5), row(size=0.25)]).sizes.tolist() == [[0.75, 0.25, 0]]


def test_tagged_class_without_size_is_unfinished():
    assert not standing([tag(), tag(class_name=HEART), row()])["Ada"]["a"].complete


def test_withdrawn_class_does_not_count():
    withdrawn = tag(class_name=HEART, flags=("withdrawn",))
    assert targets([tag(), tag(class_name=HEART), row(), withdrawn]).sizes.tolist() == [[0.75, 0.25, 0]]


def test_picture_without_any_class_is_background():
    assert targets([row(class_name=BACKGROUND, size=1.0, method="tag")]).sizes.tolist() == [[1, 0, 0]]


def test_skipped_picture_is_unfinished_until_answered():
    skipped = row(class_name="", size=None, method="tag", flags=("skipped",))
    assert standing([skipped])["Ada"]["a"].skipped
    assert not standing([skipped, row()])["Ada"]["a"].skipped


def test_time_of_all_rows_is_summed():
    assert standing([tag(seconds=1), row(seconds=9), row(seconds=2.5)])["Ada"]["a"].seconds == 12.5


# combination


@pytest.mark.parametrize(("how", "size"), [("median", 0.2), ("mean", 0.3)])
def test_annotators_are_combined(how, size):
    rows = [row(size=0.1), row(size=0.2, who="Bo"), row(size=0.6, who="Cy")]
    combined = targets(rows, how=how)
    assert combined.sizes[0] == pytest.approx([1 - size, size, 0])
    assert combined.annotators.tolist() == [3]


def test_untagged_class_counts_as_zero():
    rows = [row(size=0.4), row(size=0.4, who="Bo"), row(class_name=HEART, size=0.3, who="Cy")]
    assert targets(rows).sizes[0] == pytest.approx([0.6, 0.4, 0])


def test_medians_that_exceed_the_picture_are_scaled_and_named():
    names = [BACKGROUND, "a", "b", "c"]
    rows = []
    for number, (a, b) in enumerate([(0.6, 0.4), (0.6, 0.0), (0.0, 0.6)]):
        rows += [row("i", "a", a, who=str(number)), row("i", "b", b, who=str(number))]
        rows += [row("i", "c", 0.0 if a and b else 0.4, who=str(number))]
    combined = combine(rows, names, ["i"])
    assert combined.normalised == ["i"]
    assert combined.sizes[0] == pytest.approx([0, 0.6 / 1.4, 0.4 / 1.4, 0.4 / 1.4])


def test_missing_image_is_named():
    with pytest.raises(ValueError, match="1 of 2 images have no finished annotation, the first is b"):
        targets([row()], ids=["a", "b"])


def test_missing_image_may_be_left_out():
    combined = targets([row()], ids=["b", "a"], missing="leave_out")
    assert (combined.ids, combined.left_out) == (["a"], ["b"])


def test_unsure_answers_may_be_left_out():
    combined = targets([row(size=0.1), row(size=0.5, who="Bo", flags=("unsure",))], unsure="leave_out")
    assert combined.sizes[0, 1] == 0.1


def test_ids_keep_their_order():
    assert targets([row("b"), row("a", size=0.5)], ids=["a", "b"]).sizes[:, 1].tolist() == [0.5, 0.25]


def test_calibration_of_an_annotator_is_applied():
    rows = [row(size=0.2), row(size=0.2, who="Bo")]
    assert targets(rows, how="mean", calibrations={"Bo": Calibration(2.0, 1.0)}).sizes[0, 1] == pytest.approx(0.3)


def test_calibrated_sizes_never_exceed_the_picture():
    rows = [row(size=0.6), row(class_name=HEART, size=0.4)]
    assert targets(rows, calibrations={"Ada": Calibration(1.5, 1.0)}).sizes[0] == pytest.approx([0, 0.6, 0.4])


def test_calibrated_sizes_are_scaled_before_they_are_combined():
    rows = [row(size=0.6), row(class_name=HEART, size=0.4), row(size=0.2, who="Bo")]
    combined = targets(rows, how="mean", calibrations={"Ada": Calibration(1.5, 1.0)})
    assert combined.sizes[0] == pytest.approx([0.4, 0.4, 0.2])


def test_unknown_class_is_named():
    with pytest.raises(ValueError, match="image a, annotator Ada: unknown class 'dog'; the classes are cat, left ventricle"):
        targets([row(class_name="dog")])


def test_unknown_image_is_named():
    with pytest.raises(ValueError, match="image z, annotator Ada: unknown image; correct the id"):
        targets([row(), row("z")])


def test_picture_that_was_put_off_may_be_taken_away():
    assert targets([row(), row("z", class_name="", size=None, method="tag", flags=("skipped",))]).ids == ["a"]


def test_renamed_picture_is_recognised():
    with pytest.raises(ValueError, match="unknown image; a is the same picture: rename it back"):
        targets([row("old", picture="0123")], pictures={"a": "0123"})


def test_exchanged_picture_is_recognised():
    with pytest.raises(ValueError, match="was 0123 when it was annotated and is 4567 now"):
        targets([row(picture="0123")], pictures={"a": "4567"})


def test_sizes_of_more_than_the_picture_are_refused():
    with pytest.raises(ValueError, match=r"image a, annotator Ada: sizes exceed the whole picture by 0\.1"):
        targets([row(size=0.6), row(class_name=HEART, size=0.5)])


def test_sizes_written_as_thirds_may_sum_to_the_picture():
    rows = parse_annotations(
        (",".join(FIELDS) + "\n" + format_rows([row(size=2 / 3), row(class_name=HEART, size=1 / 3)])).encode(), "s"
    )
    assert targets(rows.rows).sizes[0] == pytest.approx([0, 2 / 3, 1 / 3])


def test_classes_must_start_with_the_background():
    with pytest.raises(ValueError, match="expected background first"):
        combine([row()], ["cat", "dog"], ["a"])


@pytest.mark.parametrize("option", [{"how": "max"}, {"missing": "ignore"}, {"unsure": "maybe"}])
def test_unknown_option_is_refused(option):
    with pytest.raises(ValueError, match="expected"):
        targets([row()], **option)


# errors


EXACT = {"a": np.array([0.7, 0.2, 0.1])}


def test_error_is_signed_and_relative_to_the_exact_size():
    (error, overlooked) = annotation_errors([row(size=0.25)], EXACT, NAMES)
    assert error.error == pytest.approx(0.25)
    assert (overlooked.class_name, overlooked.error) == (HEART, -1)


def test_class_that_is_absent_has_an_infinite_error():
    errors = annotation_errors([row(size=0.25)], {"a": np.array([1.0, 0, 0])}, NAMES)
    assert [error.error for error in errors] == [math.inf]


def test_answer_after_the_exact_size_was_shown_is_ignored():
    rows = [row(size=0.25, seconds=5, flags=("feedback",)), row(size=0.2, seconds=3, flags=("informed",))]
    error = annotation_errors(rows, EXACT, NAMES)[0]
    assert (error.size, error.seconds) == (0.25, 5)


def test_time_of_tags_is_not_part_of_an_answers_time():
    assert annotation_errors([tag(seconds=2), row(seconds=9)], EXACT, NAMES)[0].seconds == 9


def answered(pairs):
    return [AnnotationError("a", CAT, "Ada", size, exact, (size - exact) / exact, 1.0, False, "none") for size, exact in pairs]


def test_calibration_recovers_a_systematic_bias_despite_slips():
    exact = np.geomspace(0.02, 0.6, 30)
    given = (exact / 0.9) ** (1 / 1.1)
    given[::7] *= 3
    calibration = fit_calibration(answered(zip(given, exact)))
    assert calibration == pytest.approx((0.9, 1.1), rel=0.02)


def test_few_answers_give_no_calibration():
    assert fit_calibration(answered([(0.2, 0.1)] * 9)) == Calibration(1.0, 1.0)


def test_answers_of_one_size_give_a_factor_only():
    assert fit_calibration(answered([(0.2, 0.1)] * 12)) == pytest.approx((0.5, 1.0))


def test_agreement_of_two_annotators():
    rows = [row(size=0.1), row(size=0.3, who="Bo"), row("b"), tag("b", who="Bo"), row("c"), row("c", HEART, who="Bo")]
    (pair,) = agreement(rows)
    assert (pair.first, pair.second, pair.images, pair.tagged) == ("Ada", "Bo", 2, 3)
    assert pair.same_tags == pytest.approx(1 / 3)
    assert pair.difference == pytest.approx(1.0)


def test_one_annotator_has_nobody_to_agree_with():
    assert agreement([row()]) == []


# simulation


def simulated(count=400, seed=0, **more):
    exact = log_uniform(count, np.random.default_rng(7))
    ids = [f"{number:04d}" for number in range(count)]
    rows = simulate(exact, [BACKGROUND, CAT], ids, np.random.default_rng(seed), **more)
    return rows, annotation_errors(rows, dict(zip(ids, exact)), [BACKGROUND, CAT])


def test_simulated_errors_and_times_are_in_the_published_range():
    _, errors = simulated(2000)
    relative = np.array([abs(error.error) for error in errors])
    assert 0.12 <= relative.mean() <= 0.201
    assert 9.1 <= np.mean([error.seconds for error in errors]) <= 15.2


def test_simulated_errors_have_a_heavy_tail():
    _, errors = simulated(2000)
    relative = np.array([abs(error.error) for error in errors])
    assert relative.mean() > 1.7 * np.median(relative)


def test_small_objects_have_larger_simulated_errors():
    _, errors = simulated(2000)
    small = np.mean([abs(error.error) for error in errors if error.exact < 0.05])
    large = np.mean([abs(error.error) for error in errors if error.exact > 0.2])
    assert small > 1.3 * large


def test_without_perception_errors_only_the_rounding_is_left():
    _, errors = simulated(error_scale=0.0)
    assert all(abs(error.size - error.exact) <= 0.5 / 4 / 9 + 1e-9 for error in errors)
    assert max(abs(error.error) for error in errors) > 0.01


def test_simulated_rows_are_valid_and_complete(tmp_path):
    rows, _ = simulated(50)
    write_annotations(tmp_path / "s.csv", rows)
    back = read_annotations(tmp_path / "s.csv").rows
    combined = combine(back, [BACKGROUND, CAT], [f"{number:04d}" for number in range(50)])
    assert combined.sizes.shape == (50, 2)
    assert {one.annotator for one in back} == {"simulated annotator"}


def test_same_generator_gives_same_rows():
    assert simulated(20)[0] == simulated(20)[0]


def test_picture_without_classes_is_simulated_as_background():
    rows = simulate(np.array([[1.0, 0, 0]]), NAMES, ["a"], np.random.default_rng(0))
    assert targets(rows).sizes.tolist() == [[1, 0, 0]]


def test_simulated_sizes_never_exceed_the_picture():
    exact = np.tile([0.02, 0.49, 0.49], (200, 1))
    ids = [str(number) for number in range(200)]
    rows = simulate(exact, NAMES, ids, np.random.default_rng(0))
    assert combine(rows, NAMES, ids).sizes.min() >= 0


def test_simulated_sizes_need_one_row_per_image():
    with pytest.raises(ValueError, match=r"expected shape \(1, 3\), got \(2, 3\)"):
        simulate(np.ones((2, 3)) / 3, NAMES, ["a"], np.random.default_rng(0))


@pytest.mark.parametrize(
    "spoil", [lambda text: text.replace("\n", "\r"), lambda text: text.replace(",", ";"), lambda text: "\xe9" + text]
)
def test_header_that_a_spreadsheet_has_changed_says_how_to_save_it(spoil):
    content = spoil(",".join(FIELDS) + "\n" + format_rows([row()])).encode("latin-1")
    with pytest.raises(
        ValueError, match=r"s\.csv, line 1: .* must save the table as UTF-8 with commas .* and a line break after each"
    ):
        parse_annotations(content, "s.csv")
