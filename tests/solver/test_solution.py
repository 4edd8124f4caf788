import pytest
import torch
from reference import self_labeling_energy as naive_energy
from solver_scenes import SIGMA_RGB, VOID, scene

from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.problem import Edges, Problem
from pipeline.solver.solution import hard_labels, self_labeling_energy, with_seeds


def smooth_labels(problem):
    return (0.5 * problem.log_probs).softmax(1)


@pytest.mark.parametrize("cross_entropy", CROSS_ENTROPIES)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("neighborhood", ["grid4", "grid8"])
def test_energy_equals_the_naive_loop(cross_entropy, relaxation, neighborhood):
    problem = scene(1, 3, 4, 5, neighborhood, torch.float64)
    labels = smooth_labels(problem)
    expected = naive_energy(
        labels[0].numpy(),
        problem.log_probs[0].exp().numpy(),
        problem.seeds[0].numpy(),
        problem.valid[0].numpy(),
        problem.image[0].numpy(),
        problem.offsets,
        SIGMA_RGB,
        (cross_entropy, relaxation),
        (0.3, 6.0),
    )
    energy = self_labeling_energy(labels, problem.problem(cross_entropy, relaxation))
    assert energy.item() == pytest.approx(expected, rel=1e-9)


def test_seeds_of_different_classes_side_by_side_cost_nothing():
    seeds = torch.tensor([[[0, 1]]])
    labels = torch.eye(2).view(1, 2, 1, 2)
    affinity = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    energy = self_labeling_energy(labels, Problem(labels.softmax(1).log(), seeds, Edges(affinity, ((0, 1),)), "cce", "cce"))
    assert energy.item() == 0


def test_energy_is_a_sum_over_pixels():
    half = torch.full((1, 2, 3, 4), 0.5)
    edges = Edges(torch.zeros(1, 1, 3, 4), ((0, 1),))
    energy = self_labeling_energy(half, Problem(half.log(), torch.full((1, 3, 4), VOID), edges, "ce", "q", 0.5, 1.0))
    assert energy.item() == pytest.approx(0.5 * 12 * 0.6931472)


def test_seeds_are_put_in_place_of_labels():
    labels = with_seeds(torch.full((1, 3, 1, 2), 1 / 3), torch.tensor([[[2, VOID]]]))
    assert labels[0, :, 0, 0].tolist() == [0, 0, 1]
    assert labels[0, :, 0, 1].tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("names", "match"), [(("kl", "q"), "cross_entropy: expected one of"), (("ce", "tv"), "relaxation: expected one of")]
)
def test_unknown_names_are_rejected(names, match):
    problem = scene(1)
    with pytest.raises(ValueError, match=match):
        problem.problem(*names)


def test_hard_labels_are_the_one_hot_arg_max_and_keep_seeds():
    problem = scene()
    soft = with_seeds(smooth_labels(problem), problem.seeds)
    hard = hard_labels(soft)
    assert torch.equal(hard.argmax(1), soft.argmax(1))
    assert torch.equal(hard.sort(1).values[:, :2], torch.zeros_like(hard[:, :2]))
    assert torch.equal(with_seeds(hard, problem.seeds), hard)
