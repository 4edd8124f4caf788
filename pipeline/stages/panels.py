"""Stages `panels-NAME`: predictions of some runs on the same validation images, for a qualitative figure.

Writes models/panels/NAME.npz: ids, class_names, palette, runs, profile, device, seed, and for image i image_i (H, W, 3),
labels_i (H, W) and prediction_R_i (H, W) of run R, all uint8 at the image's own size, and failed, whether the loss of each run
says that its training failed.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.evaluation.predict import predict_logits
from pipeline.files import write_atomically
from pipeline.params import load_params
from pipeline.runs import Trained
from pipeline.stages.common import stage_arguments
from pipeline.stages.device import select_device
from pipeline.stages.evaluate import repetition_failed


def draw_with_objects(archive: PreparedArchive, count: int, seed: int) -> list[str]:
    """Return images that hold more than background, drawn at random; those that there are if they are fewer than `count`."""
    ids = [image_id for image_id in archive.ids if any(archive.classes_in(image_id))]
    chosen = np.random.default_rng(seed).permutation(len(ids))[:count]
    return [ids[index] for index in sorted(chosen)]


def main() -> None:
    """Run the stage."""
    options = stage_arguments(__doc__, several="runs", name="of the archive", runs="FAMILY/RUN, all of one data set and subset")
    with clear_errors(DatasetError):
        params = load_params()
        device = select_device(params.device)
        trained = [Trained.of(*run.split("/")) for run in options.runs]
        views = [(one.dataset, one.subset) for one in trained]
        if any(view != views[0] for view in views):
            raise ValueError(f"panels {options.name}: expected runs of one data set and subset, got {views}")
        archive = trained[0].archive("val")
        ids = draw_with_objects(archive, params.figures.panel_images, params.seed)
        content: dict[str, Any] = {
            "ids": ids,
            "class_names": archive.class_names,
            "palette": np.array(archive.palette, np.uint8),
            "runs": options.runs,
            "profile": trained[0].record["profile"],
            "device": trained[0].record["device"],
            "seed": 0,
            "failed": [
                repetition_failed(family, name, 0, one.record, archive.num_classes)
                for (family, name), one in zip((run.split("/") for run in options.runs), trained)
            ],
        }
        for index, image_id in enumerate(ids):
            content[f"image_{index}"] = archive.image(image_id)
            content[f"labels_{index}"] = archive.labels(image_id)
        for number, (run, one) in enumerate(zip(options.runs, trained)):
            family, name = run.split("/")
            network = one.network(archive.num_classes, paths.weights(family, name, 0), device)
            for index in range(len(ids)):
                logits = predict_logits(network, [content[f"image_{index}"]], resize_px=one.resize_px, device=device)[0]
                content[f"prediction_{number}_{index}"] = logits.argmax(0).to(device="cpu").numpy().astype(np.uint8)
        packed = io.BytesIO()
        np.savez_compressed(packed, **content)
        write_atomically(paths.panels(options.name), packed.getvalue())


if __name__ == "__main__":
    main()
