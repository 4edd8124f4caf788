import numpy as np
import pytest
from report_runs import make_panels

from pipeline.report.panels import object_handles, read_panels, score_panels
from pipeline.report.runs import Where

RUNS = ["f/a", "f/b"]
NAMES = ["background", "bird", "cat"]


@pytest.fixture
def arrays():
    return make_panels(RUNS, NAMES, [(4, 8), (6, 8)])


def test_pictures_may_differ_in_size(arrays):
    assert [image.shape for image in read_panels(arrays, "a-fig2", RUNS).images] == [(4, 8, 3), (6, 8, 3)]


def test_runs_are_found_by_their_name(arrays):
    panels = read_panels(arrays, "a-fig2", ["f/b"])
    np.testing.assert_array_equal(panels.predictions["f/b"][1], arrays["prediction_1_1"])


def test_a_missing_run_is_named_with_its_artifact(arrays):
    with pytest.raises(ValueError, match=r"a-fig2.*missing \['f/c'\]"):
        read_panels(arrays, "a-fig2", ["f/a", "f/c"])


def test_a_missing_array_is_named(arrays):
    del arrays["labels_1"]
    with pytest.raises(ValueError, match="labels_1"):
        read_panels(arrays, "a-fig2", RUNS)


def test_shapes_must_fit_the_picture(arrays):
    arrays["prediction_1_0"] = arrays["prediction_1_0"][:, :7]
    with pytest.raises(ValueError, match=r"prediction_1_0 of shape \(4, 8\)"):
        read_panels(arrays, "a-fig2", RUNS)


def test_a_class_needs_a_colour(arrays):
    arrays["palette"] = arrays["palette"][:2]
    with pytest.raises(ValueError, match=r"palette of shape \(3, 3\)"):
        read_panels(arrays, "a-fig2", RUNS)


def test_a_right_prediction_scores_full_marks_void_left_out(arrays):
    frame = score_panels(read_panels(arrays, "a-fig2", RUNS), {"right": Where(family="f", run="a")})
    assert frame["mIoU_percent"].tolist() == [100, 100]
    assert frame["correct_percent"].tolist() == [100, 100]


def test_scores_equal_hand_counts(arrays):
    row = score_panels(read_panels(arrays, "a-fig2", RUNS), {"wrong": Where(family="f", run="b")}).iloc[0]
    # 4 x 8 pixels, one void: 15 of class 1, 16 of class 0, of which 4 are predicted as 1
    assert row["correct_percent"] == pytest.approx(100 * 27 / 31)
    assert row["mIoU_percent"] == pytest.approx(100 * (15 / 19 + 12 / 16) / 2)


def test_the_legend_lists_the_classes_that_appear(arrays):
    assert [handle.get_label() for handle in object_handles(read_panels(arrays, "a-fig2", RUNS))] == ["bird"]
