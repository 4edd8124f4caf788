"""Exact sizes and their table."""

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.targets.sizes import class_sizes, mean_size_targets, read_size_targets, write_size_targets

NAMES = ["background", "cat", "dog"]
LABELS = np.array([[0, 0, 1, VOID], [0, 2, 2, VOID]], np.uint8)


def table(tmp_path, *lines):
    path = tmp_path / "sizes.csv"
    path.write_text("\n".join(("image_id,background,cat,dog", *lines)) + "\n")
    return path


def test_void_is_left_out_of_both_counts():
    assert class_sizes(LABELS, 3) == pytest.approx([3 / 6, 1 / 6, 2 / 6])


def test_void_may_count_as_background():
    assert class_sizes(LABELS, 3, void="background") == pytest.approx([5 / 8, 1 / 8, 2 / 8])


def test_sizes_sum_to_one():
    labels = np.random.default_rng(0).integers(0, 21, (37, 53))
    assert class_sizes(labels, 21).sum() == pytest.approx(1, abs=1e-12)


def test_image_without_background_has_background_size_zero():
    assert class_sizes(np.array([[1, 2], [2, 2]]), 3).tolist() == [0, 0.25, 0.75]


def test_all_void_image_is_refused():
    with pytest.raises(ValueError, match="all 4 are void"):
        class_sizes(np.full((2, 2), VOID), 3)


def test_all_void_image_is_all_background_if_void_is():
    assert class_sizes(np.full((2, 2), VOID), 3, void="background").tolist() == [1, 0, 0]


def test_class_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"expected 0\.\.1 or 255, got 0\.\.2"):
        class_sizes(LABELS, 2)


def test_unknown_treatment_of_void_is_refused():
    with pytest.raises(ValueError, match="'ignore'"):
        class_sizes(LABELS, 3, void="ignore")


def test_table_is_read_back(tmp_path):
    sizes = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    ids = ["b", "a", "2007_000032", "c,d"]
    write_size_targets(tmp_path / "s.csv", ids, sizes, NAMES)
    names, targets = read_size_targets(tmp_path / "s.csv")
    assert names == NAMES
    assert list(targets) == ids
    assert np.allclose(np.stack(list(targets.values())), sizes, atol=1e-11)


def test_zero_stays_exactly_zero(tmp_path):
    write_size_targets(tmp_path / "s.csv", ["a"], np.array([[0, 0.3, 0.7]]), NAMES)
    assert read_size_targets(tmp_path / "s.csv")[1]["a"][0] == 0


def test_image_without_a_size_keeps_its_line(tmp_path):
    write_size_targets(tmp_path / "s.csv", ["a", "b"], np.array([[0, 0.3, 0.7], [0, 0, 0]]), NAMES)
    assert (tmp_path / "s.csv").read_text().endswith("b,,,\n")
    assert read_size_targets(tmp_path / "s.csv")[1]["b"].tolist() == [0, 0, 0]


def test_rows_and_ids_must_match(tmp_path):
    with pytest.raises(ValueError, match=r"expected shape \(1, 3\), got \(2, 3\)"):
        write_size_targets(tmp_path / "s.csv", ["a"], np.ones((2, 3)) / 3, NAMES)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,.5,.5,0", "b,.5,.4,0"], r"sizes\.csv, line 3: sizes sum to 0\.9, not 1; give"),
        (["a,50,25,25"], r"line 2: sizes sum to 100, not 1; give fractions"),
        (["a,1.5,-.5,0"], r"line 2: cat is '-\.5'; give a fraction"),
        (["a,1,x,0"], "line 2: cat: 'x' is no number"),
        (["a,1,,0"], "line 2: cat: '' is no number"),
        (["a,1,nan,0"], "line 2: cat: 'nan' is no number"),
        (["a,.5,.5"], "line 2: expected 4 values, got 3"),
        (["a,.5,.5,0", "a,.5,.5,0"], "line 3: image a has a line already"),
        ([], "has no line with size targets"),
    ],
)
def test_bad_line_is_named_with_its_remedy(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        read_size_targets(table(tmp_path, *lines))


def test_unknown_image_is_named(tmp_path):
    with pytest.raises(ValueError, match="line 2: unknown image a; correct"):
        read_size_targets(table(tmp_path, "a,1,0,0"), known_ids={"b"})


def test_other_classes_than_expected_are_refused(tmp_path):
    with pytest.raises(ValueError, match="line 1: expected the classes background,cat, got background,cat,dog"):
        read_size_targets(table(tmp_path, "a,1,0,0"), class_names=NAMES[:2])


@pytest.mark.parametrize("header", ["id,background,cat", "image_id", "image_id,cat,cat", ""])
def test_bad_header_is_refused(tmp_path, header):
    path = tmp_path / "s.csv"
    path.write_text(header + "\n")
    with pytest.raises(ValueError, match="line 1: expected the header image_id"):
        read_size_targets(path)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"s\.csv: not found"):
        read_size_targets(tmp_path / "s.csv")


def test_rounded_fractions_are_accepted(tmp_path):
    assert read_size_targets(table(tmp_path, "a,.3333,.3333,.3333"))[1]["a"].tolist() == [0.3333] * 3


def test_mean_sizes_are_averages_over_the_images_that_contain_the_class():
    exact = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [0.7, 0.0, 0.3], [1.0, 0.0, 0.0]])
    means = mean_size_targets(exact)
    assert means[0] == pytest.approx([0.7, 0.3, 0.0])
    assert means[1] == pytest.approx([0.5, 0.3, 0.2])
    assert means[3] == pytest.approx([1.0, 0.0, 0.0])


def test_mean_sizes_never_exceed_the_image():
    means = mean_size_targets(np.array([[0.1, 0.9, 0.0], [0.2, 0.0, 0.8], [0.0, 0.9, 0.1]]))
    assert means.min() >= 0
    assert means.sum(1) == pytest.approx([1, 1, 1])
