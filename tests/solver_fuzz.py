"""Puts random and damaged problems to every way into compiled code, each in a process of its own: what must not be would kill it.

`python solver_fuzz.py numba|triton EXAMPLES`: exit 0 where all results were right or a ValueError that names an argument.
"""

import math
import multiprocessing
import sys

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.crf import NEIGHBORHOODS, DenseKernel, adaptive_affinity, contrast_affinity, trust_region_affinity
from pipeline.losses import CROSS_ENTROPIES, RELAXATIONS
from pipeline.solver import Edges, Problem, self_labeling_energy, solve
from pipeline.solver.backends.numba_cuts import sink_side
from pipeline.solver.fast import Level
from pipeline.solver.pace import Schedule

VOID = 255
ODD = (0.0, -0.0, 1e-45, 1e-38, 1e-12, 1.0, 20.0, 1e5, 1e12, 1e30, 3e38, -1.0, -1e30, math.nan, math.inf, -math.inf)
OFFSETS = [
    NEIGHBORHOODS["grid4"],
    NEIGHBORHOODS["grid8"],
    NEIGHBORHOODS["sparse"],
    ((0, -1), (-1, 2)),
    ((7, 7), (0, 1)),
    (),
    ((0, 0),),
]
ARGUMENTS = (
    "log_probs", "seeds", "affinity", "offsets", "valid", "unary_weight", "pairwise_weight", "image", "sigma_rgb", "sigma_xy_px",
    "features", "learning_rate", "tolerance", "steps", "capacity", "kernel",
)  # fmt: skip
ENERGIES = {"random_walker": [("quadratic", "q")], "conjugate_gradient": [("quadratic", "q")], "graph_cut": [("ce", "bl")]}
ALL = [(first, second) for first in CROSS_ENTROPIES for second in RELAXATIONS if (first, second) != ("quadratic", "q")]
ANYTHING = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a process that dies cannot shrink what killed it
)


