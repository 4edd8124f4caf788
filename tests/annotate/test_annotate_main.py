"""Command lines of the tool and of its export."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.annotate import __main__ as tool
from pipeline.annotate import export
from pipeline.annotate.store import AnnotationStore
from pipeline.datasets.prepared import write_prepared
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.targets.annotations import FIELDS, Annotation, fingerprint, format_rows
from pipeline.targets.simulated_annotator import simulate
from pipeline.targets.sizes import read_size_targets

NAMES = ["background", "cat", "dog"]


@pytest.fixture
def folder(tmp_path):
    """Pictures whose masks hold 1..20 columns of cats, and one simulated annotator's answers."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    exact, ids = [], [f"{number:02d}" for number in range(20)]
    for number, image_id in enumerate(ids):
        labels = np.zeros((4, 40), np.uint8)
        labels[:, : number + 1] = 8
        Image.fromarray(labels).save(tmp_path / f"masks/{image_id}.png")
        Image.fromarray(labels * 10 + number).save(tmp_path / f"images/{image_id}.png")
        exact.append([1 - (number + 1) / 40, (number + 1) / 40, 0])
    rows = simulate(np.array(exact), NAMES, ids, np.random.default_rng(0), annotator="Ada")
    (tmp_path / "sizes.csv").write_text(",".join(FIELDS) + "\n" + format_rows(rows))
    return tmp_path


def source(folder, *more):
    masks = ["--masks", str(folder / "masks"), "--mask-values", "cat=8,dog=12"]
    return ["--images", str(folder / "images"), "--classes", "cat,dog", *masks, *more]


def run_export(folder, monkeypatch, *more):
    monkeypatch.setattr(sys, "argv", ["export", str(folder / "sizes.csv"), *source(folder), *more])
    export.main()


def append(folder, image_id="00", name="cat", size=0.1, who="Bo", picture=""):
    row = Annotation(image_id, name, size, 1.0, "5x4", who, "2025-01-31T12:00:00Z", "cells", (), picture)
    AnnotationStore(folder / "sizes.csv").append([row])


def test_annotations_become_size_targets(folder, monkeypatch, capsys):
    run_export(folder, monkeypatch, "--out", str(folder / "targets.csv"))
    names, targets = read_size_targets(folder / "targets.csv")
    assert names == NAMES
    assert list(targets) == [f"{number:02d}" for number in range(20)]
    assert targets["19"][1] == pytest.approx(0.5, rel=0.5)
    text = capsys.readouterr().out
    assert "Ada: 20 pictures finished" in text
    assert "Ada, cat: mRE" in text


def test_unfinished_pictures_stop_the_export_unless_left_out(folder, monkeypatch, capsys):
    Image.new("RGB", (4, 4)).save(folder / "images/new.png")
    with pytest.raises(SystemExit):
        run_export(folder, monkeypatch)
    assert "1 of 21 images have no finished annotation, the first is new" in capsys.readouterr().err
    run_export(folder, monkeypatch, "--leave-out")
    assert "left out: 1 pictures" in capsys.readouterr().out


def test_renamed_picture_is_found(folder, monkeypatch, capsys):
    append(folder, picture=fingerprint((folder / "images/00.png").read_bytes()))
    (folder / "images/00.png").rename(folder / "images/zero.png")
    with pytest.raises(SystemExit):
        run_export(folder, monkeypatch, "--leave-out")
    assert "image 00, annotator Ada: unknown image; zero is the same picture: rename it back" in capsys.readouterr().err


def test_agreement_is_reported(folder, monkeypatch, capsys):
    append(folder)
    run_export(folder, monkeypatch)
    assert "Ada and Bo: 1 pictures by both, 100% of classes tagged by both" in capsys.readouterr().out


def test_calibration_changes_the_targets(folder, monkeypatch):
    run_export(folder, monkeypatch, "--out", str(folder / "plain.csv"))
    run_export(folder, monkeypatch, "--calibrate", "--out", str(folder / "fitted.csv"))
    assert (folder / "plain.csv").read_text() != (folder / "fitted.csv").read_text()


def test_calibration_without_masks_is_refused(folder, monkeypatch, capsys):
    arguments = [str(folder / "sizes.csv"), "--images", str(folder / "images"), "--classes", "cat,dog", "--calibrate"]
    monkeypatch.setattr(sys, "argv", ["export", *arguments])
    with pytest.raises(SystemExit):
        export.main()
    assert "give --masks" in capsys.readouterr().err


