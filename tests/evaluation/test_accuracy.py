"""Accuracy of classifiers: the share of images whose class has the highest score."""

import numpy as np
import torch

from pipeline.evaluation.accuracy import accuracy


class Pictures:
    """Five pictures of different sizes; three are bright."""

    ids = ("a", "b", "c", "d", "e")

    def image(self, image_id):
        value = 255 if image_id in "abc" else 0
        return np.full((8 + self.ids.index(image_id), 8, 3), value, dtype=np.uint8)

    def image_class(self, image_id):
        return int(image_id in "abe")


class Brightness(torch.nn.Module):
    """Class 1 where the picture is bright."""

    def forward(self, image):
        mean = image.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], dim=1)


def test_share_of_right_answers():
    # a, b right (bright, 1); c wrong (bright, 0); d right (dark, 0); e wrong (dark, 1)
    for batch_size in (2, 5):
        found = accuracy(Brightness(), Pictures(), resize_px=16, device=torch.device("cpu"), batch_size=batch_size)
        assert found == 3 / 5
