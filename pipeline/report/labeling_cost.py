"""Seconds of annotation per image for each kind of supervision ([SIZE] Fig. 1, appendix A.1), by the rule of Bearman et al.

The rule (What's the Point, ECCV 2016, section 4) adds up, for an image with p of the C object classes and n instances of them:

    tags              C x 1 s, one second per class to say whether it is there
    any other kind    (C - p) x 1 s for the classes that are not there, and then a time per class (x p) or per instance (x n)

The background is no class here. The results are rough, as [SIZE] says of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline import paths
from pipeline.files import read_json

SECONDS_PER_TAG = 1.0
"""Deciding whether one class is in the image (Bearman et al., section 4)."""
VOC_INSTANCES = 2.8
"""Mean number of instances per image of PASCAL VOC 2012 (Bearman et al., section 4)."""


@dataclass(frozen=True)
class LabelStatistics:
    """What the rule needs to know of a data set.

    Attributes:
        num_classes: C, object classes without the background.
        classes_per_image: mean number of classes in an image, at most C.
        instances_per_image: mean number of instances; None, where masks do not tell, stands for that of PASCAL VOC.
    """

    num_classes: int
    classes_per_image: float
    instances_per_image: float | None = None


@dataclass(frozen=True)
class LabelKind:
    """One kind of supervision.

    Attributes:
        seconds: time per item, beyond saying which classes are there.
        per: what an item is. "tag": nothing beyond the tags is asked for.
        source: where the time is from.
    """

    seconds: float
    per: Literal["tag", "class", "instance"]
    source: str


VOC_STATISTICS = LabelStatistics(num_classes=20, classes_per_image=1.5, instances_per_image=VOC_INSTANCES)
"""PASCAL VOC 2012 (Bearman et al., section 4)."""

LABEL_KINDS: dict[str, LabelKind] = {
    "tag": LabelKind(0.0, "tag", "Bearman et al., ECCV 2016, section 4"),
    "point": LabelKind(2.4, "class", "Bearman et al., ECCV 2016, section 4: first click on a class"),
    "size": LabelKind((12.6 + 9.1 + 15.2) / 3, "class", "[SIZE] Table 1: mean of cat, dog and bird"),
    "scribble": LabelKind(10.9, "class", "Bearman et al., ECCV 2016, section 4: one squiggle per class"),
    "box": LabelKind(7.0, "instance", "Papadopoulos et al., Extreme clicking, ICCV 2017"),
    "full mask": LabelKind(79.0, "instance", "Bearman et al., ECCV 2016, section 4, after the COCO annotation times"),
}
"""Kinds of supervision by name."""


def read_statistics() -> LabelStatistics:
    """Return the statistics of the training images of the data set `voc`, from reports/data.json.

    Raises:
        OSError: the file is not there.
        ValueError: it is broken, or says nothing of that data set.
    """
    remedy = "run the stage `statistics` again"
    found = read_json(paths.DATA_STATISTICS, remedy).get("voc")
    if not isinstance(found, dict) or not {"classes", "classes_per_image"} <= set(found):
        raise ValueError(f"{paths.DATA_STATISTICS}: expected classes and classes_per_image of voc; {remedy}")
    return LabelStatistics(found["classes"], found["classes_per_image"])


def labeling_seconds(statistics: LabelStatistics, kinds: Mapping[str, LabelKind] = LABEL_KINDS) -> dict[str, float]:
    """Return the mean labelling time per image of every kind of supervision, in seconds.

    >>> {name: round(seconds, 2) for name, seconds in labeling_seconds(VOC_STATISTICS).items()}
    {'tag': 20.0, 'point': 22.1, 'size': 36.95, 'scribble': 34.85, 'box': 38.1, 'full mask': 239.7}
    """
    total, present = statistics.num_classes, statistics.classes_per_image
    instances = VOC_INSTANCES if statistics.instances_per_image is None else statistics.instances_per_image
    absent = SECONDS_PER_TAG * (total - present)
    # Tags are the kind that spends its second per class on the present classes too.
    fixed = {"tag": SECONDS_PER_TAG * total, "class": absent, "instance": absent}
    items = {"tag": 0.0, "class": present, "instance": instances}
    return {name: fixed[kind.per] + kind.seconds * items[kind.per] for name, kind in kinds.items()}
