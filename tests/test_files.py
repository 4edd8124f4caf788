"""Files are whole or absent."""

import os

import pytest

from pipeline.files import write_atomically, write_csv


def test_content_is_written_and_folder_made(tmp_path):
    write_atomically(tmp_path / "a" / "b.txt", b"new")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"new"


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "b.txt"
    path.write_bytes(b"old")

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"b\.txt: could not be written \(No space left on device\); free some space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["b.txt"]


def test_csv_rounds_floats_and_leaves_missing_cells_empty(tmp_path):
    write_csv(tmp_path / "a.csv", [{"x": 1 / 3, "y": None, "z": "t"}, {"x": float("nan"), "y": 2}])
    assert (tmp_path / "a.csv").read_text() == "x,y,z\n0.333333,,t\n,2,\n"
