"""Pack what a GPU machine without internet needs: `python -m pipeline.bench.pack --photos FOLDER --out .scratch/gpu-pack`.

FOLDER is laid out as PASCAL VOC (docs/data.md). OUT, which git ignores, gets

    wheels/      what the machine lacks beside torch, timm, numba and scikit-image, for Python 3.12 on x86-64 Linux
    project/     a folder to train in: photos of at most 256 px, as JPEG of quality 60, with masks and clicks, prepared; their
                 supervision; the published weights of the encoder; params.yaml and the runs of the families `gpu` and `gpu_soft`
    pack.json    the commit that all this was made from

so that there nothing is left to do but `python -m pipeline.bench.gpu --pack OUT`. As many training photos are taken, in random
order, as fit below `--limit-mib` together with the files of this repository. Without `--photos` a few procedural pictures take
their place, to try the way.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.bench.steps import profile_tree
from pipeline.command import command_parser
from pipeline.datasets.base import Scene, Scribble
from pipeline.datasets.pictures import encode_mask
from pipeline.datasets.prepared import write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.voc import Voc
from pipeline.errors import clear_errors
from pipeline.files import write_atomically, write_json
from pipeline.params import resolve

FAMILY, SECOND, DATASET, NETWORK = "gpu", "gpu_soft", "voc", "lite0"
ERRORS = ("00", "08", "16", "32")
"""Of size targets, in per cent."""
CLASSES = ("cat", "dog", "horse", "cow", "sheep")
WHEELS = (
    "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions", "segmentation-models-pytorch",
    "nibabel", "pycocotools", "ruamel-yaml", "ruamel-yaml-clib",
)  # fmt: skip
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
QUALITY = 60
SUPERVISION_BYTES = 2500
"""Set aside for each training photo besides its own bytes: entries of the archive, strokes, clicks and all size targets."""
MIB = 2**20


class Plan(NamedTuple):
    """How the photos are trained on.

    Attributes:
        longest_px: of a photo's sides.
        input_px: side of the network's input.
        epochs: of every run.
        batch_size: photos per step.
        workers: loader processes of one run.
    """

    longest_px: int = 256
    input_px: int = 256
    epochs: int = 12
    batch_size: int = 16
    workers: int = 1


TOY = Plan(longest_px=64, input_px=64, epochs=1, batch_size=4, workers=0)


def families() -> dict[str, Any]:
    """Return the content of runs.yaml by family: masks, sizes with every error with and without CRF, strokes in two stages."""
    first: dict[str, Any] = {"full": {"method": "full", "supervision": "voc-masks", "objective": "masks"}}
    second: dict[str, Any] = {}
    for error in ERRORS:
        for objective in ("size", "size-crf"):
            method = objective.replace("-", "_")
            first[f"{objective}-mre{error}"] = {"method": method, "supervision": f"voc-sizes-mre{error}", "objective": objective}
    for seeds, supervision in (("clicks", "voc-clicks"), ("scribbles", "voc-scribbles-100")):
        first[seeds] = {"method": "seeds", "supervision": supervision, "objective": "seeds"}
        start = f"{FAMILY}/{seeds}"
        second[seeds] = {"method": "soft", "supervision": supervision, "objective": "soft-cd-fast", "start": start}
    return {
        FAMILY: {"shared": {"network": NETWORK, "training": "first"}, "runs": first},
        SECOND: {"shared": {"network": NETWORK, "training": "second"}, "runs": second},
    }


def project_params(classes: Sequence[str], clicks: bool, plan: Plan) -> dict[str, Any]:
    """Return the content of params.yaml: the papers' objectives, brought to the size of the photos.

    Over all pairs of pixels the dense CRF loss is a sum: at half the side its weight is 16 times that of 512 px, its bandwidth
    half.
    """
    tree = profile_tree("paper")
    share = plan.input_px / 512
    terms = tree["terms"]
    for settings in (terms["dense_crf"], terms["self_labeling"]):
        settings["sigma_xy_px"] *= share
    terms["dense_crf"]["weight"] /= share**4
    first = {
        "epochs": plan.epochs, "batch_size": plan.batch_size, "workers": plan.workers, "image_size_px": plan.input_px,
        "optimizer": "adamw", "schedule": "one_cycle", "learning_rate": 5e-4, "head_lr_factor": 2.0, "weight_decay": 0.01,
        "cache_images": True, "validate_every_epochs": plan.epochs,
    }  # fmt: skip
    strokes: dict[str, Any] = {"length_ratio": 1.0, "width_px": 3}
    points = {"kind": "clicks", "width_px": 3} if clicks else {**strokes, "length_ratio": 0.0}
    return {
        **tree,
        "datasets": {DATASET: {"kind": "voc", "source": "packed", "classes": list(classes)}},
        "supervision": {
            "voc-masks": {"dataset": DATASET, "masks": True},
            **{f"voc-sizes-mre{error}": {"dataset": DATASET, "sizes": {"mre": int(error) / 100}} for error in ERRORS},
            "voc-clicks": {"dataset": DATASET, "seeds": points},
            "voc-scribbles-100": {"dataset": DATASET, "seeds": strokes},
        },
        "networks": {NETWORK: {"kind": "light", "encoder": "efficientnet_lite0", "weights": "imagenet"}},
        "training": {"base": tree["training"]["base"], "first": first, "second": {**first, "learning_rate": 1e-4}},
        "objectives": {
            **tree["objectives"],
            "soft-cd-fast": {"seeds": 1.0, "self_labeling": {"relaxation": "cd", "solver": "fast"}},
        },
    }


def photos_of(source: Voc, split: str, classes: Sequence[str], longest_px: int) -> Iterator[tuple[Scene, bytes]]:
    """Yield photos that show one of the classes, in random order but equal every time, each with the file it becomes."""
    wanted = {source.class_names.index(name) for name in classes}
    for image_id in np.random.default_rng(0).permutation(source.ids(split)).tolist():
        labels = source.read_labels(image_id)
        if not wanted & set(np.unique(labels).tolist()):
            continue
        with Image.open(source.image_path(image_id)) as opened:
            photo = opened.convert("RGB")
        share = min(1.0, longest_px / max(photo.size))
        size = (max(round(photo.width * share), 1), max(round(photo.height * share), 1))
        mask = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        photo = photo.resize(size, Image.Resampling.LANCZOS)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=QUALITY, optimize=True)
        wide, high = size[0] / labels.shape[1], size[1] / labels.shape[0]
        clicks = source.read_clicks(image_id)
        if clicks is not None:
            places = ([(round(x * wide, 2), round(y * high, 2)) for x, y in click.points] for click in clicks)
            clicks = [Scribble(click.class_index, tuple(points)) for click, points in zip(clicks, places)]
        yield Scene(image_id, np.asarray(photo), mask, clicks=None if clicks is None else tuple(clicks)), file.getvalue()


def reduce_photos(source: Voc, folder: Path, classes: Sequence[str], longest_px: int, room: int) -> None:
    """Write all validation photos, and as many training photos as `room` bytes hold, as a folder of PASCAL VOC.

    Raises:
        DatasetError: not even one training photo fits.
    """
    splits: dict[str, list[Scene]] = {}
    files: dict[str, bytes] = {}
    for split in ("val", "train"):
        taken = splits.setdefault(split, [])
        for scene, file in photos_of(source, split, classes, longest_px):
            room -= len(file) + len(encode_mask(scene.labels, source.palette)) + SUPERVISION_BYTES * (split == "train")
            if room < 0 and split == "train":
                break
            taken.append(scene)
            files[scene.image_id] = file
        if not taken:
            raise DatasetError(f"{source.root}: no photo of {', '.join(classes)} for {split}, or no room for one")
        taken.sort(key=lambda scene: scene.image_id)
    Voc.write(folder, splits)
    for image_id, file in files.items():
        write_atomically(folder / f"VOCdevkit/VOC2012/JPEGImages/{image_id}.jpg", file)


def toy_photos(folder: Path) -> None:
    """Write procedural pictures as a folder of PASCAL VOC."""
    indices = [Voc.class_names.index(name) for name in CLASSES[:2]]
    scenes = make_scenes(14, seed=0, class_indices=indices, size_px=(64, 64))
    Voc.write(folder, {"train": scenes[:10], "val": scenes[10:]})


def make_project(folder: Path, raw: Voc, classes: Sequence[str], plan: Plan) -> None:
    """Write the folder to train in, with this project's own stages.

    Raises:
        ParamsError: a class is unknown.
        subprocess.CalledProcessError: a stage failed, for the reason it printed.
    """
    clicks = raw.read_clicks(raw.ids("train")[0]) is not None
    tree = project_params(classes, clicks, plan)
    resolve(tree, families())
    files = {paths.PARAMS: tree, **{paths.family_runs(family): runs for family, runs in families().items()}}
    for path, content in files.items():
        text = io.StringIO()
        YAML().dump(content, text)
        write_atomically(folder / path, text.getvalue().encode())
    for split in ("train", "val"):
        write_prepared(folder / paths.prepared(DATASET, split), raw, split, classes=classes)
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH")]))}
    for stage in (("supervise", DATASET), ("weights", NETWORK)):
        command = [sys.executable, "-m", f"pipeline.stages.{stage[0]}", stage[1]]
        subprocess.run(command, cwd=folder, env=environment, check=True)


def pinned(lock: Path) -> list[str]:
    """Return `name==version` of each of `WHEELS`, as requirements.lock has it."""
    names = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, sign, rest = line.partition("==")
        if sign and not name.startswith((" ", "#")):
            names[name.strip().lower().replace(".", "-").replace("_", "-")] = rest.split()[0]
    return [f"{name}=={names[name]}" for name in WHEELS]


def download_wheels(folder: Path) -> None:
    """Fetch the wheels from the registry that pip is set up for.

    Raises:
        subprocess.CalledProcessError: pip failed, for the reason it printed.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", "--dest", str(folder)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, *pinned(Path("requirements.lock"))], check=True)


