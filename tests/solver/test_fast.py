from itertools import product

import numpy as np
import pytest
import torch
from solver_scenes import VOID, noisy_regions, scene
from torch.nn.functional import interpolate

from pipeline.bench.solver import read_pictures
from pipeline.conventions import one_hot
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import EDGE_TERMS, RELAXATIONS
from pipeline.solver import Edges, Problem, solve
from pipeline.solver.backends import numba_fast
from pipeline.solver.backends.numba_descent import Image
from pipeline.solver.fast import Level, coarse_problem, descend_adaptively, solve_fast
from pipeline.solver.gradient import solve_by_gradient
from pipeline.solver.pace import BLOCK_PX, PACES, Schedule, coarse_steps, rates
from pipeline.solver.solution import self_labeling_energy, with_seeds

ALL = pytest.mark.parametrize(
    ("cross_entropy", "relaxation"),
    [names for names in product(CROSS_ENTROPIES, RELAXATIONS) if names != ("quadratic", "q")],
)
POTTS = pytest.mark.parametrize("relaxation", RELAXATIONS)


def run(solver, problem, cross_entropy="cce", relaxation="q", **settings):
    weights = {name: settings.pop(name) for name in ("unary_weight", "pairwise_weight") if name in settings}
    return solver(problem.problem(cross_entropy, relaxation, **weights), **settings)


def fast(problem, *names, **settings):
    return run(solve_fast, problem, *names, **settings)


def larger(**settings):
    return scene(height=27, width=34, **settings)


PAIRS = [("cce", name) for name in RELAXATIONS] + [(name, "q") for name in ("ce", "rce")] + [("ce", "bl"), ("quadratic", "cd")]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("cross_entropy", "relaxation"), PAIRS)
def test_energy_is_at_most_that_of_the_papers_200_steps(cross_entropy, relaxation, compiled):
    problem = scene(1, 6, 48, 48)
    paper = run(solve_by_gradient, problem, cross_entropy, relaxation)
    assert fast(problem, cross_entropy, relaxation, compiled=compiled).energy.item() <= paper.energy.item() * 1.002


@ALL
def test_no_image_is_above_the_papers_200_steps_by_a_hundredth_where_blocks_do_not_follow_edges(cross_entropy, relaxation):
    problem = noisy_regions()
    paper = run(solve_by_gradient, problem, cross_entropy, relaxation)
    assert (fast(problem, cross_entropy, relaxation).energy <= 1.01 * paper.energy).all()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("relaxation", ["bl", "cce"])
def test_local_minima_of_hard_relaxations_are_left_behind(relaxation, compiled):
    problem = noisy_regions()
    paper = run(solve_by_gradient, problem, "cce", relaxation)
    assert (fast(problem, "cce", relaxation, compiled=compiled).energy <= 0.9 * paper.energy).all()


@ALL
@pytest.mark.parametrize("compiled", [True, False])
def test_steps_that_only_do_harm_leave_the_prediction(cross_entropy, relaxation, compiled):
    problem = scene()
    solution = fast(problem, cross_entropy, relaxation, steps=1, learning_rate=1e3, pairwise_weight=0.01, compiled=compiled)
    predicted = with_seeds(problem.log_probs.exp(), problem.seeds)
    first = self_labeling_energy(predicted, problem.problem(cross_entropy, relaxation, pairwise_weight=0.01))
    assert (solution.energy <= first * (1 + 1e-6)).all()
    assert solution.labels.isfinite().all()


@pytest.mark.parametrize("compiled", [True, False])
def test_an_image_whose_energy_still_falls_takes_further_steps_alone(compiled):
    problem = noisy_regions()
    together = fast(problem, "cce", "cd", compiled=compiled)
    alone = [fast(problem.alone(index), "cce", "cd", compiled=compiled) for index in range(len(problem.seeds))]
    steps = [solution.steps for solution in alone]
    assert PACES["cce"].steps <= min(steps) < max(steps) == together.steps
    assert together.energy.tolist() == pytest.approx([solution.energy.item() for solution in alone], rel=1e-3)
    assert together.converged.tolist() == [bool(solution.converged) for solution in alone]


