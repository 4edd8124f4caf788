import numpy as np
import pytest
from pipeline.report.fig_b_fig5 import compute, draw

from pipeline.conventions import VOID
from pipeline.report.style import save_figure

NAMES = ["background", "bird"]


@pytest.fixture
def panels():
    """Two pictures of different size, left half bird; nearest labels are right, dense ones even, the network's all background."""
    arrays = {"ids": np.array(["x", "y"]), "palette": np.array([[0, 0, 0], [200, 100, 50]], np.uint8)}
    for index, (height, width) in enumerate(((4, 6), (5, 4))):
        labels = np.zeros((height, width), np.uint8)
        labels[:, : width // 2] = 1
        seeds = np.full((height, width), VOID, np.uint8)
        seeds[1, :2] = 1
        hard = np.stack([labels == 0, labels == 1]).astype(np.float16)
        arrays |= {
            f"image_{index}": np.repeat(labels[..., None] * 100 + 50, 3, axis=2).astype(np.uint8),
            f"labels_{index}": labels,
            f"seeds_{index}": seeds,
            f"nearest_{index}": hard,
            f"dense_{index}": np.full((2, height, width), 0.5, np.float16),
            f"network_{index}": np.stack([np.ones((height, width)), np.zeros((height, width))]).astype(np.float16),
        }
    return arrays


def picture(figure, row, column):
    return np.asarray(figure.axes[6 * row + column].images[0].get_array())


def test_labels_that_are_right_are_wholly_correct(panels):
    rows = compute(panels).query("series == 'nearest'")
    assert rows["correct_percent"].tolist() == [100, 100]
    assert rows["mean_entropy_bits"].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_even_labels_are_half_correct_and_have_one_bit(panels):
    rows = compute(panels).query("series == 'dense'")
    assert rows["correct_percent"].tolist() == pytest.approx([50, 50])
    assert rows["mean_entropy_bits"].tolist() == pytest.approx([1, 1])


def test_pixels_with_a_seed_or_without_a_class_do_not_count(panels):
    panels["labels_0"][:, 3:] = VOID
    assert compute(panels).query("series == 'network' and image == 'x'")["correct_percent"].item() == 0
    panels["nearest_0"][:, 1, :2] = 0.5
    assert compute(panels).query("series == 'nearest' and image == 'x'")["correct_percent"].item() == 100


def test_a_row_of_six_pictures_per_image(panels):
    titles = [axes.get_title() for axes in draw(panels).axes]
    assert len(titles) == 12
    assert titles[:3] + titles[4:6] == ["image", "scribbles", "truth", "nearest", "dense"]


def test_labels_stand_under_their_own_name(panels):
    figure = draw(panels)
    np.testing.assert_array_equal(picture(figure, 1, 4), picture(figure, 1, 2))
    np.testing.assert_array_equal(picture(figure, 1, 5)[0, 0], [100, 50, 25])
    assert not picture(figure, 1, 3).any()


def test_the_legend_lists_the_classes_that_appear(panels):
    assert [text.get_text() for text in draw(panels, NAMES).legends[0].get_texts()] == NAMES


@pytest.mark.parametrize("name", ["ids", "palette", "dense_1", "image_0"])
def test_a_missing_array_is_named(panels, name):
    del panels[name]
    with pytest.raises(ValueError, match=name):
        compute(panels)


def test_arrays_of_a_picture_must_fit_together(panels):
    panels["nearest_1"] = panels["nearest_0"]
    with pytest.raises(ValueError, match=r"nearest_1 of shape \(2, 5, 4\)"):
        draw(panels)


def test_no_picture_is_an_error(panels):
    with pytest.raises(ValueError, match="at least one picture"):
        compute({**panels, "ids": panels["ids"][:0]})


def test_drawing_again_gives_the_same_bytes(tmp_path, panels):
    for stem in ("one", "two"):
        save_figure(draw(panels, NAMES), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