def folder_bytes(folder: Path) -> int:
    """Return how large the files of a folder are together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def git(*words: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def tree_bytes() -> int:
    """Return how large the files of this repository are that git knows or would add."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sum(Path(name).stat().st_size for name in listed if name and Path(name).is_file())


def command_there(pack: Path) -> str:
    """Return what to run on the other machine, in the root of the repository there."""
    return (
        f"python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --find-links {pack}/wheels "
        f"--target .scratch/site {pack}/wheels/*.whl; "
        f'PYTHONPATH=.scratch/site:. PYTHONUNBUFFERED=1 python3 -m pipeline.bench.gpu --pack {pack} --out "$OUT" --budget 540'
    )


def pack(out: Path, photos: Path | None, classes: Sequence[str], limit_mib: float, *, wheels: bool = True) -> dict[str, float]:
    """Fill `out` anew and return the MiB of each part.

    Raises:
        DatasetError: the photos are no PASCAL VOC, lack the classes, or do not fit below the limit.
        subprocess.CalledProcessError: pip or a stage failed.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if wheels:
        download_wheels(out / "wheels")
    tree = tree_bytes()
    raw, project = out / "raw", out / "project"
    plan = TOY if photos is None else Plan()
    if photos is None:
        classes = CLASSES[:2]
        toy_photos(raw)
    else:
        weights_bytes = 12 * MIB
        room = int(limit_mib * MIB) - tree - folder_bytes(out) - weights_bytes
        reduce_photos(Voc(photos), raw, classes, plan.longest_px, room)
    make_project(project, Voc(raw), classes, plan)
    for rest in (raw, project / paths.SCRATCH):
        shutil.rmtree(rest, ignore_errors=True)
    changed = bool(git("status", "--porcelain", "--", "pipeline").strip())
    write_json(out / "pack.json", {"commit": git("rev-parse", "HEAD").strip() + " with changes" * changed})
    parts = {"tree": tree, "wheels": folder_bytes(out / "wheels"), "project": folder_bytes(project)}
    sizes = {name: size / MIB for name, size in parts.items()}
    if sum(sizes.values()) > limit_mib:
        raise DatasetError(f"{out}: {sizes} MiB are more than {limit_mib:g} with the tree; pack fewer classes")
    return sizes


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.bench.pack --photos downloads/voc")
    parser.add_argument("--photos", type=Path, help="a folder laid out as PASCAL VOC; procedural pictures without it")
    parser.add_argument("--classes", nargs="+", default=CLASSES, metavar="NAME", help=f"default: {' '.join(CLASSES)}")
    parser.add_argument("--out", type=Path, default=paths.SCRATCH / "gpu-pack", help="a folder that git ignores")
    parser.add_argument("--limit-mib", type=float, default=61.0, help="of the pack and this repository together")
    arguments = parser.parse_args()
    with clear_errors(DatasetError, subprocess.CalledProcessError):
        sizes = pack(arguments.out, arguments.photos, arguments.classes, arguments.limit_mib)
        print(", ".join(f"{name} {size:.1f} MiB" for name, size in sizes.items()) + f", together {sum(sizes.values()):.1f} MiB")
        print(f"carry {arguments.out} with the repository, and run there:\n{command_there(arguments.out)}")


if __name__ == "__main__":
    main()
