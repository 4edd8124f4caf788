"""Files are whole or absent."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OPTIONAL, clear_errors
from pipeline.files import finite_number, parse_json, read_table, write_atomically, write_csv

REPOSITORY = Path(__file__).resolve().parents[1]


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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "is no number"),
        ("[1e400]", "1e400 is no number"),
    ],
)
def test_json_that_python_takes_in_silence_is_refused(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_json(text)


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "1e400", "\u0663", "0x1", "0,7", "70%", "", "--1", "\u20131"])
def test_cell_that_is_no_plain_number_is_refused(text):
    with pytest.raises(ValueError, match="is no number"):
        finite_number(text)


def test_text_in_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "sizes.csv")
    with pytest.raises(OSError, match=r"no ordinary file.*sizes\.csv"):
        read_table(tmp_path / "sizes.csv")


def test_accents_of_a_table_are_composed(tmp_path):
    (tmp_path / "a.csv").write_text("image_id,ku\u0308he\nu\u0308,1\n", encoding="utf-8")
    header, lines = read_table(tmp_path / "a.csv")
    assert (header, lines[0].cells) == (["image_id", "k\u00fche"], ["\u00fc", "1"])


def test_name_that_the_terminal_cannot_show_does_not_end_a_command(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    with clear_errors():
        print("\u0447\udcfc", flush=True)
    assert terminal.buffer.getvalue() == b"\\u0447\\udcfc\n"


def failed(missing, capsys):
    with pytest.raises(SystemExit), clear_errors():
        raise FileNotFoundError(2, "No such file or directory", missing)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "made"), [("data/prepared/voc/train.zip", True), ("/photos/a.jpg", False), ("photos/a.jpg", False)]
)
def test_only_what_stages_make_is_told_to_be_made_by_them(missing, made, capsys):
    assert ("`dvc repro` makes it" in failed(missing, capsys)) is made


@pytest.mark.parametrize("package", OPTIONAL)
def test_optional_package_that_is_missing_is_named_with_the_file_that_installs_it(package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit), clear_errors():
        importlib.import_module(package)
    assert capsys.readouterr().err == f"error: this needs the package {package}: python -m pip install -r {OPTIONAL[package]}\n"
    pinned = [line.partition("==")[0] for line in (REPOSITORY / OPTIONAL[package]).read_text().splitlines()]
    assert package in [*pinned, "werkzeug"]  # which flask brings along


def test_package_that_is_not_optional_is_a_fault_of_the_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError), clear_errors():
        importlib.import_module("scipy")


def test_commands_of_the_core_do_without_optional_packages():
    stages = [path.stem for path in (REPOSITORY / "pipeline/stages").glob("[a-z]*.py")]
    modules = ["own", "predict", "profile", "record", "launch.__main__", *(f"stages.{name}" for name in stages)]
    code = f"import sys, importlib\nfor name in {list(OPTIONAL)}: sys.modules[name] = None\n"
    code += f"for name in {modules}: importlib.import_module('pipeline.' + name)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
