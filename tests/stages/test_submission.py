"""Predictions on the VOC test photos: found by the list, renumbered to the classes of VOC and packed."""

import io
import sys
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import paths
from pipeline.datasets.pictures import encode_photo
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.voc import CLASS_NAMES, Voc
from pipeline.datasets.voc_submission import FOLDER
from pipeline.files import write_atomically, write_json
from pipeline.import_graph import REPOSITORY
from pipeline.networks import NETWORKS
from pipeline.params import load_params
from pipeline.predict import Predictor, Trained
from pipeline.stages import submission
from pipeline.stages.raw import write_synthetic
from pipeline.stages.submission import listed_photos, photos_of, voc_classes
from pipeline.training.checkpoint import save_state

NAMES = ["background", "cat", "dog"]
PALETTE = [[0, 0, 0], [64, 0, 0], [64, 0, 128]]
SIZES = {"2008_000006": (30, 20), "2008_000011": (25, 40), "2008_000012": (33, 33)}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a folder with three test photos in the raw layout and a trained run, and go there."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    base = paths.raw("voc") / "VOCdevkit/VOC2012"
    write_atomically(base / "ImageSets/Segmentation/test.txt", "".join(f"{image_id}\n" for image_id in SIZES).encode())
    for number, (image_id, (width, height)) in enumerate(SIZES.items()):
        colors = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        write_atomically(base / f"JPEGImages/{image_id}.jpg", encode_photo(colors, "JPEG"))
    write_json(paths.raw_source("voc"), {"kind": "voc", "root": ".", "source": "synthetic"})
    options = {"kind": "small", "encoder": None, "weights": None, "output_stride": 16, "width": 4, "freeze_batch_norm": False}
    record = {
        "class_names": NAMES,
        "palette": PALETTE,
        "network": options,
        "training": {"image_size_px": 32, "input": "resize"},
        "run": dict.fromkeys(("dataset", "supervision", "network", "objective", "training"), "voc") | {"start": None},
        "objective": dict.fromkeys(("masks", "seeds", "image_labels", "potts", "self_labeling")),
        "supervision": {"subset": None, "seeds": None},
        "annotation": {},
        "profile": "smoke",
        "device": "cpu",
        "repetitions": 1,
    }
    write_json(paths.run_record("potts", "tiny"), record)
    network = NETWORKS["small"](3, width=4)
    torch.nn.init.normal_(network.classifier.weight)
    save_state(paths.weights("potts", "tiny", 0), network.eval().state_dict())
    return tmp_path, network


def run(monkeypatch, *words):
    """Run the stage in this process."""
    monkeypatch.setattr(sys, "argv", ["submission", *words])
    submission.main()


def test_archive_holds_every_photo_once_and_classes_that_the_run_lacks_are_told(repository, monkeypatch, capsys):
    run(monkeypatch, "potts/tiny", "--device", "cpu")
    with tarfile.open(repository[0] / "models/submissions/potts-tiny/results.tgz") as archive:
        assert archive.getnames() == [f"{FOLDER}/{image_id}.png" for image_id in SIZES]
    assert "3 photos; 18 VOC classes are unknown to this run" in capsys.readouterr().out


def test_archive_holds_the_predictions_in_classes_of_voc(repository, monkeypatch):
    run(monkeypatch, "potts/tiny", "--device", "cpu")
    folder, network = repository
    reader = Voc(paths.raw("voc"))
    predictor = Predictor(Trained(network, tuple(NAMES), [], 32, ""), torch.device("cpu"))
    with tarfile.open(folder / "models/submissions/potts-tiny/results.tgz") as archive:
        for image_id in SIZES:
            packed = archive.extractfile(f"results/VOC2012/Segmentation/comp6_test_cls/{image_id}.png").read()
            expected = predictor.labels([reader.read_image(image_id)])[0]
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(packed))), np.array([0, 8, 12])[expected])


def test_photos_are_more_than_a_batch(repository):
    seen = []

    class Counted(Predictor):
        def labels(self, images):
            seen.append(len(images))
            return [np.zeros(image.shape[:2], np.uint8) for image in images]

    predictor = Counted(Trained(torch.nn.Identity(), tuple(NAMES), [], 32, ""), torch.device("cpu"), batch_size=2)
    made = dict(submission.predictions(predictor, listed_photos(Voc(paths.raw("voc"))), np.zeros(3, np.uint8)))
    assert list(made) == list(SIZES)
    assert seen == [2, 1]


def test_all_classes_of_voc_keep_their_numbers():
    assert voc_classes(CLASS_NAMES).tolist() == list(range(21))


def test_classes_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match="got zebra"):
        voc_classes(["background", "zebra"])


def test_other_data_set_is_refused(repository):
    write_json(paths.raw_source("coco"), {"kind": "coco", "root": ".", "source": "synthetic"})
    with pytest.raises(ValueError, match="expected a data set of kind voc, got coco"):
        photos_of("coco")


def test_published_copy_must_list_all_photos(repository):
    assert list(photos_of("voc")) == list(SIZES)
    write_json(paths.raw_source("voc"), {"kind": "voc", "root": ".", "source": "download"})
    with pytest.raises(ValueError, match=r"expected all 1456, got a list of 3; .* VOC2012test\.tar, .*//host\.robots\.ox"):
        photos_of("voc")


def test_procedural_photos_are_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = load_params(REPOSITORY / paths.PARAMS).datasets["voc"]
    section = spec.synthetic.model_copy(update={"train": 2, "val": 2})
    write_synthetic(spec.model_copy(update={"synthetic": section}), paths.raw("voc"), 0)
    write_json(paths.raw_source("voc"), {"kind": "voc", "root": ".", "source": "synthetic"})
    assert len(photos_of("voc")) == 20


def test_copy_without_test_list_says_which_file_to_extract(repository):
    (paths.raw("voc") / "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").unlink()
    with pytest.raises(DatasetError, match=r"test\.txt: not found; .* VOC2012test\.tar, .*data/raw/\.archives"):
        listed_photos(Voc(paths.raw("voc")))


def test_without_photos_an_optional_archive_is_a_note(repository, monkeypatch, capsys):
    (paths.raw("voc") / "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").unlink()
    run(monkeypatch, "potts/tiny", "--device", "cpu", "--optional")
    note = (repository[0] / "models/submissions/potts-tiny/MISSING.txt").read_text()
    assert "VOC2012test.tar" in note
    assert note.strip() in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(monkeypatch, "potts/tiny", "--device", "cpu")


def test_missing_photo_is_found_before_anything_is_predicted(repository):
    (paths.raw("voc") / "VOCdevkit/VOC2012/JPEGImages/2008_000011.jpg").unlink()
    with pytest.raises(DatasetError, match=r"2008_000011\.jpg: not found; .* VOC2012test\.tar"):
        listed_photos(Voc(paths.raw("voc")))
