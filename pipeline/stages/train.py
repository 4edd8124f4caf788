"""Stage `train@RUN`: train one run of a family, all its repetitions, and write weights, histories and a record.

The same command resumes an interrupted run: repetitions that are finished are kept, the one that was cut goes on from its
checkpoint, as long as settings, data and code are the same. With `processes_per_run` above one it starts itself again under
torchrun; several machines are used by calling torchrun oneself: `torchrun ... -m pipeline.stages.train FAMILY/RUN`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from tqdm import tqdm

from pipeline import parallel, paths
from pipeline.datasets.attach import AttachedImages
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.transforms import Draw, Jitter, RandomCrop, WholeImage
from pipeline.errors import clear_errors
from pipeline.evaluation.accuracy import accuracy
from pipeline.evaluation.predict import predict_logits
from pipeline.evaluation.score import score
from pipeline.features import KeptFeatures
from pipeline.files import read_json, write_atomically, write_csv, write_json
from pipeline.networks.base import Network, SegmentationNetwork
from pipeline.params import Params, ParamsError, Supervision, load_params
from pipeline.runs import Job
from pipeline.stages.device import select_device
from pipeline.targets.class_labels import read_class_labels
from pipeline.targets.rasters import RasterArchive, decode_raster, encode_raster, write_rasters
from pipeline.targets.scribbles import rasterize, read_scribbles
from pipeline.targets.sizes import read_size_targets
from pipeline.targets.tags import read_tags
from pipeline.training.checkpoint import load_state, save_state
from pipeline.training.loop import Interrupted, Refresh, Settings, TrainingError, train
from pipeline.training.objectives import Objective, proposer
from pipeline.training.seeding import BatchPlan, derive_seed

RESULTS = ("last.pt", "best.pt", "history.csv")
"""What a finished repetition consists of."""


def make_draw(supervision: Supervision) -> Draw:
    """Return the function that draws strokes as wide as the supervision says."""
    width_px = supervision.seeds.width_px if supervision.seeds is not None else 1  # without seeds nothing is drawn
    return partial(rasterize, width_px=width_px, click_width_px=width_px)


def make_dataset(job: Job, archive: PreparedArchive, features: KeptFeatures | None) -> AttachedImages:
    """Join the training pictures with the run's supervision and its kept features."""
    variant, supervision = job.variant, job.supervision
    training, augmentation = job.training, job.training.augmentation
    jitter = Jitter(flip=augmentation.flip, color=augmentation.color_jitter)
    draw = make_draw(supervision)
    transform: WholeImage | RandomCrop = WholeImage(training.image_size_px, jitter, draw)
    if training.input == "crop":
        scale = (augmentation.scale_min, augmentation.scale_max)
        transform = RandomCrop(training.image_size_px, scale, augmentation.blur, jitter, draw)
    vectors = {}
    if supervision.sizes is not None:
        # The table is of all images, of which a trial sees a part.
        known = {*archive.ids, *archive.other_part}
        place = paths.size_targets(variant)
        vectors["size_targets"] = read_size_targets(place, class_names=archive.class_names, known_ids=known)[1]
    if supervision.labels is not None:
        vectors["class_targets"] = read_class_labels(paths.class_labels(variant), archive.class_names)
    if supervision.tags:
        vectors["tags"] = read_tags(paths.tags(variant), archive.class_names)
    strokes = supervision.seeds is not None and paths.seeds(variant).exists()
    # There may be both. Without strokes regions must be there, and opening them tells of a file that is missing.
    regions = supervision.seeds is not None and (not strokes or paths.seed_regions(variant).exists())
    return AttachedImages(
        archive,
        transform,
        masks=supervision.masks,
        scribbles=read_scribbles(paths.seeds(variant)) if strokes else None,
        rasters={"seeds": RasterArchive(paths.seed_regions(variant))} if regions else None,
        vectors=vectors,
        features=features,
        cache=training.cache_images,
    )


