"""Stage `pseudo_labels`: solve for pseudo-labels from one network's predictions, outside training.

Writes three things: soft labels of all six relaxations on a few pictures ([SSL] Fig. 7), how right those of the nearest and the
dense neighbourhood are (Fig. 5), and a comparison of the project's solvers with the exact optimum of the quadratic case, and with
the best solution that any solver or L-BFGS finds for the other relaxations (appendix B).
"""

from __future__ import annotations

import io
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
from pipeline.conventions import VOID, valid_mask
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.dense import DenseKernel
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.transforms import Jitter, WholeImage
from pipeline.errors import clear_errors
from pipeline.files import write_atomically, write_csv
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.metrics.soft_labels import mean_entropy_bits, mean_probability_of_truth
from pipeline.params import Params, SelfLabeling, load_params
from pipeline.runs import Trained
from pipeline.solver import Edges, Kernel, Problem, solve
from pipeline.solver.reference import lowest_energy
from pipeline.solver.solution import Solution
from pipeline.stages.device import select_device
from pipeline.targets.scribbles import rasterize, read_scribbles


@dataclass(frozen=True)
class Picture:
    """One picture (B = 1) as training sees it, and the prediction for it."""

    image_id: str
    sample: dict[str, Tensor]
    log_probs: Tensor

    def edges(self, spec: SelfLabeling) -> Edges:
        """Return the contrast-weighted neighbourhood of an objective."""
        offsets = NEIGHBORHOODS[spec.neighborhood]
        return Edges(contrast_affinity(self.sample["image"], self.sample["valid"], offsets, spec.sigma_rgb), offsets)

    def problem(
        self, spec: SelfLabeling, neighborhood: Edges | Kernel, names: tuple[str, str], valid: Tensor | None = None
    ) -> Problem:
        """Return the pseudo-label problem of H and P in `names`, with the weights of an objective."""
        weights = (spec.unary_weight, spec.pairwise_weight)
        valid = self.sample["valid"] if valid is None else valid
        return Problem(self.log_probs, self.sample["seeds"], neighborhood, *names, *weights, valid)


def pictures(params: Params, count: int, device: torch.device) -> Iterator[Picture]:
    """Yield the first `count` training pictures with the prediction of `figures.panel_run`."""
    family, name = params.figures.panel_run.split("/")
    trained = Trained.of(family, name)
    archive = trained.archive("train")
    network = trained.network(archive.num_classes, paths.weights(family, name, 0), device)
    width_px = trained.record["supervision"]["seeds"]["width_px"]
    draw = partial(rasterize, width_px=width_px, click_width_px=width_px)
    transform = WholeImage(trained.record["training"]["image_size_px"], Jitter(flip=False), draw)
    strokes = read_scribbles(paths.seeds(params.run(family, name).variant))
    for image_id in archive.ids[:count]:
        sample = transform.load(archive.image(image_id), {"labels": archive.labels(image_id)}, strokes[image_id])(0)
        sample = {key: value[None].to(device) for key, value in sample.items()}
        with torch.inference_mode():
            log_probs = network(sample["image"]).log_softmax(1)
        yield Picture(image_id, sample, log_probs.clone())


def solver_settings(params: Params, spec: SelfLabeling) -> dict[str, Any]:
    """Return kind and settings of an objective's solver."""
    return params.solver[spec.solver].model_dump(exclude_none=True)


def solve_panels(params: Params, spec: SelfLabeling, device: torch.device) -> dict[str, np.ndarray]:
    """Return pictures, seeds, masks, predictions and the soft labels of each relaxation."""
    solver = solver_settings(params, spec)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("image", "seeds", "labels", "probs", "pseudo_labels")}
    for picture in pictures(params, params.figures.panel_images, device):
        sample, edges = picture.sample, picture.edges(spec)
        given = [picture.problem(spec, edges, (spec.cross_entropy, relaxation)) for relaxation in RELAXATIONS]
        solved = [solve(problem, **solver).labels[0] for problem in given]
        columns["image"].append((sample["image"][0].permute(1, 2, 0) * 255).round().byte().cpu().numpy())
        columns["seeds"].append(sample["seeds"][0].byte().cpu().numpy())
        columns["labels"].append(sample["labels"][0].byte().cpu().numpy())
        columns["probs"].append(picture.log_probs[0].exp().half().cpu().numpy())
        columns["pseudo_labels"].append(torch.stack(solved).half().cpu().numpy())
    arrays = {name: np.stack(values) for name, values in columns.items()}
    arrays["pseudo_labels"] = arrays["pseudo_labels"].swapaxes(0, 1)
    arrays["relaxation"] = np.array(list(RELAXATIONS))
    archive = Trained.of(*params.figures.panel_run.split("/")).archive("train")
    arrays["palette"] = np.asarray(archive.palette, dtype=np.uint8)
    arrays["class_names"] = np.array(archive.class_names)
    return {**arrays, **{key: np.array(value) for key, value in scale_of(params).items()}}


def scale_of(params: Params) -> dict[str, Any]:
    """Return profile, device and seed of the network that predictions come from, for the notes below figures."""
    record = Trained.of(*params.figures.panel_run.split("/")).record
    return {"profile": record["profile"], "device": record["device"], "seed": 0}


