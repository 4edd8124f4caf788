"""The one call on a GPU: that nothing stops it, what it brings back, and what the pages say of it."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import paths
from pipeline.bench import estimate, gpu, gpu_tables, pack, steps
from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.files import split_block
from pipeline.import_graph import REPOSITORY
from pipeline.params import load_params, resolve


def rows(folder, table):
    with (folder / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# Items


@pytest.fixture
def run(tmp_path):
    """Return a function that runs items for a budget and gives how each ended, by name, and the folder of results."""

    def start(items, budget=60.0, at_once=2):
        work, out = tmp_path / "work", tmp_path / "out"
        work.mkdir()
        call = gpu.Call(gpu.TOY._replace(at_once=at_once), "cpu", None, work)
        return {one.item.name: one for one in gpu.run_items(items, call, out, budget)}, out

    return start


def keep(call):
    call.row("runs", run=call.item, seed=0, mIoU_val=0.5)


def fail(call):
    keep(call)
    raise ValueError("no such kernel")


def hang(call):
    keep(call)
    time.sleep(60)


def die(call):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("work", "status"), [(fail, "failed"), (hang, "stopped: too slow"), (die, "ended with -9")])
def test_an_item_that_ends_badly_does_not_stop_the_next(run, work, status):
    ended, out = run([gpu.Item("a", "bad", 1.0, work), gpu.Item("a", "good", 10.0, keep)])
    assert (ended["bad"].status, ended["good"].status) == (status, "passed")
    assert rows(out, "runs")[-1]["run"] == "good"


def test_rows_before_an_error_are_kept_and_the_traceback_with_them(run):
    _, out = run([gpu.Item("b", "bad", 10.0, fail)])
    assert [row["run"] for row in rows(out, "runs")] == ["bad"]
    assert "ValueError: no such kernel" in (out / "log.txt").read_text()
    (item,) = json.loads((out / "call.json").read_text())["items"]
    assert item["error"] == "ValueError: no such kernel"


def test_what_an_item_started_ends_with_it(run, tmp_path):
    def start_another(call):
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(4); open({str(tmp_path / 'late')!r}, 'w')"])
        time.sleep(60)

    run([gpu.Item("a", "parent", 1.0, start_another)])
    time.sleep(4)
    assert not (tmp_path / "late").exists()


def test_a_part_that_is_over_leaves_time_to_the_next(run):
    late = [gpu.Item("a", f"slow-{number}", 60.0, hang) for number in range(2)]
    ended, _ = run([*late, gpu.Item("d", "good", 10.0, keep)], budget=6.0)
    assert [ended[name].status for name in ("slow-0", "slow-1", "good")] == [
        "stopped: too slow",
        "not started: no time left",
        "passed",
    ]


def test_trainings_run_side_by_side(run):
    def note(call):
        call.row("runs", run=call.item, seed=0, mIoU_val=time.monotonic())
        time.sleep(1.5)

    _, out = run([gpu.Item("d", f"train-{number}", 20.0, note) for number in range(2)])
    first, second = (float(row["mIoU_val"]) for row in rows(out, "runs"))
    assert second - first < 1.5


def test_every_pair_of_the_paper_profile_is_tried():
    params = steps.read_params("paper")
    found = {(shape.network, name) for shape, names in gpu.pairs_of(params, gpu.Size()).items() for name in names}
    assert found == {(run.network, run.objective) for _, run in gpu.all_runs(params)}


def test_names_of_items_are_unique():
    for size in (gpu.Size(), gpu.TOY):
        names = [item.name for item in gpu.items_of(gpu.Call(size, "cuda", None, Path()))]
        assert len(names) == len(set(names))


def test_outcomes_of_tests_are_read_from_one_process_and_from_several():
    alone = gpu.OUTCOME.search("tests/test_cuda.py::test_a[cce-q] PASSED   [ 3%]")
    several = gpu.OUTCOME.search("[gw0] [  3%] FAILED tests/test_cuda.py::test_a[cce-q]")
    assert (alone["before"], alone["outcome"]) == ("tests/test_cuda.py::test_a[cce-q]", "PASSED")
    assert (several["after"], several["outcome"]) == ("tests/test_cuda.py::test_a[cce-q]", "FAILED")


# The pack


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder of PASCAL VOC with pictures of up to 300 px, each with one click."""
    root = tmp_path_factory.mktemp("voc")
    cat = Voc.class_names.index("cat")
    scenes = [
        scene.__class__(scene.image_id, scene.image, scene.labels, clicks=(Scribble(0, ((100.0, 50.0),)),))
        for scene in make_scenes(8, seed=0, class_indices=[cat], size_px=(200, 300))
    ]
    Voc.write(root, {"train": scenes[:6], "val": scenes[6:]})
    return Voc(root)


