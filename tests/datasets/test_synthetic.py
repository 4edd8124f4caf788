"""Procedural pictures: reproducible, of the promised form, and with the traps of the real set."""

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.synthetic import COVERED_EVERY, STYLES, make_scenes

CLASSES = [3, 8, 12]


def scenes(count=24, **kwargs):
    return make_scenes(count, **{"seed": 5, "class_indices": CLASSES, "size_px": (48, 36), **kwargs})


def test_same_seed_gives_same_pictures():
    for first, second in zip(scenes(4), scenes(4)):
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize("change", [{"seed": 6}, {"split": "val"}])
def test_another_seed_or_split_gives_other_pictures(change):
    pairs = zip(scenes(4), scenes(4, **change))
    assert all(first.image.shape != second.image.shape or (first.image != second.image).any() for first, second in pairs)


def test_a_picture_depends_on_its_number_alone():
    late, early = scenes(1, start=7)[0], scenes(8)[7]
    assert late.image_id == early.image_id
    assert np.array_equal(late.image, early.image)


def test_ids_differ_between_splits():
    assert not {scene.image_id for scene in scenes(5)} & {scene.image_id for scene in scenes(5, split="val")}


def test_arrays_have_the_promised_types_and_shapes():
    for scene in scenes(6):
        assert scene.image.dtype == scene.labels.dtype == np.uint8
        assert scene.image.shape == (*scene.labels.shape, 3)


def test_only_listed_classes_occur():
    found = set(np.unique(np.concatenate([scene.labels.ravel() for scene in scenes()])).tolist())
    assert found == {0, *CLASSES, VOID}


def test_every_class_occurs_often_even_in_small_sets():
    images = [set(np.unique(scene.labels).tolist()) for scene in scenes(12)]
    assert all(sum(index in present for present in images) >= 4 for index in CLASSES)


def test_void_occurs_in_all_official_pictures_and_in_no_other():
    for scene in scenes():
        assert (scene.labels == VOID).any() == scene.official


def test_training_pictures_are_half_official_whatever_the_number_of_classes():
    for classes in ([8], [8, 12], [3, 8, 12]):
        official = [scene.official for scene in scenes(24, class_indices=classes)]
        assert abs(sum(official) - 12) <= 1
        assert {scene.official for scene in scenes(24, class_indices=classes)[:: len(classes)]} == {True, False}


def test_validation_pictures_are_all_official():
    assert all(scene.official for scene in scenes(8, split="val"))


def test_void_separates_classes_everywhere_and_is_thin():
    for scene in scenes(12, split="val", size_px=(96, 72)):
        for first, second in ((scene.labels[1:], scene.labels[:-1]), (scene.labels[:, 1:], scene.labels[:, :-1])):
            given = (first != VOID) & (second != VOID)
            assert np.array_equal(first[given], second[given])
        assert (scene.labels == VOID).mean() < 0.25


def test_one_picture_in_sixty_four_has_no_background_and_is_official():
    without = [index for index, scene in enumerate(scenes(COVERED_EVERY)) if not (scene.labels == 0).any()]
    assert 11 in without
    assert len(without) <= 3
    assert scenes(1, start=11)[0].official


def test_sizes_vary():
    assert len({scene.labels.shape for scene in scenes()}) > 5


def test_labels_do_not_follow_from_brightness_alone():
    # Shadows, highlights and low contrast: objects and background share the same grey levels.
    differences = []
    for scene in scenes():
        grey, inside, outside = scene.image.mean(2), (scene.labels > 0) & (scene.labels != VOID), scene.labels == 0
        if inside.any() and outside.any():
            differences.append(abs(grey[inside].mean() - grey[outside].mean()) / grey.std())
    assert np.mean(differences) < 1.5


def test_every_class_of_voc_can_be_drawn():
    for index in range(1, len(STYLES)):
        assert any((scene.labels == index).any() for scene in scenes(2, class_indices=[index]))


@pytest.mark.parametrize(
    "bad", [{"class_indices": []}, {"class_indices": [0]}, {"class_indices": [21]}, {"split": "half"}, {"size_px": (8, 64)}]
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"expected"):
        scenes(1, **bad)
