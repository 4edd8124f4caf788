"""What annotators give is one thing per data set, whatever part of it a supervision variant looks at."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.datasets.folder import Folder
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.import_graph import REPOSITORY
from pipeline.params import Seeds, SizeTargets, Supervision, load_params
from pipeline.params.whole import Trial
from pipeline.runs import Job
from pipeline.stages import supervise
from pipeline.stages.supervise import (
    Truth,
    annotated_sizes,
    draw_seed,
    given_sizes,
    kept_variant,
    make_given,
    make_regions,
    make_variant,
)
from pipeline.stages.train import make_dataset
from pipeline.targets.rasters import RasterArchive
from pipeline.targets.scribbles import read_scribbles
from pipeline.targets.strokes import HEADER


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Voc.write(tmp_path / "raw", {"train": make_scenes(24, seed=1, class_indices=[3, 8, 12], size_px=(32, 24)), "val": []})
    write_prepared(tmp_path / "train.zip", Voc(tmp_path / "raw"), "train", classes=["bird", "cat", "dog"])
    return tmp_path / "train.zip"


def answers(prepared, name, classes):
    truth = Truth(PreparedArchive(prepared, classes=classes))
    sizes, _ = annotated_sizes(truth, f"voc/{name}", SizeTargets(source="annotations"), seed=0)
    with paths.annotation_errors(f"voc/{name}").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "cat"]
    return dict(zip(truth.archive.ids, sizes)), [(row["image_id"], row["size_fraction"], row["seconds"]) for row in rows]


def test_the_error_of_every_answer_names_the_grid_it_was_given_with(prepared):
    answers(prepared, "animals", ["dog", "cat", "bird"])
    with paths.annotation_errors("voc/animals").open(newline="") as file:
        assert {row["grid"] for row in csv.DictReader(file)} <= {"5x4", "3x3", "none"}


def test_one_simulated_annotator_answers_for_all_views_of_a_data_set(prepared):
    of_cats, cats = answers(prepared, "cat", ["cat"])
    of_animals, animals = answers(prepared, "animals", ["dog", "cat", "bird"])
    assert len(cats) >= 3
    assert cats == animals
    assert [of_cats[image][1] for image, *_ in cats] == [of_animals[image][2] for image, *_ in cats]


@pytest.mark.parametrize(("spec", "file"), [({"sizes": {"mre": 0.16}}, "sizes.csv"), ({"seeds": {"width_px": 3}}, "seeds.json")])
def test_another_draw_of_the_same_chance_differs(prepared, spec, file):
    truth = Truth(PreparedArchive(prepared))
    given = []
    for repetition in (0, 1, 2, 1):
        place = paths.drawn("voc/one", repetition)
        make_variant(truth, place, Supervision(dataset="voc", **spec), 0.1, draw_seed(7, repetition))
        given.append((paths.supervision(place) / file).read_bytes())
    assert len(set(given)) == 3
    assert given[1] == given[3]


@pytest.mark.parametrize(
    ("spec", "random"),
    [
        ({"masks": True}, False),
        ({"tags": True}, False),
        ({"sizes": {"mre": 0.08}}, True),
        ({"sizes": {"source": "mean"}}, False),
        ({"sizes": {"source": "annotations"}}, True),
        ({"sizes": {"source": "annotations", "file": "data/annotations/a.csv"}}, False),
        ({"seeds": {"kind": "scribbles"}}, True),
        ({"seeds": {"kind": "clicks"}}, False),
        ({"seeds": {"kind": "erosion"}, "sizes": {"mre": 0.0}}, True),
        ({"labels": {"corrupted": 0.4}}, True),
    ],
)
def test_what_chance_has_a_part_in_is_drawn_for_every_repetition(spec, random):
    assert Supervision(dataset="voc", **spec).random is random


def test_a_repetition_learns_from_its_own_draw_where_there_is_one():
    params = load_params()
    places = [
        Job(*run, params, repetition).variant for run in (("size_noise", "full"), ("noise", "size")) for repetition in (0, 2)
    ]
    assert places == ["voc/voc-masks", "voc/voc-masks", "voc/voc-sizes", "voc/voc-sizes/2"]


def test_a_trial_learns_from_its_part_of_what_was_given_for_all_images(prepared):
    name = "size-mre08"
    committed = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS)
    tried = committed.run("size_noise", name).model_copy(update={"trial": Trial()})
    job = Job("size_noise", name, committed.model_copy(update={"runs": {"size_noise": {name: tried}}}))
    make_variant(Truth(PreparedArchive(prepared)), job.variant, job.supervision, 0.1, 7)
    part = PreparedArchive(prepared, part="train")
    learned = make_dataset(job, part, None)
    assert len(learned) == len(part) < len(PreparedArchive(prepared))
    assert learned[0, 7]["size_targets"].sum() == pytest.approx(1)


def drawn_by(tmp_path, *actions):
    """Return a file of strokes: image id, class, x of a vertical stroke, seconds."""
    rows = [
        {
            "image": image, "do": "draw", "annotator": "Ada", "seconds": seconds, "picture": "",
            "timestamp": f"2025-01-31T12:00:{number:02}.000000Z",
            "stroke": {"id": f"{number:016x}", "class": name, "width": 3, "points": [[x, 4], [x, 20]], "size": [32, 24]},
        }
        for number, (image, name, x, seconds) in enumerate(actions)
    ]  # fmt: skip
    path = tmp_path / "data/annotations/a.strokes.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + "".join(json.dumps(row) + "\n" for row in rows))
    return Seeds(kind="drawn", file="data/annotations/a.strokes.jsonl")


def test_strokes_that_people_drew_become_seeds_and_their_seconds_are_kept(prepared, tmp_path):
    first, second, *_ = PreparedArchive(prepared).ids
    spec = drawn_by(tmp_path, (first, "cat", 5, 3.0), (first, "background", 20, 2.0), (second, "dog", 9, 4.0))
    truth = Truth(PreparedArchive(prepared, classes=["cat"]))
    told = make_regions(truth, "voc/drawn", spec)
    seeds = RasterArchive(paths.seed_regions("voc/drawn"))
    assert (told["images"], told["drawn_seconds"], told["generated"]) == (2, 4.5, False)
    assert [seeds[first][12, x] for x in (5, 20, 28)] == [1, 0, VOID]
    assert set(np.unique(seeds[second])) == {0, VOID}  # a dog is background to who looks for cats
    assert (seeds[truth.archive.ids[2]] == VOID).all()


@pytest.mark.parametrize(
    ("image", "name", "said"),
    [("nowhere", "cat", "unknown image"), (None, "cow", "unknown class 'cow'"), (None, None, "no stroke")],
)
def test_strokes_that_do_not_fit_the_data_set_are_named(prepared, tmp_path, image, name, said):
    strokes = [(image or PreparedArchive(prepared).ids[0], name, 5, 1.0)] if name else []
    spec = drawn_by(tmp_path, *strokes)
    with pytest.raises(ValueError, match=said):
        make_regions(Truth(PreparedArchive(prepared)), "voc/drawn", spec)


def test_a_file_of_strokes_is_for_drawn_seeds_alone():
    with pytest.raises(ValueError, match="only kind drawn"):
        Seeds(kind="scribbles", file="data/annotations/a.strokes.jsonl")
    with pytest.raises(ValueError, match="below data/annotations"):
        Seeds(kind="drawn", file="elsewhere.jsonl")


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Return the images of a folder of four: a mask, a mask of the left half beside scribbles and a click, scribbles, a click."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "masks", "scribbles"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos/classes.yaml").write_text("names: [background, cat]\n")
    (tmp_path / "photos/clicks.csv").write_text("image_id,class,x,y\nb,cat,6,1\nd,cat,2,2\n")
    (tmp_path / "photos/sizes.csv").write_text("image_id,background,cat\nc,0.25,0.75\n")
    (tmp_path / "photos/splits").mkdir()
    (tmp_path / "photos/splits/train.txt").write_text("a\nb\nc\nd\n")
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :2] = 1
    half = mask.copy()
    half[:, 4:] = VOID
    drawn = np.full((8, 8), VOID, np.uint8)
    drawn[7] = 1
    for name in "abcde":
        Image.new("RGB", (8, 8)).save(tmp_path / f"photos/images/{name}.png")
    for folder, name, values in (("masks", "a", mask), ("masks", "b", half), ("masks", "e", mask), ("scribbles", "b", drawn)):
        Image.fromarray(values).save(tmp_path / f"photos/{folder}/{name}.png")
    Image.fromarray(drawn).save(tmp_path / "photos/scribbles/c.png")
    write_prepared(tmp_path / "train.zip", Folder(tmp_path / "photos"), "train")
    return Truth(PreparedArchive(tmp_path / "train.zip"))


def test_every_known_pixel_is_given(mixed):
    made = make_given(mixed, "own/own", Seeds(kind="given", width_px=1))
    regions, strokes = RasterArchive(paths.seed_regions("own/own")), read_scribbles(paths.seeds("own/own"))
    assert [int((regions[name] != VOID).sum()) for name in "abcd"] == [64, 32 + 4, 8, 0]
    assert regions["b"][7].tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    assert [len(strokes[name]) for name in "abcd"] == [0, 1, 0, 1]
    assert made == {"annotated": (64 + 37 + 8 + 1) / 256, "generated": False, "images": 4}


def test_sizes_are_given_where_something_says_them(mixed):
    sizes = given_sizes(mixed, "own/own", optional=True)
    assert sizes.tolist() == [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0, 0]]


def test_sizes_alone_must_be_there_for_every_image(mixed):
    with pytest.raises(DatasetError, match="image d has neither sizes nor a mask"):
        given_sizes(mixed, "own/own")


@pytest.fixture
def keep(prepared, monkeypatch):
    """Return a function that makes a variant with kept ones, and a list of what was not found among them."""
    paths.code("supervise").parent.mkdir(parents=True)
    paths.code("supervise").write_text("before")
    truth, made = Truth(PreparedArchive(prepared)), []
    monkeypatch.setattr(supervise, "make_variant", lambda *given: made.append(given[1]) or make_variant(*given))

    def ask(variant, spec, sigma=0.1, seed=0):
        kept_variant(truth, variant, Supervision(dataset="voc", **spec), sigma, seed)
        return {path.name: path.read_bytes() for path in paths.supervision(variant).iterdir()}

    return ask, made


@pytest.mark.parametrize("spec", [{"sizes": {"mre": 0.16}}, {"sizes": {"source": "mean"}}, {"seeds": {}, "tags": True}])
def test_a_variant_is_made_once_whatever_the_default_noise_is(keep, spec):
    ask, made = keep
    first = ask("voc/one", spec)
    assert ask("voc/one", spec, sigma=0.2) == ask("voc/two", spec, sigma=0.3) == first
    assert made == ["voc/one"]


@pytest.mark.parametrize(("changed", "spec"), [({"sigma": 0.2}, {"sizes": {}}), ({"seed": 1}, {"seeds": {}})])
def test_a_variant_of_other_chance_or_noise_is_made_again(keep, changed, spec):
    ask, made = keep
    first = ask("voc/one", spec)
    assert ask("voc/one", spec, **changed) != first
    assert ask("voc/one", spec) == first
    assert len(made) == 2


@pytest.mark.parametrize("changed", ["code", "pictures"])
def test_a_variant_of_other_code_or_pictures_is_made_again(keep, prepared, changed):
    ask, made = keep
    ask("voc/one", {"tags": True})
    if changed == "code":
        paths.code("supervise").write_text("behind")
    else:
        write_prepared(prepared, Voc(prepared.parent / "raw"), "train", classes=["bird", "cat"])
    ask("voc/one", {"tags": True})
    assert len(made) == 2


def test_nothing_is_kept_where_nobody_says_what_the_code_is(keep):
    ask, made = keep
    paths.code("supervise").unlink()
    assert ask("voc/one", {"tags": True}) == ask("voc/one", {"tags": True})
    assert len(made) == 2
