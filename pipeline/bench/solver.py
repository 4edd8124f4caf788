"""Time and energy of the pseudo-label solvers: `python -m pipeline.bench.solver [--images DIR --masks DIR]`.

The peer is the solver as published: 200 plain gradient steps by automatic differentiation. Its time is that of
`--autograd-steps` of them, scaled; its energy is that of the mode "gradient", which takes the same steps in closed form (a test
holds the two together). Expansion moves are compared with the same moves over PyMaxflow, where that is installed; its licence
(GPL) keeps it out of the requirements.

Predictions are made up from masks, smoothed and disturbed until about one pixel in eight is wrong; seeds are thin curves
inside the masks. Times are those of this process on one CPU core, best of `--repeats` turns.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.bench.clock import in_turn
from pipeline.command import command_parser
from pipeline.conventions import VOID, one_hot
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.datasets.synthetic import make_scenes
from pipeline.files import write_csv
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.solver import (
    Edges,
    Problem,
    Solution,
    self_labeling_energy,
    solve_by_gradient,
    solve_conjugate_gradient,
    solve_fast,
    solve_graph_cut,
    solve_random_walker,
    with_seeds,
)

Row = dict[str, Any]

CLASSES = 21
SIGMA_RGB = 9.0
WEIGHTS: dict[str, Any] = {"unary_weight": 0.3, "pairwise_weight": 6.0}
PAPER_STEPS = 200
LEARNING_RATE = 0.075
PAPER = "published, autograd"
PEER_CUT = "expansion moves, PyMaxflow"


class Picture(NamedTuple):
    """One pseudo-label problem, B = 1."""

    name: str
    log_probs: Tensor
    seeds: Tensor
    affinity: Tensor

    def problem(self, cross_entropy: str, relaxation: str) -> Problem:
        """Return what a solver is given to minimise H and P."""
        edges = Edges(self.affinity, NEIGHBORHOODS["grid4"])
        return Problem(self.log_probs, self.seeds, edges, cross_entropy, relaxation, **WEIGHTS)


def read_pictures(images: Path | None, masks: Path | None, count: int, size_px: int) -> list[Picture]:
    """Return `count` problems on photographs with masks, spread over a sorted directory, or else on procedural pictures."""
    if images is None or masks is None:
        scenes = make_scenes(count, seed=0, class_indices=range(1, 21), size_px=(size_px, size_px))
        pairs = [(scene.image_id, Image.fromarray(scene.image), Image.fromarray(scene.labels)) for scene in scenes]
    else:
        names = sorted(path.stem for path in masks.glob("*.png"))
        if len(names) < count:
            raise ValueError(f"--masks {masks}: expected at least {count} PNG files, got {len(names)}")
        chosen = [names[index * len(names) // count] for index in range(count)]
        pairs = [(name, Image.open(images / f"{name}.jpg").convert("RGB"), Image.open(masks / f"{name}.png")) for name in chosen]
    size = (size_px, size_px)
    return [
        make_picture(
            name, np.asarray(image.resize(size)), np.asarray(mask.resize(size, Image.Resampling.NEAREST)).astype(np.int64), number
        )
        for number, (name, image, mask) in enumerate(pairs)
    ]


def make_picture(name: str, image: np.ndarray, mask: np.ndarray, seed: int) -> Picture:
    """Return a problem with made-up predictions and seeds for an image (H, W, 3) uint8 and mask (H, W); both square."""
    generator = torch.Generator().manual_seed(seed)
    size_px = mask.shape[0]
    labels = torch.from_numpy(mask)[None]
    truth = one_hot(labels.where(labels != VOID, torch.zeros_like(labels)), CLASSES)
    coarse = interpolate(truth, size=(size_px // 16, size_px // 16), mode="area")
    wrong = torch.randn(coarse.shape, generator=generator)
    rough = torch.randn(1, CLASSES, size_px // 4, size_px // 4, generator=generator)
    logits = interpolate(5 * coarse + 1.7 * wrong, size=labels.shape[1:], mode="bilinear")
    logits = logits + 0.7 * interpolate(rough, size=labels.shape[1:], mode="bilinear") + 0.5 * truth.amax((2, 3), keepdim=True)
    colors = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    valid = torch.ones_like(labels, dtype=torch.bool)
    affinity = contrast_affinity(colors, valid, NEIGHBORHOODS["grid4"], SIGMA_RGB)
    return Picture(name, (1.3 * logits).log_softmax(1), curves(labels, generator), affinity)


def curves(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return the labels on three sine curves per class, 3 px thick, and `VOID` elsewhere."""
    height, width = labels.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    seeds = torch.full_like(labels, VOID)
    for index in labels.unique().tolist():
        for _ in range(3 if index != VOID else 0):
            middle, bend, pitch, phase = torch.rand(4, generator=generator).tolist()
            curve = height * (middle + (0.02 + 0.13 * bend) * torch.sin((3 + 9 * pitch) * x / width + 6 * phase))
            seeds[0][((y - curve).abs() < 1.5) & (labels[0] == index)] = index
    return seeds