def make_network(job: Job, num_classes: int, seed: int) -> Network:
    """Build the run's network: random from `seed`, a pre-trained encoder, or with the weights of the run it starts from.

    Raises:
        TrainingError: the weights to start from belong to another network.
    """
    # Right before weights are drawn, so that nothing earlier has a part in them.
    torch.manual_seed(derive_seed(seed, "network"))
    network = job.network(num_classes)
    if job.start is not None:
        try:
            network.load_state_dict(load_state(job.start))
        except RuntimeError as error:
            raise TrainingError(
                f"{job.family}/{job.name}: {job.start}, where it starts, does not fit network "
                f"{job.run.network!r} with {num_classes} classes"
            ) from error
    return network


def make_loader(dataset: AttachedImages, workers: int, pin: bool, plan: BatchPlan) -> torch.utils.data.DataLoader[Any]:
    """Return the batches of `plan`, whose (index, seed) pairs are the keys of `dataset`."""
    options: dict[str, Any] = {"num_workers": workers, "pin_memory": pin, "persistent_workers": workers > 0}
    # One pass over the plan goes to the end of the run: workers do not start anew in every epoch.
    return torch.utils.data.DataLoader(cast(Any, dataset), batch_sampler=cast(Any, plan), **options)


def make_refresh(job: Job, dataset: AttachedImages, scratch: Path, device: torch.device) -> Refresh | None:
    """Return what makes hard proposals while training, if the run's objective wants any.

    Proposals of period N end up in proposals-N.zip; until all are there, each is a file of its own, so that an interrupted
    round goes on where it was. Those of the period before stay until the next.
    """
    labeling = job.params.objectives[job.run.objective].proposals
    if labeling is None:
        return None
    propose = proposer()
    draw = make_draw(job.supervision)

    ids = dataset.archive.ids

    def predict(network: Network, pictures: Sequence[Any]) -> list[torch.Tensor]:
        return predict_logits(network, pictures, resize_px=job.resize_px, device=device)

    def make(network: Network, period: int, stop: Callable[[], bool]) -> None:
        path, parts = scratch / f"proposals-{period}.zip", scratch / f"proposals-{period}"
        if not path.exists():
            part_of = {image_id: parts / f"{index}.png" for index, image_id in enumerate(ids)}
            # A share for each process, without what an interrupted round has made.
            todo = [image_id for image_id in ids[parallel.rank() :: parallel.world_size()] if not part_of[image_id].exists()]
            made = propose(
                dataset.annotated(draw, todo),
                partial(predict, network),
                unary_weight=labeling.unary_weight,
                pairwise_weight=labeling.pairwise_weight,
                threads=max(job.training.workers, 1),
            )
            hidden = None if parallel.rank() == 0 else True
            for image_id, labels in tqdm(made, total=len(todo), desc="proposals", unit="img", disable=hidden, leave=False):
                write_atomically(part_of[image_id], encode_raster(labels))
                if stop():
                    raise Interrupted(f"{job.label}: stopped while making proposals; run the same command again to go on")
            # All shares must be there before they are joined, and joined before anybody opens them.
            parallel.wait_for_all()
            if parallel.rank() == 0:
                write_rasters(path, ((image_id, decode_raster(part.read_bytes())) for image_id, part in part_of.items()))
                shutil.rmtree(parts)
                scratch.joinpath(f"proposals-{period - 2}.zip").unlink(missing_ok=True)
            parallel.wait_for_all()
        dataset.attach_rasters("proposals", RasterArchive(path))

    return Refresh(labeling.every_epochs, make)


