"""Rows of a file of annotated sizes, for tests."""

from pipeline.targets.annotated_sizes import combine
from pipeline.targets.annotations import BACKGROUND, Annotation

NAMES = [BACKGROUND, "cat", "left ventricle"]
CAT, HEART = NAMES[1:]
WHEN = "2025-01-31T12:00:00Z"


def row(image_id="a", class_name=CAT, size=0.25, *, seconds=9.5, who="Ada", method="cells", flags=(), picture=""):
    return Annotation(image_id, class_name, size, seconds, "5x4", who, WHEN, method, flags, picture)


def tag(image_id="a", class_name=CAT, **more):
    return row(image_id, class_name, None, method="tag", **more)


def targets(rows, ids=("a",), **more):
    return combine(rows, NAMES, list(ids), **more)