def autograd_steps(picture: Picture, relaxation: str, steps: int) -> Tensor:
    """Return the logits after `steps` steps of the published solver, derivatives by autograd, for H_CCE."""
    logits = picture.log_probs.clone()
    for _ in range(steps):
        logits.requires_grad_()
        labels = with_seeds(logits.softmax(1), picture.seeds)
        energy = self_labeling_energy(labels, picture.problem("cce", relaxation))
        (gradient,) = torch.autograd.grad(energy.sum(), logits)
        logits = (logits - LEARNING_RATE * gradient).detach()
    return logits


def best_times(methods: Mapping[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the least CPU seconds of each method, the methods taking turns, and what each returned last."""
    results: dict[str, Any] = {}
    keeping = {
        name: partial(lambda name, method: results.update({name: method()}), name, method) for name, method in methods.items()
    }
    return {name: min(times) for name, times in in_turn(keeping, repeats, warm_up=0).items()}, results


def soft_rows(picture: Picture, relaxation: str, repeats: int, timed_steps: int) -> list[Row]:
    """Return rows of the solvers of H_CCE and one relaxation; ratios are to the published solver."""
    problem = picture.problem("cce", relaxation)
    seconds, results = best_times(
        {
            PAPER: lambda: autograd_steps(picture, relaxation, timed_steps),
            "gradient": lambda: solve_by_gradient(problem, steps=PAPER_STEPS, learning_rate=LEARNING_RATE),
            "fast": lambda: solve_fast(problem),
            "fast, torch": lambda: solve_fast(problem, compiled=False),
            "fast, 20 steps": lambda: solve_fast(problem, steps=20),
        },
        repeats,
    )
    seconds[PAPER] *= PAPER_STEPS / timed_steps
    results[PAPER] = results["gradient"]
    return rows_of(picture, f"H_CCE + P_{relaxation.upper()}", seconds, results, PAPER)


def quadratic_rows(picture: Picture, repeats: int) -> list[Row]:
    """Return rows for H_Q + P_Q, whose optimum is known: energy and soft Jaccard are relative to it."""
    problem = picture.problem("quadratic", "q")
    seconds, results = best_times(
        {
            "random_walker": lambda: solve_random_walker(problem),
            "gradient": lambda: solve_by_gradient(problem, steps=PAPER_STEPS),
            "conjugate_gradient": lambda: solve_conjugate_gradient(problem),
        },
        repeats,
    )
    rows = rows_of(picture, "H_Q + P_Q", seconds, results, "random_walker")
    exact = results["random_walker"].labels
    everywhere = torch.ones_like(picture.seeds, dtype=torch.bool)
    return [dict(row, soft_jaccard=float(soft_jaccard(results[row["solver"]].labels, exact, everywhere))) for row in rows]


def cut_rows(picture: Picture, repeats: int) -> list[Row]:
    """Return rows of expansion moves among the picture's own classes, with PyMaxflow as the peer where it is installed."""
    problem = picture.problem("ce", "bl")
    methods: dict[str, Callable[[], Any]] = {"graph_cut": lambda: solve_graph_cut(problem)}
    reference = "graph_cut"
    if importlib.util.find_spec("maxflow") is not None:
        methods[PEER_CUT] = lambda: peer_expansion(picture)
        reference = PEER_CUT
    seconds, results = best_times(methods, repeats)
    return rows_of(picture, "H_CE + P_BL, hard", seconds, results, reference)


def peer_expansion(picture: Picture, sweeps: int = 5) -> Solution:
    """Return the solution of `solve_graph_cut` with each move solved by PyMaxflow."""
    import maxflow

    eta, weight = WEIGHTS.values()
    seeds = picture.seeds[0].numpy()
    costs = -picture.log_probs[0].double().numpy() * eta
    free = seeds == VOID
    allowed = np.unique(seeds[~free])
    current = np.where(free, allowed[costs[allowed].argmin(0)], seeds)
    height, width = seeds.shape
    numbers = np.arange(height * width).reshape(height, width)
    ends = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])]
    edges = [(picture.affinity[0, 0, :, :-1].numpy(), *ends[0]), (picture.affinity[0, 1, :-1].numpy(), *ends[1])]
    heads, tails = (np.concatenate([edge[side].ravel() for edge in edges]) for side in (1, 2))
    weights = weight * np.concatenate([edge[0].ravel() for edge in edges]).astype(np.float64)
    weights[~free.ravel()[heads] & ~free.ravel()[tails]] = 0
    done, taken = False, 0
    while not done and taken < sweeps:
        done, taken = True, taken + 1
        for alpha in allowed:
            labels = current.ravel()
            kept = weights * (labels[heads] != labels[tails])
            second, first = weights * (labels[heads] != alpha), weights * (labels[tails] != alpha)
            terminal = np.where(free, costs[alpha] - np.take_along_axis(costs, current[None], 0)[0], 1e9).ravel()
            terminal = terminal + np.bincount(heads, first - kept, labels.size) - np.bincount(tails, first, labels.size)
            graph = maxflow.Graph[float](labels.size, heads.size)
            nodes = graph.add_nodes(labels.size)
            graph.add_edges(heads, tails, second + first - kept, np.zeros_like(kept))
            graph.add_grid_tedges(nodes, np.maximum(terminal, 0), np.maximum(-terminal, 0))
            graph.maxflow()
            moving = graph.get_grid_segments(nodes)
            proposed = np.where(moving, alpha, labels)
            if _potts(costs, proposed, heads, tails, weights, free) < _potts(costs, labels, heads, tails, weights, free) - 1e-9:
                current, done = proposed.reshape(current.shape), False
    energy = torch.tensor([_potts(costs, current.ravel(), heads, tails, weights, free)])
    return Solution(one_hot(torch.from_numpy(current)[None], CLASSES), energy, energy, taken, torch.tensor([done]))


