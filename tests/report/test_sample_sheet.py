"""The sheet of samples."""

import numpy as np
import pytest

from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.report.sample_sheet import draw_samples

STROKES = [Scribble(0, ((2.0, 2.0), (9.0, 9.0))), Scribble(1, ((5.0, 5.0),))]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    Voc.write(root, {"train": make_scenes(6, seed=0, class_indices=[8, 12], size_px=(32, 24)), "val": []})
    write_prepared(root / "a.zip", Voc(root), "train", classes=["cat", "dog"])
    return PreparedArchive(root / "a.zip")


def test_one_row_per_sample_spread_over_the_split(archive):
    figure = draw_samples(archive, None, None, 3)
    assert [axis.get_title("right") for axis in figure.axes[2::3]] == [archive.ids[index] for index in (0, 2, 5)]


def test_more_samples_than_images_shows_all(archive):
    assert len(draw_samples(archive, None, None, 50).axes) == 3 * len(archive.ids)


def test_scribbles_have_a_column_with_a_line_per_stroke(archive):
    figure = draw_samples(archive, {archive.ids[0]: STROKES}, None, 1)
    assert [axis.get_title("left") for axis in figure.axes] == ["photo", "mask", "scribbles", "class sizes"]
    assert [len(axis.lines) for axis in figure.axes] == [0, 0, 2, 0]


def test_targets_stand_beside_the_exact_sizes(archive):
    figure = draw_samples(archive, None, {archive.ids[0]: np.array([0.2, 0.3, 0.5])}, 1)
    assert [text.get_text() for text in figure.axes[-1].get_yticklabels()] == ["exact", "target"]
    widths = [patch.get_width() for patch in figure.axes[-1].patches if patch.get_y() > 0]
    assert widths == pytest.approx([0.2, 0.3, 0.5])


def test_figure_can_be_drawn(archive, tmp_path):
    draw_samples(archive, {archive.ids[0]: STROKES}, None, 2).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_no_sample_is_refused(archive):
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        draw_samples(archive, None, None, 0)
