"""Prediction on a user's own pictures: the same labels as evaluation, any format, and a folder that survives everything."""

import csv
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import predict
from pipeline.evaluation.predict import predict_logits
from pipeline.files import write_json
from pipeline.networks import NETWORKS
from pipeline.predict import (
    Mirrored,
    Predictor,
    Trained,
    find_pictures,
    load_trained,
    upscaled_labels,
    windows,
)
from pipeline.training.checkpoint import save_state

CPU = torch.device("cpu")
NAMES = ["background", "cat", "dog"]
PALETTE = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
NETWORK = {"kind": "small", "encoder": None, "weights": None, "output_stride": 16, "width": 4, "freeze_batch_norm": False}


@pytest.fixture(scope="module")
def network():
    """Return a small network whose classes all occur."""
    torch.manual_seed(0)
    made = NETWORKS["small"](len(NAMES), width=4).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
        scores = made(torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None].float() / 255)
        made.classifier.bias -= scores.mean((0, 2, 3))
    return made


def picture(height, width, seed=0):
    """Return smooth colours, (H, W, 3) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 5, generator=generator)
    colors = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)[0]
    return (colors * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def trained(network, resize_px=None):
    return Trained(network, tuple(NAMES), [tuple(color) for color in PALETTE], resize_px, "digest")


@pytest.fixture
def model(tmp_path, network):
    """Return the folder of a run with one repetition."""
    folder = tmp_path / "models" / "potts" / "tiny"
    record = {"class_names": NAMES, "palette": PALETTE, "network": NETWORK, "training": {"image_size_px": 48, "input": "resize"}}
    write_json(folder / "run.json", record)
    save_state(folder / "0" / "last.pt", network.state_dict())
    return folder


@pytest.fixture
def photos(tmp_path):
    """Return a folder with pictures of three formats, one of them in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(picture(40, 60)).save(folder / "a b.png")
    Image.fromarray(picture(50, 31, 1)).save(folder / "b.jpg")
    Image.fromarray(picture(20, 90, 2)).save(folder / "more" / "c.tif")
    return folder


