"""How well an annotator does: histogram of relative errors as in [SIZE] Fig. 5, worth of a grid, bias by size, calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipeline.targets.annotated_sizes import Calibration
from pipeline.targets.annotation_errors import AnnotationError, fit_calibration
from pipeline.targets.corruption import sigma_from_mre

BIN_WIDTH = 0.1
BINS = 20
"""Signed relative errors from -100 % to +100 %; larger ones are counted in the last bin."""
SIZE_EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Limits of the classes of object size, as shares of the picture."""


NO_GRID, WITH_GRID = "without a grid", "with a grid"
SMALL, TAIL = 0.1, 3.0
"""[SIZE] section 3.4: most errors are below 10 %, some far larger; of Normal ones 1.7 % are beyond three times their mean."""


class ClassResult(NamedTuple):
    """Answers of one class, of all classes, or with one kind of help.

    Attributes:
        name: class name, `all classes`, `NO_GRID` or `WITH_GRID`.
        answers: those on pictures that hold the class.
        mre: mean of |error| ([SIZE] Eq. 14); NaN if there are none.
        median: median of |error|; NaN if there are none.
        bias: median of the signed error; NaN if there are none.
        small: share of |error| below `SMALL`; NaN if there are none.
        tail: share of |error| beyond `TAIL` times its mean; NaN if there are none.
        seconds: mean time per answer given; NaN if none was.
        histogram: share of answers in each bin, sum 1.
    """

    name: str
    answers: int
    mre: float
    median: float
    bias: float
    small: float
    tail: float
    seconds: float
    histogram: tuple[float, ...]


class SizeResult(NamedTuple):
    """Objects of similar exact size, low < size <= high; NaN where there are none."""

    low: float
    high: float
    answers: int
    mre: float
    bias: float


class Results(NamedTuple):
    """Everything the page of results shows.

    Attributes:
        classes: each class that was met.
        overall: all classes together, every answer counting the same.
        by_size: objects grouped by exact size.
        by_grid: answers without and with a grid on the picture; overlooked classes belong to neither.
        grid_gain: mRE without over mRE with a grid, mean over the classes that have both; NaN if none has. [SIZE] finds about 2.
        normal: shares per bin of noise N(0, sigma) with the same mRE ([SIZE] Eqs. 15, 16), the dashed curve of Fig. 5.
        sigma: of that noise.
        absent: answers on classes that are not in the picture; they have no relative error.
        calibration: fitted to these answers.
        calibrated_mre: mRE of the same answers after calibration, so an optimistic number.
    """

    classes: list[ClassResult]
    overall: ClassResult
    by_size: list[SizeResult]
    by_grid: list[ClassResult]
    grid_gain: float
    normal: tuple[float, ...]
    sigma: float
    absent: int
    calibration: Calibration
    calibrated_mre: float


def summarise(errors: Sequence[AnnotationError], class_names: Sequence[str]) -> Results:
    """Return the results of one annotator."""
    defined = [error for error in errors if math.isfinite(error.error)]
    overall = _class_result("all classes", defined)
    sigma = sigma_from_mre(overall.mre) if overall.answers else math.nan
    calibration = fit_calibration(defined)
    without, gridded = ([one for one in defined if one.grid and (one.grid != "none") == shown] for shown in (False, True))
    corrected = [abs(calibration(error.size) - error.exact) / error.exact for error in defined]
    return Results(
        [result for name in class_names if (result := _class_result(name, _of(defined, name))).answers],
        overall,
        [_size_result(defined, low, high) for low, high in pairwise(SIZE_EDGES)],
        [_class_result(NO_GRID, without), _class_result(WITH_GRID, gridded)],
        _gain(without, gridded, class_names),
        normal_shares(sigma) if sigma > 0 else (0.0,) * BINS,
        sigma,
        len(errors) - len(defined),
        calibration,
        float(np.mean(corrected)) if corrected else math.nan,
    )


def histogram(errors: Sequence[float]) -> tuple[float, ...]:
    """Return the share of signed relative errors in each bin; those beyond 100 % are in the last.

    >>> [round(share, 2) for share in histogram([-0.05, 0.05, 0.05, 7.0]) if share]
    [0.25, 0.5, 0.25]
    """
    if not errors:
        return (0.0,) * BINS
    # Rounded, so that an error of exactly 10 % falls into the bin that starts there.
    places = np.clip(np.floor(np.round(np.asarray(errors) / BIN_WIDTH, 9)).astype(int) + BINS // 2, 0, BINS - 1)
    return tuple((np.bincount(places, minlength=BINS) / len(errors)).tolist())


def normal_shares(sigma: float) -> tuple[float, ...]:
    """Return the share of N(0, sigma) in each bin, the tails beyond 100 % in the outermost.

    >>> round(sum(normal_shares(0.2)), 6)
    1.0
    """
    edges = [-math.inf, *((step - BINS // 2) * BIN_WIDTH for step in range(1, BINS)), math.inf]
    below = [0.5 * (1 + math.erf(edge / sigma / math.sqrt(2))) for edge in edges]
    return tuple(high - low for low, high in pairwise(below))


def _of(errors: Sequence[AnnotationError], name: str) -> list[AnnotationError]:
    return [error for error in errors if error.class_name == name]


def _gain(without: Sequence[AnnotationError], gridded: Sequence[AnnotationError], class_names: Sequence[str]) -> float:
    """Return how many times larger errors are without a grid: class by class, because grids are not used for all alike."""
    means = [[_class_result(name, _of(errors, name)).mre for errors in (without, gridded)] for name in class_names]
    ratios = [plain / helped for plain, helped in means if helped > 0 and math.isfinite(plain)]
    return float(np.mean(ratios)) if ratios else math.nan


def _class_result(name: str, errors: Sequence[AnnotationError]) -> ClassResult:
    signed = [error.error for error in errors]
    seconds = [error.seconds for error in errors if error.size > 0]
    size = np.abs(signed) if signed else np.array([math.nan])
    bias = float(np.median(signed)) if signed else math.nan
    pace = float(np.mean(seconds)) if seconds else math.nan
    small, tail = ((float(np.mean(hit)) if signed else math.nan) for hit in (size < SMALL, size > TAIL * size.mean()))
    return ClassResult(name, len(errors), float(size.mean()), float(np.median(size)), bias, small, tail, pace, histogram(signed))


def _size_result(errors: Sequence[AnnotationError], low: float, high: float) -> SizeResult:
    signed = np.array([error.error for error in errors if low < error.exact <= high])
    if not signed.size:
        return SizeResult(low, high, 0, math.nan, math.nan)
    return SizeResult(low, high, len(signed), float(np.abs(signed).mean()), float(np.median(signed)))
