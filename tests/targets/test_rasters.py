"""Regions as seeds: what was written is read back, in the same bytes each time."""

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.targets.rasters import RasterArchive, write_rasters

REGION = np.array([[0, VOID, 2], [1, VOID, VOID]], dtype=np.uint8)


def test_regions_are_read_back(tmp_path):
    write_rasters(tmp_path / "seeds.zip", [("a", REGION), ("b.c", REGION.T)])
    rasters = RasterArchive(tmp_path / "seeds.zip")
    assert list(rasters) == ["a", "b.c"]
    assert np.array_equal(rasters["a"], REGION)
    assert np.array_equal(rasters["b.c"], REGION.T)


def test_same_regions_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_rasters(tmp_path / name, [("a", REGION)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_damaged_file_is_named(tmp_path):
    (tmp_path / "seeds.zip").write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match=r"seeds\.zip: cannot be read"):
        RasterArchive(tmp_path / "seeds.zip")
