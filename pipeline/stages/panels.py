"""Stage `panels@ARTEFACT`: predictions of three runs on the same validation images, for a qualitative figure.

Writes models/panels/ARTEFACT.npz: ids, class_names, palette, runs, profile, device, seed, and for image i image_i (H, W, 3),
labels_i (H, W) and prediction_R_i (H, W) of run R, all uint8 at the image's own size.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.datasets.base import DatasetError
from pipeline.datasets.prepared import PreparedArchive
from pipeline.evaluation.predict import predict_logits
from pipeline.files import write_atomically
from pipeline.networks import NETWORKS
from pipeline.params import load_params
from pipeline.stages.common import clear_errors, lookup, stage_arguments
from pipeline.stages.device import select_device
from pipeline.training.checkpoint import load_state


def first_with_objects(archive: PreparedArchive, count: int) -> list[str]:
    """Return the first images that hold more than background."""
    return [image_id for image_id in archive.ids if any(archive.classes_in(image_id))][:count]


def main() -> None:
    """Run the stage."""
    artefact = stage_arguments(__doc__, artefact="key of `figures.panels` in params.yaml").artefact
    with clear_errors(DatasetError):
        params = load_params()
        spec = lookup(params.figures.panels, artefact, "figures.panels")
        device = select_device(params.device)
        records = [json.loads(paths.run_record(*run.split("/")).read_text()) for run in spec.runs]
        views = [(record["run"]["dataset"], record["supervision"]["subset"]) for record in records]
        if any(view != views[0] for view in views):
            raise ValueError(f"figures.panels.{artefact}.runs: expected runs of one data set and subset, got {views}")
        dataset, subset = views[0]
        archive = PreparedArchive(paths.prepared(dataset, "val"), **(subset or {}))
        ids = first_with_objects(archive, spec.count) if spec.ids is None else spec.ids
        content: dict[str, Any] = {
            "ids": ids,
            "class_names": archive.class_names,
            "palette": np.array(archive.palette, np.uint8),
            "runs": spec.runs,
            "profile": records[0]["profile"],
            "device": records[0]["device"],
            "seed": 0,
        }
        for index, image_id in enumerate(ids):
            content[f"image_{index}"] = archive.image(image_id)
            content[f"labels_{index}"] = archive.labels(image_id)
        for number, (run, record) in enumerate(zip(spec.runs, records)):
            family, name = run.split("/")
            network_spec = dict(record["network"], weights=None)
            network = NETWORKS[network_spec.pop("kind")](archive.num_classes, **network_spec).to(device).eval()
            network.load_state_dict(load_state(paths.weights(family, name, 0), device))
            training = record["training"]
            resize_px = training["image_size_px"] if training["input"] == "resize" else None
            for index in range(len(ids)):
                logits = predict_logits(network, [content[f"image_{index}"]], resize_px=resize_px, device=device)[0]
                content[f"prediction_{number}_{index}"] = logits.argmax(0).to(device="cpu").numpy().astype(np.uint8)
        packed = io.BytesIO()
        np.savez_compressed(packed, **content)
        write_atomically(paths.panels(artefact), packed.getvalue())


if __name__ == "__main__":
    main()