@POTTS
def test_energy_is_no_higher_where_certain_predictions_meet_a_strong_potts_term(relaxation):
    picture = read_pictures(None, None, 3, 64)[2]
    certain = (4 * picture.log_probs).log_softmax(1)
    problem = Problem(certain, picture.seeds, Edges(picture.affinity, NEIGHBORHOODS["grid4"]), "cce", relaxation, 1.0, 20.0)
    assert solve_fast(problem).energy.item() <= 0.95 * solve_by_gradient(problem).energy.item()


@pytest.mark.parametrize("cross_entropy", ["ce", "cce"])
def test_the_usual_pace_costs_at_most_twelve_fine_steps(cross_entropy):
    steps = PACES[cross_entropy].steps
    coarse = sum(count / BLOCK_PX ** (2 * level) for level, count in enumerate(coarse_steps(steps), start=1))
    assert steps + coarse <= 12


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_every_coarse_problem_gets_a_step(steps):
    assert min(coarse_steps(steps)) >= 1


def test_steps_shrink_evenly_to_the_last():
    shrinking, constant = np.array(rates(7, 0.4, 1 / 4)), np.array(rates(7, 0.4))
    assert shrinking / constant == pytest.approx(np.linspace(1, 1 / 4, 7))
    assert rates(1, 0.4, 1 / 4) == rates(1, 0.4)


def test_twenty_steps_come_near_the_optimum_of_a_convex_energy():
    problem = scene(height=16, width=20)
    optimum = run(solve_by_gradient, problem, steps=1500, learning_rate=0.3).energy
    assert (fast(problem, steps=20).energy <= 1.025 * optimum).all()


@ALL
def test_seeds_stay_fixed_and_labels_on_the_simplex(cross_entropy, relaxation):
    problem = larger()
    labels = fast(problem, cross_entropy, relaxation, steps=5).labels
    seeded = problem.seeds != VOID
    assert torch.equal(labels.movedim(1, -1)[seeded], one_hot(problem.seeds, 3).movedim(1, -1)[seeded])
    assert labels.min() >= 0
    assert (labels.sum(1) - 1).abs().max() < 1e-6


@ALL
@pytest.mark.parametrize("compiled", [True, False])
def test_reported_energy_is_that_of_the_labels(cross_entropy, relaxation, compiled):
    problem = larger()
    solution = fast(problem, cross_entropy, relaxation, compiled=compiled)
    expected = self_labeling_energy(solution.labels, problem.problem(cross_entropy, relaxation))
    assert torch.allclose(solution.energy, expected, rtol=1e-5)
    assert solution.energy_trace[-1].item() == pytest.approx(expected.mean().item(), rel=1e-3)
    assert solution.energy_trace.shape == (solution.steps + 1,)


@POTTS
def test_energy_falls(relaxation):
    trace = fast(larger(), "cce", relaxation).energy_trace
    assert trace[-1] < trace[0]


@pytest.mark.parametrize(("cross_entropy", "relaxation"), [("cce", "q"), ("rce", "cd"), ("quadratic", "cd"), ("ce", "bl")])
def test_a_batch_of_two_equals_two_solves(cross_entropy, relaxation):
    problem = larger(dtype=torch.float64)
    together = fast(problem, cross_entropy, relaxation, steps=60, tolerance=1e-3)
    for index in range(2):
        alone = fast(problem.alone(index), cross_entropy, relaxation, steps=60, tolerance=1e-3)
        assert together.energy[index].item() == pytest.approx(alone.energy.item(), rel=1e-6)


def test_it_stops_when_the_energy_rests_and_says_so():
    problem = larger()
    solution = fast(problem, steps=500, tolerance=1e-3)
    assert solution.converged.all()
    assert solution.steps < 250
    assert not fast(problem, steps=3, tolerance=1e-6).converged.any()


@ALL
def test_extreme_logits_give_finite_labels(cross_entropy, relaxation):
    problem = scene(height=16, width=16)
    extreme = problem._replace(log_probs=(1e4 * problem.log_probs).log_softmax(1))
    solution = fast(extreme, cross_entropy, relaxation)
    assert solution.labels.isfinite().all()
    assert solution.energy.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (8, 8), (9, 11)])
