import pytest
import torch
from solver_scenes import VOID, all_labellings, four_pixels, scene

from pipeline.conventions import one_hot
from pipeline.crf.dense import DenseKernel
from pipeline.solver import SOLVERS, Edges, Problem, solve
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.solution import self_labeling_energy


def walk(scene, **weights):
    return solve_random_walker(scene.problem("quadratic", "q", **weights))


def energy_of(labels, scene, *weights):
    return self_labeling_energy(labels, scene.problem("quadratic", "q", *weights))


@pytest.mark.parametrize("neighborhood", ["grid4", "grid8"])
def test_the_energy_has_zero_gradient_at_the_solution(neighborhood):
    problem = scene(neighborhood=neighborhood, dtype=torch.float64)
    labels = walk(problem).labels.requires_grad_()
    (gradient,) = torch.autograd.grad(energy_of(labels, problem).sum(), labels)
    free = (problem.seeds == VOID) & problem.valid
    assert gradient.movedim(1, -1)[free].abs().max() < 1e-10


def test_reaches_the_minimum_found_by_search_on_four_pixels():
    problem = four_pixels()
    candidates = all_labellings(problem)
    expanded = type(problem)(
        *(part.expand(len(candidates), *part.shape[1:]) if torch.is_tensor(part) else part for part in problem)
    )
    energies = energy_of(candidates, expanded, 1.0, 1.0)
    solution = walk(problem, unary_weight=1.0, pairwise_weight=1.0)
    assert 0 <= energies.min().item() - solution.energy.item() < 1e-3
    assert (candidates[energies.argmin()] - solution.labels[0]).abs().max() <= 1 / 40


def test_labels_lie_on_the_simplex():
    labels = walk(scene(dtype=torch.float64)).labels
    assert labels.min() >= -1e-12
    assert (labels.sum(1) - 1).abs().max() < 1e-12


def test_seeds_stay_fixed():
    problem = scene()
    seeded = problem.seeds != VOID
    labels = walk(problem).labels.movedim(1, -1)
    assert torch.equal(labels[seeded], one_hot(problem.seeds, 3).movedim(1, -1)[seeded])


def test_invalid_pixels_keep_the_prediction():
    problem = scene()
    labels = walk(problem).labels.movedim(1, -1)
    assert torch.allclose(labels[~problem.valid], problem.log_probs.exp().movedim(1, -1)[~problem.valid])


def test_a_batch_of_two_equals_two_solves():
    problem = scene()
    together = walk(problem).labels
    for index in range(2):
        assert torch.equal(together[index], walk(problem.alone(index)).labels[0])


def test_energy_falls_from_the_prediction_to_the_solution():
    problem = scene()
    solution = walk(problem)
    assert solution.energy_trace.shape == (2,)
    assert solution.energy_trace[1] < solution.energy_trace[0]
    assert solution.energy_trace[1].item() == pytest.approx(solution.energy.mean().item())
    assert (solution.steps, solution.converged.tolist()) == (1, [True, True])


def test_without_pairwise_weight_the_solution_is_the_prediction():
    problem = scene()
    labels = walk(problem, pairwise_weight=0.0).labels.movedim(1, -1)
    free = problem.seeds == VOID
    assert torch.allclose(labels[free], problem.log_probs.exp().movedim(1, -1)[free])


def test_strong_edges_spread_a_seed_over_one_colour():
    problem = scene()
    flooded = walk(problem._replace(affinity=(problem.affinity > 0).float()), unary_weight=1e-4, pairwise_weight=6.0)
    assert flooded.labels[:, 2][problem.valid].max() < 0.1  # the class without a seed disappears


def test_an_image_of_seeds_only_is_returned_as_it_is():
    seeds = torch.tensor([[[0, 1]]])
    edges = Edges(torch.ones(1, 1, 1, 2), ((0, 1),))
    labels = solve_random_walker(Problem(torch.full((1, 2, 1, 2), 0.5).log(), seeds, edges, "quadratic", "q")).labels
    assert labels[0, :, 0].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("argument", "value"), [("unary_weight", 0.0), ("pairwise_weight", -1.0)])
def test_rejects_weights_out_of_range(argument, value):
    with pytest.raises(ValueError, match=argument):
        walk(scene(), **{argument: value})


def test_solve_picks_solvers_by_name():
    problem = scene()
    assert torch.equal(solve(problem.problem("quadratic", "q"), kind="random_walker").labels, walk(problem).labels)
    assert solve(problem.problem("cce", "cd"), kind="gradient", steps=3).steps == 3


def test_settings_left_at_none_are_the_solvers_own():
    solution = solve(scene().problem(), kind="gradient", steps=None, learning_rate=None, tolerance=None)
    assert solution.steps == 200


def test_the_random_walker_refuses_other_energies():
    with pytest.raises(ValueError, match="random_walker: expected cross_entropy 'quadratic'"):
        solve(scene().problem("cce", "q"), kind="random_walker")


def test_an_unknown_solver_is_rejected():
    with pytest.raises(ValueError, match="kind: expected one of gradient, "):
        solve(scene().problem(), kind="newton")


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("random_walker", "steps"), ("conjugate_gradient", "learning_rate"), ("graph_cut", "tolerance")],
)
def test_a_setting_that_a_solver_does_not_have_is_named(kind, setting):
    with pytest.raises(ValueError, match=f"solver {kind}: has no {setting}"):
        solve(scene().problem(), kind=kind, **{setting: 1})


@pytest.mark.parametrize("kind", [kind for kind in SOLVERS if kind != "dense"])
def test_solvers_on_edges_say_what_a_dense_kernel_needs(kind):
    names = {"graph_cut": ("ce", "bl"), "fast": ("cce", "q"), "gradient": ("cce", "q")}.get(kind, ("quadratic", "q"))
    here = scene()
    kernel = DenseKernel.build(here.image, here.valid, 15.0, 4.0, mode="exact")
    with pytest.raises(ValueError, match="take the solver 'dense'"):
        solve(Problem(here.log_probs, here.seeds, kernel, *names), kind=kind)
