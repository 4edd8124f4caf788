import numpy as np
import pytest
from pipeline.report.fig_a_fig2 import RUNS, compute, draw
from report_runs import make_panels, pictures_of

from pipeline.report.overlay import blend
from pipeline.report.style import save_figure


@pytest.fixture
def arrays():
    return make_panels(["other/run", *RUNS], ["background", "bird"], [(12, 16), (16, 12)])


def test_a_row_of_five_pictures_per_image(arrays):
    figure = draw(arrays)
    assert len(pictures_of(figure)) == 10
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["image", "(a) tags, log barrier", "(b) size targets", "(c) full masks", "ground truth"]


def test_predictions_stand_under_the_name_of_their_run(arrays):
    palette = [tuple(color) for color in arrays["palette"].tolist()]
    pictures = pictures_of(draw(arrays))
    np.testing.assert_array_equal(pictures[3], blend(arrays["image_0"], arrays["prediction_3_0"], palette))
    np.testing.assert_array_equal(pictures[4], blend(arrays["image_0"], arrays["labels_0"], palette))


def test_every_prediction_is_scored(arrays):
    frame = compute(arrays)
    assert len(frame) == 6
    assert frame["run"].tolist()[::2] == list(RUNS)


def test_a_missing_run_is_named(arrays):
    arrays["runs"] = np.array(["other/run", "size_losses/log-barrier-crf", "size_noise/size-crf-mre08", "x/y"])
    with pytest.raises(ValueError, match="size_noise/full"):
        draw(arrays)


def test_the_legend_names_the_classes_and_the_note_the_scale(arrays):
    figure = draw(arrays)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["background", "bird"]
    assert "embedded scale" in figure.get_supxlabel()


def test_drawing_again_gives_the_same_bytes(tmp_path, arrays):
    for stem in ("one", "two"):
        save_figure(draw(arrays), tmp_path / stem, [".png"])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
