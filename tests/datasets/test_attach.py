"""Joining by image id: only what was annotated arrives, and a missing entry is named."""

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.attach import AttachedImages
from pipeline.datasets.base import Scribble
from pipeline.datasets.raw_files import DatasetError


class Archive:
    """Two pictures of one colour each; counts how often they are decoded."""

    ids = ("a", "b")

    def __init__(self):
        self.decoded = 0

    def image(self, image_id):
        self.decoded += 1
        return np.full((2, 2, 3), self.ids.index(image_id), dtype=np.uint8)

    def labels(self, image_id):
        return np.full((2, 2), self.ids.index(image_id), dtype=np.uint8)


class Echo:
    """A transform that hands its inputs through."""

    def load(self, image, rasters, scribbles, features):
        return lambda seed: {"image": image, "scribbles": scribbles, "seed": seed, **rasters}


SIZES = {"a": np.array([0.25, 0.75]), "b": np.array([0.5, 0.5])}
MASK = np.zeros((2, 2), dtype=np.uint8)
STROKES = {"a": [Scribble(1, ((0.0, 0.0),))], "b": []}


def test_supervision_is_joined_by_id_not_by_order():
    sample = AttachedImages(Archive(), Echo(), vectors={"size_targets": dict(reversed(SIZES.items()))}, scribbles=STROKES)[0, 5]
    assert sample["image_id"] == "a"
    assert sample["size_targets"].tolist() == [0.25, 0.75]
    assert sample["scribbles"] == STROKES["a"]
    assert sample["seed"] == 5


def test_masks_stay_out_unless_asked_for():
    assert "labels" not in AttachedImages(Archive(), Echo())[1, 0]
    assert (AttachedImages(Archive(), Echo(), masks=True)[1, 0]["labels"] == 1).all()


@pytest.mark.parametrize(
    "given",
    [{"vectors": {"size_targets": {"a": SIZES["a"]}}}, {"scribbles": {"a": []}}, {"rasters": {"seeds": {"a": MASK}}}],
)
def test_image_without_supervision_is_named(given):
    with pytest.raises(DatasetError, match="1 of 2 images have none, the first is b"):
        AttachedImages(Archive(), Echo(), **given)


@pytest.mark.parametrize(("cache", "count"), [(False, 3), (True, 1)])
def test_cached_pictures_are_decoded_once(cache, count):
    archive = Archive()
    images = AttachedImages(archive, Echo(), cache=cache)
    for _ in range(3):
        images[0, 0]
    assert archive.decoded == count


def test_strokes_and_regions_make_one_picture_of_seeds():
    region = np.array([[1, VOID], [VOID, VOID]], np.uint8)
    drawn = np.array([[0, 0], [VOID, 0]], np.uint8)
    images = AttachedImages(Archive(), Echo(), scribbles=STROKES, rasters={"seeds": {"a": region, "b": region}})
    (_, _, seeds), *_ = images.annotated(lambda *_: drawn)
    assert seeds.tolist() == [[1, 0], [VOID, 0]]
