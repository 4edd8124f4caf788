"""Masks for your own pictures by a trained run: `python -m pipeline.predict --run potts/cd-len100 --images photos --out out`.

Writes OUT/masks/<name>.png (palette PNG at the picture's own size, value = class), with --overlays OUT/overlays/<name>.jpg, and
OUT/sizes.csv, the share of each class in each picture. The same command goes on where it was stopped: results say which picture,
weights and options they were made from. A picture that cannot be read is reported, the others are finished, and the exit status
is 1. `docs/predict.md` has the details.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from pipeline import paths, runs
from pipeline.command import command_parser
from pipeline.datasets.pictures import encode_mask, encode_photo, picture_formats, read_made_from, read_photo
from pipeline.datasets.raw_files import DatasetError, file_id
from pipeline.errors import clear_errors
from pipeline.evaluation.predict import predict_logits, resized_batch
from pipeline.files import read_bytes, read_json, real_path, walk, write_atomically, write_json
from pipeline.networks import CLASSIFIERS
from pipeline.report.overlay import Palette, blend
from pipeline.targets.sizes import class_sizes, write_size_targets

Picture = NDArray[np.uint8]
Which = Literal["last", "best"]

WINDOW_PX = 2048
"""Side of the largest part that a network sees at once where pictures are not resized; Cityscapes fits in one."""
STRIP_VALUES = 2**24
"""Scores held at original size at a time: 64 MB."""
STRIP_ROWS = 512
"""Rows of an overlay blended at a time, for the same reason."""
SETTINGS = "predictions.json"
"""File that says what the results of a folder were made with."""
LONGEST_STEM_BYTES = 251
"""File systems take names of 255 bytes; four are for a suffix."""


@dataclass(frozen=True)
class Trained:
    """A trained network with what is needed to use it.

    Attributes:
        network: in evaluation mode.
        class_names: C names.
        palette: C RGB colours.
        resize_px: side of the square that pictures are resized to; None: the network sees them at their own size.
        digest: identifies the weights.
    """

    network: nn.Module
    class_names: tuple[str, ...]
    palette: Palette
    resize_px: int | None
    digest: str


def load_trained(folder: Path, *, repetition: int = 0, which: Which = "last", device: torch.device) -> Trained:
    """Load a trained segmentation network from the folder of its run.

    Args:
        folder: holds run.json and either the weights of one repetition (last.pt) or a folder per repetition (0/last.pt).
        repetition: which repetition, where there is a folder for each.
        which: weights after the last epoch, or of the epoch that validated best.
        device: where the network goes.

    Raises:
        ValueError: a file is missing, incomplete or does not fit, or the run is a classifier.
    """
    place = folder / "run.json"
    if not place.exists():
        raise ValueError(f"{place}: not found; expected the folder of a trained run, models/FAMILY/RUN or a copy of it")
    run = runs.Trained(runs.read_record(place, runs.Usable))
    kind, names = run.record["network"]["kind"], tuple(run.record["class_names"])
    if kind in CLASSIFIERS:
        raise ValueError(f"{place}: network {kind!r} gives one class per picture; masks need a segmentation run")
    weights = weights_file(folder, repetition, which)
    return Trained(
        network=run.network(len(names), weights, device),
        class_names=names,
        palette=[(red, green, blue) for red, green, blue in run.record["palette"]],
        resize_px=run.resize_px,
        digest=hashlib.sha256(weights.read_bytes()).hexdigest()[:16],
    )


def weights_file(folder: Path, repetition: int, which: Which) -> Path:
    """Return the file of weights inside the folder of a run.

    Raises:
        ValueError: there is none; says which there are.
    """
    places = [folder / f"{which}.pt", folder / str(repetition) / f"{which}.pt"]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        there = ", ".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*.pt"))) or "none"
        hint = "; best.pt is written where training.<name>.validate_every_epochs is set" if which == "best" else ""
        raise ValueError(f"{folder}: expected weights {which}.pt or {repetition}/{which}.pt, got: {there}{hint}")
    return found


class Mirrored(nn.Module):
    """Mean of a network's logits on a picture and on its mirror image, mirrored back."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to (B, C, H, W) logits."""
        mirrored: Tensor = self.network(image.flip(-1)).flip(-1)
        return (self.network(image) + mirrored) / 2