def test_pictures_of_any_size_are_solved(size):
    problem = scene(height=8, width=10)
    height, width = size
    cut = problem._replace(
        log_probs=interpolate(problem.log_probs, size=size).log_softmax(1),
        seeds=torch.full((2, *size), VOID),
        affinity=torch.ones(2, 2, height, width),
        valid=torch.ones(2, *size, dtype=torch.bool),
    )
    cut.affinity[:, 0, :, -1] = cut.affinity[:, 1, -1] = 0
    assert fast(cut).labels.isfinite().all()


def test_sparse_neighbourhoods_are_solved():
    problem = scene(1, 6, 72, 72, "sparse")
    paper = run(solve_by_gradient, problem, steps=50)
    assert fast(problem).energy.item() < paper.energy.item()


@pytest.mark.parametrize("neighborhood", ["grid4", "grid8", "long"])
def test_coarse_energy_is_the_fine_energy_of_labels_constant_on_blocks(neighborhood):
    offsets = ((0, 1), (5, 2), (6, -9)) if neighborhood == "long" else NEIGHBORHOODS[neighborhood]
    generator = torch.Generator().manual_seed(0)
    batch, classes, height, width = 2, 3, 13, 18
    edges = torch.rand(batch, len(offsets), height, width, generator=generator, dtype=torch.float64)
    for edge, (dy, dx) in enumerate(offsets):  # nothing leaves the picture
        edges[:, edge, max(height - dy, 0) :] = 0
        edges[:, edge, :, max(width - dx, 0) if dx > 0 else width :] = 0
        if dx < 0:
            edges[:, edge, :, :-dx] = 0
    log_probs = torch.randn(batch, classes, height, width, generator=generator, dtype=torch.float64).log_softmax(1)
    seeds = torch.full((batch, height, width), VOID)
    scale = 0.3 * torch.ones(batch, 1, height, width, dtype=torch.float64)
    level = Level(log_probs, seeds, edges, offsets, scale, ("ce", "q"))
    coarse = coarse_problem(level)
    small = torch.randn(batch, classes, 7, 9, generator=generator, dtype=torch.float64).softmax(1)
    fine = small.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :height, :width]
    fine_energy, small_energy = (
        self_labeling_energy(labels, Problem(one.log_probs, one.seeds, Edges(one.edges, one.offsets), "ce", "q", 0.0, 1.0))
        for labels, one in ((fine, level), (small, coarse))
    )
    assert torch.allclose(small_energy, fine_energy)
    assert coarse.unary_scale.sum().item() == pytest.approx(scale.sum().item())


@pytest.mark.parametrize("size", [(14, 18), (8, 8), (33, 12)])
@pytest.mark.parametrize("neighborhood", ["grid4", "grid8", "sparse", "backwards"])
def test_compiled_code_makes_the_same_coarse_problem(neighborhood, size):
    offsets = ((0, -1), (-1, 2)) if neighborhood == "backwards" else NEIGHBORHOODS[neighborhood]
    generator = torch.Generator().manual_seed(0)
    probs = torch.randn(2, 5, *size, generator=generator).softmax(1)
    seeds = torch.where(torch.rand(2, *size, generator=generator) < 0.1, torch.randint(5, (2, *size), generator=generator), VOID)
    seeds[0] = 3  # no free pixel
    image = torch.rand(2, 3, *size, generator=generator)
    edges = contrast_affinity(image, torch.ones(2, *size, dtype=torch.bool), offsets, 90.0)
    scale = 0.3 * (seeds == VOID).float().unsqueeze(1)
    expected = coarse_problem(Level(probs.log(), seeds, edges, offsets, scale, ("cce", "q")))
    image = Image(*(field.numpy() for field in (probs.log(), probs, scale[:, 0], edges)))
    found = numba_fast.coarse_problem(numba_fast.Level(image, seeds.numpy(), offsets, ("cce", "q")))
    order = [found.offsets.index(offset) for offset in expected.offsets if offset in found.offsets]
    kept = [offset in found.offsets for offset in expected.offsets]
    assert set(found.offsets) <= set(expected.offsets)
    assert not expected.edges[:, [not one for one in kept]].any()
    assert np.allclose(found.image.log_probs, expected.log_probs, atol=1e-5)
    assert np.array_equal(found.seeds, expected.seeds)
    assert np.allclose(found.image.edges[:, order], expected.edges[:, kept], atol=1e-6)
    assert np.array_equal(found.image.scale, expected.unary_scale[:, 0])