def test_photos_are_brought_to_the_longest_side_with_masks_and_clicks(photos, tmp_path):
    pack.reduce_photos(photos, tmp_path, ["cat"], 60, room=10**6)
    small = Voc(tmp_path)
    small.verify()
    image_id = small.ids("train")[0]
    with Image.open(photos.image_path(image_id)) as large, Image.open(small.image_path(image_id)) as photo:
        share = 60 / max(large.size)
        assert photo.size == tuple(round(side * share) for side in large.size)
        scale = [new / old for new, old in zip(photo.size, large.size)]
    assert set(np.unique(small.read_labels(image_id))) <= set(np.unique(photos.read_labels(image_id)))
    assert small.read_clicks(image_id)[0].points[0] == pytest.approx((100 * scale[0], 50 * scale[1]), abs=0.01)


def test_as_many_training_photos_are_taken_as_fit(photos, tmp_path):
    counts = []
    for room in (12_000, 10**6):
        folder = tmp_path / str(room)
        pack.reduce_photos(photos, folder, ["cat"], 60, room)
        counts.append((len(Voc(folder).ids("train")), len(Voc(folder).ids("val"))))
    assert 0 < counts[0][0] < counts[1][0] == 6
    assert counts[0][1] == counts[1][1] == 2


def test_photos_without_the_classes_are_an_error(photos, tmp_path):
    with pytest.raises(DatasetError, match="no photo of dog for val"):
        pack.reduce_photos(photos, tmp_path, ["dog"], 60, room=10**6)


def test_every_wheel_is_pinned():
    assert [one.split("==")[0] for one in pack.pinned(REPOSITORY / "requirements.lock")] == list(pack.WHEELS)


@pytest.mark.parametrize("clicks", [True, False])
def test_the_packed_settings_are_valid(clicks):
    params = resolve(pack.project_params(pack.CLASSES, clicks, pack.Plan()), pack.families())
    assert len(params.runs[pack.FAMILY]) == 11
    assert params.networks[pack.NETWORK].freeze_encoder is False


def test_second_stages_follow_what_they_start_from():
    params = resolve(pack.project_params(pack.CLASSES, True, pack.Plan()), pack.families())
    longer = [chain for chain in gpu.chains(params) if len(chain) > 1]
    assert longer == [["gpu/clicks", "gpu_soft/clicks"], ["gpu/scribbles", "gpu_soft/scribbles"]]


def test_at_half_the_side_the_dense_crf_weighs_sixteen_times_as_much():
    published = steps.profile_tree("paper")["terms"]["dense_crf"]
    packed = pack.project_params(pack.CLASSES, True, pack.Plan(input_px=256))["terms"]["dense_crf"]
    assert packed["weight"] == pytest.approx(16 * published["weight"])
    assert packed["sigma_xy_px"] == published["sigma_xy_px"] / 2


# What is kept


