"""The page of data sets is the generated one, and the counts of a copy are those of its files."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.inventory import MARK, PAGE, count_split, counts_table, datasheets
from pipeline.datasets.natural_scene import NaturalScene
from pipeline.datasets.registry import DATASETS
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.synthetic_places import make_natural_scenes
from pipeline.datasets.voc import Voc
from pipeline.files import split_block

REPOSITORY = Path(__file__).resolve().parents[2]


def test_page_holds_what_the_readers_say():
    text = PAGE.read_text(encoding="utf-8")
    assert split_block(text, MARK, PAGE)[1] == datasheets(), "run `python -m pipeline.datasets.inventory --write`"


def test_every_kind_has_a_line_and_a_section():
    text = datasheets()
    for kind, reader in DATASETS.items():
        assert f"| `{kind}` | {reader.title} |" in text
        assert f"### `{kind}`: {reader.title}" in text
        assert reader.layout.strip() in text


def test_counts_are_those_of_the_masks(tmp_path):
    scenes = make_scenes(6, seed=0, class_indices=[8, 12], size_px=(32, 24))
    Voc.write(tmp_path, {"train": scenes, "val": []})
    counts = count_split(Voc(tmp_path), "train")
    masks = [scene.labels for scene in scenes]
    assert counts.images == 6
    assert counts.pixels[8] == sum(int((mask == 8).sum()) for mask in masks)
    assert counts.images_with[12] == sum(bool((mask == 12).any()) for mask in masks)
    assert counts.void_pixels == sum(int((mask == VOID).sum()) for mask in masks)
    assert counts.images_with_void == sum(bool((mask == VOID).any()) for mask in masks)


def test_table_has_a_line_per_class_and_shares_without_void(tmp_path):
    scenes = make_scenes(2, seed=0, class_indices=[8], size_px=(32, 24))
    Voc.write(tmp_path, {"train": scenes, "val": []})
    dataset = Voc(tmp_path)
    lines = counts_table(dataset, {"train": count_split(dataset, "train")}).splitlines()
    share = 100 * np.mean(np.concatenate([scene.labels[scene.labels != VOID] for scene in scenes]) == 8)
    assert len(lines) == 2 + 21 + 2
    assert lines[2 + 8] == f"| 8 | cat | 2 | {share:.2f} |"


def test_pictures_of_a_classification_set_are_counted(tmp_path):
    scenes = make_natural_scenes(8, seed=0, class_indices=[0, 3], size_px=(16, 16))
    NaturalScene.write(tmp_path, {"train": scenes, "val": scenes[:2]})
    assert count_split(NaturalScene(tmp_path), "train").images_with.tolist() == [4, 0, 0, 4, 0, 0]


def test_command_shows_the_counts_and_names_a_fault(tmp_path):
    NaturalScene.write(tmp_path, {"train": make_natural_scenes(6, seed=0, class_indices=[5], size_px=(16, 16)), "val": []})
    command = [sys.executable, "-m", "pipeline.datasets.inventory", "natural_scene"]
    good = subprocess.run([*command, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "| 5 | street | 6 | 0 |" in good.stdout
    bad = subprocess.run([*command, tmp_path / "no"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "error:" in bad.stderr
    assert "Traceback" not in bad.stderr
