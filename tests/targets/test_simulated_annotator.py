"""The model of an annotator: valid rows, errors and times in the published range."""

import numpy as np
import pytest
from annotation_rows import CAT, NAMES, targets

from pipeline.targets.annotated_sizes import combine
from pipeline.targets.annotation_errors import annotation_errors
from pipeline.targets.annotations import BACKGROUND, FIELDS, format_rows, read_annotations
from pipeline.targets.simulated_annotator import simulate


def log_uniform(count, generator):
    exact = np.exp(generator.uniform(np.log(0.02), np.log(0.5), count))
    return np.stack([1 - exact, exact], 1)


def simulated(count=400, seed=0, **more):
    exact = log_uniform(count, np.random.default_rng(7))
    ids = [f"{number:04d}" for number in range(count)]
    rows = simulate(exact, [BACKGROUND, CAT], ids, np.random.default_rng(seed), **more)
    return rows, annotation_errors(rows, dict(zip(ids, exact)), [BACKGROUND, CAT])


def test_simulated_errors_and_times_are_in_the_published_range():
    _, errors = simulated(2000)
    relative = np.array([abs(error.error) for error in errors])
    assert 0.12 <= relative.mean() <= 0.201
    assert 9.1 <= np.mean([error.seconds for error in errors]) <= 15.2


def test_simulated_errors_have_a_heavy_tail():
    _, errors = simulated(2000)
    relative = np.array([abs(error.error) for error in errors])
    assert relative.mean() > 1.7 * np.median(relative)


def test_small_objects_have_larger_simulated_errors():
    _, errors = simulated(2000)
    small = np.mean([abs(error.error) for error in errors if error.exact < 0.05])
    large = np.mean([abs(error.error) for error in errors if error.exact > 0.2])
    assert small > 1.3 * large


def test_without_perception_errors_only_the_rounding_is_left():
    _, errors = simulated(error_scale=0.0)
    assert all(abs(error.size - error.exact) <= 0.5 / 4 / 9 + 1e-9 for error in errors)
    assert max(abs(error.error) for error in errors) > 0.01


def test_simulated_rows_are_valid_and_complete(tmp_path):
    rows, _ = simulated(50)
    (tmp_path / "s.csv").write_text(",".join(FIELDS) + "\n" + format_rows(rows))
    back = read_annotations(tmp_path / "s.csv").rows
    combined = combine(back, [BACKGROUND, CAT], [f"{number:04d}" for number in range(50)])
    assert combined.sizes.shape == (50, 2)
    assert {one.annotator for one in back} == {"simulated annotator"}


def test_same_generator_gives_same_rows():
    assert simulated(20)[0] == simulated(20)[0]


def test_picture_without_classes_is_simulated_as_background():
    rows = simulate(np.array([[1.0, 0, 0]]), NAMES, ["a"], np.random.default_rng(0))
    assert targets(rows).sizes.tolist() == [[1, 0, 0]]


def test_simulated_sizes_never_exceed_the_picture():
    exact = np.tile([0.02, 0.49, 0.49], (200, 1))
    ids = [str(number) for number in range(200)]
    rows = simulate(exact, NAMES, ids, np.random.default_rng(0))
    assert combine(rows, NAMES, ids).sizes.min() >= 0


def test_simulated_sizes_need_one_row_per_image():
    with pytest.raises(ValueError, match=r"expected shape \(1, 3\), got \(2, 3\)"):
        simulate(np.ones((2, 3)) / 3, NAMES, ["a"], np.random.default_rng(0))
