"""Train on your own photos: `python -m pipeline.own PHOTOS --out MODEL`, where PHOTOS has class sizes instead of masks.

PHOTOS is a folder as described in docs/data.md: classes.yaml, images/, sizes.csv (of the annotation tool) and perhaps masks/ for
a few images to validate with. Nothing is written into it. MODEL gets its own params.yaml, a copy of this repository's with the
photos as one more data set and one more run, so that every setting stays visible. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.datasets.base import DatasetError
from pipeline.datasets.folder import Folder
from pipeline.datasets.prepared import write_prepared
from pipeline.files import write_atomically
from pipeline.params import load_params, read_yaml
from pipeline.stages.common import clear_errors

NAME = "own"
RUN = f"{NAME}/model"
REPOSITORY = Path(__file__).resolve().parent.parent


def own_params(base: dict[str, Any], photos: Path, class_names: tuple[str, ...], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return `base` with the photos as data set, supervision and run of the name `NAME`."""
    tree = dict(base)
    training = dict(base["training"][arguments.training], cache_images=False)
    training.update({key: value for key, value in vars(arguments).items() if key in training and value is not None})
    subset = {"classes": list(class_names[1:]), "images": "containing"}
    run = {
        "method": arguments.objective.replace("-", "_"),
        "dataset": NAME,
        "supervision": NAME,
        "network": arguments.network,
        "objective": arguments.objective,
        "training": NAME,
    }
    for section, entry in (
        ("datasets", {"kind": "folder", "source": str(photos)}),
        ("supervision", {"dataset": NAME, "subset": subset, "sizes": {"source": "given"}}),
        ("training", training),
        ("runs", {"model": run}),
    ):
        tree[section] = {**base[section], NAME: entry}
    return tree


def stage(name: str, *arguments: str) -> None:
    """Run one stage in the working folder; its errors are its own message.

    Raises:
        SystemExit: the stage failed.
    """
    places = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=places)
    command = [sys.executable, "-m", f"pipeline.stages.{name}", *arguments]
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise SystemExit(f"stopped at {name}; the same command goes on from here")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.own", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder with classes.yaml, images/ and sizes.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, made when needed")
    parser.add_argument("--network", default="mobilenet", help="key of `networks` in params.yaml (default: mobilenet)")
    parser.add_argument("--objective", default="size-crf", help="key of `objectives` (default: size-crf)")
    parser.add_argument("--training", default="size", help="key of `training` whose settings are used (default: size)")
    parser.add_argument("--epochs", type=int, help="passes over the photos instead of that setting's")
    parser.add_argument("--batch-size", type=int, help="photos per step")
    parser.add_argument("--image-size-px", type=int, help="side of the network's input, a multiple of 16")
    parser.add_argument("--learning-rate", type=float, help="initial rate")
    parser.add_argument("--workers", type=int, help="loader processes")
    arguments = parser.parse_args()
    with clear_errors(DatasetError):
        photos, out = arguments.photos.expanduser().absolute(), arguments.out.expanduser().absolute()
        dataset = Folder(photos)
        dataset.verify()
        base = read_yaml(paths.PARAMS if paths.PARAMS.exists() else REPOSITORY / paths.PARAMS)
        for section in ("network", "objective", "training"):
            known = base[f"{section}s" if section != "training" else section]
            if vars(arguments)[section] not in known:
                raise ValueError(f"--{section}: expected one of {', '.join(known)}, got {vars(arguments)[section]!r}")
        text = io.StringIO()
        YAML(typ="safe").dump(own_params(base, photos, dataset.class_names, arguments), text)
        out.mkdir(parents=True, exist_ok=True)
        os.chdir(out)
        write_atomically(paths.PARAMS, text.getvalue().encode())
        load_params()
        splits = [split for split in dataset.splits if dataset.ids(split)]
        for split in splits:
            counts = write_prepared(paths.prepared(NAME, split), dataset, split)
            print(f"{split}: {counts['images']} photos")
        write_atomically(paths.code(NAME), b"trained outside the DAG\n")
        stage("supervise", NAME)
        stage("weights", arguments.network)
        if not paths.run_record(*RUN.split("/")).exists():
            stage("train", RUN)
        if "val" in splits:
            stage("evaluate", NAME)
        print(f"model: {out / paths.model(*RUN.split('/'))}")
        print(f"next:  python -m pipeline.predict --model {out / paths.model(*RUN.split('/'))} --images PHOTOS --out PREDICTIONS")


if __name__ == "__main__":
    main()