def solve_neighborhoods(params: Params, nearest: SelfLabeling, dense: SelfLabeling, device: torch.device) -> dict[str, Any]:
    """Return how soft and how right predictions and their labels on both neighbourhoods are ([SSL] Fig. 5), and some to draw."""
    arrays: dict[str, Any] = {}
    ids, measured = [], []
    count, names = params.figures.solver_images, (nearest.cross_entropy, nearest.relaxation)
    for index, picture in enumerate(tqdm(pictures(params, count, device), total=count, desc="neighbourhoods", disable=None)):
        sample = picture.sample
        near = solve(picture.problem(nearest, picture.edges(nearest), names), **solver_settings(params, nearest))
        kernel = DenseKernel.build(
            sample["image"], sample["valid"], dense.sigma_rgb, dense.sigma_xy_px, mode="exact", landmarks=dense.landmarks
        )
        far = solve(picture.problem(dense, kernel, names), **solver_settings(params, dense))
        soft = {"network": picture.log_probs.exp(), "nearest": near.labels, "dense": far.labels}
        labels, seeds = (sample[name][0].byte().cpu().numpy() for name in ("labels", "seeds"))
        free = (labels != VOID) & (seeds == VOID)
        of_picture = [kind[0].double().cpu().numpy() for kind in soft.values()]
        measured.append(
            [(mean_entropy_bits(kind, free), 100 * mean_probability_of_truth(kind, labels, free)) for kind in of_picture]
        )
        ids.append(picture.image_id)
        if index < params.figures.panel_images:
            arrays[f"image_{index}"] = (sample["image"][0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
            arrays |= {f"seeds_{index}": seeds, f"labels_{index}": labels}
            arrays |= {f"{name}_{index}": kind[0].half().cpu().numpy() for name, kind in soft.items()}
    archive = Trained.of(*params.figures.panel_run.split("/")).archive("train")
    arrays["palette"], arrays["class_names"] = np.asarray(archive.palette, dtype=np.uint8), np.array(archive.class_names)
    arrays["ids"], arrays["measured"] = np.array(ids[: params.figures.panel_images]), np.array(ids)
    arrays["mean_entropy_bits"], arrays["correct_percent"] = np.array(measured).T
    return {**arrays, **scale_of(params)}


SETTINGS: dict[str, dict[str, Any]] = {
    "gradient, 100": {"kind": "gradient", "steps": 100},
    "gradient, 200": {"kind": "gradient", "steps": 200},
    "gradient, 1000": {"kind": "gradient", "steps": 1000},
    "fast": {"kind": "fast"},
    "conjugate gradient": {"kind": "conjugate_gradient"},
    "random walker": {"kind": "random_walker"},
}
"""Solvers that are compared; 200 steps are the paper's."""
QUADRATIC = ("gradient, 100", "gradient, 200", "gradient, 1000", "conjugate gradient", "random walker")
"""Those compared with the optimum of H_Q + P_Q, which the last of them finds."""
OTHERS = ("gradient, 100", "gradient, 200", "fast")
"""Those compared with the best known solution for H_CCE and the other relaxations, on a tenth of the pictures."""


def reference_of(problem: Problem, solutions: list[Solution]) -> float:
    """Return the lowest energy known: of the solutions, and of L-BFGS from each of them and from the prediction."""
    starts = [problem.log_probs.exp(), *(solution.labels for solution in solutions)]
    energies = [float(lowest_energy(problem, start)) for start in starts]
    return min(energies + [float(solution.energy) for solution in solutions])


def compare_solvers(params: Params, spec: SelfLabeling, device: torch.device) -> list[dict[str, Any]]:
    """Return one row per solver, energy and picture."""
    rows: list[dict[str, Any]] = []
    scale = scale_of(params)
    count = params.figures.solver_images
    for number, picture in enumerate(tqdm(pictures(params, count, device), total=count, desc="solvers", disable=None)):
        valid = valid_mask(picture.sample["seeds"]) | picture.sample["valid"]
        edges = picture.edges(spec)
        cases = [("quadratic", "q")] + [("cce", relaxation) for relaxation in RELAXATIONS if number % 10 == 0]
        for cross_entropy, relaxation in cases:
            problem = picture.problem(spec, edges, (cross_entropy, relaxation), valid)
            known = (cross_entropy, relaxation) == ("quadratic", "q")
            found: dict[str, tuple[Solution, float]] = {}
            for name in QUADRATIC if known else OTHERS:
                if len(rows) + len(found) < len(QUADRATIC) + len(OTHERS):
                    solve(problem, **SETTINGS[name])  # the first call loads compiled code
                started = time.perf_counter()
                solution = solve(problem, **SETTINGS[name])
                found[name] = solution, time.perf_counter() - started
            exact = found[QUADRATIC[-1]][0] if known else None
            solutions = [solution for solution, _ in found.values()]
            reference_energy = float(exact.energy) if exact else reference_of(problem, solutions)
            for name, (solution, seconds) in found.items():
                rows.append(
                    {
                        "solver": name.partition(",")[0],
                        "steps": SETTINGS[name].get("steps", 0),
                        "image_id": picture.image_id,
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
        for artifact, arrays in drawn.items():
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            write_atomically(paths.panels(artifact), buffer.getvalue())
        write_csv(paths.solver_check(family), compare_solvers(params, spec, device))


if __name__ == "__main__":
    main()