def _potts(
    costs: np.ndarray, labels: np.ndarray, heads: np.ndarray, tails: np.ndarray, weights: np.ndarray, free: np.ndarray
) -> float:
    unary = costs.reshape(len(costs), -1)[labels, np.arange(labels.size)][free.ravel()].sum()
    return float(unary + weights[labels[heads] != labels[tails]].sum())


def rows_of(
    picture: Picture, energy: str, seconds: Mapping[str, float], results: Mapping[str, Solution], reference: str
) -> list[Row]:
    """Return one row per solver of one energy on one picture."""
    return [
        {
            "energy": energy,
            "solver": name,
            "picture": picture.name,
            "size_px": picture.seeds.shape[1],
            "steps": results[name].steps,
            "seconds": seconds[name],
            "speed_ratio": seconds[reference] / seconds[name],
            "energy_ratio": float(results[name].energy) / float(results[reference].energy),
            "soft_jaccard": None,
            "device": "cpu, one thread",
            "torch": torch.__version__,
        }
        for name in seconds
    ]


def table(rows: list[Row]) -> str:
    """Return medians over pictures, and the worst energy and agreement, as text."""
    by_solver = pd.DataFrame(rows).astype({"soft_jaccard": float}).groupby(["energy", "solver"], sort=False)
    found = by_solver.agg(
        seconds=("seconds", "median"),
        speed_ratio=("speed_ratio", "median"),
        energy_ratio=("energy_ratio", "median"),
        worst=("energy_ratio", "max"),
        soft_jaccard=("soft_jaccard", "min"),
    )
    return found.reset_index().to_string(index=False, float_format="{:.3f}".format, na_rep="")


def main() -> None:
    """Run the benchmark."""
    parser = command_parser(__doc__, "pipeline.bench.solver --images photos --count 4")
    parser.add_argument("--images", type=Path, help="folder of JPEG photographs; procedural pictures if left out")
    parser.add_argument("--masks", type=Path, help="folder of PNG masks of the same names")
    parser.add_argument("--count", type=int, default=4, help="number of pictures")
    parser.add_argument("--size-px", type=int, default=256, help="side of the pictures")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--autograd-steps", type=int, default=10, help="steps of the published solver that are timed")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/solver.csv"))
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.masks is None):
        parser.error("--images and --masks go together")
    torch.set_num_threads(1)
    rows: list[Row] = []
    for picture in read_pictures(arguments.images, arguments.masks, arguments.count, arguments.size_px):
        for relaxation in RELAXATIONS:
            rows += soft_rows(picture, relaxation, arguments.repeats, arguments.autograd_steps)
        rows += quadratic_rows(picture, arguments.repeats)
        rows += cut_rows(picture, arguments.repeats + 1)  # the first turn may compile
    write_csv(arguments.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
