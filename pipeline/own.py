"""Train on your own photos: `python -m pipeline.own PHOTOS --out MODEL`, where PHOTOS has class sizes instead of masks.

PHOTOS is a folder as described in docs/data.md: classes.yaml, images/, sizes.csv (of `python -m pipeline.annotate.export`) and
perhaps masks/ for a few images to validate with. Nothing is written into it. MODEL gets its own params.yaml, a copy of this
repository's with the photos as one more data set, and a family of one run, so that every setting stays visible. The same command
goes on after an interruption; other photos or settings need another MODEL.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.datasets.base import DatasetError
from pipeline.datasets.folder import Folder
from pipeline.datasets.prepared import PreparedArchive, write_prepared
from pipeline.errors import clear_errors
from pipeline.files import read_json, write_atomically, write_json
from pipeline.params import Network, Own, Params, ParamsError, Training, read_yaml, resolve
from pipeline.stages.summary import read_scores

NAME = "own"
RUN = f"{NAME}/model"
REPOSITORY = Path(__file__).resolve().parent.parent
NOTE = Path("own.json")
"""Says, in the model's folder, which photos and settings it belongs to."""


def check_photos(photos: Path) -> None:
    """Check what people forget between annotating and training; the reader of the folder checks the rest.

    Raises:
        ValueError: no folder, no classes.yaml, or answers of the annotation tool that are not sizes yet.
    """
    if not photos.is_dir():
        raise ValueError(f"{photos}: is no folder; expected one with classes.yaml, images/ and sizes.csv (see docs/data.md)")
    table = photos / "sizes.csv"
    header: list[str] = []
    if table.exists():
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            header = next(csv.reader(file), [])
    if "size_fraction" in header:
        raise ValueError(
            f"{table}: holds answers of the annotation tool, not sizes; rename it to annotations.csv, then "
            "`python -m pipeline.annotate.export` makes sizes.csv of it (see docs/annotate.md)"
        )
    if not (photos / "classes.yaml").exists():
        names = json.dumps(header[1:] or ["background", "cat", "dog"], ensure_ascii=False)
        raise ValueError(f"{photos / 'classes.yaml'}: not found; write it with the one line  names: {names}")
    if not header and not (photos / "masks").is_dir():
        raise ValueError(
            f"{table}: not found or empty; `python -m pipeline.annotate.export` makes it of answers (see docs/annotate.md)"
        )


def own_settings(base: dict[str, Any]) -> Own:
    """Return the section `own` of params.yaml.

    Raises:
        ParamsError: it is not there, or not valid.
    """
    if NAME not in base:
        raise ParamsError(f"{paths.PARAMS}: has no section `{NAME}`; take it over from the params.yaml of the repository")
    return resolve(base, {}).own


