import pytest
import torch
from solver_scenes import VOID, scene

from pipeline.conventions import one_hot
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.solver.conjugate_gradient import solve_conjugate_gradient
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.solution import self_labeling_energy


def conjugate(scene, weights=(0.3, 6.0), **settings):
    return solve_conjugate_gradient(scene.problem("quadratic", "q", *weights), **settings)


def exact(scene, weights=(0.3, 6.0)):
    return solve_random_walker(scene.problem("quadratic", "q", *weights))


@pytest.mark.parametrize("neighborhood", ["grid4", "grid8", "sparse"])
@pytest.mark.parametrize("weights", [(0.3, 6.0), (1.0, 1.0), (0.05, 20.0)])
def test_reaches_the_exact_solution(neighborhood, weights):
    problem = scene(height=20, width=24, neighborhood=neighborhood, dtype=torch.float64)
    solution = conjugate(problem, weights, tolerance=1e-9, steps=500)
    assert solution.converged.all()
    assert (solution.labels - exact(problem, weights).labels).abs().max() < 1e-7


def test_its_usual_tolerance_gives_a_soft_jaccard_above_999_thousandths():
    problem = scene(height=40, width=48, classes=5)
    valid = problem.valid | (problem.seeds != VOID)
    assert (soft_jaccard(conjugate(problem).labels, exact(problem).labels, valid) >= 0.999).all()


def test_energy_never_rises_and_the_trace_is_that_of_the_iterates():
    problem = scene(height=20, width=24, dtype=torch.float64)
    for steps in (1, 4):
        solution = conjugate(problem, steps=steps)
        assert (solution.energy_trace.diff() <= 0).all()
        assert solution.energy_trace.shape == (steps + 1,)
        assert solution.energy_trace[-1].item() == pytest.approx(solution.energy.mean().item(), rel=0.02)


def test_reported_energy_is_that_of_the_labels():
    problem = scene()
    solution = conjugate(problem)
    expected = self_labeling_energy(solution.labels, problem.problem("quadratic", "q"))
    assert torch.allclose(solution.energy, expected)


def test_seeds_stay_fixed_and_labels_on_the_simplex():
    problem = scene()
    labels = conjugate(problem, steps=2).labels
    seeded = problem.seeds != VOID
    assert torch.equal(labels.movedim(1, -1)[seeded], one_hot(problem.seeds, 3).movedim(1, -1)[seeded])
    assert labels.min() >= 0
    assert (labels.sum(1) - 1).abs().max() < 1e-6


def test_invalid_pixels_keep_the_prediction():
    problem = scene()
    labels = conjugate(problem).labels.movedim(1, -1)
    free = ~problem.valid & (problem.seeds == VOID)
    assert torch.allclose(labels[free], problem.log_probs.exp().movedim(1, -1)[free], atol=1e-6)


def test_a_batch_of_two_equals_two_solves():
    problem = scene(dtype=torch.float64)
    together = conjugate(problem, tolerance=1e-10)
    for index in range(2):
        alone = conjugate(problem.alone(index), tolerance=1e-10)
        assert torch.allclose(together.labels[index], alone.labels[0], atol=1e-8)


def test_converged_is_false_when_starved():
    assert not conjugate(scene(height=20, width=24), steps=1).converged.any()


def test_an_image_of_seeds_only_needs_no_step():
    problem = scene()
    problem.seeds[:] = 1
    solution = conjugate(problem)
    assert solution.steps == 0
    assert solution.converged.all()
    assert torch.equal(solution.labels.argmax(1), problem.seeds)


def test_the_unary_term_must_weigh_something():
    with pytest.raises(ValueError, match="unary_weight"):
        conjugate(scene(), (0.0, 6.0))


@pytest.mark.parametrize(("argument", "value"), [("steps", 0), ("tolerance", -1.0), ("tolerance", float("nan"))])
def test_settings_out_of_range_are_rejected(argument, value):
    with pytest.raises(ValueError, match=argument):
        conjugate(scene(), **{argument: value})


def test_other_energies_are_refused():
    with pytest.raises(ValueError, match="conjugate_gradient: expected cross_entropy 'quadratic' with relaxation 'q'"):
        solve_conjugate_gradient(scene().problem("cce", "q"))