class Predictor:
    """Labels of pictures of any size, in memory that does not grow with the scores of a whole picture.

    Args:
        trained: network and how it sees pictures.
        device: where the network is.
        batch_size: pictures per forward pass where all are resized to one size; halved when the GPU runs out of memory.
        window_px: where pictures are not resized, larger ones are seen in overlapping windows of this side.
        mirror: average with the mirror image (test-time augmentation).
    """

    def __init__(
        self,
        trained: Trained,
        device: torch.device,
        *,
        batch_size: int = 8,
        window_px: int = WINDOW_PX,
        mirror: bool = False,
    ) -> None:
        self.network = Mirrored(trained.network) if mirror else trained.network
        self.resize_px, self.device = trained.resize_px, device
        self.batch_size, self.window_px = batch_size, window_px

    @torch.inference_mode()
    def labels(self, images: Sequence[Picture]) -> list[Picture]:
        """Return the most probable class of every pixel, (H, W) uint8, of pictures (H, W, 3) uint8.

        Raises:
            ValueError: the GPU cannot hold a single picture or window, or scores are not finite.
        """
        if self.resize_px is None:
            return [self._in_windows(image) for image in images]
        done: list[Picture] = []
        while len(done) < len(images):
            chunk = images[len(done) : len(done) + self.batch_size]
            try:
                logits = _finite(self.network(resized_batch(chunk, self.resize_px, self.device)).float())
                done += [upscaled_labels(one, image.shape[:2]) for one, image in zip(logits, chunk)]
            except torch.cuda.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise ValueError(
                        "the GPU cannot hold a single picture; free some of its memory or use --device cpu"
                    ) from error
                self.batch_size //= 2
        return done

    def _in_windows(self, image: Picture) -> Picture:
        """Return labels window by window; each pixel is taken from the window in which it lies farther from the border."""
        height, width = image.shape[:2]
        labels = np.zeros((height, width), np.uint8)
        try:
            for rows in windows(height, self.window_px):
                for columns in windows(width, self.window_px):
                    part = image[rows.start : rows.stop, columns.start : columns.stop]
                    logits = _finite(predict_logits(self.network, [part], resize_px=None, device=self.device)[0])
                    found = logits.max(0).indices.to(torch.uint8).cpu().numpy()
                    inner = found[rows.first - rows.start : rows.last - rows.start, columns.first - columns.start :]
                    labels[rows.first : rows.last, columns.first : columns.last] = inner[:, : columns.last - columns.first]
        except torch.cuda.OutOfMemoryError as error:
            raise ValueError(f"the GPU ran out of memory on windows of {self.window_px} px; pass a smaller --window") from error
        return labels


def _finite(logits: Tensor) -> Tensor:
    if not logits.isfinite().all():
        raise ValueError("the network's scores are not finite: its training diverged; train again with a lower learning rate")
    return logits


@dataclass(frozen=True)
class Window:
    """What the network sees along one axis, start..stop, and what is kept of its answer, first..last."""

    start: int
    stop: int
    first: int
    last: int


