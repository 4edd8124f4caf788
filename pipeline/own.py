"""Train on your own photos: `python -m pipeline.own PHOTOS --out MODEL`, from whatever is given for each of them.

PHOTOS is a folder as described in docs/data.md: classes.yaml, images/, and for each photo a size, scribbles, clicks, a mask, or
several of these; the files of `python -m pipeline.annotate` may lie in it as they are. Some masks are kept to validate with.
Nothing is written into it. MODEL gets its own params.yaml, a copy of this repository's with the photos as one more data set, and
a family of one run for each stage of the training, so that every setting stays visible. The same command goes on after an
interruption; other photos or settings need another MODEL.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.command import command_parser
from pipeline.conventions import VOID
from pipeline.datasets.folder import Folder
from pipeline.datasets.pictures import picture_size
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.expand import expand_training
from pipeline.files import is_there, read_json, read_table, real_path, write_atomically, write_json
from pipeline.import_graph import REPOSITORY
from pipeline.params import (
    Network,
    Objective,
    Own,
    OwnStage,
    Params,
    Section,
    Training,
    here_or_ours,
    own_settings,
    read_yaml,
    resolve,
)
from pipeline.stages.summary import read_scores
from pipeline.targets.annotated_sizes import finished_sizes
from pipeline.targets.annotations import BACKGROUND, FIELDS, fingerprint, read_annotations
from pipeline.targets.strokes import Draw, Stroke, check_strokes, draw_seeds, read_strokes, strokes_by_image

NAME = "own"
MODEL = "model"
LOCK = Path(".own.lock")
NOTE = Path("own.json")
"""Says, in the model's folder, which photos and settings it belongs to."""


LOG = "annotations"
"""Name of the annotation tool's files without their endings, where no other is found."""
STROKES = ".strokes.jsonl"


class Photos(Folder):
    """A folder of photos in which the files of the annotation tool may stand for sizes.csv and scribbles/.

    Raises:
        DatasetError: as `Folder`, and for a mistake in the tool's files.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._names = [BACKGROUND, *self.class_names[1:]]
        self._strokes: dict[str, list[list[Stroke]]] = {}
        answers, strokes = logs(root)
        self._logs: list[Path] = []
        try:
            if answers is not None and not hidden(answers, bool(self._sizes), "sizes.csv"):
                self._sizes = self._answered(answers)
            if strokes is not None and not hidden(strokes, bool(self._scribbles), "scribbles/"):
                self._strokes = self._drawn(strokes)
        except ValueError as error:
            raise DatasetError(str(error)) from error

    def tables(self) -> list[Path]:
        """Return those of a folder, and the tool's files that are read."""
        return [*super().tables(), *self._logs]

    def read_scribble_raster(self, image_id: str) -> np.ndarray | None:
        """Return drawn scribbles, `VOID` where nothing is drawn, or None if nothing is drawn on any photo."""
        if image_id in self._strokes:
            return draw_seeds(self._strokes[image_id], picture_size(self.image_path(image_id)), self._names)[0]
        return self._void(image_id) if self._strokes else super().read_scribble_raster(image_id)

    def _answered(self, path: Path) -> dict[str, np.ndarray]:
        rows, damaged = read_annotations(path)
        self._take(path, damaged)
        return finished_sizes(rows, self._names, list(self._images), self._marks({row.image_id for row in rows}))

    def _drawn(self, path: Path) -> dict[str, list[list[Stroke]]]:
        rows, damaged = read_strokes(path)
        self._take(path, damaged)
        marks = self._marks({row.image_id for row in rows if isinstance(row, Draw)})
        check_strokes(rows, self._names, known_ids=list(self._images), pictures=marks)
        return strokes_by_image(rows)

    def _take(self, path: Path, damaged: list[str]) -> None:
        self._logs.append(path)
        for line in damaged:
            print(f"note: {path}: set aside, {line}", flush=True)

    def _marks(self, ids: set[str]) -> dict[str, str]:
        return {image_id: fingerprint(self._images[image_id].read_bytes()) for image_id in ids if image_id in self._images}


