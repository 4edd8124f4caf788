import pytest
import torch
from solver_scenes import VOID, scene

from pipeline.conventions import one_hot
from pipeline.crf.dense import DenseKernel
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.dense import solve_dense
from pipeline.solver.problem import Problem
from pipeline.solver.solution import with_seeds


class AllPairs:
    """The bilateral kernel as a matrix per image."""

    def __init__(self, problem, sigma_rgb=30.0, sigma_xy_px=4.0):
        batch, _, height, width = problem.log_probs.shape
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        place = torch.stack([x, y]).to(problem.image.dtype).expand(batch, -1, -1, -1) / sigma_xy_px
        features = torch.cat([place, problem.image * 255 / sigma_rgb], dim=1).flatten(2)
        inside = problem.valid.flatten(1).to(features.dtype)
        distances = (features.unsqueeze(2) - features.unsqueeze(3)).square().sum(1)
        self.weights = (-0.5 * distances).exp() * inside.unsqueeze(1) * inside.unsqueeze(2)

    def filter(self, values):
        return (values.flatten(2) @ self.weights).view_as(values)

    @property
    def degrees(self):
        return self.weights.sum(1).view(len(self.weights), 1, 8, 10)


def pair_energy(labels, problem, kernel, cross_entropy, relaxation, unary_weight=0.3, pairwise_weight=6.0):
    """eta sum H + lambda / d sum_{i<j} w P over all pairs, and half of each pixel with itself."""
    free = problem.valid & (problem.seeds == VOID)
    unary = (CROSS_ENTROPIES[cross_entropy](problem.log_probs, labels) * free).sum((1, 2))
    flat = labels.flatten(2)
    pairs = RELAXATIONS[relaxation](flat.unsqueeze(2), flat.unsqueeze(3))
    counted = problem.valid | (problem.seeds != VOID)
    mean_degree = (kernel.degrees.squeeze(1) * counted).sum((1, 2)) / counted.sum((1, 2))
    return unary_weight * unary + pairwise_weight * 0.5 * (kernel.weights * pairs).sum((1, 2)) / mean_degree


def solve(problem, kernel, cross_entropy="cce", relaxation="q", **settings):
    given = Problem(problem.log_probs, problem.seeds, kernel, cross_entropy, relaxation, valid=problem.valid)
    return solve_dense(given, **settings)


BOTH = pytest.mark.parametrize("relaxation", ["q", "bl"])


@BOTH
@pytest.mark.parametrize("cross_entropy", CROSS_ENTROPIES)
def test_descent_equals_autograd_of_the_sum_over_pairs(cross_entropy, relaxation):
    problem = scene(dtype=torch.float64)
    kernel = AllPairs(problem)
    logits = problem.log_probs.clone()
    for _ in range(3):
        logits.requires_grad_()
        labels = with_seeds(logits.softmax(1), problem.seeds)
        energy = pair_energy(labels, problem, kernel, cross_entropy, relaxation)
        (gradient,) = torch.autograd.grad(energy.sum(), logits)
        logits = (logits - 0.075 * gradient).detach()
    solution = solve(problem, kernel, cross_entropy, relaxation, steps=3)
    assert (solution.labels - with_seeds(logits.softmax(1), problem.seeds)).abs().max() < 1e-10


@BOTH
def test_reported_energy_is_that_of_the_labels(relaxation):
    problem = scene(dtype=torch.float64)
    kernel = AllPairs(problem)
    solution = solve(problem, kernel, "cce", relaxation, steps=20)
    assert torch.allclose(solution.energy, pair_energy(solution.labels, problem, kernel, "cce", relaxation), rtol=1e-5)
    assert solution.energy_trace[-1].item() == pytest.approx(solution.energy.mean().item())


@BOTH
def test_energy_never_rises_and_labels_stay_on_the_simplex(relaxation):
    problem = scene()
    solution = solve(problem, AllPairs(problem), "cce", relaxation, steps=60)
    assert solution.energy_trace.diff().max() <= 1e-5 * solution.energy_trace[0]
    assert solution.labels.min() >= 0
    assert (solution.labels.sum(1) - 1).abs().max() < 1e-6


def test_seeds_stay_fixed():
    problem = scene()
    labels = solve(problem, AllPairs(problem), steps=20).labels.movedim(1, -1)
    seeded = problem.seeds != VOID
    assert torch.equal(labels[seeded], one_hot(problem.seeds, 3).movedim(1, -1)[seeded])


def test_the_scale_of_the_kernel_does_not_matter():
    problem = scene(dtype=torch.float64)
    kernel, doubled = AllPairs(problem), AllPairs(problem)
    doubled.weights = 2 * doubled.weights
    assert torch.allclose(solve(problem, kernel, steps=10).labels, solve(problem, doubled, steps=10).labels)


def test_a_batch_of_two_equals_two_solves():
    problem = scene()
    together = solve(problem, AllPairs(problem), steps=10)
    for index in range(2):
        alone = problem.alone(index)
        assert torch.allclose(together.labels[index], solve(alone, AllPairs(alone), steps=10).labels[0], atol=1e-6)


def test_converged_is_false_when_starved_and_true_in_the_end():
    problem = scene()
    assert not solve(problem, AllPairs(problem), steps=1).converged.any()
    assert solve(problem, AllPairs(problem), steps=800).converged.all()


def test_relaxations_beyond_filtering_are_rejected():
    problem = scene()
    with pytest.raises(ValueError, match="relaxation: expected one of bl, q on all pairs"):
        solve(problem, AllPairs(problem), relaxation="cd")


def test_a_kernel_of_another_size_is_rejected():
    problem = scene()
    with pytest.raises(ValueError, match=r"kernel\.degrees: expected shape"):
        solve(problem, AllPairs(problem.alone(0)))


def test_the_bilateral_kernel_of_the_dense_crf_fits():
    problem = scene()
    kernel = DenseKernel.build(problem.image, problem.valid, 30.0, 4.0, mode="exact")
    expected = solve(problem, AllPairs(problem), steps=20)
    assert torch.allclose(solve(problem, kernel, steps=20).labels, expected.labels, atol=1e-4)


def test_a_neighbourhood_of_edges_is_refused():
    with pytest.raises(ValueError, match="solver dense: expected a kernel of all pairs, got edges"):
        solve_dense(scene().problem())
