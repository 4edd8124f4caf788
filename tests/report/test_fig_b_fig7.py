import numpy as np
import pytest
from pipeline.report.fig_b_fig7 import compute, draw

from pipeline.conventions import VOID
from pipeline.report.style import save_figure

NAMES = ["background", "bird"]


@pytest.fixture
def panels():
    """Two pictures of 4 x 6 pixels, left half bird; bilinear labels are decided, all others even between both classes."""
    labels = np.zeros((2, 4, 6), np.uint8)
    labels[:, :, :3] = 1
    hard = np.stack([labels == 0, labels == 1], 1).astype(np.float16)
    pseudo_labels = np.full((6, 2, 2, 4, 6), 0.5, np.float16)
    pseudo_labels[0] = hard
    seeds = np.full((2, 4, 6), VOID, np.uint8)
    seeds[:, 1, 1:3] = 1
    return {
        "image": np.repeat(labels[..., None] * 100 + 50, 3, axis=3).astype(np.uint8),
        "seeds": seeds,
        "labels": labels,
        "probs": np.full((2, 2, 4, 6), 0.5, np.float16),
        "pseudo_labels": pseudo_labels,
        "relaxation": np.array(["bl", "nq", "q", "cce", "cd", "lq"]),
        "palette": np.array([[0, 0, 0], [200, 100, 50]], np.uint8),
    }


def picture(figure, row, column):
    return np.asarray(figure.axes[10 * row + column].images[0].get_array())


def test_decided_labels_have_no_entropy(panels):
    row = compute(panels).query("series == 'P_BL'").iloc[0]
    assert row["mean_entropy_bits"] == pytest.approx(0, abs=1e-6)
    assert row["decided_percent"] == 100


def test_even_labels_have_one_bit(panels):
    row = compute(panels).query("series == 'P_CD'").iloc[1]
    assert row["mean_entropy_bits"] == pytest.approx(1)
    assert row["decided_percent"] == 0


def test_pixels_with_a_seed_do_not_count(panels):
    panels["pseudo_labels"][0, :, :, 1, 1:3] = 0.5
    assert compute(panels).query("series == 'P_BL'")["decided_percent"].tolist() == [100, 100]


def test_a_row_of_ten_pictures_per_image(panels):
    titles = [axes.get_title() for axes in draw(panels).axes]
    assert len(titles) == 20
    assert titles[:3] == ["image", "scribbles", "truth"]


def test_pseudo_labels_stand_under_their_own_name(panels):
    figure = draw(panels)
    assert "BL" in figure.axes[4].get_title()
    np.testing.assert_array_equal(picture(figure, 0, 4), picture(figure, 0, 2))


def test_an_even_label_is_the_mean_of_the_colours(panels):
    np.testing.assert_allclose(picture(draw(panels), 1, 5)[0, 0], [100, 50, 25], atol=1)


def test_scribbles_lie_on_the_image_in_the_colour_of_their_class(panels):
    scribbled = picture(draw(panels), 0, 1)
    np.testing.assert_array_equal(scribbled[1, 1], [200, 100, 50])
    np.testing.assert_array_equal(scribbled[0, 0], panels["image"][0, 0, 0])


def test_the_legend_lists_the_classes_that_appear(panels):
    texts = draw(panels, [*NAMES]).legends[0].get_texts()
    assert [text.get_text() for text in texts] == NAMES


def test_a_missing_relaxation_is_named(panels):
    panels["relaxation"][5] = "lx"
    with pytest.raises(ValueError, match="lq"):
        draw(panels)


def test_a_missing_array_is_an_error(panels):
    del panels["probs"]
    with pytest.raises(ValueError, match="probs"):
        compute(panels)


def test_arrays_must_fit_together(panels):
    panels["seeds"] = panels["seeds"][:, :, :5]
    with pytest.raises(ValueError, match="seeds"):
        compute(panels)


def test_drawing_again_gives_the_same_bytes(tmp_path, panels):
    for stem in ("one", "two"):
        save_figure(draw(panels, NAMES), tmp_path / stem)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
