"""Transforms: geometry is shared by all parts of a sample, strokes survive scaling, and a seed says everything."""

from functools import partial

import numpy as np
import pytest
import torch

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.transforms import Jitter, RandomCrop, WholeImage
from pipeline.targets.scribbles import rasterize

STROKE = [Scribble(1, ((30.0, 10.0), (38.0, 30.0)))]
DRAW = partial(rasterize, width_px=1)


def picture():
    """Return a 40 x 48 picture whose right half is red and class 1, and its mask with a void border."""
    labels = np.zeros((40, 48), dtype=np.uint8)
    labels[:, 24:] = 1
    image = np.zeros((40, 48, 3), dtype=np.uint8)
    image[:, 24:, 0] = 255
    labels[:, 23:25] = VOID
    return image, {"labels": labels}


def transforms(flip=False, color=0.0):
    """Return one transform of each policy."""
    jitter = Jitter(flip=flip, color=color)
    return {"whole": WholeImage(32, jitter, DRAW), "crop": RandomCrop(32, (0.5, 2.0), True, jitter, DRAW)}


@pytest.mark.parametrize("policy", ["whole", "crop"])
@pytest.mark.parametrize("flip", [False, True])
def test_masks_and_seeds_follow_the_picture(policy, flip):
    load = transforms(flip)[policy].load(*picture(), STROKE)
    for seed in range(10):
        sample = load(seed)
        red = sample["image"][0] > 0.9
        assert (sample["labels"][sample["valid"] & red] != 0).all()
        on_picture = sample["seeds"] == 1
        assert (sample["image"][0][on_picture & sample["valid"]] > 0.5).all()


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_strokes_stay_on_what_they_mark(policy):
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[20:32, 10:22] = 255  # one bright square, marked in its middle
    load = transforms(flip=True)[policy].load(image, {}, [Scribble(1, ((13.0, 26.0), (19.0, 26.0)))])
    marked = 0
    for seed in range(20):
        sample = load(seed)
        on_stroke = sample["seeds"] == 1
        marked += int(on_stroke.sum())
        assert (sample["image"][0][on_stroke] > 0.5).all()
    assert marked > 0


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_same_seed_gives_the_same_sample(policy):
    transform = transforms(flip=True, color=0.4)[policy]
    first, second = transform.load(*picture(), STROKE)(7), transform.load(*picture(), STROKE)(7)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_other_seed_gives_another_sample(policy):
    load = transforms(flip=True, color=0.4)[policy].load(*picture(), STROKE)
    assert not torch.equal(load(1)["image"], load(2)["image"])


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_colours_stay_in_range(policy):
    load = transforms(color=0.5)[policy].load(*picture(), None)
    for seed in range(10):
        image = load(seed)["image"]
        assert image.shape == (3, 32, 32)
        assert image.min() >= 0
        assert image.max() <= 1 + 1e-6


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_without_annotation_a_sample_has_only_the_picture(policy):
    assert set(transforms()[policy].load(picture()[0], {}, None)(0)) == {"image", "valid"}


def test_whole_picture_keeps_class_sizes():
    labels = transforms()["whole"].load(*picture(), None)(0)["labels"]
    assert (labels == 1).float().mean() == pytest.approx(23 / 48, abs=0.03)


def test_padding_is_neither_valid_nor_labelled():
    transform = RandomCrop(64, (0.5, 0.5), False, Jitter(flip=False), DRAW)
    sample = transform.load(*picture(), STROKE)(0)
    assert (~sample["valid"]).any()
    assert (sample["labels"][~sample["valid"]] == VOID).all()
    assert (sample["seeds"][~sample["valid"]] == VOID).all()


def test_thin_stroke_survives_strong_reduction():
    small, rasters = picture()
    image, labels = (part.repeat(8, axis=0).repeat(8, axis=1) for part in (small, rasters["labels"]))
    stroke = [Scribble(1, tuple((8 * x, 8 * y) for x, y in STROKE[0].points))]
    seeds = transforms()["whole"].load(image, {"labels": labels}, stroke)(0)["seeds"]
    assert (seeds == 1).sum() >= 10


def test_regions_stay_on_their_pixels_when_scaled_and_cropped():
    image, rasters = picture()
    seeds = np.where(rasters["labels"] == 1, 1, VOID).astype(np.uint8)
    sample = transforms(flip=True)["crop"].load(image, {**rasters, "seeds": seeds}, None)(3)
    assert torch.equal(sample["seeds"] == 1, sample["labels"] == 1)
    assert (sample["seeds"] == 1).any()


@pytest.mark.parametrize("policy", ["whole", "crop"])
def test_strokes_are_drawn_where_regions_say_nothing(policy):
    image, rasters = picture()
    half = rasters["labels"].copy()
    half[: len(half) // 2] = VOID
    transform = transforms()[policy]
    seeds, regions, strokes = (
        transform.load(image, given, drawn)(3)["seeds"]
        for given, drawn in (({"seeds": half}, STROKE), ({"seeds": half}, None), ({}, STROKE))
    )
    assert torch.equal(seeds, torch.where(regions == VOID, strokes, regions))
    assert (strokes[regions == VOID] != VOID).any()
