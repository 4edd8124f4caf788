"""The annotation file, written by anybody and damaged by anything: what stands is right, or the error names the line."""

import dataclasses
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from damage import damaged_bytes, outcome
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotate.store import HEADER, AnnotationStore
from pipeline.targets.annotated_sizes import combine, standing
from pipeline.targets.annotation_errors import annotation_errors
from pipeline.targets.annotations import BACKGROUND, Annotation, format_rows, parse_annotations, read_annotations

CLASSES = ["cat", "dög, large"]
IDS = ["a", "-b", "007", 'quo"te, comma', "5²", " c "]
NAMES = [BACKGROUND, *CLASSES]


@st.composite
def logs(draw):
    """Return rows as the tool writes them, each later than the one before."""
    when, rows = datetime(2026, 1, 1), []
    for _ in range(draw(st.integers(1, 12))):
        when += timedelta(microseconds=draw(st.sampled_from([1, 999_999, 3_000_000])))
        kind = draw(st.sampled_from(["size", "size", "tag", "withdrawn", "skip", "empty"]))
        name = {"skip": "", "empty": BACKGROUND}.get(kind) if kind in ("skip", "empty") else draw(st.sampled_from(CLASSES))
        size = {"size": draw(st.floats(1e-9, 0.5)), "empty": 1.0}.get(kind)
        size = None if size is None else float(f"{size:.9g}")
        flags = {"withdrawn": ("withdrawn",), "skip": ("skipped",)}.get(kind, ())
        stamp = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        who = draw(st.sampled_from(["Ada", "Bo, Jr."]))
        picture = draw(st.sampled_from(["", "0123456789ab"]))
        method = "cells" if kind == "size" else "tag"
        rows.append(Annotation(draw(st.sampled_from(IDS)), name, size, 1.5, "5x4", who, stamp, method, flags, picture))
    return rows


def sums(answers):
    """Return what stands as plain values."""
    return {
        (who, image_id): (answer.empty, answer.skipped, {name: row and row.size for name, row in answer.sizes.items()})
        for who, images in answers.items()
        for image_id, answer in images.items()
    }


@given(logs(), st.randoms())
def test_lines_in_any_order_say_the_same(rows, random):
    expected = sums(standing(rows))
    lines = format_rows(rows).splitlines(keepends=True)
    random.shuffle(lines)
    read, damaged = parse_annotations((HEADER + "".join(lines)).encode(), "s.csv")
    assert (sums(standing(read)), damaged) == (expected, [])


@given(st.data())
def test_damaged_file_is_read_or_named(data):
    content = data.draw(damaged_bytes((HEADER + format_rows(data.draw(logs()))).encode()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        path.write_bytes(content)
        read, problem = outcome(lambda: read_annotations(path), ValueError)
    if read is None:
        assert problem.startswith(f"{path}, line ")
        return
    exact = {image_id: np.array([0.5, 0.3, 0.2]) for image_id in IDS}
    for use in (
        lambda: combine(read.rows, NAMES, IDS, missing="leave_out").sizes,
        lambda: annotation_errors(read.rows, exact, NAMES),
    ):
        found, problem = outcome(use, ValueError)
        assert problem is None or problem.startswith("annotations: ")
        if isinstance(found, np.ndarray):
            assert np.isfinite(found).all()
            assert np.allclose(found.sum(1), 1)


@given(st.data())
def test_damaged_file_is_continued_without_a_loss_or_left_alone(data):
    content = data.draw(damaged_bytes((HEADER + format_rows(data.draw(logs()))).encode()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        path.write_bytes(content)
        store, problem = outcome(lambda: AnnotationStore(path), ValueError)
        if store is None:
            assert "annotations: " in problem or f"{path}, line " in problem
            assert path.read_bytes().strip() == content.strip()
            return
        before = list(store.rows)
        row = Annotation("a", "cat", 0.25, 1.0, "5x4", "Eva", "2026-01-01T00:00:00Z", "cells")
        with store.transaction():
            store.append([dataclasses.replace(row, timestamp=store.timestamp())])
        again = AnnotationStore(path)
        aside = store.aside.read_bytes() if store.aside.exists() else b""
        assert again.rows[:-1] == before
        assert again.answer("Eva", "a").total == 0.25
        kept = path.read_bytes() + aside
        assert all(line.strip() in kept for line in content.split(b"\n") if len(content) > len(HEADER))