def test_damaged_last_line_is_reported(folder, monkeypatch, capsys):
    with (folder / "sizes.csv").open("a") as file:
        file.write("00,ca")
    run_export(folder, monkeypatch)
    assert "note: set aside, line 42" in capsys.readouterr().out


@pytest.mark.parametrize("classes", ["cat,cat", "cat,", "background,cat", "cat,Cat", "Background", "image_id", "a\tb", "a,b\0"])
def test_bad_classes_are_refused(folder, classes):
    arguments = tool.parse_arguments(["--images", str(folder / "images"), "--classes", classes, "--out", "s.csv"])
    with pytest.raises(ValueError, match="--classes: expected different names"):
        tool.open_pictures(arguments)


def test_classes_are_needed_with_a_folder(folder):
    with pytest.raises(ValueError, match="--classes: needed with --images"):
        tool.open_pictures(tool.parse_arguments(["--images", str(folder / "images"), "--out", "s.csv"]))


def test_pictures_come_from_a_folder_or_a_data_set(capsys):
    with pytest.raises(SystemExit):
        tool.parse_arguments(["--out", "s.csv"])
    assert "--images --dataset is required" in capsys.readouterr().err


def test_data_set_of_params_gives_its_pictures_and_classes(tmp_path, monkeypatch):
    scenes = make_scenes(3, seed=0, class_indices=(8, 12), size_px=(32, 24))
    Voc.write(tmp_path / "raw", {"train": scenes, "val": scenes[:1]})
    write_prepared(tmp_path / "data/prepared/voc/train.zip", Voc(tmp_path / "raw"), "train", classes=["cat", "dog"])
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    pictures, classes = tool.open_pictures(tool.parse_arguments(["--dataset", "voc", "--out", "s.csv"]))
    assert classes == ["cat", "dog"]
    assert pictures.exact_sizes(pictures.ids[0]).shape == (3,)


def test_unknown_data_set_is_named():
    with pytest.raises(ValueError, match=r"datasets\.nothing is not in params"):
        tool.open_pictures(tool.parse_arguments(["--dataset", "nothing", "--out", "s.csv"]))


def test_mask_values_of_a_known_kind():
    assert tool.parse_mask_values("voc", ["dog", "cat"]) == {"dog": 12, "cat": 8}


@pytest.mark.parametrize("text", ["cat=8", "cat=8,dog=x", "cat=8,dog=256", "cat=8,dog=-1", "cat=8,dog=²"])
def test_bad_mask_value_is_refused(text):
    with pytest.raises(ValueError, match="--mask-values: 'dog' needs a value between 0 and 255"):
        tool.parse_mask_values(text, ["cat", "dog"])


def test_unknown_kind_of_mask_values_is_refused():
    with pytest.raises(ValueError, match="one of voc"):
        tool.parse_mask_values("nothing", ["cat"])


def test_file_with_other_classes_is_refused(folder):
    append(folder, name="horse")
    with pytest.raises(ValueError, match="holds annotations of horse, which --classes does not name"):
        tool.check_file(AnnotationStore(folder / "sizes.csv"), ["cat", "dog"], ["00"])


def test_annotated_pictures_that_are_gone_are_noted(folder):
    notes = tool.check_file(AnnotationStore(folder / "sizes.csv"), ["cat", "dog"], ["00"])
    assert notes == ["19 annotated pictures are not among these pictures, the first is 01: moved or renamed?"]


def test_training_while_people_draw_needs_people_who_draw(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["annotate", *source(folder), "--live", "--out", str(folder / "sizes.csv")])
    with pytest.raises(SystemExit):
        tool.main()
    assert "--live: predictions are shown to those who draw; start the tool with --task" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["65536", "-1", "http", "99999999"])
def test_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        tool.parse_arguments(["--images", "x", "--classes", "cat", "--out", "a.csv", "--port", port])
    assert "argument --port: expected 0 to 65535" in capsys.readouterr().err


def test_class_with_two_mask_values_is_refused():
    with pytest.raises(ValueError, match="--mask-values: expected each class once"):
        tool.parse_mask_values("cat=1,cat=2", ["cat"])