def hidden(log: Path, given: bool, by: str) -> bool:
    """Return `given`; say that a file of the annotation tool is then not read: what was exported may be older than it."""
    if given:
        print(f"note: {log} is not read, as {by} is there; export it again, or take {by} away", flush=True)
    return given


def logs(photos: Path) -> tuple[Path | None, Path | None]:
    """Return the annotation tool's file of sizes and that of strokes, as far as they lie among the photos.

    Raises:
        ValueError: there are several.
    """
    found = sorted(photos.glob(f"*{STROKES}"))
    if len(found) > 1:
        raise ValueError(f"{photos}: holds {found[0].name} and {found[1].name}; leave the file of strokes that is meant")
    stem = found[0].name.removesuffix(STROKES) if found else LOG
    answers = photos / f"{stem}.csv"
    return answers if is_there(answers) else None, found[0] if found else None


def check_photos(photos: Path) -> None:
    """Check what people forget between annotating and training; the reader of the folder checks the rest.

    Raises:
        ValueError: no folder, no classes.yaml, nothing to learn from, or answers of the annotation tool in place of sizes.
    """
    if str(photos) != str(photos).encode("utf-8", "replace").decode():
        raise ValueError(f"{str(photos)!a}: a name on this path is not UTF-8, and settings cannot hold it; rename the folder")
    if not photos.is_dir():
        raise ValueError(f"{photos}: is no folder; expected one with classes.yaml and images/ (see docs/data.md)")
    table = photos / "sizes.csv"
    header = read_table(table)[0] if is_there(table) else []
    if FIELDS[2] in header:
        raise ValueError(
            f"{table}: holds answers of the annotation tool, not sizes; rename it to {LOG}.csv, or let "
            "`python -m pipeline.annotate.export` make sizes.csv of it (see docs/annotate.md)"
        )
    if not (photos / "classes.yaml").exists():
        names = json.dumps(header[1:] or ["background", "cat", "dog"], ensure_ascii=False)
        raise ValueError(f"{photos / 'classes.yaml'}: not found; write it with the one line  names: {names}")
    given = [photos / name for name in ("scribbles", "clicks.csv", "masks")]
    if not header and not any(logs(photos)) and not any(map(is_there, given)):
        raise ValueError(
            f"{photos}: nothing says what the photos show; expected sizes.csv, scribbles/, clicks.csv, masks/, or {LOG}.csv and "
            f"{LOG}{STROKES} of `python -m pipeline.annotate` (see docs/annotate.md)"
        )


class Given(NamedTuple):
    """How many training photos that show a class come with what."""

    photos: int
    masks: int
    scribbles: int
    clicks: int
    pixels: int
    """With a mask, scribbles or clicks."""
    sizes: int

    def __str__(self) -> str:
        kinds = {"masks": self.masks, "scribbles": self.scribbles, "clicks": self.clicks, "sizes": self.sizes}
        return ", ".join(f"{kind} of {count}" for kind, count in kinds.items() if count)


def count_given(dataset: Photos) -> Given:
    """Count what the training photos come with; those that show none of the classes are left out of all counts.

    Raises:
        ValueError: nothing is left.
    """
    rows = []
    for image_id in dataset.ids("train"):
        labels = dataset.read_labels(image_id)
        if any(dataset.classes_in(image_id, labels)):
            raster = dataset.read_scribble_raster(image_id)
            known = [(labels != VOID).any(), raster is not None and (raster != VOID).any(), bool(dataset.read_clicks(image_id))]
            rows.append([True, *known, any(known), dataset.read_sizes(image_id) is not None])
    if not rows:
        raise ValueError(
            f"{dataset.root}: none of the {len(dataset.ids('train'))} photos that are not kept for validation comes with a size, "
            "scribble, click or mask of a class"
        )
    return Given(*np.array(rows, int).sum(0).tolist())


WORDS = {
    "masks": "cross-entropy on masks",
    "seeds": "partial cross-entropy on known pixels",
    "size": "sizes",
    "dense_crf": "CRF loss",
}
"""How terms of an objective are told."""