def windows(length: int, window_px: int) -> list[Window]:
    """Return windows that cover 0..length; neighbours overlap by a quarter or more and are cut in the middle of the overlap.

    >>> windows(10, 16)
    [Window(start=0, stop=10, first=0, last=10)]
    >>> windows(20, 16)
    [Window(start=0, stop=16, first=0, last=10), Window(start=4, stop=20, first=10, last=20)]
    """
    if length <= window_px:
        return [Window(0, length, 0, length)]
    step = window_px - window_px // 4
    starts = [*range(0, length - window_px, step), length - window_px]
    cuts = [0, *((one + window_px + other) // 2 for one, other in pairwise(starts)), length]
    return [Window(start, start + window_px, first, last) for start, (first, last) in zip(starts, pairwise(cuts))]


def upscaled_labels(logits: Tensor, size: tuple[int, ...]) -> Picture:
    """Return the class of the largest of bilinearly enlarged logits, strip by strip of rows.

    The result is that of enlarging all at once, for which a 24-megapixel picture with 21 classes needs 2 GB.

    Args:
        logits: (C, h, w).
        size: (H, W) of the result.

    Returns:
        (H, W) uint8.
    """
    height, width = size
    count = logits.shape[1]
    place = ((torch.arange(height, device=logits.device) + 0.5) * (count / height) - 0.5).clamp(min=0)
    above = place.long()
    below = (above + 1).clamp(max=count - 1)
    share = (place - above).to(logits.dtype)[:, None]
    labels = np.empty((height, width), np.uint8)
    rows = max(STRIP_VALUES // (len(logits) * width), 1)
    for start in range(0, height, rows):
        strip = slice(start, start + rows)
        part = torch.lerp(logits[:, above[strip]], logits[:, below[strip]], share[strip])
        wide = interpolate(part[None], size=(part.shape[1], width), mode="bilinear", align_corners=False)[0]
        labels[strip] = wide.max(0).indices.to(torch.uint8).cpu().numpy()
    return labels


class Found(NamedTuple):
    """Files in a place.

    Attributes:
        pictures: name -> file, in order.
        misnamed: one message for each picture that no table and no mask could be named after.
        others: files that are no pictures, or results of another call.
    """

    pictures: dict[str, Path]
    misnamed: list[str]
    others: list[Path]


def find_pictures(place: Path, out: Path) -> Found:
    """Return pictures by name: the path below `place` without suffix, in composed Unicode (NFC).

    Args:
        place: a picture, or a folder that is searched with all folders in it, linked ones too (hidden files and `out` left out).
        out: where results go.

    Raises:
        ValueError: nothing there, results among which the pictures lie, or those of two pictures would have the same name.
    """
    if not place.is_file() and not place.is_dir():
        raise ValueError(f"{place}: not found; expected a picture or a folder of pictures")
    results = real_path(out)
    if place.is_dir() and real_path(place).is_relative_to(results):
        raise ValueError(f"--out: {out} holds the pictures, which results could hide or replace; give another folder")
    suffixes = picture_formats()
    root = place.parent if place.is_file() else place
    named: list[tuple[str, Path]] = []
    found = Found({}, [], [])
    paths = [place] if place.is_file() else list(walk(place))
    earlier = {path.parent for path in paths if path.name == SETTINGS}
    for path in paths:
        inner = path.relative_to(root)
        if path != place:
            if any(part.startswith(".") for part in inner.parts) or real_path(path).is_relative_to(results):
                continue
            if path.suffix.lower() not in suffixes or not earlier.isdisjoint(path.parents):
                found.others.append(path)
                continue
            if not path.is_file():
                found.misnamed.append(f"{str(inner)!a}: is a link to nothing, or no ordinary file; restore it or take it away")
                continue
        try:
            named.append((_name_of(inner), path))
        except DatasetError as error:
            found.misnamed.append(str(error))
    if not named and not found.misnamed:
        raise ValueError(f"{place}: expected pictures, got none of a format that Pillow reads")
    taken = Counter(name for name, _ in named)
    for name, path in named:
        if taken[name] > 1:
            same = " and ".join(other.name for one, other in named if one == name)
            raise ValueError(f"{place}: {same} would both become {name}.png; rename one of them")
        above = next((folder for folder in map(str, Path(name).parents) if taken[folder.rpartition(".")[0]]), "")
        if above.endswith((".png", ".jpg")):
            raise ValueError(f"{path}: its folder has the name of the results of another picture, {above}; rename the folder")
        found.pictures[name] = path
    return found


def _name_of(inner: Path) -> str:
    """Return the name of a picture's results, below the folder of all."""
    if len(os.fsencode(inner.stem)) > LONGEST_STEM_BYTES:
        raise DatasetError(f"{inner}: the name leaves no room for a suffix; rename it to at most {LONGEST_STEM_BYTES} bytes")
    where = ascii(str(inner))
    return "/".join([*(file_id(part, where) for part in inner.parts[:-1]), file_id(inner.stem, where)])


@dataclass(frozen=True)
class Results:
    """The folder of results.

    Attributes:
        out: the folder.
        palette: colours of the classes.
        overlays: whether overlays are wanted.
        settings: what results are made with, besides pictures.
    """

    out: Path
    palette: Palette
    overlays: bool
    settings: Mapping[str, object]

    @property
    def table(self) -> Path:
        """The table of sizes."""
        return self.out / "sizes.csv"

    def mask(self, name: str) -> Path:
        """Return the file of a mask."""
        return self.out / "masks" / f"{name}.png"

    def overlay(self, name: str) -> Path:
        """Return the file of an overlay."""
        return self.out / "overlays" / f"{name}.jpg"

    def origin(self, picture: Path) -> str:
        """Return what identifies a picture's content and the settings: results made from them carry it.

        Raises:
            DatasetError: the picture cannot be read.
        """
        try:
            content = read_bytes(picture)
        except OSError as error:
            raise DatasetError(f"{picture}: cannot be read ({error.strerror}); check its permissions or remove it") from error
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        digest.update(content)
        return digest.hexdigest()[:32]

    def finished(self, name: str, picture: Path) -> bool:
        """Return whether a picture has its results, made from what it is now."""
        wanted = [self.mask(name), *([self.overlay(name)] if self.overlays else [])]
        made_from = {read_made_from(path) for path in wanted}
        try:
            return None not in made_from and made_from == {self.origin(picture)}
        except DatasetError:
            return False

    def save(self, name: str, image: Picture, labels: Picture, origin: str) -> None:
        """Write the results of a picture, the mask last; an overlay that is not wanted would be out of date, and goes."""
        if self.overlays:
            starts = range(0, len(image), STRIP_ROWS)
            strips = [blend(image[row : row + STRIP_ROWS], labels[row : row + STRIP_ROWS], self.palette) for row in starts]
            write_atomically(self.overlay(name), encode_photo(np.concatenate(strips), "JPEG", origin))
        else:
            self.overlay(name).unlink(missing_ok=True)
        write_atomically(self.mask(name), encode_mask(labels, self.palette, origin))

    def remove(self, name: str) -> None:
        """Remove the results of a picture that cannot be read any more."""
        for path in (self.overlay(name), self.mask(name)):
            path.unlink(missing_ok=True)

    def of_others(self, names: Collection[str]) -> int:
        """Return how many masks in the folder belong to none of `names`."""
        masks = self.out / "masks"
        return len({path.relative_to(masks).with_suffix("").as_posix() for path in masks.rglob("[!.]*.png")} - set(names))

    def sizes(self, name: str, num_classes: int) -> NDArray[np.float64]:
        """Return the share of each class in a mask written earlier, (C,)."""
        with Image.open(self.mask(name)) as image:
            return class_sizes(np.asarray(image), num_classes)

    def claim(self) -> None:
        """Note what the results are made with.

        Raises:
            ValueError: the folder holds results of other weights or options.
        """
        note, remedy = self.out / SETTINGS, "choose another --out or delete it"
        if note.exists() and read_json(note, remedy) != self.settings:
            raise ValueError(f"{self.out}: holds predictions of other weights or options; {remedy}")
        write_json(note, self.settings)


def predict_pictures(
    predictor: Predictor, pictures: Mapping[str, Path], results: Results, class_names: Sequence[str]
) -> list[str]:
    """Predict every picture (name -> file) that has no results yet, then write the table of sizes.

    Returns:
        One message for each picture that could not be read; it has no results and no row.

    Raises:
        OSError: a result cannot be written.
        ValueError: the GPU is too small.
    """
    waiting = [name for name, path in pictures.items() if not results.finished(name, path)]
    if waiting:  # the table would be out of date beside the first new mask
        results.table.unlink(missing_ok=True)
    failures: dict[str, str] = {}
    found: dict[str, NDArray[np.float64]] = {}
    with tqdm(total=len(pictures), initial=len(pictures) - len(waiting), desc="predict", unit="img", disable=None) as bar:
        for names in _chunks(waiting, predictor):
            images: dict[str, Picture] = {}
            origins: dict[str, str] = {}
            for name in names:
                try:
                    origins[name] = results.origin(pictures[name])  # first: of a picture replaced meanwhile it would be wrong
                    images[name] = read_photo(pictures[name])
                except DatasetError as error:
                    failures[name] = str(error)
                    results.remove(name)
                    bar.write(f"error: {error}", file=sys.stderr)
            for (name, image), labels in zip(images.items(), predictor.labels(list(images.values()))):
                results.save(name, image, labels, origins[name])
                found[name] = class_sizes(labels, len(class_names))
            bar.update(len(names))
    done = [name for name in pictures if name not in failures]
    if not done:
        results.table.unlink(missing_ok=True)
    else:
        rows = [found[name] if name in found else results.sizes(name, len(class_names)) for name in done]
        write_size_targets(results.table, done, np.stack(rows), class_names)
    return list(failures.values())


def _chunks(names: Sequence[str], predictor: Predictor) -> Iterator[Sequence[str]]:
    """Yield as many names at a time as the predictor takes, which becomes fewer when memory runs short."""
    start = 0
    while start < len(names):
        count = predictor.batch_size
        yield names[start : start + count]
        start += count


def choose_device(name: str) -> torch.device:
    """Return the device called "auto", "cpu" or "cuda"; "auto" is a GPU where there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("--device cuda: no GPU is available; use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which weights are used."""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--run", help="family/run, trained in this repository")
    model.add_argument("--model", type=Path, help="folder with run.json and last.pt, such as a copy of models/FAMILY/RUN")
    parser.add_argument("--which", choices=("last", "best"), default="last", help="last epoch, or the one that validated best")
    parser.add_argument("--repetition", type=int, default=0, help="which of several trainings (default: 0)")


def model_of(arguments: argparse.Namespace, device: torch.device) -> Trained:
    """Load the weights that the options of `add_model_arguments` name.

    Raises:
        ValueError: no such run.
    """
    folder = arguments.model
    if folder is None:
        family, _, name = arguments.run.partition("/")
        if not family or not name:
            raise ValueError(f"--run: expected family/run, got {arguments.run!r}")
        folder = paths.model(family, name)
    return load_trained(folder, repetition=arguments.repetition, which=cast(Which, arguments.which), device=device)


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.predict --model my-model/models/own/model --images more_photos --out predictions")
    add_model_arguments(parser)
    parser.add_argument("--images", type=Path, required=True, help="a picture, or a folder with all folders in it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--overlays", action="store_true", help="also write the pictures tinted with the classes")
    parser.add_argument("--batch", type=int, default=8, help="pictures per pass of a network trained on resized pictures")
    parser.add_argument("--window", type=int, default=WINDOW_PX, help="largest side seen at once by other networks, in pixels")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--tta", action="store_true", help="average with the mirror image; takes twice as long")
    arguments = parser.parse_args()
    if arguments.batch < 1:
        parser.error(f"--batch: expected at least 1, got {arguments.batch}")
    if arguments.window < 64:
        parser.error(f"--window: expected at least 64, got {arguments.window}")
    with clear_errors(DatasetError):
        device = choose_device(arguments.device)
        trained = model_of(arguments, device)
        pictures, misnamed, others = find_pictures(arguments.images, arguments.out)
        if others:
            print(
                f"left out: {len(others)} files that are no pictures, or results of another call, the first is {others[0].name!a}"
            )
        window_px = arguments.window if trained.resize_px is None else None
        settings = {"weights": trained.digest, "tta": arguments.tta, "window_px": window_px, "resize_px": trained.resize_px}
        settings |= {"class_names": [*trained.class_names], "palette": [[*color] for color in trained.palette]}
        results = Results(arguments.out, trained.palette, arguments.overlays, settings)
        results.claim()
        predictor = Predictor(trained, device, batch_size=arguments.batch, window_px=arguments.window, mirror=arguments.tta)
        try:
            failures = misnamed + predict_pictures(predictor, pictures, results, trained.class_names)
        except KeyboardInterrupt:
            sys.exit("stopped; the same command goes on from here")
    count = len(pictures) + len(misnamed)
    print(f"{count - len(failures)} of {count} pictures are in {arguments.out}")
    if left := results.of_others(pictures):
        print(f"note: {left} masks there belong to none of these pictures and are not in sizes.csv")
    if failures:
        print("\n".join([f"{len(failures)} could not be read:", *failures]), file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
