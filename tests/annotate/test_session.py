"""One annotator at work: queue, answers, undo, pace, exact sizes."""

import numpy as np
import pytest

from pipeline.annotate.session import LONGEST_ANSWER_S, Project, Session, check_annotator
from pipeline.annotate.store import AnnotationStore
from pipeline.datasets.raw_files import DatasetError
from pipeline.targets.annotated_sizes import combine, standing
from pipeline.targets.annotation_errors import annotation_errors

EXACT = {"a": np.array([0.5, 0.4, 0.1]), "b": np.array([0.9, 0.0, 0.1])}
NAMES = ["background", "cat", "dog"]


class Pictures:
    ids = ("a", "b", "c")

    def content(self, image_id):
        return image_id.encode()

    def exact_sizes(self, image_id):
        if image_id == "c":
            raise ValueError("mask is broken")
        return EXACT.get(image_id)


def session(tmp_path, who="Ada", feedback=False):
    return Session(Project(Pictures(), AnnotationStore(tmp_path / "s.csv"), ["cat", "dog"], feedback), who)


def give(one, image_id, name, size, **more):
    one.size(image_id, name, size, **{"seconds": 3.0, "grid": "5x4", "method": "cells", **more})


def classes(one, image_id):
    return {entry["name"]: entry["size"] for entry in one.picture(image_id)["classes"] if entry["tagged"]}


def on_disk(one):
    return standing(AnnotationStore(one.project.store.path).rows).get(one.annotator, {})


def test_work_starts_with_the_first_picture(tmp_path):
    assert session(tmp_path).first() == "a"


def test_only_tagged_classes_are_asked(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["dog"], 1.0)
    assert classes(one, "a") == {"dog": None}
    assert one.first() == "a"


def test_picture_is_done_when_every_tagged_class_has_a_size(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat", "dog"], 1.0)
    give(one, "a", "cat", 0.4)
    assert not one.picture("a")["complete"]
    give(one, "a", "dog", 0.1)
    assert one.picture("a")["complete"]
    assert one.after("a") == "b"


def test_picture_without_any_class_is_done(tmp_path):
    one = session(tmp_path)
    one.tag("a", [], 1.0)
    assert one.picture("a")["empty"]
    assert one.first() == "b"


def test_work_continues_after_a_crash_within_a_picture(tmp_path):
    one = session(tmp_path)
    one.tag("a", [], 1.0)
    one.tag("b", ["cat", "dog"], 1.0)
    give(one, "b", "cat", 0.4)
    again = session(tmp_path)
    assert again.first() == "b"
    assert classes(again, "b") == {"cat": 0.4, "dog": None}


def test_picture_that_has_gone_can_be_put_off_and_not_answered(tmp_path, monkeypatch):
    def gone(image_id):
        raise DatasetError(f"{image_id}: gone")

    one = session(tmp_path)
    monkeypatch.setattr(one.project.pictures, "content", gone, raising=True)
    with pytest.raises(DatasetError, match="a: gone"):
        one.tag("a", ["cat"], 1.0)
    one.skip("a", 1.0)
    assert (one.progress()["skipped"], one.first()) == (1, "b")


def test_skipped_pictures_come_last(tmp_path):
    one = session(tmp_path)
    one.skip("a", 1.0)
    assert [one.first(), one.after("b"), one.after("c")] == ["b", "c", "b"]
    one.tag("b", [], 1.0)
    one.tag("c", [], 1.0)
    assert one.first() == "a"
    assert one.progress()["skipped"] == 1


def test_all_done_has_no_next_picture(tmp_path):
    one = session(tmp_path)
    for image_id in Pictures.ids:
        one.tag(image_id, [], 1.0)
    assert one.first() is None


def test_annotators_do_not_see_each_other(tmp_path):
    one = session(tmp_path)
    one.tag("a", [], 1.0)
    assert Session(one.project, "Bo").first() == "a"


def test_sizes_may_not_exceed_the_picture(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat", "dog"], 1.0)
    give(one, "a", "cat", 0.7)
    with pytest.raises(ValueError, match=r"31 % and the other classes' 70 % exceed the picture; at most 30 % is left"):
        give(one, "a", "dog", 0.31)
    give(one, "a", "dog", 0.3)


def test_correction_is_compared_with_the_other_classes_only(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.7)
    give(one, "a", "cat", 0.9)
    assert classes(one, "a") == {"cat": 0.9}


def test_correction_appends(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.7)
    before = one.project.store.path.read_text()
    give(one, "a", "cat", 0.6)
    assert one.project.store.path.read_text().startswith(before)


def test_changed_tags_keep_the_sizes_of_classes_that_stay(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.4)
    one.tag("a", ["cat", "dog"], 1.0)
    assert classes(one, "a") == {"cat": 0.4, "dog": None}
    one.tag("a", ["dog"], 1.0)
    assert classes(one, "a") == {"dog": None}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size: expected more than 0"),
        ({"size": 1.2}, "size: expected more than 0 and at most 1"),
        ({"size": float("nan")}, "size: expected"),
        ({"size": "0.5"}, "size: expected"),
        ({"size": True}, "size: expected"),
        ({"name": "dog"}, "'dog' is not tagged"),
        ({"seconds": -1}, "seconds: expected"),
        ({"seconds": None}, "seconds: expected"),
        ({"grid": "9x9"}, "grid: expected"),
        ({"method": "tag"}, "method: expected"),
        ({"image_id": "../a"}, "image: '../a' is not among the 3 pictures"),
    ],
)
def test_bad_answer_is_refused_and_not_written(tmp_path, values, message):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    before = one.project.store.path.read_text()
    with pytest.raises(ValueError, match=message):
        give(one, **{"image_id": "a", "name": "cat", "size": 0.5, **values})
    assert one.project.store.path.read_text() == before


