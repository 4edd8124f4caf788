import pytest
import torch
from solver_scenes import VOID, all_labellings, four_pixels, scene

from pipeline.conventions import one_hot
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.metrics.soft_jaccard import soft_jaccard
from pipeline.solver.gradient import solve_by_gradient
from pipeline.solver.random_walker import solve_random_walker
from pipeline.solver.solution import self_labeling_energy, with_seeds

CROSS = pytest.mark.parametrize("cross_entropy", CROSS_ENTROPIES)
POTTS = pytest.mark.parametrize("relaxation", RELAXATIONS)


def solve(problem, cross_entropy="cce", relaxation="q", **settings):
    weights = {name: settings.pop(name) for name in ("unary_weight", "pairwise_weight") if name in settings}
    return solve_by_gradient(problem.problem(cross_entropy, relaxation, **weights), **settings)


def energy_of(labels, problem, cross_entropy, relaxation, *weights):
    return self_labeling_energy(labels, problem.problem(cross_entropy, relaxation, *weights))


@CROSS
@POTTS
def test_descent_equals_autograd_of_the_energy(cross_entropy, relaxation):
    problem = scene(dtype=torch.float64, neighborhood="grid8")
    logits = problem.log_probs.clone()
    for _ in range(3):
        logits.requires_grad_()
        labels = with_seeds(logits.softmax(1), problem.seeds)
        (gradient,) = torch.autograd.grad(energy_of(labels, problem, cross_entropy, relaxation).sum(), logits)
        logits = (logits - 0.075 * gradient).detach()
    expected = with_seeds(logits.softmax(1), problem.seeds)
    solution = solve(problem, cross_entropy, relaxation, steps=3, learning_rate=0.075)
    assert (solution.labels - expected).abs().max() < 1e-10


@CROSS
@POTTS
def test_energy_never_rises(cross_entropy, relaxation):
    trace = solve(scene(), cross_entropy, relaxation, steps=60).energy_trace
    assert trace.diff().max() <= 1e-5 * trace[0]
    assert trace[-1] < trace[0]


@CROSS
@POTTS
def test_seeds_stay_fixed_and_labels_on_the_simplex(cross_entropy, relaxation):
    problem = scene()
    labels = solve(problem, cross_entropy, relaxation, steps=20).labels
    seeded = problem.seeds != VOID
    hard = one_hot(problem.seeds, 3).movedim(1, -1)[seeded]
    assert torch.equal(labels.movedim(1, -1)[seeded], hard)
    assert labels.min() >= 0
    assert (labels.sum(1) - 1).abs().max() < 1e-6


@CROSS
@POTTS
def test_reported_energy_is_that_of_the_labels_and_ends_the_trace(cross_entropy, relaxation):
    problem = scene()
    solution = solve(problem, cross_entropy, relaxation, steps=10)
    expected = energy_of(solution.labels, problem, cross_entropy, relaxation)
    assert torch.allclose(solution.energy, expected, rtol=1e-5)
    assert solution.energy_trace.shape == (11,)
    assert solution.energy_trace[-1].item() == pytest.approx(expected.mean().item(), rel=1e-4)


def test_trace_starts_at_the_prediction_with_seeds():
    problem = scene()
    start = energy_of(with_seeds(problem.log_probs.exp(), problem.seeds), problem, "cce", "q")
    assert solve(problem, steps=1).energy_trace[0].item() == pytest.approx(start.mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("cross_entropy", "relaxation"),
    [("cce", "q"), ("ce", "q"), ("rce", "q"), ("quadratic", "q"), ("cce", "nq"), ("cce", "cd"), ("cce", "lq")],
)
def test_reaches_the_minimum_found_by_search_on_four_pixels(cross_entropy, relaxation):
    problem, weights = four_pixels(), (1.0, 1.0)
    candidates = all_labellings(problem)
    expanded = type(problem)(
        *(part.expand(len(candidates), *part.shape[1:]) if torch.is_tensor(part) else part for part in problem)
    )
    best = energy_of(candidates, expanded, cross_entropy, relaxation, *weights).min().item()
    solution = solve(problem, cross_entropy, relaxation, unary_weight=1.0, pairwise_weight=1.0, steps=1500, learning_rate=1.0)
    # Soft-max descent nears the simplex' border slowly (from above), the search has a step of 1/40 (from below).
    assert best - 1e-2 <= solution.energy.item() <= best + 2e-3


