import numpy as np
import pytest
from pipeline.report.fig_a_fig6b import COLORS, RUNS, compute, draw, error_colors
from report_runs import make_panels, pictures_of

from pipeline.conventions import VOID
from pipeline.report.style import save_figure


@pytest.fixture
def arrays():
    return make_panels(list(RUNS), ["background", "ventricle"], [(8, 8), (8, 8)])


def test_found_is_yellow_invented_green_missed_red():
    labels = np.array([[1, 0, 1, 0]], np.uint8)
    prediction = np.array([[1, 1, 0, 0]], np.uint8)
    tinted = error_colors(np.full((1, 4, 3), 50, np.uint8), labels, prediction, alpha=1.0)
    assert [tuple(color) for color in tinted[0].tolist()] == [*COLORS.values(), (50, 50, 50)]


def test_the_colours_are_those_of_the_paper():
    (red, green, blue), (_, false_positive_green, _), (false_negative_red, _, _) = COLORS.values()
    assert min(red, green) > 200 > blue
    assert false_positive_green > 150
    assert false_negative_red > 150


def test_void_is_not_tinted():
    image = np.full((1, 1, 3), 50, np.uint8)
    void = np.full((1, 1), VOID, np.uint8)
    np.testing.assert_array_equal(error_colors(image, void, np.ones((1, 1), np.uint8)), image)


def test_numbers_equal_hand_counts(arrays):
    row = compute(arrays).query("run == 'acdc/size-mre08'").iloc[0]
    # 8 x 8 pixels, one void: 31 of the object, all found, and a column of 8 too much
    assert row[["true_positive_px", "false_positive_px", "false_negative_px"]].tolist() == [31, 8, 0]
    assert row["DSC_percent"] == pytest.approx(100 * 62 / 70)


def test_a_row_of_three_pictures_per_slice(arrays):
    figure = draw(arrays)
    assert len(pictures_of(figure)) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["slice", "size barrier", "size targets (8 %)"]


def test_overlays_stand_under_the_name_of_their_run(arrays):
    picture = pictures_of(draw(arrays))[2]
    np.testing.assert_array_equal(picture, error_colors(arrays["image_0"], arrays["labels_0"], arrays["prediction_1_0"]))


def test_a_missing_run_is_named(arrays):
    arrays["runs"] = np.array(["acdc/barrier", "acdc/full"])
    with pytest.raises(ValueError, match="acdc/size-mre08"):
        draw(arrays)


def test_the_legend_explains_the_colours(arrays):
    assert [text.get_text() for text in draw(arrays).legends[0].get_texts()] == list(COLORS)


def test_drawing_again_gives_the_same_bytes(tmp_path, arrays):
    for stem in ("one", "two"):
        save_figure(draw(arrays), tmp_path / stem, [".png"])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