def own_params(
    base: dict[str, Any], photos: Path, dataset: Folder, arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of the model's params.yaml and of runs.yaml of the family `NAME`, one run.

    The first is `base` with entries of the name `NAME`: the photos as data set and supervision, and what the section `own` says
    of network, objective and training, as far as the command line does not choose others.
    """
    own = own_settings(base)
    subset = {"classes": list(dataset.class_names[1:]), "images": "containing"}
    training = own.training.model_dump()
    used = sum(any(dataset.classes_in(one, dataset.read_labels(one))) for one in dataset.ids("train"))
    training["epochs"] = max(training["epochs"], math.ceil(own.photos_shown / max(used, 1)))
    if arguments.training is not None:
        training = dict(base["training"][arguments.training], cache_images=False)
    training.update({key: value for key, value in vars(arguments).items() if key in Training.model_fields and value is not None})
    entries: dict[str, Any] = {
        "datasets": {"kind": "folder", "source": str(photos)},
        "supervision": {"dataset": NAME, "subset": subset, "sizes": {"source": "given"}},
        "networks": own.network.model_dump(),
        "objectives": own.objective.model_dump(exclude_none=True),
        "training": training,
    }
    run = {
        "method": NAME,
        "supervision": NAME,
        "network": arguments.network or NAME,
        "objective": arguments.objective or NAME,
        "training": NAME,
    }
    network = Network.model_validate(base["networks"][arguments.network]) if arguments.network else own.network
    if network.freeze_encoder and network.weights is not None and arguments.training is None:
        size_px = training["image_size_px"]
        entries["features"] = {"dataset": NAME, "subset": subset, "network": run["network"], "image_size_px": size_px}
        run["features"] = NAME
    tree = {**base, **{section: {**base[section], NAME: entry} for section, entry in entries.items()}}
    return tree, {"runs": {RUN.split("/")[1]: run}}


def fingerprint(params: Params, photos: Path) -> str:
    """Return what identifies a model: the settings of its run and every file of the photos, wherever the folder lies."""
    run = params.run(*RUN.split("/"))
    parts = [run, params.supervision[NAME], params.training[NAME], params.networks[run.network], params.objectives[run.objective]]
    settings = [params.seed, params.repetitions, *(part.model_dump() for part in [*parts, *params.solver.values()])]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    read = [photos / "classes.yaml", photos / "sizes.csv", photos / "clicks.csv"]
    read += [path for folder in ("images", "masks", "scribbles", "splits") for path in sorted((photos / folder).glob("*"))]
    for path in read:
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(photos)} {content}\n".encode())
    return digest.hexdigest()[:16]


def claim(tree: dict[str, Any], runs: dict[str, Any], digest: str) -> bool:
    """Put params.yaml, runs.yaml and the note into the working folder; return whether they stood there already.

    Raises:
        ValueError: the folder belongs to something else, or holds a model of other photos or settings.
    """
    here = Path.cwd()
    if paths.PARAMS.exists() and not NOTE.exists():
        raise ValueError(f"{here}: has a params.yaml that is not of this command; choose another --out")
    same = NOTE.exists() and read_json(NOTE, "choose another --out, or delete the folder") == {"digest": digest}
    if not same and paths.run_record(*RUN.split("/")).exists():
        raise ValueError(f"{here}: holds a model of other photos or settings; choose another --out, or delete the folder")
    if not same:  # before the note says that these are of the new photos
        for folder in (paths.prepared(NAME, "train").parent, paths.features(NAME)):
            shutil.rmtree(folder, ignore_errors=True)
        paths.metrics(*RUN.split("/")).unlink(missing_ok=True)
    write_json(NOTE, {"digest": digest})
    for path, content in ((paths.PARAMS, tree), (paths.family_runs(NAME), runs)):
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
    if status < 0 or (status and asked):
        raise SystemExit(f"stopped at {name}; the same command goes on from here")
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
    rest = "" if used == count else f" of {count}; the others have no size or show none of the classes, and are left out"
    print(f"{split}: {used} photos{rest}", flush=True)
    return True


def scores() -> str:
    """Return the line that says how well the model did on the photos with masks."""
    found = read_scores(RUN)[0]
    per_class = ", ".join(f"{name} {value:.1%}" for name, value in found.IoU.items() if value is not None)
    return f"validation: mIoU {found.mIoU:.1%} on {found.images} photos ({per_class})"


def parse_arguments() -> argparse.Namespace:
    """Return the command line's values."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.own", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder with classes.yaml, images/ and sizes.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, made when needed")
    parser.add_argument("--network", help="key of `networks` in params.yaml, instead of own.network there")
    parser.add_argument("--objective", help="key of `objectives`, instead of own.objective")
    parser.add_argument("--training", help="key of `training`, instead of own.training; the encoder then runs at every step")
    parser.add_argument("--epochs", type=int, help="passes over the photos")
    parser.add_argument("--batch-size", type=int, help="photos per step")
    parser.add_argument("--image-size-px", type=int, help="side of the network's input, a multiple of 16")
    parser.add_argument("--learning-rate", type=float, help="initial rate")
    parser.add_argument("--workers", type=int, help="loader processes")
    return parser.parse_args()


def train_own(arguments: argparse.Namespace) -> None:
    """Read the photos, then prepare, train and, with masks, validate in the folder of the model.

    Raises:
        ValueError: photos, settings or the model's folder are not what they should be.
        DatasetError: a file of the photos is wrong (named).
        SystemExit: a stage failed.
    """
    photos, out = arguments.photos.expanduser().resolve(), arguments.out.expanduser().resolve()
    check_photos(photos)
    if out.is_relative_to(photos):
        raise ValueError(f"--out: expected a folder outside {photos}, into which nothing is written, got {out}")
    dataset = Folder(photos)
    if not dataset.has_background:
        raise ValueError(f"{photos / 'classes.yaml'}: sizes need a background; name it first and take `background: false` out")
    dataset.verify()
    base = read_yaml(paths.PARAMS if paths.PARAMS.exists() else REPOSITORY / paths.PARAMS)
    for option, section in (("network", "networks"), ("objective", "objectives"), ("training", "training")):
        if vars(arguments)[option] not in (None, *base[section]):
            raise ValueError(f"--{option}: expected one of {', '.join(base[section])}, got {vars(arguments)[option]!r}")
    tree, runs = own_params(base, photos, dataset, arguments)
    params = resolve(tree, {NAME: runs})
    digest = fingerprint(params, photos)
    run = params.run(*RUN.split("/"))
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)
    same = claim(tree, runs, digest)
    splits = [split for split in dataset.splits if dataset.ids(split) and prepare(dataset, split, keep=same)]
    model = paths.model(*RUN.split("/"))
    if not paths.run_record(*RUN.split("/")).exists():
        write_atomically(paths.code(NAME), b"trained outside the DAG\n")
        stage("supervise", NAME)
        stage("weights", run.network)
        if run.features is not None and not paths.kept_features(NAME).exists():
            print("features: what the frozen encoder makes of the photos is computed once", flush=True)
            stage("features", NAME)
        stage("train", RUN)
        shutil.rmtree(paths.features(NAME), ignore_errors=True)  # large, and of no further use
    if "val" in splits:
        if not paths.metrics(*RUN.split("/")).exists():
            stage("evaluate", NAME)
        print(scores())
    if params.networks[run.network].weights is None:
        print(
            f"note: network {run.network!r} started from random weights, so its masks will not be useful; leave --network out, "
            "or take one that has `weights`"
        )
    print(f"model: {out / model}")
    print(f"next:  python -m pipeline.predict --model {out / model} --images PHOTOS --out PREDICTIONS --overlays")


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
