"""Tags: read back as written, damage is named."""

import numpy as np
import pytest

from pipeline.targets.tags import read_tags, write_tags

NAMES = ("background", "cat")


def test_tags_are_read_back(tmp_path):
    write_tags(tmp_path / "tags.csv", ["a", "b"], np.array([[True, False], [True, True]]), NAMES)
    tags = read_tags(tmp_path / "tags.csv", NAMES)
    assert {key: value.tolist() for key, value in tags.items()} == {"a": [1.0, 0.0], "b": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("text", "message"), [("image_id,background,dog\n", "line 1"), ("image_id,background,cat\na,1,2\n", "line 2")]
)
def test_wrong_table_is_named(tmp_path, text, message):
    (tmp_path / "tags.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"tags\.csv, {message}"):
        read_tags(tmp_path / "tags.csv", NAMES)


def test_lengths_must_match(tmp_path):
    with pytest.raises(ValueError, match="expected shape"):
        write_tags(tmp_path / "tags.csv", ["a"], np.ones((2, 2), bool), NAMES)
