"""Scores: whole images at original size, void ignored, whatever size the network sees."""

import numpy as np
import pytest
import torch

from pipeline.evaluation.predict import predict_logits
from pipeline.evaluation.score import Score, score

CPU = torch.device("cpu")


class ByColor(torch.nn.Module):
    """Class 1 where red is strong, class 0 elsewhere; notes the sizes it sees."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, image):
        self.sizes.append(tuple(image.shape[-2:]))
        return torch.stack([0.5 - image[:, 0], image[:, 0] - 0.5], dim=1)


class Pictures:
    """Two pictures of different sizes; the right half is red and class 1."""

    num_classes = 2
    ids = ("wide", "tall")

    def __init__(self, void_rows=0):
        self.void_rows = void_rows
        self.shapes = {"wide": (20, 40), "tall": (36, 24)}

    def labels(self, image_id):
        labels = np.zeros(self.shapes[image_id], dtype=np.uint8)
        labels[:, labels.shape[1] // 2 :] = 1
        labels[: self.void_rows] = 255
        return labels

    def image(self, image_id):
        image = np.zeros((*self.shapes[image_id], 3), dtype=np.uint8)
        image[:, image.shape[1] // 2 :, 0] = 255
        return image


@pytest.mark.parametrize("resize_px", [None, 32])
def test_logits_have_the_original_size(resize_px):
    pictures = Pictures()
    images = [pictures.image(image_id) for image_id in pictures.ids]
    logits = predict_logits(ByColor(), images, resize_px=resize_px, device=CPU)
    assert [tuple(one.shape) for one in logits] == [(2, 20, 40), (2, 36, 24)]


def test_own_size_is_padded_to_a_multiple_of_the_stride():
    network = ByColor()
    predict_logits(network, [Pictures().image("wide")], resize_px=None, device=CPU)
    assert network.sizes == [(32, 48)]


def test_perfect_prediction_scores_one():
    assert score(ByColor(), Pictures(), resize_px=None, device=CPU).mean_iou == 1.0


def test_every_labelled_pixel_is_counted_once():
    total = score(ByColor(), Pictures(void_rows=4), resize_px=32, device=CPU).confusion.sum()
    assert total == 16 * 40 + 32 * 24


def test_background_share_counts_predictions():
    assert score(ByColor(), Pictures(), resize_px=None, device=CPU).background_share == pytest.approx(0.5)


def test_pixels_of_classes_that_are_not_in_their_image_are_counted():
    matrix = score(ByColor(), Pictures(), resize_px=None, device=CPU)
    assert matrix.absent_share == 0
    assert Score(np.array([[6, 2], [0, 8]]), absent_pixels=4).absent_share == 0.25


class AllForeground(ByColor):
    def forward(self, image):
        logits = super().forward(image)
        return torch.stack([torch.zeros_like(logits[:, 0]), torch.ones_like(logits[:, 0])], dim=1)


class Empty(Pictures):
    def labels(self, image_id):
        return np.zeros_like(super().labels(image_id))


def test_a_class_that_is_in_no_image_is_absent_wherever_it_is_predicted():
    assert score(AllForeground(), Empty(), resize_px=None, device=CPU).absent_share == 1
    assert score(AllForeground(), Pictures(), resize_px=None, device=CPU).absent_share == 0


def test_two_classes_have_a_dsc_per_image_and_per_volume():
    result = score(ByColor(), Pictures(), resize_px=None, device=CPU)
    assert len(result.overlaps) == 2
    assert result.mean_dsc == pytest.approx(1.0, abs=0.1)
    assert result.volume_dsc(["v", "v"]) == pytest.approx(1.0, abs=0.1)


def test_dsc_is_the_mean_over_images_not_over_pixels():
    class AlwaysBackground(torch.nn.Module):
        def forward(self, image):
            return torch.stack([torch.ones_like(image[:, 0]), torch.zeros_like(image[:, 0])], dim=1)

    class OneEmpty(Pictures):
        def labels(self, image_id):
            return super().labels(image_id) * (image_id == "wide")

    assert score(AlwaysBackground(), OneEmpty(), resize_px=None, device=CPU).mean_dsc == pytest.approx(0.5)
