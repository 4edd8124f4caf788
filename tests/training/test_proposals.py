"""Proposals: hard labels of whole images, within the classes of their seeds."""

import numpy as np
import pytest
import torch

from pipeline.conventions import VOID
from pipeline.training.proposals import propose


@pytest.fixture
def image():
    """Return id, picture and seeds of 12 x 16 pixels: left half dark, right half bright, a seed of class 0 and of class 2."""
    picture = np.zeros((12, 16, 3), dtype=np.uint8)
    picture[:, 8:] = 200
    seeds = np.full((12, 16), VOID, dtype=np.uint8)
    seeds[6, 2], seeds[6, 13] = 0, 2
    return "a", picture, seeds


def undecided(pictures):
    """Predict nothing, with a bias to class 1, which has no seed."""
    logits = torch.zeros(3, 12, 16)
    logits[1] = 1.0
    return [logits for _ in pictures]


def test_labels_spread_from_the_seeds_to_the_contrast_edge(image):
    ((image_id, labels),) = propose([image], undecided, unary_weight=0.05, pairwise_weight=100.0)
    assert image_id == "a"
    assert (labels[:, :8] == 0).all()
    assert (labels[:, 8:] == 2).all()


def test_prediction_decides_where_it_is_sure(image):
    def sure(pictures):
        logits = torch.zeros(3, 12, 16)
        logits[2, :, 4:] = 50.0
        return [logits for _ in pictures]

    ((_, labels),) = propose([image], sure, unary_weight=100.0, pairwise_weight=0.01)
    assert (labels[:, 5:] == 2).all()
