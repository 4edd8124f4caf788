"""Stage `pseudo_labels`: solve for pseudo-labels from one network's predictions, outside training.

Writes two things: soft labels of all six relaxations on a few pictures ([SSL] Fig. 7), and a comparison of the project's
solvers with the exact optimum of the quadratic case over many pictures ([SSL] appendix B).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline import paths
from pipeline.conventions import valid_mask
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.datasets.base import DatasetError
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.transforms import Jitter, WholeImage
from pipeline.files import write_atomically, write_csv
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.networks import NETWORKS
from pipeline.params import Params, SelfLabeling, load_params
from pipeline.solver.gradient import solve_by_gradient
from pipeline.solver.random_walker import solve_random_walker
from pipeline.stages.common import clear_errors
from pipeline.stages.device import select_device
from pipeline.targets.scribbles import rasterize, read_scribbles
from pipeline.training.checkpoint import load_state


@dataclass(frozen=True)
class Problem:
    """Everything a pseudo-label solver gets, for one picture (B = 1)."""

    image_id: str
    sample: dict[str, Tensor]
    log_probs: Tensor
    affinity: Tensor


def problems(params: Params, spec: SelfLabeling, count: int, device: torch.device) -> Iterator[Problem]:
    """Yield the first `count` training pictures with the prediction of `figures.panel_run` and the contrast affinity."""
    family, name = params.figures.panel_run.split("/")
    record = json.loads(paths.run_record(family, name).read_text())
    archive = PreparedArchive(paths.prepared(record["run"]["dataset"], "train"))
    network_spec = dict(record["network"], weights=None)
    network = NETWORKS[network_spec.pop("kind")](archive.num_classes, **network_spec).to(device).eval()
    network.load_state_dict(load_state(paths.weights(family, name), device))
    width_px = record["supervision"]["seeds"]["width_px"]
    draw = partial(rasterize, width_px=width_px, click_width_px=width_px)
    transform = WholeImage(record["training"]["image_size_px"], Jitter(flip=False), draw)
    strokes = read_scribbles(paths.seeds(record["run"]["supervision"]))
    for image_id in archive.ids[:count]:
        sample = transform.load(archive.image(image_id), archive.labels(image_id), strokes[image_id])(0)
        sample = {key: value[None].to(device) for key, value in sample.items()}
        with torch.inference_mode():
            log_probs = network(sample["image"]).log_softmax(1)
        affinity = contrast_affinity(sample["image"], sample["valid"], NEIGHBORHOODS[spec.neighborhood], spec.sigma_rgb)
        yield Problem(image_id, sample, log_probs.clone(), affinity)


def weights_of(spec: SelfLabeling) -> dict[str, Any]:
    """Return the energy's weights and neighbourhood as solvers take them."""
    return {
        "offsets": NEIGHBORHOODS[spec.neighborhood],
        "unary_weight": spec.unary_weight,
        "pairwise_weight": spec.pairwise_weight,
    }


def solve_panels(params: Params, spec: SelfLabeling, device: torch.device) -> dict[str, np.ndarray]:
    """Return pictures, seeds, masks, predictions and the soft labels of each relaxation."""
    solver = params.solver[spec.solver]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("image", "seeds", "labels", "probs", "pseudo_labels")}
    for problem in problems(params, spec, params.figures.panel_images, device):
        sample = problem.sample
        solved = [
            solve_by_gradient(
                problem.log_probs,
                sample["seeds"],
                problem.affinity,
                cross_entropy=spec.cross_entropy,
                relaxation=relaxation,
                steps=solver.steps,
                learning_rate=solver.learning_rate,
                tolerance=solver.tolerance,
                valid=sample["valid"],
                **weights_of(spec),
            ).labels[0]
            for relaxation in RELAXATIONS
        ]
        columns["image"].append((sample["image"][0].permute(1, 2, 0) * 255).round().byte().cpu().numpy())
        columns["seeds"].append(sample["seeds"][0].byte().cpu().numpy())
        columns["labels"].append(sample["labels"][0].byte().cpu().numpy())
        columns["probs"].append(problem.log_probs[0].exp().half().cpu().numpy())
        columns["pseudo_labels"].append(torch.stack(solved).half().cpu().numpy())
    arrays = {name: np.stack(values) for name, values in columns.items()}
    arrays["pseudo_labels"] = arrays["pseudo_labels"].swapaxes(0, 1)
    arrays["relaxation"] = np.array(list(RELAXATIONS))
    family, name = params.figures.panel_run.split("/")
    archive = PreparedArchive(paths.prepared(params.run(family, name).dataset, "train"))
    arrays["palette"] = np.asarray(archive.palette, dtype=np.uint8)
    arrays["class_names"] = np.array(archive.class_names)
    return {**arrays, **{key: np.array(value) for key, value in scale_of(params).items()}}


def scale_of(params: Params) -> dict[str, Any]:
    """Return profile, device and seed of the network that predictions come from, for the notes below figures."""
    record = json.loads(paths.run_record(*params.figures.panel_run.split("/")).read_text())
    return {"profile": record["profile"], "device": record["device"], "seed": record["run"]["seed"]}


SOLVER_STEPS = (100, 200, 1000)
"""Gradient steps compared with the exact optimum; the paper uses 200 and tries 100."""


def compare_solvers(params: Params, spec: SelfLabeling, device: torch.device) -> list[dict[str, Any]]:
    """Return one row per solver and picture for H_Q + P_Q, whose optimum is known."""
    rows = []
    scale = scale_of(params)
    count = params.figures.solver_images
    settings = params.solver[spec.solver]
    for problem in tqdm(problems(params, spec, count, device), total=count, desc="solvers", unit="img", disable=None):
        given = (problem.log_probs, problem.sample["seeds"], problem.affinity)
        valid = valid_mask(problem.sample["seeds"]) | problem.sample["valid"]
        exact = solve_random_walker(*given, valid=valid, **weights_of(spec))
        solutions = {("random walker", 0): exact}
        for steps in SOLVER_STEPS:
            solutions["gradient", steps] = solve_by_gradient(
                *given,
                cross_entropy="quadratic",
                relaxation="q",
                steps=steps,
                learning_rate=settings.learning_rate,
                tolerance=settings.tolerance,
                valid=valid,
                **weights_of(spec),
            )
        for (solver, steps), solution in solutions.items():
            rows.append(
                {
                    "solver": solver,
                    "steps": steps,
                    "image_id": problem.image_id,
                    "soft_jaccard": float(soft_jaccard(solution.labels, exact.labels, valid)),
                    "energy": float(solution.energy),
                    "energy_optimum": float(exact.energy),
                    "converged": bool(solution.converged),
                    **scale,
                }
            )
    return rows


def main() -> None:
    """Run the stage."""
    with clear_errors(DatasetError):
        params = load_params()
        spec = params.objectives[params.figures.panel_objective].self_labeling
        if spec is None:
            raise DatasetError(
                f"figures.panel_objective: {params.figures.panel_objective!r} has no self_labeling term; name one that has"
            )
        device = select_device(params.device)
        family = params.figures.panel_run.split("/")[0]
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **solve_panels(params, spec, device))
        write_atomically(paths.panels(family), buffer.getvalue())
        write_csv(paths.solver_check(family), compare_solvers(params, spec, device))


if __name__ == "__main__":
    main()
