"""Procedural pictures of every kind: reproducible, of the promised form, and with the traps of the real sets."""

from functools import cache

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.scenes import SCENES
from pipeline.datasets.synthetic_cardiac import SLICES

CLASSES = {
    "voc": [8, 12],
    "coco": [1, 17, 57],
    "acdc": [1, 2, 3],
    "cityscapes": [0, 1, 2, 8, 10, 11, 13],
    "ade20k": [0, 3, 5, 19],
    "natural_scene": [0, 1, 2, 3, 4, 5],
    "folder": [1, 2],
}


def classes(kind):
    """Return the classes to draw: of a kind that has no entry above, its first foreground classes."""
    reader = DATASETS[kind]
    return CLASSES.get(kind) or list(range(len(reader.class_names)))[int(reader.has_background) :][:2]


def make(kind, count=SLICES, **changes):
    return SCENES[kind](count, **{"seed": 4, "class_indices": classes(kind), "size_px": (40, 32), **changes})


@cache
def default_scenes(kind):
    return make(kind)


def scenes(kind, count=SLICES, **changes):
    return make(kind, count, **changes) if changes or count != SLICES else default_scenes(kind)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_same_seed_gives_same_pictures(kind):
    for first, second in zip(scenes(kind), make(kind)):
        assert first.image_id == second.image_id
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize("kind", sorted(SCENES))
@pytest.mark.parametrize("change", [{"seed": 5}, {"split": "val"}])
def test_another_seed_or_split_gives_other_pictures(kind, change):
    pairs = zip(scenes(kind), scenes(kind, **change))
    assert all(first.image.shape != second.image.shape or (first.image != second.image).any() for first, second in pairs)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_a_picture_depends_on_its_number_alone(kind):
    late, early = scenes(kind, SLICES, start=SLICES)[2], scenes(kind, SLICES + SLICES)[SLICES + 2]
    assert late.image_id == early.image_id
    assert np.array_equal(late.image, early.image)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_ids_differ_within_and_between_splits(kind):
    ids = [scene.image_id for split in ("train", "val") for scene in scenes(kind, split=split)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_arrays_have_the_promised_types_and_shapes(kind):
    for scene in scenes(kind):
        assert scene.image.dtype == scene.labels.dtype == np.uint8
        assert scene.image.shape == (*scene.labels.shape, 3)


@pytest.mark.parametrize("kind", sorted(SCENES))
def test_every_listed_class_occurs_and_no_other(kind):
    given = scenes(kind, 18, size_px=(48, 36))
    if DATASETS[kind].task == "classification":
        found = {scene.class_index for scene in given}
    else:
        found = set(np.unique(np.concatenate([scene.labels.ravel() for scene in given])).tolist()) - {VOID}
    assert found == set(classes(kind)) | ({0} if DATASETS[kind].has_background else set())


@pytest.mark.parametrize("kind", sorted(SCENES))
@pytest.mark.parametrize("bad", [{"class_indices": []}, {"class_indices": [200]}, {"split": "half"}, {"size_px": (8, 64)}])
def test_arguments_out_of_range_are_refused(kind, bad):
    with pytest.raises(ValueError, match="expected"):
        scenes(kind, SLICES, **bad)


@pytest.mark.parametrize("kind", ["cityscapes", "ade20k"])
def test_classes_left_out_are_void(kind):
    some = classes(kind)[:2]
    for full, part in zip(scenes(kind), scenes(kind, class_indices=some)):
        assert np.array_equal(full.image, part.image)
        assert np.array_equal(part.labels, np.where(np.isin(full.labels, some), full.labels, VOID))


def test_coco_pictures_tell_several_objects_apart_and_have_no_void():
    given = scenes("coco")
    counts = [len(np.unique(scene.instances[scene.instances > 0])) for scene in given]
    assert max(counts) >= 3
    for scene in given:
        assert np.array_equal(scene.instances > 0, scene.labels > 0)
        assert not (scene.labels == VOID).any()
        for number in np.unique(scene.instances[scene.instances > 0]):
            assert len(np.unique(scene.labels[scene.instances == number])) == 1


def test_any_class_of_coco_can_be_drawn():
    assert all((scenes("coco", 1, class_indices=[index])[0].labels == index).any() for index in (4, 44, 80))


@pytest.fixture(scope="module")
def slices():
    return scenes("acdc", 8 * SLICES, size_px=(64, 64))


class TestCardiac:
    def test_slices_of_a_volume_follow_each_other_and_are_equally_large(self, slices):
        for start in range(0, len(slices), SLICES):
            volume = slices[start : start + SLICES]
            assert len({scene.group for scene in volume}) == 1
            assert len({scene.labels.shape for scene in volume}) == 1
        assert len({scene.group for scene in slices}) == 8

    def test_pictures_are_grey(self, slices):
        assert all((scene.image == scene.image[..., :1]).all() for scene in slices)

    def test_sizes_vary_between_volumes(self, slices):
        assert len({scene.labels.shape for scene in slices}) > 3

    def test_some_slices_hold_no_heart(self, slices):
        empty = [not scene.labels.any() for scene in slices]
        assert 2 <= sum(empty) <= len(slices) / 2

    def test_left_ventricle_shrinks_towards_the_tip(self, slices):
        for start in range(0, len(slices), SLICES):
            areas = [int((scene.labels == 3).sum()) for scene in slices[start : start + SLICES]]
            present = [area for area in areas if area]
            assert present == sorted(present, reverse=True)

    def test_muscle_surrounds_the_left_ventricle(self, slices):
        for scene in slices:
            inside = scene.labels == 3
            beside = np.zeros_like(inside)
            beside[1:] |= inside[:-1]
            beside[:-1] |= inside[1:]
            beside[:, 1:] |= inside[:, :-1]
            beside[:, :-1] |= inside[:, 1:]
            assert set(np.unique(scene.labels[beside & ~inside]).tolist()) <= {2}

    def test_brightness_alone_does_not_tell_the_ventricle(self, slices):
        bright = [scene.image[..., 0][scene.labels == 0].max() > 150 for scene in slices if scene.labels.any()]
        assert np.mean(bright) > 0.5

    def test_structures_left_out_count_as_background(self):
        for full, part in zip(scenes("acdc"), scenes("acdc", class_indices=[3])):
            assert np.array_equal(part.labels, np.where(full.labels == 3, 3, 0))

    def test_part_of_a_volume_is_refused(self):
        with pytest.raises(ValueError, match="expected multiples of 6"):
            scenes("acdc", 7)


def test_natural_scenes_follow_each_other_by_class_and_have_the_given_size():
    given = scenes("natural_scene", 12, size_px=(24, 20))
    assert [scene.class_index for scene in given] == [0, 1, 2, 3, 4, 5] * 2
    assert {scene.labels.shape for scene in given} == {(20, 24)}
    assert all((scene.labels == VOID).all() for scene in given)


def test_street_has_the_road_below_the_sky():
    for scene in scenes("cityscapes", size_px=(64, 32)):
        rows = {name: np.nonzero(scene.labels == index)[0] for name, index in (("road", 0), ("sky", 10))}
        assert np.median(rows["sky"]) < np.median(rows["road"])