def test_unknown_tag_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected some of cat, dog, got 'bird'"):
        session(tmp_path).tag("a", ["bird"], 1.0)


def test_clock_that_jumped_is_cut(tmp_path):
    one = session(tmp_path)
    one.tag("a", [], 1e7)
    assert one.progress()["pace_s"] == LONGEST_ANSWER_S


def test_pace_and_time_left(tmp_path):
    one = session(tmp_path)
    assert one.progress()["pace_s"] is None
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.2, seconds=9.0)
    assert one.progress() == {"total": 3, "done": 1, "skipped": 0, "pace_s": 10.0, "left_s": 20.0}


def test_time_of_several_tags_is_shared(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat", "dog"], 3.0)
    assert [row.seconds for row in one.project.store.rows] == [1.5, 1.5]


def test_unsure_is_stored(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.2, unsure=True)
    assert on_disk(one)["a"].sizes["cat"].flags == ("unsure",)
    assert one.picture("a")["classes"][0]["unsure"]


# undo


def actions(one):
    """Do one of each kind and return the states in between, as they are on disk."""
    states = []
    for act in (
        lambda: one.skip("a", 1.0),
        lambda: one.tag("a", ["cat", "dog"], 1.0),
        lambda: give(one, "a", "cat", 0.4),
        lambda: give(one, "a", "cat", 0.5),
        lambda: one.skip("a", 1.0),
        lambda: one.tag("a", ["dog"], 1.0),
        lambda: one.tag("a", [], 1.0),
        lambda: one.skip("a", 1.0),
        lambda: one.tag("a", ["cat"], 1.0),
    ):
        states.append(state(one))
        act()
    return states


def state(one):
    answer = on_disk(one).get("a")
    if answer is None:
        return ({}, False, False)
    sizes = {name: None if row is None else row.size for name, row in answer.sizes.items()}
    return (sizes, answer.empty, answer.skipped)


def test_undo_restores_every_state_one_after_the_other(tmp_path):
    one = session(tmp_path)
    for before in reversed(actions(one)):
        assert one.undo() == "a"
        assert state(one) == before
    assert one.undo() is None


def test_undo_appends(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    before = one.project.store.path.read_text()
    one.undo()
    assert one.project.store.path.read_text().startswith(before)
    assert one.project.store.path.read_text() != before


def test_undo_costs_no_time(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.4, seconds=5.0)
    give(one, "a", "cat", 0.5, seconds=2.0)
    one.undo()
    assert on_disk(one)["a"].seconds == 8.0


# exact sizes


def test_exact_size_is_shown_after_the_answer_only(tmp_path):
    one = session(tmp_path, feedback=True)
    one.tag("a", ["cat"], 1.0)
    assert one.exact("a", "cat") is None
    give(one, "a", "cat", 0.5)
    assert one.exact("a", "cat") == 0.4


def test_without_feedback_nothing_is_shown(tmp_path):
    one = session(tmp_path)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.5)
    assert one.exact("a", "cat") is None


def test_exact_sizes_shown_once_are_hidden_when_feedback_is_off(tmp_path):
    one = session(tmp_path, feedback=True)
    one.tag("a", ["cat"], 1.0)
    give(one, "a", "cat", 0.5)
    assert session(tmp_path).exact("a", "cat") is None


def test_broken_mask_costs_no_answer(tmp_path):
    one = session(tmp_path, feedback=True)
    one.tag("c", ["cat"], 1.0)
    give(one, "c", "cat", 0.5)
    assert one.exact("c", "cat") is None
    assert on_disk(one)["c"].complete


def test_answer_before_the_feedback_counts_in_errors_and_the_last_in_targets(tmp_path):
    one = session(tmp_path, feedback=True)
    one.tag("a", ["cat", "dog"], 1.0)
    give(one, "a", "cat", 0.5)
    one.undo()
    give(one, "a", "cat", 0.4)
    give(one, "a", "dog", 0.1)
    rows = one.project.store.rows
    assert annotation_errors(rows, EXACT, NAMES)[0].error == pytest.approx(0.25)
    assert combine(rows, NAMES, ["a"]).sizes[0] == pytest.approx([0.5, 0.4, 0.1])


def test_untagging_after_the_feedback_does_not_hide_the_error(tmp_path):
    one = session(tmp_path, feedback=True)
    one.tag("b", ["cat"], 1.0)
    give(one, "b", "cat", 0.5)
    one.tag("b", [], 1.0)
    assert [error.error for error in annotation_errors(one.project.store.rows, EXACT, NAMES) if error.size] == [np.inf]


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "a\0", None, "Simulated annotator 2"])
def test_bad_name_is_refused(name):
    with pytest.raises(ValueError, match="annotator:"):
        check_annotator(name)


def test_name_is_trimmed():
    assert check_annotator("  Zoë B. ") == "Zoë B."