@CROSS
@POTTS
def test_a_batch_of_two_equals_two_solves(cross_entropy, relaxation):
    problem = scene()
    together = solve(problem, cross_entropy, relaxation, steps=10)
    for index in range(2):
        alone = solve(problem.alone(index), cross_entropy, relaxation, steps=10)
        assert torch.allclose(together.labels[index], alone.labels[0], atol=1e-6)
        assert together.energy[index].item() == pytest.approx(alone.energy.item(), rel=1e-5)


def test_converged_is_false_when_starved_and_true_in_the_end():
    assert solve(scene(), steps=1).converged.tolist() == [False, False]
    assert solve(scene(), steps=800).converged.tolist() == [True, True]


def test_convergence_is_judged_per_image():
    problem = scene()
    problem.log_probs[0] = torch.tensor([0.0, -30.0, -30.0]).view(3, 1, 1).log_softmax(0)
    problem.seeds[0][problem.seeds[0] == 1] = 0
    assert solve(problem, steps=2, tolerance=1e-2).converged.tolist() == [True, False]


@CROSS
@POTTS
def test_extreme_logits_give_finite_labels(cross_entropy, relaxation):
    problem = scene()
    sign = torch.where(torch.arange(10) % 4 < 2, 1e4, -1e4).expand(2, 1, 8, 10)
    extreme = problem._replace(log_probs=torch.cat([sign, -sign, torch.zeros_like(sign)], dim=1).log_softmax(1))
    solution = solve(extreme, cross_entropy, relaxation, steps=5)
    assert solution.labels.isfinite().all()
    assert solution.energy_trace.isfinite().all()


@POTTS
def test_contradicting_seeds_side_by_side_do_no_harm(relaxation):
    problem = scene()
    problem.seeds[:, 2, 2] = 1
    solution = solve(problem, "cce", relaxation, steps=20)
    assert solution.energy_trace.isfinite().all()
    assert solution.energy_trace[-1] < solution.energy_trace[0]


def test_labels_are_detached_and_the_arguments_untouched():
    problem = scene()
    log_probs = problem.log_probs.clone().requires_grad_()
    solution = solve(problem._replace(log_probs=log_probs), steps=3)
    assert not solution.labels.requires_grad
    assert torch.equal(log_probs, problem.log_probs)


def test_invalid_pixels_keep_the_prediction():
    problem = scene()
    labels = solve(problem, steps=30).labels.movedim(1, -1)
    assert torch.allclose(labels[~problem.valid], problem.log_probs.exp().movedim(1, -1)[~problem.valid], atol=1e-6)


def test_works_in_single_precision_from_half_precision_predictions():
    problem = scene()
    assert solve(problem._replace(log_probs=problem.log_probs.half()), steps=2).labels.dtype == torch.float32


def test_without_pairwise_weight_the_quadratic_solution_is_the_prediction():
    problem = scene()
    labels = solve(problem, "quadratic", "q", pairwise_weight=0.0, steps=5).labels
    assert torch.allclose(labels, with_seeds(problem.log_probs.exp(), problem.seeds), atol=1e-6)


def test_long_descent_approaches_the_exact_quadratic_solution():
    problem = scene()
    exact = solve_random_walker(problem.problem("quadratic", "q"))
    overlaps = [
        soft_jaccard(solve(problem, "quadratic", "q", steps=steps).labels, exact.labels).min() for steps in (20, 200, 2000)
    ]
    assert overlaps == sorted(overlaps)
    assert overlaps[-1] > 0.97


def test_no_descent_falls_below_the_exact_quadratic_solution():
    problem = scene(dtype=torch.float64)
    exact = solve_random_walker(problem.problem("quadratic", "q"))
    assert (solve(problem, "quadratic", "q", steps=500).energy >= exact.energy).all()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("steps", 0),
        ("learning_rate", 0.0),
        ("unary_weight", -1.0),
        ("pairwise_weight", -1.0),
        ("cross_entropy", "kl"),
        ("relaxation", "tv"),
    ],
)
def test_rejects_settings_out_of_range(argument, value):
    with pytest.raises(ValueError, match=argument):
        solve(scene(), **{argument: value})


def test_rejects_seeds_of_another_size():
    problem = scene()
    with pytest.raises(ValueError, match="seeds: expected shape"):
        solve(problem._replace(seeds=problem.seeds[:, 1:]))
