import numpy as np
import pytest
from pipeline.report.fig_a_fig7 import RUNS, compute, draw
from report_runs import make_panels, pictures_of

from pipeline.report.overlay import blend
from pipeline.report.style import save_figure

NAMES = {"PASCAL": ["background", "bird"], "COCO": ["background", "zebra"]}


@pytest.fixture
def arrays():
    return {name: make_panels(list(runs.values()), NAMES[name], [(12, 16)]) for name, runs in RUNS.items()}


def test_pascal_stands_above_coco(arrays):
    figure = draw(arrays)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["PASCAL", "COCO"]
    assert [axes.get_title() for axes in figure.axes[:5]] == ["image", "ResNet-101", "WideResNet-38", "ViT-B/16", "ground truth"]


def test_a_network_without_a_run_leaves_its_place_empty(arrays):
    figure = draw(arrays)
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 1, 1, 1, 1, 0, 1, 1]


def test_predictions_stand_under_the_name_of_their_network(arrays):
    palette = [tuple(color) for color in arrays["COCO"]["palette"].tolist()]
    vit_on_coco = pictures_of(draw(arrays))[7]
    np.testing.assert_array_equal(vit_on_coco, blend(arrays["COCO"]["image_0"], arrays["COCO"]["prediction_1_0"], palette))


def test_every_prediction_is_scored(arrays):
    frame = compute(arrays)
    assert frame["dataset"].tolist() == ["PASCAL"] * 3 + ["COCO"] * 2
    assert frame["run"].tolist()[-1] == "backbones/coco-vit-size"


def test_a_missing_data_set_is_named(arrays):
    with pytest.raises(ValueError, match="COCO"):
        draw({"PASCAL": arrays["PASCAL"]})


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_class_of_both_data_sets_is_listed_once(arrays):
    for panels in arrays.values():
        panels["palette"] = np.array([[0, 0, 0], [1, 2, 3]], np.uint8)
    assert legend_of(draw(arrays)) == ["background", "bird", "zebra"]


def test_a_class_in_two_colours_is_told_apart(arrays):
    arrays["PASCAL"]["palette"] = np.zeros((2, 3), np.uint8)
    assert legend_of(draw(arrays)) == ["background", "bird", "background (COCO)", "zebra"]


def test_drawing_again_gives_the_same_bytes(tmp_path, arrays):
    for stem in ("one", "two"):
        save_figure(draw(arrays), tmp_path / stem, [".png"])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