def told(objective: Objective) -> str:
    """Return an objective in words."""
    words, labeling = dict(WORDS), objective.self_labeling
    if labeling is not None:
        pair = f"H_{labeling.cross_entropy.upper()} + P_{labeling.relaxation.upper()}"
        words["self_labeling"] = f"{labeling.labels} self-labelling ({pair})"
    return " + ".join(words.get(term, term) for term in objective.terms)


def fitting_stages(own: Own, *, pixels: bool, sizes: bool) -> list[OwnStage]:
    """Return the stages that fit what is given: those for known pixels if there are any, without terms that need sizes if not."""
    stages = own.seeds if pixels else own.sizes
    if sizes:
        return stages
    lacking: dict[str, None] = {"size": None, "barrier": None}
    return [stage.model_copy(update={"objective": stage.objective.model_copy(update=lacking)}) for stage in stages]


def own_params(
    base: dict[str, Any], dataset: Photos, given: Given, stages: list[OwnStage], arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of the model's params.yaml, and of runs.yaml by family: a family of one run for each stage.

    The first is `base` with entries of the family's names: the photos as data set and supervision, and what pipeline/own.yaml
    says of network, objectives and training, as far as the command line does not choose others.
    """
    own = own_settings()
    subset = {"classes": list(dataset.class_names[1:]), "images": "containing"}
    supervision: dict[str, Any] = {"dataset": NAME, "subset": subset, "masks": given.masks > 0}
    supervision |= {"sizes": {"source": "given"}} if given.sizes else {}
    supervision |= {"seeds": {"kind": "given"}} if given.pixels else {}
    tree = dict(base)

    def add(section: str, name: str, entry: dict[str, Any]) -> None:
        tree[section] = {**tree[section], name: entry}

    add("datasets", NAME, {"kind": "folder", "source": str(dataset.root)})
    add("supervision", NAME, supervision)
    add("networks", NAME, own.network.model_dump())
    run = {"method": NAME, "supervision": NAME, "network": arguments.network or NAME}
    chosen = {key: value for key, value in vars(arguments).items() if key in Training.model_fields and value is not None}
    network = Network.model_validate(base["networks"][arguments.network]) if arguments.network else own.network
    if network.freeze_encoder and network.weights is not None and arguments.training is None:
        size_px = chosen.get("image_size_px", own.training.image_size_px)
        add("features", NAME, {"dataset": NAME, "subset": subset, "network": run["network"], "image_size_px": size_px})
        run["features"] = NAME
    families: dict[str, Any] = {}
    for number, stage in enumerate(stages, start=1):
        family = NAME if number == len(stages) else f"{NAME}_{number}"
        start = {"start": f"{list(families)[-1]}/{MODEL}"} if families else {}
        training = own.training.model_dump()
        training["epochs"] = max(training["epochs"], math.ceil(stage.photos_shown / given.photos))
        if arguments.training is not None:
            training = {**expand_training(base["training"])[arguments.training], "cache_images": False}
        training.update(chosen)
        training["learning_rate"] *= stage.rate_factor
        add("training", family, training)
        if arguments.objective is None:
            add("objectives", family, stage.objective.model_dump(exclude_none=True))
        objective = arguments.objective or family
        families[family] = {"runs": {MODEL: {**run, **start, "objective": objective, "training": family}}}
    return tree, families


def model_digest(params: Params, families: dict[str, Any], dataset: Photos) -> str:
    """Return what identifies a model: the settings of its runs and every file of the photos, wherever the folder lies."""
    parts: list[Section] = [params.supervision[NAME]]
    for family in families:
        run = params.run(family, MODEL)
        parts += [run, params.training[run.training], params.networks[run.network], params.objectives[run.objective]]
    settings = [params.seed, params.repetitions, *(part.model_dump() for part in [*parts, *params.solver.values()])]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    read = dataset.tables()
    read += [path for folder in ("images", "masks", "scribbles") for path in sorted((dataset.root / folder).glob("*"))]
    for path in read:
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(dataset.root)} {content}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def alone() -> Iterator[None]:
    """Keep the working folder to this process.

    Raises:
        ValueError: another process works in it.
    """
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{Path.cwd()}: another command trains in this folder; wait for it, or choose another --out"
            ) from None
        yield


def claim(tree: dict[str, Any], families: dict[str, Any], digest: str) -> bool:
    """Put params.yaml, every runs.yaml and the note into the working folder; return whether they stood there already.

    Raises:
        ValueError: the folder belongs to something else, or holds a model of other photos or settings.
    """
    here = Path.cwd()
    if paths.PARAMS.exists() and not NOTE.exists():
        raise ValueError(f"{here}: has a params.yaml that is not of this command; choose another --out")
    same = NOTE.exists() and read_json(NOTE, "choose another --out, or delete the folder") == {"digest": digest}
    if not same and paths.run_record(NAME, MODEL).exists():
        raise ValueError(f"{here}: holds a model of other photos or settings; choose another --out, or delete the folder")
    if not same:  # before the note says that these are of the new photos
        stale = [paths.prepared(NAME, "train").parent, paths.features(NAME), paths.supervision(NAME), paths.EXPERIMENTS]
        for folder in (*stale, *Path("models").glob(f"{NAME}_*")):
            shutil.rmtree(folder, ignore_errors=True)
        paths.metrics(NAME, MODEL).unlink(missing_ok=True)
    write_json(NOTE, {"digest": digest})
    for path, content in ((paths.PARAMS, tree), *((paths.family_runs(family), runs) for family, runs in families.items())):
        text = io.StringIO()
        YAML(typ="safe").dump(content, text)
        write_atomically(path, text.getvalue().encode())
    return same


def stage(name: str, *arguments: str) -> None:
    """Run one stage in the working folder; its errors are its own message.

    Raises:
        SystemExit: the stage failed, or was stopped: a training has then saved where it is.
    """
    places = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=places)
    command = [sys.executable, "-m", f"pipeline.stages.{name}", *arguments]
    # A session of its own: Ctrl-C reaches this process alone, which then asks the stage to end and waits until it has saved.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    status, asked = None, False
    while status is None:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            asked = True
            process.terminate()
    if status and asked:
        raise SystemExit(f"stopped at {name}; the same command goes on from here")
    if status < 0:
        ended = signal.Signals(-status).name
        hint = ", perhaps for lack of memory, of which a smaller --batch-size needs less" if ended == "SIGKILL" else ""
        raise SystemExit(f"{name} was ended by {ended}{hint}; the same command goes on from here")
    if status:
        raise SystemExit(f"{name} failed for the reason above; when that is mended, the same command goes on from here")


def prepare(dataset: Folder, split: str, *, keep: bool) -> bool:
    """Write the archive of a split, unless `keep` and it is there, and say how many photos are used.

    Returns:
        Whether there is anything to use: masks held back may all be of photos with none of the classes.
    """
    archive = paths.prepared(NAME, split)
    if not (keep and archive.exists()):
        write_prepared(archive, dataset, split)
    count = len(dataset.ids(split))
    if split == "val" and not any(any(classes) for classes in map(PreparedArchive(archive).classes_in, dataset.ids(split))):
        print(
            f"{split}: none of the {count} photos shows a class, so that nothing is validated; more masks would help", flush=True
        )
        return False
    used = len(PreparedArchive(archive, dataset.class_names[1:]))
    rest = "" if used == count else f" of {count}; of the others nothing is given, or none of the classes, and they are left out"
    print(f"{split}: {used} photos{rest}", flush=True)
    return True


def scores() -> str:
    """Return the line that says how well the model did on the photos with masks."""
    found = read_scores(f"{NAME}/{MODEL}")[0]
    per_class = ", ".join(f"{name} {value:.1%}" for name, value in found.IoU.items() if value is not None)
    return f"validation: mIoU {found.mIoU:.1%} on {found.images} photos ({per_class})"


def parse_arguments() -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(__doc__, "pipeline.own photos --out my-model")
    parser.add_argument("photos", type=Path, help="folder with classes.yaml, images/ and what is given for them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, made when needed")
    parser.add_argument("--network", help=f"key of `networks` in params.yaml, instead of that of {paths.OWN}")
    parser.add_argument("--objective", help="key of `objectives`, instead of the stages in own.sizes or own.seeds")
    parser.add_argument("--training", help="key of `training`, instead of own.training; the encoder then runs at every step")
    parser.add_argument("--epochs", type=int, help="passes over the photos in each stage")
    parser.add_argument("--batch-size", type=int, help="photos per step")
    parser.add_argument("--image-size-px", type=int, help="side of the network's input, a multiple of 16")
    parser.add_argument("--learning-rate", type=float, help="highest rate of the first stage")
    parser.add_argument("--workers", type=int, help="loader processes")
    return parser.parse_args()


def train_own(arguments: argparse.Namespace) -> None:
    """Read the photos, then prepare, train and, with masks, validate in the folder of the model.

    Raises:
        ValueError: photos, settings or the model's folder are not what they should be.
        DatasetError: a file of the photos is wrong (named).
        SystemExit: a stage failed.
    """
    photos, out = real_path(arguments.photos), real_path(arguments.out)
    check_photos(photos)
    if out.is_relative_to(photos):
        raise ValueError(f"--out: expected a folder outside {photos}, into which nothing is written, got {out}")
    dataset = Photos(photos)
    if not dataset.has_background:
        raise ValueError(
            f"{photos / 'classes.yaml'}: photos of one's own need a background; name it first and take `background: false` out"
        )
    dataset.verify()
    base = read_yaml(here_or_ours(paths.PARAMS))
    for option, section in (("network", "networks"), ("objective", "objectives"), ("training", "training")):
        if vars(arguments)[option] not in (None, *base[section]):
            raise ValueError(f"--{option}: expected one of {', '.join(base[section])}, got {vars(arguments)[option]!r}")
    given = count_given(dataset)
    stages = fitting_stages(own_settings(), pixels=given.pixels > 0, sizes=given.sizes > 0)
    tree, families = own_params(base, dataset, given, stages if arguments.objective is None else stages[:1], arguments)
    params = resolve(tree, families, Path("command line and params.yaml"))
    digest = model_digest(params, families, dataset)
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)
    with alone():
        train_here(dataset, given, tree, families, params, digest)


def train_here(
    dataset: Photos, given: Given, tree: dict[str, Any], families: dict[str, Any], params: Params, digest: str
) -> None:
    """Prepare, train and, with masks, validate in the working folder, going on where it was stopped.

    Raises:
        ValueError: the folder belongs to something else.
        SystemExit: a stage failed.
    """
    same = claim(tree, families, digest)
    run, model = params.run(NAME, MODEL), Path.cwd() / paths.model(NAME, MODEL)
    print(f"given: {given}", flush=True)
    trained = [told(params.objectives[params.run(family, MODEL).objective]) for family in families]
    why = f"pixels of {given.pixels} photos are known" if given.pixels else "there are sizes alone"
    reason = f", as {why}; --objective takes another" if run.objective == NAME else ""
    print(f"objective: {', then '.join(trained)}{reason}", flush=True)
    splits = [split for split in dataset.splits if dataset.ids(split) and prepare(dataset, split, keep=same)]
    if not paths.run_record(NAME, MODEL).exists():
        stage("supervise", NAME)
        stage("weights", run.network)
        if run.features is not None and not paths.kept_features(NAME).exists():
            print("features: what the frozen encoder makes of the photos is computed once", flush=True)
            stage("features", NAME)
        for family in families:
            if not paths.run_record(family, MODEL).exists():
                write_atomically(paths.code("train", family), b"trained outside the DAG\n")
                stage("train", f"{family}/{MODEL}")
        shutil.rmtree(paths.features(NAME), ignore_errors=True)  # large, and of no further use
    if "val" in splits:
        if not paths.metrics(NAME, MODEL).exists():
            stage("evaluate", NAME)
        print(scores())
    if params.networks[run.network].weights is None:
        print(
            f"note: network {run.network!r} started from random weights, so its masks will not be useful; leave --network out, "
            "or take one that has `weights`"
        )
    print(f"model: {model}")
    print(f"next:  python -m pipeline.predict --model {model} --images PHOTOS --out PREDICTIONS --overlays")


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Treat being ended as Ctrl-C.

    Raises:
        KeyboardInterrupt: always.
    """
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    with clear_errors(DatasetError):
        try:
            train_own(arguments)
        except KeyboardInterrupt:
            sys.exit("stopped; the same command goes on from here")


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    main()
