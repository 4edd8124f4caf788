"""Pictures of labels."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.conventions import VOID
from pipeline.report.overlay import OBJECT_COLORS, VOID_COLOR, blend, label_colors, legible, panel_grid, show, soft_colors

PALETTE = [(0, 0, 0), (200, 100, 0), (0, 0, 250)]
LABELS = np.array([[0, 1], [2, VOID]], np.uint8)
IMAGE = np.full((2, 2, 3), 100, np.uint8)


def test_labels_get_the_colours_of_their_classes():
    assert label_colors(LABELS, PALETTE).tolist() == [[[0, 0, 0], [200, 100, 0]], [[0, 0, 250], list(VOID_COLOR)]]


def test_class_without_colour_is_refused():
    with pytest.raises(ValueError, match="class 2 has no colour in a palette of 2"):
        label_colors(LABELS, PALETTE[:2])


def test_blend_mixes_photo_and_colour():
    assert blend(IMAGE, LABELS, PALETTE, alpha=0.5)[0, 1].tolist() == [150, 100, 50]


def test_blend_leaves_unlabelled_pixels_as_they_are():
    assert blend(IMAGE, LABELS, PALETTE)[1, 1].tolist() == [100, 100, 100]


def test_blend_ends_at_photo_and_colours():
    assert np.array_equal(blend(IMAGE, LABELS, PALETTE, alpha=0), IMAGE)
    assert np.array_equal(blend(IMAGE, LABELS, PALETTE, alpha=1)[0], label_colors(LABELS, PALETTE)[0])


def test_soft_colours_are_convex_combinations():
    soft = np.array([0.5, 0.25, 0.25]).reshape(3, 1, 1)
    assert soft_colors(soft, PALETTE)[0, 0].tolist() == [50, 25, 62]


def test_soft_colours_of_certain_labels_are_label_colours():
    labels = np.array([[0, 1, 2]])
    assert np.array_equal(soft_colors(np.eye(3)[labels].transpose(2, 0, 1), PALETTE), label_colors(labels, PALETTE))


def test_grid_has_a_panel_per_picture_and_titles_above():
    figure = panel_grid([[IMAGE, IMAGE], [IMAGE, None]], ["photo", "mask"], ["a", "b"])
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 0]
    assert [axis.get_title() for axis in figure.axes] == ["photo", "mask", "", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["a", "", "b", ""]


def test_few_classes_get_clear_colours_and_the_background_keeps_its_own():
    palette = np.array([[1, 2, 3], [64, 0, 0], [64, 0, 128]], np.uint8)
    assert legible(palette).tolist() == [[1, 2, 3], *map(list, OBJECT_COLORS[:2])]


def test_the_published_colours_of_many_classes_stay():
    palette = np.arange(63, dtype=np.uint8).reshape(21, 3)
    assert (legible(palette) == palette).all()


@pytest.mark.parametrize(("side", "method"), [(64, "none"), (400, "antialiased")])
def test_small_pictures_keep_their_pixels(side, method):
    figure = panel_grid([[np.zeros((side, side, 3), np.uint8)]], ["photo"])
    assert figure.axes[0].images[0].get_interpolation() == method


def test_a_picture_has_neither_frame_nor_ticks():
    axes = Figure().add_subplot()
    show(axes, IMAGE)
    assert not any(spine.get_visible() for spine in axes.spines.values())
    assert (len(axes.get_xticks()), len(axes.get_yticks()), len(axes.images)) == (0, 0, 1)
