"""Stage `train@RUN`: train one run of params.yaml and write its weights, history and record.

The same command resumes an interrupted run from a scratch checkpoint, as long as settings, data and code are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from pipeline import paths
from pipeline.datasets.attach import AttachedImages
from pipeline.datasets.base import DatasetError
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.transforms import Jitter, RandomCrop, WholeImage
from pipeline.evaluation.score import score
from pipeline.files import write_csv, write_json
from pipeline.networks import NETWORKS
from pipeline.networks.base import SegmentationNetwork
from pipeline.params import Params, ParamsError, Run, Training, load_params
from pipeline.stages.common import clear_errors
from pipeline.stages.device import select_device
from pipeline.targets.scribbles import rasterize, read_scribbles
from pipeline.targets.sizes import read_size_targets
from pipeline.training.checkpoint import load_state, remove_state, save_state
from pipeline.training.loop import Settings, TrainingError, train
from pipeline.training.objectives import Objective
from pipeline.training.seeding import BatchPlan, derive_seed


@dataclass(frozen=True)
class Job:
    """One run with everything it refers to, in plain values."""

    family: str
    name: str
    params: Params

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.params.run(self.family, self.name)

    @property
    def training(self) -> Training:
        """Its optimisation settings."""
        return self.params.training[self.run.training]

    def objective(self) -> dict[str, Any]:
        """Return its loss terms, the solver's settings in place of its name."""
        terms = self.params.objectives[self.run.objective].model_dump()
        if terms["self_labeling"] is not None:
            terms["self_labeling"]["solver"] = self.params.solver[terms["self_labeling"]["solver"]].model_dump()
        return terms

    def settings(self) -> dict[str, Any]:
        """Return all that identifies the run's result besides data and code."""
        return {
            "seed": self.params.seed,
            "run": self.run.model_dump(),
            "network": self.params.networks[self.run.network].model_dump(),
            "training": self.training.model_dump(),
            "objective": self.objective(),
            "supervision": self.params.supervisions[self.run.supervision].model_dump(),
        }

    def files(self) -> list[Path]:
        """Return the files the run depends on."""
        read = [paths.code(self.family), paths.prepared(self.run.dataset, "train")]
        read += sorted(paths.supervision(self.run.supervision).glob("*"))
        if self.run.start is not None:
            read.append(paths.weights(*self.run.start.split("/")))
        return read


def make_dataset(job: Job) -> AttachedImages:
    """Join the training pictures with the run's supervision."""
    archive = PreparedArchive(paths.prepared(job.run.dataset, "train"))
    supervision = job.params.supervisions[job.run.supervision]
    training, augmentation = job.training, job.training.augmentation
    jitter = Jitter(flip=augmentation.flip, color=augmentation.color_jitter)
    width_px = supervision.seeds.width_px if supervision.seeds is not None else 1
    draw = partial(rasterize, width_px=width_px, click_width_px=width_px)
    transform: WholeImage | RandomCrop = WholeImage(training.image_size_px, jitter, draw)
    if training.input == "crop":
        scale = (augmentation.scale_min, augmentation.scale_max)
        transform = RandomCrop(training.image_size_px, scale, augmentation.blur, jitter, draw)
    size_targets = None
    if supervision.sizes is not None:
        path = paths.size_targets(job.run.supervision)
        size_targets = read_size_targets(path, class_names=archive.class_names, known_ids=set(archive.ids))[1]
    return AttachedImages(
        archive,
        transform,
        masks=supervision.masks,
        scribbles=read_scribbles(paths.seeds(job.run.supervision)) if supervision.seeds is not None else None,
        size_targets=size_targets,
        cache=training.cache_images,
    )


