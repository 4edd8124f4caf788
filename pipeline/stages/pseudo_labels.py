"""Stage `pseudo_labels`: solve for pseudo-labels from one network's predictions, outside training.

Writes three things: soft labels of all six relaxations on a few pictures ([SSL] Fig. 7), those of the nearest and the dense
neighbourhood (Fig. 5), and a comparison of the project's solvers with the exact optimum of the quadratic case, and with the best
solution that any solver or L-BFGS finds for the other relaxations (appendix B).
"""

from __future__ import annotations

import io
import json
import time
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
from pipeline.crf.dense import DenseKernel
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.datasets.base import DatasetError
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.transforms import Jitter, WholeImage
from pipeline.files import write_atomically, write_csv
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.networks import NETWORKS
from pipeline.params import Params, SelfLabeling, load_params
from pipeline.solver import solve
from pipeline.solver.dense import solve_dense
from pipeline.solver.reference import lowest_energy
from pipeline.solver.solution import Solution
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
    network.load_state_dict(load_state(paths.weights(family, name, 0), device))
    width_px = record["supervision"]["seeds"]["width_px"]
    draw = partial(rasterize, width_px=width_px, click_width_px=width_px)
    transform = WholeImage(record["training"]["image_size_px"], Jitter(flip=False), draw)
    strokes = read_scribbles(paths.seeds(params.run(family, name).variant))
    for image_id in archive.ids[:count]:
        sample = transform.load(archive.image(image_id), {"labels": archive.labels(image_id)}, strokes[image_id])(0)
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
    solver = params.solver[spec.solver].model_dump(exclude_none=True)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("image", "seeds", "labels", "probs", "pseudo_labels")}
    for problem in problems(params, spec, params.figures.panel_images, device):
        sample = problem.sample
        solved = [
            solve(
                problem.log_probs,
                sample["seeds"],
                problem.affinity,
                cross_entropy=spec.cross_entropy,
                relaxation=relaxation,
                valid=sample["valid"],
                **weights_of(spec),
                **solver,
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
    return {"profile": record["profile"], "device": record["device"], "seed": 0}


def solve_neighborhoods(params: Params, nearest: SelfLabeling, dense: SelfLabeling, device: torch.device) -> dict[str, Any]:
    """Return pictures, predictions and their soft labels on the nearest and the dense neighbourhood ([SSL] Fig. 5)."""
    arrays: dict[str, Any] = {}
    ids = []
    for index, problem in enumerate(problems(params, nearest, params.figures.panel_images, device)):
        sample = problem.sample
        energy: dict[str, Any] = {
            "cross_entropy": nearest.cross_entropy,
            "relaxation": nearest.relaxation,
            "valid": sample["valid"],
        }
        solver = params.solver[nearest.solver].model_dump(exclude_none=True)
        near = solve(problem.log_probs, sample["seeds"], problem.affinity, **energy, **weights_of(nearest), **solver)
        kernel = DenseKernel.build(
            sample["image"], sample["valid"], dense.sigma_rgb, dense.sigma_xy_px, mode="exact", landmarks=dense.landmarks
        )
        weights: dict[str, Any] = {"unary_weight": dense.unary_weight, "pairwise_weight": dense.pairwise_weight}
        steps = params.solver[dense.solver].steps or PAPER_STEPS
        far = solve_dense(problem.log_probs, sample["seeds"], kernel, steps=steps, **energy, **weights)
        arrays[f"image_{index}"] = (sample["image"][0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        arrays[f"seeds_{index}"] = sample["seeds"][0].byte().cpu().numpy()
        arrays[f"labels_{index}"] = sample["labels"][0].byte().cpu().numpy()
        for name, labels in (("network", problem.log_probs.exp()), ("nearest", near.labels), ("dense", far.labels)):
            arrays[f"{name}_{index}"] = labels[0].half().cpu().numpy()
        ids.append(problem.image_id)
    family, name = params.figures.panel_run.split("/")
    archive = PreparedArchive(paths.prepared(params.run(family, name).dataset, "train"))
    palette, class_names = np.asarray(archive.palette, dtype=np.uint8), np.array(archive.class_names)
    return {"ids": np.array(ids), "palette": palette, "class_names": class_names, **arrays, **scale_of(params)}


PAPER_STEPS = 200
"""Gradient steps of the paper."""
COMPARED: dict[str, dict[str, Any]] = {
    "gradient, 100": {"kind": "gradient", "steps": 100},
    "gradient, 200": {"kind": "gradient", "steps": PAPER_STEPS},
    "gradient, 1000": {"kind": "gradient", "steps": 1000},
    "fast": {"kind": "fast"},
    "random walker": {"kind": "random_walker"},
}
"""Solvers compared with the optimum of H_Q + P_Q."""
OTHERS = ("gradient, 100", "gradient, 200", "fast")
"""Solvers compared with the best known solution for H_CCE and the other relaxations, on a tenth of the pictures."""


def solve_as(name: str, problem: Problem, energy: dict[str, Any]) -> Solution:
    """Solve with one of `COMPARED`."""
    settings = {**energy, **COMPARED[name]}
    return solve(problem.log_probs, problem.sample["seeds"], problem.affinity, **settings)


def reference_of(problem: Problem, energy: dict[str, Any], found: dict[str, tuple[Solution, float]]) -> float:
    """Return the lowest energy known: of the solutions found, and of L-BFGS from each of them and from the prediction."""
    given = (problem.log_probs, problem.sample["seeds"], problem.affinity)
    starts = [problem.log_probs.exp(), *(solution.labels for solution, _ in found.values())]
    energies = [float(lowest_energy(*given, start, **energy)) for start in starts]
    return min(energies + [float(solution.energy) for solution, _ in found.values()])


def compare_solvers(params: Params, spec: SelfLabeling, device: torch.device) -> list[dict[str, Any]]:
    """Return one row per solver, energy and picture."""
    rows: list[dict[str, Any]] = []
    scale = scale_of(params)
    count = params.figures.solver_images
    for number, problem in enumerate(tqdm(problems(params, spec, count, device), total=count, desc="solvers", disable=None)):
        valid = valid_mask(problem.sample["seeds"]) | problem.sample["valid"]
        cases = [("quadratic", "q")] + [("cce", relaxation) for relaxation in RELAXATIONS if number % 10 == 0]
        for cross_entropy, relaxation in cases:
            energy = {"cross_entropy": cross_entropy, "relaxation": relaxation, "valid": valid, **weights_of(spec)}
            known = (cross_entropy, relaxation) == ("quadratic", "q")
            exact = solve_as("random walker", problem, energy) if known else None
            found: dict[str, tuple[Solution, float]] = {}
            for name in COMPARED if known else OTHERS:
                if len(rows) + len(found) < len(COMPARED) + len(OTHERS):
                    solve_as(name, problem, energy)  # the first call loads compiled code
                started = time.perf_counter()
                solution = solve_as(name, problem, energy)
                found[name] = solution, time.perf_counter() - started
            reference_energy = float(exact.energy) if exact else reference_of(problem, energy, found)
            for name, (solution, seconds) in found.items():
                rows.append(
                    {
                        "solver": name.partition(",")[0],
                        "steps": COMPARED[name].get("steps", 0),
                        "image_id": problem.image_id,
                        "cross_entropy": cross_entropy,
                        "relaxation": relaxation,
                        "soft_jaccard": float(soft_jaccard(solution.labels, exact.labels, valid)) if exact else None,
                        "energy": float(solution.energy),
                        "reference_energy": reference_energy,
                        "converged": bool(solution.converged),
                        "seconds": seconds,
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
        dense = params.objectives[params.figures.panel_dense_objective].self_labeling
        if dense is None or dense.neighborhood != "dense":
            raise ValueError(
                f"figures.panel_dense_objective: {params.figures.panel_dense_objective!r} has no dense neighbourhood; "
                "name one that has"
            )
        family = params.figures.panel_run.split("/")[0]
        drawn = {"b-fig7": solve_panels(params, spec, device), "b-fig5": solve_neighborhoods(params, spec, dense, device)}
        for artefact, arrays in drawn.items():
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            write_atomically(paths.panels(artefact), buffer.getvalue())
        write_csv(paths.solver_check(family), compare_solvers(params, spec, device))


if __name__ == "__main__":
    main()