@pytest.fixture
def root(tmp_path):
    """Return a folder with copies of the pages."""
    for page in ("docs/cost.md", "README.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / page, tmp_path / page)
    return tmp_path


def results(folder, miou="0.5", **changes):
    """Write what a call brings back."""
    folder.mkdir()
    call = {"chip": "NVIDIA H100 80GB HBM3", "driver": "580", "commit": "c0ffee", "rehearsal": False, "hours": 0.1}
    call |= {"libraries": {"torch": "2.11"}, "items": [{"name": "x", "status": "failed", "error": "OSError: /home/me/kernel.so"}]}
    (folder / "call.json").write_text(json.dumps({**call, **changes}))
    (folder / "runs.csv").write_text(f"run,seed,mIoU_val\ngpu/full,0,{miou}\n")
    (folder / "bars.csv").write_text("bar,value,unit,at_most,met,setting\ndense CRF loss,1.5,ms,2.0,yes,px 512\n")
    return folder


def test_recorded_numbers_stand_in_the_pages(root, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    folder = gpu_tables.record(results(root / "out"), root)
    assert folder == root / "reports/recorded/gpu-h100"
    cost = (root / "docs/cost.md").read_text()
    assert "| dense CRF loss | px 512 | 1.5 ms | 2 |" in cost
    assert "| gpu/full | 50.0 | 1 | 0.0 |" in cost
    assert "Nothing of this was measured" not in cost
    assert "Measured on H100" in (root / "README.md").read_text()


def test_a_second_call_replaces_its_own_lines_only(root, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    gpu_tables.record(results(root / "one"), root)
    second = results(root / "two", miou="0.6")
    (second / "bars.csv").unlink()
    folder = gpu_tables.record(second, root)
    assert [row["mIoU_val"] for row in rows(folder, "runs")] == ["0.6"]
    assert len(rows(folder, "bars")) == 1
    assert len(json.loads((folder / "provenance.json").read_text())["calls"]) == 2


def test_recorded_errors_name_no_folder(root, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    folder = gpu_tables.record(results(root / "out"), root)
    assert "OSError: kernel.so" in (folder / "provenance.json").read_text()


def test_a_rehearsal_is_not_recorded(root):
    with pytest.raises(ValueError, match="holds a rehearsal"):
        gpu_tables.record(results(root / "out", rehearsal=True), root)


def test_the_pages_say_what_is_recorded(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for path, block in gpu_tables.blocks().items():
        assert split_block(path.read_text(), gpu_tables.MARK, path)[1] == block


def test_hours_are_those_of_a_gpu_where_there_are_some(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert estimate.default_tables() == [Path("reports/bench/steps.csv")]
    table = tmp_path / paths.RECORDED / "gpu-h100" / "pairs.csv"
    table.parent.mkdir(parents=True)
    table.write_text("")
    assert estimate.default_tables() == [table.relative_to(tmp_path)]


# All of it


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Return the folder that a rehearsal wrote."""
    out = tmp_path_factory.mktemp("rehearsal")
    command = [sys.executable, "-m", "pipeline.bench.gpu", "--rehearse", "--out", str(out), "--budget", "900"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + (out / "log.txt").read_text()
    return out


@pytest.mark.slow
def test_a_rehearsal_measures_everything(rehearsal):
    assert {row["outcome"] for row in rows(rehearsal, "tests")} == {"passed"}
    assert all(float(row["value"]) > 0 for row in rows(rehearsal, "bars"))
    params = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS)
    tried = {(row["network"], row["objective"]) for row in rows(rehearsal, "pairs") if row["outcome"] == "finite"}
    assert tried == {(run.network, run.objective) for _, run in gpu.all_runs(params)}
    assert [row["run"] for row in rows(rehearsal, "runs")] == ["gpu/size-crf-mre08", "gpu/clicks", "gpu_soft/clicks"]


@pytest.mark.slow
def test_tables_of_a_rehearsal_are_such_as_hours_are_estimated_from(rehearsal):
    assert estimate.read_steps([rehearsal / "steps.csv", rehearsal / "pairs.csv"])


@pytest.mark.slow
def test_few_small_files_come_back(rehearsal):
    files = list(rehearsal.iterdir())
    assert len(files) <= 8
    assert sum(path.stat().st_size for path in files) < 2**20


def test_nothing_of_the_photos_is_in_an_archive_of_the_repository():
    ignored = subprocess.run(["git", "check-ignore", ".scratch/gpu-pack"], cwd=REPOSITORY, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_a_prepared_toy_has_both_splits(tmp_path):
    pack.toy_photos(tmp_path / "raw")
    raw = Voc(tmp_path / "raw")
    for split in ("train", "val"):
        pack.write_prepared(tmp_path / f"{split}.zip", raw, split, classes=pack.CLASSES[:2])
        assert len(PreparedArchive(tmp_path / f"{split}.zip").ids) > 0


def test_items_are_chosen_by_part_and_beginning_of_their_name():
    items = [gpu.Item(part, name, 1, print) for part, name in (("a", "tests"), ("b", "loader"), ("c", "train-full"))]
    assert gpu.chosen_items(items, None) == items
    assert gpu.chosen_items(items, ["train", "a"]) == [items[0], items[2]]
    with pytest.raises(ValueError, match="--only tarin: no item is called so; there: tests, loader, train-full"):
        gpu.chosen_items(items, ["a", "tarin"])
