"""Soft class labels: by hand, read back as written, damage is named."""

import numpy as np
import pytest

from pipeline.targets.class_labels import read_class_labels, soften, write_class_labels

NAMES = ("sea", "street", "forest")


def test_soft_target_by_hand():
    assert soften(2, 4, 0.2).tolist() == pytest.approx([0.05, 0.05, 0.85, 0.05])


def test_soft_targets_run_from_one_hot_to_uniform():
    assert soften(1, 3, 0).tolist() == [0, 1, 0]
    assert np.allclose(soften(1, 3, 1), 1 / 3)


def test_labels_are_read_back_as_soft_targets(tmp_path):
    write_class_labels(tmp_path / "labels.csv", ["a", "b"], np.array([2, 0]), 0.3, NAMES)
    targets = read_class_labels(tmp_path / "labels.csv", NAMES)
    assert {key: value.tolist() for key, value in targets.items()} == {
        "a": soften(2, 3, 0.3).tolist(),
        "b": soften(0, 3, 0.3).tolist(),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,sea,street\n", "line 1: expected image_id,class,eta"),
        ("image_id,class,eta\na,lake,0.1\n", "line 2: expected an image id without a line so far, one of sea"),
        ("image_id,class,eta\na,sea,0\nb,sea,1.5\n", "line 3"),
        ("image_id,class,eta\na,sea,much\n", "line 2"),
        ("image_id,class,eta\na,sea\n", "line 2"),
    ],
)
def test_wrong_table_is_named(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"labels\.csv, {message}"):
        read_class_labels(tmp_path / "labels.csv", NAMES)


def test_lengths_must_match(tmp_path):
    with pytest.raises(ValueError, match="expected shape"):
        write_class_labels(tmp_path / "labels.csv", ["a"], np.array([0, 1]), 0.0, NAMES)