def make_network(job: Job, num_classes: int, seed: int) -> SegmentationNetwork:
    """Build the run's network: random from `seed`, or with the weights of the run it starts from.

    Raises:
        TrainingError: the weights to start from belong to another network.
    """
    torch.manual_seed(derive_seed(seed, "network"))
    spec = job.params.networks[job.run.network]
    settings = spec.model_dump(exclude={"kind"})
    if job.run.start is not None:
        settings["weights"] = None  # those of the run it starts from are loaded below
    network = NETWORKS[spec.kind](num_classes, **settings)
    if job.run.start is not None:
        path = paths.weights(*job.run.start.split("/"))
        try:
            network.load_state_dict(load_state(path))
        except RuntimeError as error:
            raise TrainingError(
                f"runs.{job.family}.{job.name}.start: {path} does not fit network {job.run.network!r} with {num_classes} classes"
            ) from error
    return network


def make_loader(dataset: AttachedImages, workers: int, pin: bool, plan: BatchPlan) -> torch.utils.data.DataLoader[Any]:
    """Return the batches of `plan`, whose (index, seed) pairs are the keys of `dataset`."""
    options: dict[str, Any] = {"num_workers": workers, "pin_memory": pin, "persistent_workers": workers > 0}
    return torch.utils.data.DataLoader(cast(Any, dataset), batch_sampler=cast(Any, plan), **options)


def fingerprint(settings: dict[str, Any], files: list[Path]) -> str:
    """Return a digest of a run's settings and of the files it depends on: a checkpoint of anything else is never resumed."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        if path.suffix == ".zip":  # the directory of an archive holds a checksum of every member
            with zipfile.ZipFile(path) as archive:
                digest.update(repr([(info.filename, info.CRC) for info in archive.infolist()]).encode())
        else:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run_job(job: Job, *, show_progress: bool = True) -> None:
    """Train and write models/FAMILY/RUN."""
    seed = derive_seed(job.params.seed, job.run.seed, job.run.dataset)
    device = select_device(job.params.device)
    dataset = make_dataset(job)
    training = job.training
    network = make_network(job, dataset.archive.num_classes, seed).to(device)
    cast(Any, network).to(memory_format=torch.channels_last)
    checkpoint = paths.checkpoint(job.family, job.name, fingerprint(job.settings(), job.files()))
    resize_px = training.image_size_px if training.input == "resize" else None

    def validate(network: SegmentationNetwork) -> float:
        images = PreparedArchive(paths.prepared(job.run.dataset, "val"))
        return score(network, images, resize_px=resize_px, device=device).mean_iou

    started = time.monotonic()
    state = train(
        network,
        partial(make_loader, dataset, training.workers, device.type == "cuda"),
        len(dataset),
        Objective(job.objective()),
        Settings(**training.model_dump(include=set(Settings.__dataclass_fields__))),
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        validate=validate,
        label=f"{job.family}/{job.name}",
        show_progress=show_progress,
    )
    save_state(paths.weights(job.family, job.name), cpu_weights(network.state_dict()))
    if state.best_weights:
        save_state(paths.weights(job.family, job.name, "best"), cpu_weights(state.best_weights))
    write_csv(paths.history(job.family, job.name), state.history)
    record = {
        "profile": job.params.profile,
        "device": device_name(device),
        "annotation": json.loads(paths.supervision_summary(job.run.supervision).read_text()),
        **job.settings(),
    }
    write_json(paths.run_record(job.family, job.name), record)
    remove_state(checkpoint)
    print(f"{job.family}/{job.name}: {len(state.history)} epochs in {time.monotonic() - started:.1f} s on {device_name(device)}")


def cpu_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights that load on any machine."""
    return {name: value.detach().cpu().contiguous() for name, value in weights.items()}


def device_name(device: torch.device) -> str:
    """Return what the run was computed on, as reports name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="family/run, as under `runs` in params.yaml")
    parser.add_argument("--dry-run", action="store_true", help="print the run's settings and stop")
    arguments = parser.parse_args()
    with clear_errors(DatasetError, TrainingError):
        family, _, name = arguments.run.partition("/")
        if not name:
            raise ParamsError(f"expected family/run, got {arguments.run!r}")
        job = Job(family, name, load_params())
        if arguments.dry_run:
            print(json.dumps(job.settings(), indent=1))
            return
        run_job(job)


if __name__ == "__main__":
    main()
