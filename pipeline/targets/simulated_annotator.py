"""A stated model of an annotator of sizes, to test with; its answers say whose they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.targets.annotations import BACKGROUND, GRIDS, SIMULATED, Annotation

GRID_LIMIT = 0.25
"""A simulated annotator counts in 3x3 cells from this share of the picture on, in 5x4 cells below."""
SLIP_SHARE = 0.15
"""Share of a simulated annotator's answers that are slips."""
ORDINARY_SIGMA, SLIP_SIGMA = 0.11, 0.65
"""Standard deviation of log(perceived / exact) for objects of a tenth of the picture: usual answers, slips."""
LARGEST_SIGMA = 0.75
"""No answer is more uncertain than this, however small the object."""
SIZE_EXPONENT = 0.25
"""Errors grow as (exact / 0.1) ** -SIZE_EXPONENT."""


def simulate(
    exact_sizes: np.ndarray,
    class_names: Sequence[str],
    ids: Sequence[str],
    generator: np.random.Generator,
    *,
    annotator: str = SIMULATED,
    error_scale: float = 1.0,
) -> list[Annotation]:
    """Return what a model of an annotator answers; to test with, never to be taken for people's answers.

    The model, for each class in a picture with exact size e (tags are always right):

    1. The share perceived is e * exp(s * z), z ~ N(0, 1), where s = error_scale * (e / 0.1) ** -0.25 * (0.11, or 0.65 for the
       15 % of answers that are slips), at most 0.75.
    2. It is counted in cells of the 3x3 grid from a quarter of the picture on, of the 5x4 grid below, to the nearest quarter
       of a cell, below one cell to the nearest eighth. Below an eighth it is typed as a percentage with one digit.
    3. Sizes that sum to more than 1 are scaled to 1, as the tool accepts no more.
    4. Time is log-normal with median 10 s * (e / 0.1) ** -0.1 plus 1 s per cell that is neither empty nor full, about
       sqrt(cells counted); a tag takes 1 s.

    The constants were chosen by hand so that, on sizes like those of cats and dogs in PASCAL VOC, mRE and time come out in the
    range of [SIZE] Table 1 (12 to 20 %, 9 to 15 s), with most errors below 10 % and a heavy tail as in [SIZE] Fig. 5: agreement
    with these numbers is built in and says nothing about people.

    Args:
        exact_sizes: (N, C) >= 0, rows sum to 1, background first.
        class_names: C names, `background` first.
        ids: N image ids.
        generator: source of all errors and times.
        annotator: name in the rows.
        error_scale: factor on all perception errors, >= 0; 0 leaves only the rounding.

    Returns:
        Rows in the order of the images: tags of a picture, then sizes. The clock starts at 2000-01-01.

    Raises:
        ValueError: shapes do not match, or a negative error_scale.
    """
    if exact_sizes.shape != (len(ids), len(class_names)):
        raise ValueError(f"exact_sizes: expected shape ({len(ids)}, {len(class_names)}), got {exact_sizes.shape}")
    if not (math.isfinite(error_scale) and error_scale >= 0):
        raise ValueError(f"error_scale: expected a number >= 0, got {error_scale}")
    clock = datetime(2000, 1, 1, tzinfo=UTC)
    rows: list[Annotation] = []

    def add(image_id: str, name: str, size: float | None, seconds: float, grid: str, method: str) -> None:
        nonlocal clock
        clock += timedelta(seconds=seconds)
        stamp = clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        rows.append(Annotation(image_id, name, size, round(seconds, 2), grid, annotator, stamp, method))

    for image_id, exact in zip(ids, np.asarray(exact_sizes, np.float64)):
        present = [index for index in range(1, len(class_names)) if exact[index] > 0]
        answers = [_simulated_answer(float(exact[index]), error_scale, generator) for index in present]
        total = max(1.0, math.fsum(size for size, *_ in answers))
        if not present:
            add(image_id, BACKGROUND, 1.0, 1.0, "none", "tag")
        for index in present:
            add(image_id, class_names[index], None, 1.0, "none", "tag")
        for index, (size, seconds, grid, method) in zip(present, answers):
            add(image_id, class_names[index], size / total, seconds, grid, method)
    return rows


def _simulated_answer(exact: float, error_scale: float, generator: np.random.Generator) -> tuple[float, float, str, str]:
    """Return (size, seconds, grid, method) of one answer."""
    slip, normal, pace = generator.random(), generator.standard_normal(), generator.standard_normal()
    sigma = min(
        LARGEST_SIGMA, error_scale * (exact / 0.1) ** -SIZE_EXPONENT * (SLIP_SIGMA if slip < SLIP_SHARE else ORDINARY_SIGMA)
    )
    perceived = min(1.0, exact * math.exp(sigma * normal))
    grid = "3x3" if perceived >= GRID_LIMIT else "5x4"
    cells = math.prod(GRIDS[grid])
    counted = perceived * cells
    parts = 4 if counted >= 1 else 8
    rounded = min(float(cells), round(counted * parts) / parts)
    seconds = 10 * (exact / 0.1) ** -0.1 * math.exp(0.35 * pace) + math.sqrt(counted)
    if rounded > 0:
        return rounded / cells, seconds, grid, "cells"
    return float(f"{perceived:.1g}"), seconds, grid, "percent"
