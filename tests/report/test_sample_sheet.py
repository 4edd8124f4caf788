"""The sheet of samples."""

import numpy as np
import pytest

from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.scenes import SCENES
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.report.sample_sheet import draw_classified, draw_samples, sample_ids

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
    assert [axis.get_title("left") for axis in figure.axes] == ["image", "mask", "scribbles", "class sizes"]
    assert [len(axis.lines) for axis in figure.axes] == [0, 0, 2, 0]


def test_targets_stand_beside_the_exact_sizes(archive):
    figure = draw_samples(archive, None, {archive.ids[0]: np.array([0.2, 0.3, 0.5])}, 1)
    assert [text.get_text() for text in figure.axes[-1].get_yticklabels()] == ["exact", "target"]
    widths = [patch.get_width() for patch in figure.axes[-1].patches if patch.get_y() > 0]
    assert widths == pytest.approx([0.2, 0.3, 0.5])


def test_figure_can_be_drawn(archive, tmp_path):
    draw_samples(archive, {archive.ids[0]: STROKES}, None, 2).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def prepared(kind, class_indices, root, count=12):
    scenes = {
        split: SCENES[kind](number, seed=0, class_indices=class_indices, size_px=(32, 24), split=split)
        for split, number in (("train", 7 * count if kind == "acdc" else 1), ("val", count))
    }
    DATASETS[kind].write(root / "raw", scenes)
    write_prepared(root / "a.zip", DATASETS[kind](root / "raw"), "val")
    return PreparedArchive(root / "a.zip")


@pytest.mark.parametrize(
    ("kind", "classes"), [("coco", [1, 17]), ("acdc", [1, 2, 3]), ("cityscapes", [0, 2]), ("ade20k", [0, 3]), ("folder", [1])]
)
def test_every_segmentation_set_can_be_drawn(kind, classes, tmp_path):
    archive = prepared(kind, classes, tmp_path, 6)
    figure = draw_samples(archive, {archive.ids[0]: STROKES}, None, 2)
    figure.savefig(tmp_path / "a.png")
    assert len(figure.axes) == 8


def test_first_class_is_white_only_where_it_is_the_background(archive, tmp_path):
    street = prepared("cityscapes", [0, 2], tmp_path, 2)
    colors = [
        draw_samples(given, {given.ids[0]: STROKES[:1]}, None, 1).axes[2].lines[0].get_color() for given in (archive, street)
    ]
    assert np.allclose(colors[0], 1)
    assert np.allclose(colors[1], np.array(street.palette[0]) / 255)


def test_drawn_scribbles_are_shown_where_there_are_no_strokes(tmp_path):
    archive = prepared("folder", [1], tmp_path)
    (tmp_path / "raw/scribbles").mkdir()
    for path in (tmp_path / "raw/masks").iterdir():
        (tmp_path / "raw/scribbles" / path.name).write_bytes(path.read_bytes())
    write_prepared(tmp_path / "b.zip", DATASETS["folder"](tmp_path / "raw"), "val")
    plain, drawn = (
        draw_samples(given, {}, None, 1).axes[2].images[-1].get_array()
        for given in (archive, PreparedArchive(tmp_path / "b.zip"))
    )
    assert not np.array_equal(plain, drawn)


def test_pictures_of_a_classification_set_carry_their_class(tmp_path):
    archive = prepared("natural_scene", [0, 1, 2, 3, 4, 5], tmp_path)
    figure = draw_classified(archive, 4)
    figure.savefig(tmp_path / "a.png")
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    assert titles == [archive.class_names[archive.image_class(archive.ids[index])] for index in (0, 4, 7, 11)]


def test_slices_without_an_object_are_no_samples(tmp_path):
    hearts = prepared("acdc", [3], tmp_path)
    assert not all(any(hearts.classes_in(image_id)) for image_id in hearts.ids)
    assert all(any(hearts.classes_in(image_id)) for image_id in sample_ids(hearts, 8))
