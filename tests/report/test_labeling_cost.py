"""Labelling times by the rule of Bearman et al."""

import dataclasses

import pytest

from pipeline.report.labeling_cost import LABEL_KINDS, VOC_STATISTICS, LabelStatistics, labeling_seconds


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("tag", 20.0), ("point", 22.1), ("size", 36.95), ("scribble", 34.9), ("box", 38.1), ("full mask", 239.7)],
)
def test_seconds_on_voc_are_the_published_ones(kind, seconds):
    assert labeling_seconds(VOC_STATISTICS)[kind] == pytest.approx(seconds, abs=0.051)


def test_another_data_set_by_hand():
    seconds = labeling_seconds(LabelStatistics(num_classes=3, classes_per_image=1, instances_per_image=4))
    assert seconds == pytest.approx({"tag": 3, "point": 4.4, "size": 14.3, "scribble": 12.9, "box": 30, "full mask": 318})


def test_unknown_instances_are_taken_from_voc():
    assert labeling_seconds(dataclasses.replace(VOC_STATISTICS, instances_per_image=None)) == labeling_seconds(VOC_STATISTICS)


def test_tags_cost_the_same_however_many_classes_are_present():
    assert {labeling_seconds(LabelStatistics(20, present))["tag"] for present in (0, 1.5, 20)} == {20}


def test_every_time_has_a_source():
    assert all(kind.source for kind in LABEL_KINDS.values())
