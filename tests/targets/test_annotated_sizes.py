"""What stands of annotators' answers, and the size targets they become."""

import dataclasses
import itertools

import pytest
from annotation_rows import HEART, row, tag, targets

from pipeline.targets.annotated_sizes import Calibration, combine, standing
from pipeline.targets.annotations import BACKGROUND, FIELDS, format_rows, parse_annotations


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
