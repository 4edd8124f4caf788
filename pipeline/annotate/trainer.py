"""The process that trains while people annotate: features of a frozen encoder, kept; a head that goes on from lesson to lesson.

Settings are those of pipeline/own.yaml, the first stage that fits what is given. The features of a picture are computed when
they are first needed: of those with answers before the first training, of the others afterwards, while nothing else is wanted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import paths
from pipeline.annotate.live import STOPPED, Lesson, Told
from pipeline.annotate.pictures import Pictures
from pipeline.conventions import VOID
from pipeline.datasets.attach import AttachedImages
from pipeline.datasets.pictures import decode_photo
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.transforms import Jitter, WholeImage, resize_image
from pipeline.features import KeptFeatures, write_features
from pipeline.networks import build_network
from pipeline.networks.base import SegmentationNetwork
from pipeline.own import fitting_stages
from pipeline.params import here_or_ours, own_settings, read_yaml
from pipeline.stages.train import make_loader
from pipeline.stages.weights import write_weights
from pipeline.targets.rasters import encode_raster
from pipeline.targets.strokes import draw_seeds
from pipeline.training.loop import Interrupted, Settings, TrainingError, train
from pipeline.training.objectives import Objective
from pipeline.training.seeding import BatchPlan, derive_seed

STEPS = 24
"""Of each training: a few seconds on one core."""
AT_A_TIME = 8
"""Pictures looked at between two looks at what is wanted."""


@dataclass(frozen=True)
class Part:
    """Some of the pictures, as features are computed and heads are trained on them."""

    ids: list[str]
    image: Any
    """Id -> (S, S, 3) uint8."""


class Shelf:
    """Kept features in several files."""

    def __init__(self) -> None:
        self.files: dict[str, KeptFeatures] = {}

    def __contains__(self, image_id: object) -> bool:
        return image_id in self.files

    def read(self, image_id: str, *, mirrored: bool) -> list[Tensor]:
        """Return the maps (D, h, w) of a picture or of its mirror image, in half precision."""
        return self.files[image_id].read(image_id, mirrored=mirrored)


class Trainer:
    """A network and what it has seen; the background is the first of `class_names`, and `folder` is for weights and features.

    Attributes:
        trained: whether there is anything to predict with.

    Raises:
        DatasetError: the encoder's weights are not installed.
        ValueError: settings that do not allow to keep features.
    """

    def __init__(self, pictures: Pictures, class_names: Sequence[str], folder: Path) -> None:
        self._own, self._seed = own_settings(), int(read_yaml(here_or_ours(paths.PARAMS))["seed"])
        spec = self._own.network
        if not spec.freeze_encoder or spec.weights is None:
            raise ValueError(f"{paths.OWN}: network needs `weights` and `freeze_encoder: true` to train while people draw")
        write_weights(spec, folder, self._seed)
        torch.manual_seed(derive_seed(self._seed, "network"))
        built = build_network(spec.model_dump(), len(class_names), weights=folder / paths.pretrained_weights("").name)
        cast(Any, built).to(memory_format=torch.channels_last)
        self._network = cast(SegmentationNetwork, built.eval())
        self._pictures, self._names, self._folder = pictures, class_names, folder
        self._size_px = self._own.training.image_size_px
        self._shelf = Shelf()
        self._small: dict[str, NDArray[np.uint8]] = {}
        self._sizes: dict[str, np.ndarray] = {}
        self._lessons = 0
        self._left = list(pictures.ids)

    @property
    def left(self) -> int:
        """Pictures that are still to be looked at, by the newest network if one is trained."""
        return len(self._left)

    def learn(self, lesson: Lesson) -> int:
        """Train the head on from where it is, and return on how many pictures.

        Raises:
            DatasetError: none of them can be read.
            TrainingError: the loss is not finite; the head is that of before.
            Interrupted: training was stopped.
        """
        given = [image_id for image_id in self._pictures.ids if image_id in lesson.strokes or image_id in lesson.sizes]
        self._small |= self._look(given)
        self._small |= self._decoded(image_id for image_id in given if image_id in self._shelf and image_id not in self._small)
        ids = [image_id for image_id in given if image_id in self._small]
        if not ids:
            raise DatasetError("none of the pictures with strokes or sizes can be read")
        side = (self._size_px, self._size_px)
        nothing = np.full(side, VOID, np.uint8)
        seeds = {image_id: self._seeds(lesson, image_id) if image_id in lesson.strokes else nothing for image_id in ids}
        no_size = np.zeros(len(self._names))
        dataset = AttachedImages(
            cast(Any, Part(ids, self._small.__getitem__)),
            WholeImage(self._size_px, Jitter(), lambda *_: nothing),
            rasters={"seeds": seeds},
            vectors={"size_targets": {image_id: lesson.sizes.get(image_id, no_size) for image_id in ids}},
            features=self._shelf,
            cache=True,
        )
        stage = fitting_stages(self._own, pixels=bool(lesson.strokes), sizes=bool(lesson.sizes))[0]
        settings = self._own.training.model_dump(include=set(Settings.__dataclass_fields__))
        settings["epochs"] = math.ceil(STEPS / BatchPlan(len(ids), settings["batch_size"], 1, 0).steps_per_epoch)
        before = copy.deepcopy(self._network.state_dict())
        try:
            train(
                self._network,
                partial(make_loader, dataset, 0, False),
                len(ids),
                Objective({**stage.objective.model_dump(), "self_labeling": None}),
                Settings(**settings),
                seed=derive_seed(self._seed, "lesson", self._lessons),
                device=torch.device("cpu"),
                label="training",
                show_progress=False,
            )
        except (TrainingError, KeyboardInterrupt):
            self._network.load_state_dict(before)
            raise
        finally:
            self._network.eval()
        self._lessons += 1
        self._sizes = lesson.sizes
        known = [image_id for image_id in self._pictures.ids if image_id in self._shelf and image_id != lesson.shown]
        shown = [lesson.shown] if lesson.shown is not None else []
        self._left = [*shown, *known, *(one for one in self._pictures.ids if one not in self._shelf and one != lesson.shown)]
        return len(ids)

    def look(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """Look at the next few pictures, and return labels and uncertainty of each, if there is a trained network."""
        some, self._left = self._left[:AT_A_TIME], self._left[AT_A_TIME:]
        self._look(some)
        readable = [image_id for image_id in some if image_id in self._shelf]
        if not self._lessons or not readable:
            return {}, {}
        return self._predict(readable)

    @torch.inference_mode()
    def _predict(self, ids: Sequence[str]) -> tuple[dict[str, bytes], dict[str, float]]:
        maps = zip(*(self._shelf.read(image_id, mirrored=False) for image_id in ids))
        logits = self._network.decode([torch.stack(one).float() for one in maps], (self._size_px, self._size_px))
        log_probs = logits.log_softmax(1)
        probs = log_probs.exp()
        entropy = -(probs * log_probs).sum(1).mean((1, 2)) / math.log(len(self._names))
        labels, uncertainty = {}, {}
        for image_id, found, spread, sizes in zip(ids, logits.max(1).indices, entropy.tolist(), probs.mean((2, 3)).numpy()):
            labels[image_id] = encode_raster(found.byte().numpy())
            given = self._sizes.get(image_id)
            uncertainty[image_id] = spread + (0.0 if given is None else float(np.abs(sizes - given).sum()) / 2)
        return labels, uncertainty

    def _look(self, ids: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
        """Keep features of pictures that were not looked at before, and return those of them that can be read."""
        fresh = self._decoded(image_id for image_id in ids if image_id not in self._shelf)
        if fresh:
            path = self._folder / f"features-{len(self._shelf.files)}.safetensors"
            write_features(path, self._network, Part(list(fresh), fresh.__getitem__), size_px=self._size_px)
            self._shelf.files |= dict.fromkeys(fresh, KeptFeatures(path, self._network, self._size_px))
        return fresh

    def _decoded(self, ids: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
        """Return the pictures that can be read, as the network sees them; nobody can annotate the others."""
        found = {}
        for image_id in ids:
            with suppress(DatasetError):
                picture = decode_photo(self._pictures.content(image_id), image_id, self._size_px)
                seen = resize_image(picture, (self._size_px, self._size_px))
                found[image_id] = (255 * seen).round().byte().permute(1, 2, 0).numpy()
        return found

    def _seeds(self, lesson: Lesson, image_id: str) -> np.ndarray:
        drawn = lesson.strokes[image_id]
        return draw_seeds(drawn, drawn[0][0].size_px, self._names, (self._size_px, self._size_px))[0]


def serve(pipe: Connection, pictures: Pictures, class_names: Sequence[str], folder: Path) -> None:
    """Learn each lesson that comes, and look at pictures in between.

    Raises:
        EOFError: whoever sent the lessons is gone.
    """
    torch.set_num_threads(1)
    trainer: Trainer | None = None
    number, text, idle = 0, "", False
    while True:
        try:
            lesson = pipe.recv() if pipe.poll(None if idle else 0) else None
            trainer = trainer or Trainer(pictures, class_names, folder)
            if lesson is not None:
                number, count = lesson.number, trainer.learn(lesson)
                text = f"Trained on {count} picture{'' if count == 1 else 's'}."
            labels, uncertainty = trainer.look()
            idle = not trainer.left
            pipe.send(Told(number, text, "idle" if idle else "looking", labels, uncertainty))
        except (KeyboardInterrupt, Interrupted):
            pipe.send(Told(number, STOPPED, "idle"))
        except BrokenPipeError:
            raise
        except (DatasetError, TrainingError, ValueError, OSError) as error:
            idle = True
            pipe.send(Told(number, f"Training failed: {error}", "failed"))