def field(draw, shape, values, low=0.0, high=1.0):
    """Smooth numbers, or those with some of `values` among them."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    numbers = low + (high - low) * torch.rand(shape, generator=generator)
    for _ in range(draw(st.sampled_from([0, 0, 1, 3])) if numbers.numel() else 0):
        numbers.view(-1)[draw(st.integers(0, numbers.numel() - 1))] = draw(st.sampled_from(values))
    if draw(st.integers(0, 9)) == 0:
        numbers.fill_(draw(st.sampled_from(values)))
    return numbers


@st.composite
def pictures(draw):
    """Image, valid, seeds and sizes: 1 x 1 to 6 x 6 pixels, at times empty, void, all seeds or without a valid pixel."""
    batch, classes = draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 2, 3, 5]))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    if draw(st.integers(0, 30)) == 0:
        height = 0
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    labels = torch.randint(classes, (batch, height, width), generator=generator)
    if labels.numel() and draw(st.integers(0, 12)) == 0:
        labels[0, 0, 0] = draw(st.sampled_from([-1, classes, 254, 256, 10**9, -(10**9)]))
    seeds = torch.where(torch.rand(batch, height, width, generator=generator) < share, labels, VOID)
    valid = torch.rand(batch, height, width, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    image = field(draw, (batch, 3, height, width), ODD)
    return image, valid, seeds, (batch, classes, height, width)


@st.composite
def problems(draw, energies):
    """A function that builds a problem, which may be refused."""
    image, valid, seeds, (batch, classes, height, width) = draw(pictures())
    logits = field(draw, (batch, classes, height, width), ODD, -3, 3)
    log_probs = logits.log_softmax(1)
    if draw(st.integers(0, 5)) == 0:
        log_probs = log_probs.double()
    offsets = draw(st.sampled_from(OFFSETS))
    weights = tuple(
        draw(st.sampled_from([0.3, 6.0, 100.0, 1e6, *ODD])) if draw(st.integers(0, 3)) == 0 else 1.0 for _ in range(2)
    )
    names = draw(st.sampled_from(energies))
    raw = field(draw, (batch, len(offsets), height, width), ODD)
    plain = draw(st.booleans())

    def build():
        affinity = contrast_affinity(image, valid, offsets, 9.0, compiled=True) if plain else raw
        return Problem(log_probs, seeds, Edges(affinity, offsets), *names, *weights, draw_valid)

    draw_valid = draw(st.sampled_from([valid, None]))
    return build


def check_solution(problem, solution):
    """Labels are distributions, one-hot on seeds; the energy is theirs."""
    labels = solution.labels
    assert labels.isfinite().all(), labels
    assert labels.min() >= -1e-6
    assert (labels.sum(1) - 1).abs().max() < 1e-4
    seeded = problem.seeds != VOID
    assert torch.equal(labels.argmax(1)[seeded], problem.seeds[seeded])
    assert solution.energy.isfinite().all(), solution.energy
    if isinstance(problem.neighborhood, Edges):
        expected = self_labeling_energy(labels, problem)
        largest = max(problem.unary_weight * problem.log_probs.abs().max().item(), 1e-6 * problem.pairwise_weight, 1e-6)
        assert torch.allclose(solution.energy.double(), expected.double(), rtol=2e-3, atol=1e-4 * largest), (
            solution.energy,
            expected,
        )


def solving(kind):
    def solved(build, steps):
        problem = build()
        check_solution(problem, solve(problem, kind=kind, steps=None if kind == "random_walker" else steps))

    return solved, problems(ENERGIES.get(kind, ALL)), st.sampled_from([None, 1, 3])


def affinities(picture, offsets, sigma_rgb, compiled):
    image, valid, _, _ = picture
    for weights in (
        contrast_affinity(image, valid, offsets, sigma_rgb, compiled=compiled),
        adaptive_affinity(image, valid, offsets),
        trust_region_affinity(image, valid, offsets),
    ):
        assert weights.isfinite().all()
        assert not weights.numel() or weights.min() >= 0


def lattice(picture, sigma_rgb, sigma_xy_px):
    image, valid, seeds, (batch, classes, height, width) = picture
    kernel = DenseKernel.build(image, valid, sigma_rgb, sigma_xy_px, mode="lattice")
    assert kernel.degrees.isfinite().all()
    log_probs = torch.zeros(batch, classes, height, width).log_softmax(1)
    problem = Problem(log_probs, seeds, kernel, "cce", "q", valid=valid)
    check_solution(problem, solve(problem, kind="dense", steps=3))


def flow(count, pairs, seed, clean):
    generator = np.random.default_rng(seed)
    forward = generator.integers(-4, 5, pairs)
    steps = np.stack([forward, -forward], 1).ravel()
    capacity = generator.integers(0 if clean else -1, 9, (count, 2 * pairs))
    if clean and pairs:
        ends = np.arange(count)[:, None] + steps
        dead = ((ends < 0) | (ends >= count)).any(1)
        capacity[dead] = 0
        capacity[dead[ends.clip(0, count - 1)]] = 0
    terminal = generator.integers(-9, 10, count)
    if clean and pairs:
        terminal[dead] = abs(terminal[dead])
    side = sink_side(steps, capacity, terminal)
    assert side.shape == (count,)


def triton(build):
    from pipeline.solver.backends.triton_descent import FusedAdam
    from pipeline.solver.descent import start_logits
    from pipeline.solver.fast import descend_adaptively

    problem = build()
    names = (problem.cross_entropy, problem.relaxation)
    edges = problem.pairwise_scale(torch.float32)
    level = Level(problem.log_probs.float(), problem.seeds, edges, problem.edges.offsets, problem.unary_scale.float(), names)
    logits = start_logits(level.log_probs, problem.seeds)
    energies, _ = descend_adaptively(FusedAdam(level, logits), Schedule([0.3], 1e-3))
    assert logits.softmax(1).isfinite().all()
    assert energies.isfinite().all()


ENTRIES = {
    **{kind: solving(kind) for kind in ("gradient", "fast", "conjugate_gradient", "random_walker", "graph_cut")},
    "affinities": (affinities, pictures(), st.sampled_from(OFFSETS), st.sampled_from([9.0, *ODD]), st.booleans()),
    "lattice": (lattice, pictures(), st.sampled_from([15.0, *ODD]), st.sampled_from([4.0, *ODD])),
    "flow": (flow, st.integers(1, 12), st.integers(0, 4), st.integers(0, 999), st.booleans()),
    "triton": (triton, problems(ALL)),
}
"""A function that checks one example, and what examples are made of."""


def try_entry(name, count):
    """Run one entry; refusals are right if they name an argument."""
    check, *strategies = ENTRIES[name]
    counted = {"solved": 0, "refused": 0}

    def example(drawn):
        try:
            check(*drawn)
            counted["solved"] += 1
        except ValueError as error:
            if not str(error).startswith(ARGUMENTS):
                raise
            counted["refused"] += 1

    settings(ANYTHING, max_examples=count)(given(st.tuples(*strategies))(example))()
    print(f"{name}: {counted['solved']} solved, {counted['refused']} refused")
    assert min(counted.values()) > 0


def main():
    """Run all entries of a compiler in forks, one after the other; exit with the names of those that failed."""
    compiler, count = sys.argv[1], int(sys.argv[2])
    failed = []
    for name in ENTRIES:
        if (name == "triton") == (compiler == "triton"):
            fork = multiprocessing.get_context("fork").Process(target=try_entry, args=(name, count))
            fork.start()
            fork.join()
            failed += [f"{name}: exit {fork.exitcode}"] * (fork.exitcode != 0)
    sys.exit(", ".join(failed) or 0)


if __name__ == "__main__":
    main()