@pytest.mark.parametrize("size", [(6, 6), (48, 48), (27, 34)])
@pytest.mark.parametrize("weights", [(0.3, 6.0), (1.0, 20.0)])
@pytest.mark.parametrize(("cross_entropy", "relaxation"), [("cce", "cd"), ("ce", "bl"), ("rce", "q"), ("quadratic", "nq")])
def test_compiled_code_solves_as_torch_does(cross_entropy, relaxation, weights, size):
    problem = scene(2, 4, *size)
    given = {"unary_weight": weights[0], "pairwise_weight": weights[1], "steps": 3, "learning_rate": 0.1}
    labels, expected = (fast(problem, cross_entropy, relaxation, compiled=compiled, **given).labels for compiled in (True, False))
    assert (labels - expected).abs().mean() < 1e-4
    assert ((labels - expected).abs() > 0.02).float().mean() < 0.002  # Adam's first steps have one length, whatever the gradient


class Bumpy:
    """A descent whose energy rises and falls through the same values, without coming to rest."""

    def __init__(self):
        self.energies = [10.0, 12.0, 13.0, 10.0, 9.0, 8.0, 7.0]
        self.taken = 0

    def energy(self):
        return torch.tensor([self.energies[self.taken]])

    def step(self, rate, momentum, memory, smallest, moving):
        self.taken += 1
        return torch.tensor([self.energies[self.taken - 1]])


def test_an_energy_that_comes_by_its_former_value_has_not_come_to_rest():
    energies, rests = descend_adaptively(Bumpy(), Schedule([0.3] * 6, 1e-2, tolerance=1e-4))
    assert energies.flatten().tolist() == Bumpy().energies
    assert not rests.any()


def test_coarse_predictions_are_means_and_seeds_majorities():
    log_probs = torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1).expand(1, 2, 2, 6).clone()
    log_probs[:, :, 0, :2] = torch.tensor([0.1, 0.9]).log().view(1, 2, 1)
    seeds = torch.full((1, 2, 6), VOID)
    seeds[0, :, 2] = 1
    seeds[0, 0, 3] = 0
    scale = 0.3 * (seeds == VOID).float().unsqueeze(1)
    level = Level(log_probs, seeds, torch.zeros(1, 2, 2, 6), NEIGHBORHOODS["grid4"], scale, ("cce", "q"))
    small, small_seeds, _, _, small_scale, _ = coarse_problem(level)
    assert small_seeds.tolist() == [[[VOID, 1, VOID]]]
    assert small[0, :, 0].exp().T.tolist() == [pytest.approx([0.5, 0.5]), pytest.approx([0.9, 0.1]), pytest.approx([0.9, 0.1])]
    assert small_scale.flatten().tolist() == pytest.approx([1.2, 0, 1.2])


def test_the_quadratic_case_is_left_to_conjugate_gradients():
    with pytest.raises(ValueError, match="take the solver 'conjugate_gradient'"):
        fast(larger(), "quadratic", "q")


def test_solve_picks_the_fast_solver_by_name():
    problem = larger()
    assert solve(problem.problem(), kind="fast", steps=4).steps == 4


def test_labels_are_detached_and_the_arguments_untouched():
    problem = larger()
    log_probs = problem.log_probs.clone().requires_grad_()
    solution = fast(problem._replace(log_probs=log_probs), steps=3)
    assert not solution.labels.requires_grad
    assert torch.equal(log_probs, problem.log_probs)


@pytest.mark.parametrize(
    ("argument", "value"), [("steps", 0), ("learning_rate", 0.0), ("pairwise_weight", -1.0), ("relaxation", "tv")]
)
def test_settings_out_of_range_are_rejected(argument, value):
    problem = larger()
    names = ("cce", value if argument == "relaxation" else "q")
    with pytest.raises(ValueError, match=argument):
        fast(problem, *names, **({} if argument == "relaxation" else {argument: value}))


def test_a_relaxation_without_compiled_code_is_left_to_torch(monkeypatch):
    problem = larger()
    expected = fast(problem, "cce", "cd", compiled=False)
    for table in (RELAXATIONS, EDGE_TERMS):
        monkeypatch.setitem(table, "mine", table["cd"])
    assert torch.equal(fast(problem, "cce", "mine").labels, expected.labels)