def run_repetition(job: Job, folder: Path, device: torch.device, *, show_progress: bool = True) -> None:
    """Train one repetition and leave its weights and history in `folder`, which appears when all is there."""
    # Without the run's name: on one data set, methods begin with the same weights and see pictures in the same order.
    seed = derive_seed(job.params.seed, job.repetition, job.run.dataset, "first stage" if job.start is None else "second stage")
    archive, training = job.archive("train"), job.training
    network = make_network(job, archive.num_classes, seed).to(device)
    features = None
    if job.features is not None:
        features = KeptFeatures(job.features, cast(SegmentationNetwork, network), training.image_size_px)
    dataset = make_dataset(job, archive, features)
    parallel.share_statistics(network, device)
    cast(Any, network).to(memory_format=torch.channels_last)
    # Beside its place, so that it can be moved there in one step.
    scratch = folder.with_name(f"{folder.name}.unfinished")

    def validate(network: Network) -> dict[str, float]:
        images = job.archive("val")
        if images.task == "classification":
            return {"accuracy_val": accuracy(network, images, resize_px=training.image_size_px, device=device)}
        found = score(network, images, resize_px=job.resize_px, device=device)
        overlap = {"DSC_val": found.mean_dsc} if images.num_classes == 2 else {}
        # The first of them chooses the best weights: DSC where there is one object class.
        return {**overlap, "mIoU_val": found.mean_iou}

    state = train(
        network,
        partial(make_loader, dataset, training.workers, device.type == "cuda"),
        len(dataset),
        Objective(job.objective),
        Settings(**training.model_dump(include=set(Settings.__dataclass_fields__))),
        seed=seed,
        device=device,
        checkpoint=scratch / "checkpoint.pt",
        validate=validate,
        refresh=make_refresh(job, dataset, scratch, device),
        label=job.label,
        show_progress=show_progress,
    )
    if parallel.rank() == 0:
        save_state(scratch / "last.pt", cpu_weights(network.state_dict()))
        if state.best_weights:
            save_state(scratch / "best.pt", cpu_weights(state.best_weights))
        write_csv(scratch / "history.csv", state.history)
        write_json(paths.seconds(job.family, job.name, job.repetition), round(state.seconds, 1))
        # Only now: killed any earlier, the run goes on from its checkpoint.
        for rest in scratch.iterdir():  # checkpoint, proposals, and what a killed write left
            if rest.name not in RESULTS:
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        # From here on the repetition counts as finished.
        os.replace(scratch, folder)
        print(f"{job.label}: {len(state.history)} epochs in {state.seconds:.1f} s on {device_name(device)}")
    parallel.wait_for_all()


def run_job(family: str, name: str, params: Params) -> None:
    """Train all repetitions of a run and write models/FAMILY/RUN."""
    jobs = [Job(family, name, params, repetition) for repetition in range(params.repetitions_of(params.run(family, name)))]
    folders = [job.unfinished() for job in jobs]
    with parallel.process_group(select_device(params.device)) as device:
        for job, folder in zip(jobs, folders):
            if not folder.exists():
                run_repetition(job, folder, device)
        if parallel.rank() > 0:
            return
    archive = jobs[0].archive("train")
    final = paths.model(family, name)
    # Repetitions of an earlier attempt must not mix with these.
    shutil.rmtree(final, ignore_errors=True)
    final.mkdir(parents=True)
    for job, folder in zip(jobs, folders):
        # Copied, not moved: killed before the record stands, the next attempt finds its repetitions again.
        shutil.copytree(folder, final / str(job.repetition))
    record = {
        "profile": params.profile,
        "device": device_name(device),
        "repetitions": len(jobs),
        "class_names": archive.class_names,
        "palette": archive.palette,
        "annotation": read_json(paths.supervision_summary(jobs[0].run.variant), "run the stage `supervise` again"),
        **jobs[0].settings(),
    }
    write_json(paths.run_record(family, name), record)
    for folder in folders:
        shutil.rmtree(folder)


def cpu_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights that load on any machine."""
    # Contiguous, as training keeps them with channels last.
    return {name: value.detach().cpu().contiguous() for name, value in weights.items()}


def device_name(device: torch.device) -> str:
    """Return what the run was computed on, as reports name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="family/run, a run of pipeline/experiments/FAMILY/runs.yaml")
    parser.add_argument("--dry-run", action="store_true", help="print the run's settings and stop")
    arguments = parser.parse_args()
    with clear_errors(DatasetError, TrainingError):
        family, _, name = arguments.run.partition("/")
        if not name:
            raise ParamsError(f"expected family/run, got {arguments.run!r}")
        params = load_params()
        if arguments.dry_run:
            print(json.dumps(Job(family, name, params).settings(), indent=1))
            return
        # A wrong name is told here, once, not by every process.
        params.run(family, name)
        if params.processes_per_run > 1 and "RANK" not in os.environ:
            count = ["--nproc-per-node", str(params.processes_per_run)]
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", *count]
            # torchrun takes the place of this process, which would lose what is not yet printed, and gets its signals.
            sys.stdout.flush()
            os.execv(sys.executable, [*torchrun, "-m", "pipeline.stages.train", arguments.run])
        run_job(family, name, params)


if __name__ == "__main__":
    main()