def run(monkeypatch, *words):
    """Run the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, words)])
    predict.main()


@pytest.mark.parametrize("resize_px", [48, None])
def test_labels_are_those_of_evaluation(network, resize_px):
    images = [picture(40, 60), picture(33, 17, 1), picture(100, 81, 2)]
    found = Predictor(trained(network, resize_px), CPU, batch_size=2).labels(images)
    expected = [one.argmax(0).numpy() for one in predict_logits(network, images, resize_px=resize_px, device=CPU)]
    assert all(np.mean(one == other) > 0.999 for one, other in zip(found, expected, strict=True))
    assert len(np.unique(np.concatenate([one.ravel() for one in found]))) > 1


def test_enlarging_strip_by_strip_is_enlarging_at_once(monkeypatch):
    logits = torch.nn.functional.interpolate(torch.rand(1, 4, 5, 6, generator=torch.Generator().manual_seed(0)), size=(11, 13))[0]
    at_once = torch.nn.functional.interpolate(logits[None], size=(71, 90), mode="bilinear", align_corners=False)[0]
    monkeypatch.setattr(predict, "STRIP_VALUES", 4 * 90 * 7)
    assert np.mean(upscaled_labels(logits, (71, 90)) == at_once.argmax(0).numpy()) > 0.999


def test_shrinking_strip_by_strip_is_shrinking_at_once(monkeypatch):
    logits = torch.rand(4, 50, 40, generator=torch.Generator().manual_seed(0))
    at_once = torch.nn.functional.interpolate(logits[None], size=(21, 30), mode="bilinear", align_corners=False)[0]
    monkeypatch.setattr(predict, "STRIP_VALUES", 4 * 30 * 2)
    assert np.mean(upscaled_labels(logits, (21, 30)) == at_once.argmax(0).numpy()) > 0.999


@pytest.mark.parametrize(("length", "window_px"), [(1, 64), (64, 64), (65, 64), (200, 64), (1000, 96), (97, 64)])
def test_windows_cover_everything_once_and_keep_off_their_borders(length, window_px):
    made = windows(length, window_px)
    kept = [position for window in made for position in range(window.first, window.last)]
    assert kept == list(range(length))
    for window in made:
        assert window.start == 0 or window.first - window.start >= window_px // 8
        assert window.stop == length or window.stop - window.last >= window_px // 8


def test_windows_of_a_local_network_give_the_whole_picture():
    class Local(torch.nn.Module):
        def forward(self, image):
            blurred = torch.nn.functional.avg_pool2d(image, 5, stride=1, padding=2)
            return torch.cat([blurred, 1.2 - blurred[:, :1]], 1)

    image = picture(150, 210)
    whole = Predictor(trained(Local()), CPU).labels([image])[0]
    parts = Predictor(trained(Local()), CPU, window_px=64).labels([image])[0]
    assert np.array_equal(parts, whole)


def test_mirrored_network_gives_mirrored_logits_on_a_mirrored_picture(network):
    image = torch.from_numpy(picture(48, 64)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        straight, mirrored = Mirrored(network)(image), Mirrored(network)(image.flip(-1))
    assert torch.allclose(straight, mirrored.flip(-1), atol=1e-5)


class Hungry(torch.nn.Module):
    """A network for which the memory of a GPU is large enough up to some number of pictures."""

    def __init__(self, room):
        super().__init__()
        self.room, self.seen = room, []

    def forward(self, image):
        self.seen.append(len(image))
        if len(image) > self.room:
            raise torch.cuda.OutOfMemoryError("full")
        return image


def test_too_little_memory_halves_the_batch_and_loses_nothing():
    network = Hungry(2)
    images = [np.full((8, 8, 3), 40 * index, np.uint8) for index in range(5)]
    for index, image in enumerate(images):
        image[..., index % 3] = 250
    predictor = Predictor(trained(network, 8), CPU, batch_size=8)
    assert [int(one[0, 0]) for one in predictor.labels(images)] == [0, 1, 2, 0, 1]
    assert network.seen == [5, 4, 2, 2, 1]


def test_too_little_memory_for_one_picture_says_what_to_do():
    with pytest.raises(ValueError, match="--device cpu"):
        Predictor(trained(Hungry(0), 8), CPU).labels([picture(8, 8)])


@pytest.mark.parametrize("resize_px", [8, None])
def test_scores_that_are_not_finite_are_no_labels(resize_px):
    class Diverged(torch.nn.Module):
        def forward(self, image):
            return image / 0

    with pytest.raises(ValueError, match="scores are not finite"):
        Predictor(trained(Diverged(), resize_px), CPU).labels([picture(8, 8)])


def test_too_little_memory_for_a_window_says_what_to_do():
    with pytest.raises(ValueError, match="smaller --window"):
        Predictor(trained(Hungry(0)), CPU).labels([picture(8, 8)])


def test_masks_overlays_and_sizes_are_written(monkeypatch, model, photos, tmp_path):
    out = tmp_path / "out"
    run(monkeypatch, "--model", model, "--images", photos, "--out", out, "--overlays", "--device", "cpu")
    names = {"a b": (60, 40), "b": (31, 50), "more/c": (90, 20)}
    for name, size in names.items():
        with Image.open(out / f"masks/{name}.png") as mask:
            assert (mask.mode, mask.size) == ("P", size)
            assert mask.getpalette()[:9] == [value for color in PALETTE for value in color]
        with Image.open(out / f"overlays/{name}.jpg") as overlay:
            assert overlay.size == size
    with (out / "sizes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == list(names)
    for row in rows:
        values = np.asarray(Image.open(out / f"masks/{row['image_id']}.png"))
        assert [float(row[name]) for name in NAMES] == pytest.approx([np.mean(values == index) for index in range(3)])


def test_masks_are_the_predictors_labels(monkeypatch, model, photos, tmp_path, network):
    run(monkeypatch, "--model", model, "--images", photos / "a b.png", "--out", tmp_path / "out", "--device", "cpu")
    expected = Predictor(trained(network, 48), CPU).labels([picture(40, 60)])[0]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out/masks/a b.png")), expected)


def test_finished_pictures_are_skipped_and_stay_in_the_table(monkeypatch, model, photos, tmp_path):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words)
    table = (tmp_path / "out/sizes.csv").read_text()
    (tmp_path / "out/masks/b.png").unlink()
    seen = []
    labels = Predictor.labels
    monkeypatch.setattr(Predictor, "labels", lambda self, images: seen.extend(images) or labels(self, images))
    run(monkeypatch, *words)
    assert [image.shape for image in seen] == [(50, 31, 3)]
    assert (tmp_path / "out/sizes.csv").read_text() == table


def test_broken_picture_is_reported_and_the_others_are_finished(monkeypatch, model, photos, tmp_path, capsys):
    (photos / "a b.png").write_bytes((photos / "a b.png").read_bytes()[:60])
    (photos / "empty.jpg").touch()
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert "2 of 4 pictures are in" in printed.out
    assert "2 could not be read" in printed.err
    assert "a b.png: cannot be read" in printed.err
    assert {path.name for path in (tmp_path / "out/masks").rglob("*.png")} == {"b.png", "c.png"}


def test_results_of_other_options_are_not_mixed(monkeypatch, model, photos, tmp_path, capsys):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words)
    with pytest.raises(SystemExit):
        run(monkeypatch, *words, "--tta")
    assert "holds predictions of other weights or options" in capsys.readouterr().err


def test_run_of_this_repository_is_found_by_name(monkeypatch, model, photos, tmp_path):
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "--run", "potts/tiny", "--images", photos, "--out", "out", "--device", "cpu")
    assert (tmp_path / "out/sizes.csv").exists()


def test_copied_folder_needs_no_repetition(model, tmp_path, network):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    (copy / "run.json").write_bytes((model / "run.json").read_bytes())
    (copy / "last.pt").write_bytes((model / "0/last.pt").read_bytes())
    loaded = load_trained(copy, device=CPU)
    assert loaded.resize_px == 48
    assert all(torch.equal(one, other) for one, other in zip(loaded.network.parameters(), network.parameters(), strict=True))


def test_network_trained_on_crops_sees_pictures_at_their_own_size(model):
    record = {"class_names": NAMES, "palette": PALETTE, "network": NETWORK, "training": {"image_size_px": 48, "input": "crop"}}
    write_json(model / "run.json", record)
    assert load_trained(model, device=CPU).resize_px is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": None}, r"run\.json: class_names: Field required"),
        ({"class_names": ["cat", "cat", "dog"]}, r"run\.json: expected different class_names"),
        ({"palette": [[0, 0, 0]]}, r"run\.json: expected different class_names and a colour of palette for each"),
        ({"palette": [[0, 0, 256]]}, r"run\.json: palette\.0\.2: Input should be less than"),
        ({"training": {"image_size_px": 1e9, "input": "resize"}}, r"run\.json: training\.image_size_px"),
        ({"network": {"kind": "none"}}, r"run\.json: network\.kind"),
        ({"network": {"kind": "small_classifier", "width": 4}}, "masks need a segmentation run"),
        ({"network": {**NETWORK, "width": 8}}, r"last\.pt: expected weights of the network"),
    ],
)
def test_record_that_does_not_fit_is_explained(model, change, message):
    record = {"class_names": NAMES, "palette": PALETTE, "network": NETWORK, "training": {"image_size_px": 48, "input": "resize"}}
    write_json(model / "run.json", {key: value for key, value in {**record, **change}.items() if value is not None})
    with pytest.raises(ValueError, match=message):
        load_trained(model, device=CPU)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[]", "expected a JSON object"),
        (b"\xff\xfe{\x00", "not UTF-8"),
        (b"[" * 99999, "JSON"),
    ],
)
def test_broken_record_is_named(model, content, message):
    (model / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"run\.json: .*{message}"):
        load_trained(model, device=CPU)


def test_record_with_a_byte_order_mark_is_taken(model):
    (model / "run.json").write_bytes(b"\xef\xbb\xbf" + (model / "run.json").read_bytes())
    assert load_trained(model, device=CPU).class_names == tuple(NAMES)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: [1, 2], "not a complete checkpoint"),
        (lambda state: {**state, 5: 1}, "expected weights of the network"),
        (lambda state: {name: value * torch.nan for name, value in state.items()}, "not finite"),
    ],
)
def test_weights_that_are_none_are_named(model, network, spoil, message):
    save_state(model / "0/last.pt", spoil(network.state_dict()))
    with pytest.raises(ValueError, match=rf"last\.pt: .*{message}"):
        load_trained(model, device=CPU)


def test_missing_weights_are_answered_with_those_that_are_there(model):
    with pytest.raises(ValueError, match=r"expected weights best\.pt or 0/best\.pt, got: 0/last\.pt; best\.pt is written where"):
        load_trained(model, which="best", device=CPU)


def test_missing_run_is_explained(tmp_path):
    with pytest.raises(ValueError, match=r"run\.json: not found; expected the folder of a trained run"):
        load_trained(tmp_path, device=CPU)


def test_pictures_with_one_name_are_refused(photos, tmp_path):
    Image.fromarray(picture(5, 5)).save(photos / "b.png")
    with pytest.raises(ValueError, match=r"b\.jpg and b\.png would both become b\.png"):
        find_pictures(photos, tmp_path / "out")


def test_results_and_hidden_and_other_files_are_no_pictures(photos):
    (photos / "out/masks").mkdir(parents=True)
    (photos / ".cache").mkdir()
    for name in ("out/masks/a b.png", ".cache/x.png", "notes.txt", "table.pdf"):
        Image.fromarray(picture(5, 5)).save(photos / name, format="PNG")
    found = find_pictures(photos, photos / "out")
    assert list(found.pictures) == ["a b", "b", "more/c"]
    assert [path.name for path in found.others] == ["notes.txt", "table.pdf"]


def test_pictures_in_linked_folders_are_found_once(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(picture(5, 5)).save(tmp_path / "elsewhere/d.png")
    (photos / "link").symlink_to(tmp_path / "elsewhere")
    (photos / "more/loop").symlink_to(photos)
    assert list(find_pictures(photos, tmp_path / "out").pictures) == ["a b", "b", "link/d", "more/c"]


def test_pictures_that_are_links_to_nothing_or_pipes_are_named(photos, tmp_path):
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(photos / "more/pipe.jpg")
    found = find_pictures(photos, tmp_path / "out")
    assert [message.split(":")[0] for message in found.misnamed] == ["'gone.jpg'", "'more/pipe.jpg'"]
    assert all("is a link to nothing, or no ordinary file" in message for message in found.misnamed)


def test_folder_named_like_the_results_of_a_picture_is_refused(photos, tmp_path):
    (photos / "b.png").mkdir()
    Image.fromarray(picture(5, 5)).save(photos / "b.png/d.png")
    with pytest.raises(ValueError, match=r"has the name of the results of another picture, b\.png; rename"):
        find_pictures(photos, tmp_path / "out")


def replace_by_older(photos, name, size):
    """Put another picture with an older date in the place of one, as `cp -p` and unpacking do."""
    Image.fromarray(picture(*size, 5)).save(photos / name)
    os.utime(photos / name, (1e9, 1e9))


@pytest.mark.parametrize("overlays", [[], ["--overlays"]])
def test_mask_of_a_picture_that_was_replaced_is_made_anew(monkeypatch, model, photos, tmp_path, overlays):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu", *overlays)
    run(monkeypatch, *words)
    replace_by_older(photos, "b.jpg", (7, 9))
    run(monkeypatch, *words)
    assert Image.open(tmp_path / "out/masks/b.png").size == (9, 7)


def test_overlay_of_a_picture_that_was_replaced_does_not_stay(monkeypatch, model, photos, tmp_path):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words, "--overlays")
    replace_by_older(photos, "b.jpg", (7, 9))
    run(monkeypatch, *words)
    assert not (tmp_path / "out/overlays/b.jpg").exists()
    run(monkeypatch, *words, "--overlays")
    assert Image.open(tmp_path / "out/overlays/b.jpg").size == (9, 7)


def test_results_of_a_picture_that_broke_are_removed(monkeypatch, model, photos, tmp_path):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu", "--overlays")
    run(monkeypatch, *words)
    (photos / "b.jpg").write_bytes(b"")
    with pytest.raises(SystemExit):
        run(monkeypatch, *words)
    assert not (tmp_path / "out/masks/b.png").exists()
    assert not (tmp_path / "out/overlays/b.jpg").exists()


def test_damaged_mask_is_made_anew(monkeypatch, model, photos, tmp_path):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words)
    mask = tmp_path / "out/masks/b.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:-30])
    run(monkeypatch, *words)
    assert mask.read_bytes() == whole


def test_masks_of_pictures_that_have_gone_are_told(monkeypatch, model, photos, tmp_path, capsys):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words)
    (photos / "b.jpg").unlink()
    run(monkeypatch, *words)
    assert "1 masks there belong to none of these pictures" in capsys.readouterr().out


def test_names_no_table_can_hold_are_reported_and_the_others_finished(monkeypatch, model, photos, tmp_path, capsys):
    os.rename(photos / "b.jpg", os.fsencode(photos) + b"/K\xfche.jpg")
    (photos / ("x" * 252 + ".im")).touch()
    Image.fromarray(picture(5, 5)).save(photos / ("y" * 251 + ".png"))
    Image.fromarray(picture(5, 5)).save(photos / "Ku\u0308he.png")
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("rename it") == 2
    with (tmp_path / "out/sizes.csv").open(newline="", encoding="utf-8") as file:
        assert sorted(row["image_id"] for row in csv.DictReader(file)) == ["K\u00fche", "a b", "more/c", "y" * 251]


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected pictures, got none"):
        find_pictures(tmp_path, tmp_path / "out")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not found; expected a picture or a folder"):
        find_pictures(tmp_path / "nothing", tmp_path / "out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no GPU is available"):
        predict.choose_device("cuda")


@pytest.mark.parametrize("out", [".", ".."])
def test_results_do_not_go_among_the_pictures(photos, out):
    with pytest.raises(ValueError, match=r"--out: .* holds the pictures, which results could hide or replace"):
        find_pictures(photos, photos / out)


def test_table_that_would_be_out_of_date_does_not_stay(monkeypatch, model, photos, tmp_path):
    words = ("--model", model, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    run(monkeypatch, *words)
    replace_by_older(photos, "b.jpg", (7, 9))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "labels", stopped)
    with pytest.raises(SystemExit):
        run(monkeypatch, *words)
    assert not (tmp_path / "out/sizes.csv").exists()


def test_link_to_itself_is_named_and_results_of_another_call_are_no_pictures(photos, tmp_path):
    (photos / "loop.png").symlink_to("loop.png")
    (photos / "earlier/masks").mkdir(parents=True)
    (photos / "earlier/predictions.json").write_text("{}")
    Image.new("L", (4, 4)).save(photos / "earlier/masks/b.png")
    found = find_pictures(photos, tmp_path / "out")
    assert [message.partition(":")[0] for message in found.misnamed] == ["'loop.png'"]
    assert not any(name.startswith("earlier") for name in found.pictures)
    assert {path.name for path in found.others} >= {"b.png", "predictions.json"}
