"""Kernels on a GPU against the CPU, Triton against torch, bf16 against float32, and the same numbers twice.

Without a GPU they are skipped; CUDA_TESTS_ON_CPU=1 runs them on the CPU all the same, to try the tests themselves.
"""

import copy
import os

import pytest
import torch
from solver_scenes import scene

from pipeline.bench.dense_crf import made_up_predictions
from pipeline.bench.steps import make_batch
from pipeline.conventions import VOID
from pipeline.crf.affinity import adaptive_affinity, contrast_affinity, trust_region_affinity
from pipeline.crf.dense import DENSE_FILTERS, DenseKernel, dense_crf_loss
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.crf.pairwise import pairwise_energy
from pipeline.losses.cross_entropy import CROSS_ENTROPIES, partial_cross_entropy
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.losses.size import SIZE_LOSSES
from pipeline.networks import build_network
from pipeline.solver import Edges, Problem, solve
from pipeline.solver.descent import start_logits
from pipeline.solver.fast import Level, descend_adaptively, fused_kernel_works, torch_adam
from pipeline.solver.pace import Schedule, rates
from pipeline.training.loop import take_step
from pipeline.training.objectives import Objective
from pipeline.training.schedule import make_optimizer

REHEARSED = bool(os.environ.get("CUDA_TESTS_ON_CPU"))
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not (REHEARSED or torch.cuda.is_available()), reason="needs a GPU"),
]
BATCH = make_batch(2, 64, 4)
GPU = torch.device("cpu" if REHEARSED else "cuda")
PAIRS = [("cce", name) for name in RELAXATIONS] + [(name, "q") for name in CROSS_ENTROPIES if name not in ("cce", "quadratic")]


def moved(given):
    """Return a scene on the GPU."""
    return type(given)(*(part.to(GPU) if isinstance(part, torch.Tensor) else part for part in given))


def value_and_gradient(function, variable, *others):
    """Return both on the CPU."""
    leaf = variable.detach().clone().requires_grad_()
    value = function(leaf, *others)
    value.sum().backward()
    return value.detach().cpu(), leaf.grad.cpu()


def assert_same_on_both(function, variable, *others, rtol=1e-4):
    """Value and gradient agree between the devices."""
    there = value_and_gradient(function, variable.to(GPU), *(one.to(GPU) for one in others))
    for found, expected in zip(there, value_and_gradient(function, variable, *others)):
        torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * float(expected.abs().max()))


@pytest.fixture(scope="module")
def given():
    return scene(2, 4, 24, 30)


@pytest.fixture(scope="module")
def photographs():
    """Two procedural pictures with soft predictions, as the dense CRF sees them."""
    image = BATCH["image"]
    return image, made_up_predictions(image, 3), torch.ones(len(image), *image.shape[2:], dtype=torch.bool)


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_cross_entropies_are_those_of_the_cpu(given, name):
    assert_same_on_both(CROSS_ENTROPIES[name], given.log_probs, given.log_probs.flip(0).exp())


def test_partial_cross_entropy_is_that_of_the_cpu(given):
    assert_same_on_both(partial_cross_entropy, given.log_probs, given.seeds)


@pytest.mark.parametrize("name", SIZE_LOSSES)
def test_size_losses_are_those_of_the_cpu(name):
    predicted = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]]).log()
    assert_same_on_both(SIZE_LOSSES[name], predicted, torch.tensor([[0.6, 0.4, 0.0], [0.8, 0.1, 0.1]]))


@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS)
@pytest.mark.parametrize("affinity", [adaptive_affinity, trust_region_affinity])
def test_contrast_weights_are_those_of_the_cpu(given, affinity, neighborhood):
    offsets = NEIGHBORHOODS[neighborhood]
    found = affinity(given.image.to(GPU), given.valid.to(GPU), offsets)
    torch.testing.assert_close(found.cpu(), affinity(given.image, given.valid, offsets), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_grid_energies_are_those_of_the_cpu(given, relaxation):
    def energy(logits, affinity):
        return pairwise_energy(logits.softmax(1), affinity, given.offsets, RELAXATIONS[relaxation])

    assert_same_on_both(energy, given.log_probs, given.affinity)


@pytest.mark.parametrize("mode", DENSE_FILTERS)
def test_the_dense_crf_loss_is_that_of_the_cpu(photographs, mode):
    image, probs, valid = photographs

    def loss(probs, image, valid):
        return dense_crf_loss(probs, image, valid, sigma_xy_px=20.0, mode=mode, landmarks=128)

    assert_same_on_both(loss, probs, image, valid, rtol=2e-3)


def test_the_low_rank_filter_is_near_the_exact_sum(photographs):
    image, probs, valid = (part.to(GPU) for part in photographs)
    exact, low = (DenseKernel.build(image, valid, 15.0, 20.0, mode, 128).filter(probs) for mode in ("exact", "nystrom"))
    assert float((low - exact).norm() / exact.norm()) < 0.1


@pytest.mark.parametrize(("cross_entropy", "relaxation"), PAIRS)
@pytest.mark.parametrize("kind", ["gradient", "fast"])
def test_energies_of_solvers_are_those_of_the_cpu(given, kind, cross_entropy, relaxation):
    settings = {"steps": 50, "learning_rate": 0.075} if kind == "gradient" else {}
    there, here = (solve(one.problem(cross_entropy, relaxation), kind=kind, **settings) for one in (moved(given), given))
    torch.testing.assert_close(there.energy.cpu(), here.energy, rtol=1e-2, atol=0)


def test_conjugate_gradients_find_the_labels_of_the_cpu(given):
    there, here = (solve(one.problem("quadratic", "q"), kind="conjugate_gradient") for one in (moved(given), given))
    torch.testing.assert_close(there.labels.cpu(), here.labels, rtol=0, atol=5e-3)


def test_the_fused_kernel_works_here():
    assert REHEARSED or fused_kernel_works(torch.device("cuda", torch.cuda.current_device()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter, in lanes that are masked out
@pytest.mark.parametrize(("cross_entropy", "relaxation"), PAIRS)
@pytest.mark.parametrize("neighborhood", ["grid4", "grid8"])
def test_triton_descends_as_torch(cross_entropy, relaxation, neighborhood):
    from pipeline.solver.backends.triton_descent import FusedAdam

    size = (6, 7) if REHEARSED else (61, 83)
    problem = moved(scene(2, 3, *size, neighborhood)).problem(cross_entropy, relaxation)
    names = (cross_entropy, relaxation)
    level = Level(problem.log_probs, problem.seeds, problem.pairwise_scale(), problem.edges.offsets, problem.unary_scale, names)
    start = start_logits(problem.log_probs, problem.seeds)
    plain, fused = start.clone(), start.clone()
    schedule = Schedule(rates(2, 0.3), 1e-2)
    expected, _ = descend_adaptively(torch_adam(level, plain), schedule)
    found, _ = descend_adaptively(FusedAdam(level, fused), schedule)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(fused.softmax(1), plain.softmax(1), rtol=0, atol=2e-3)


def test_sixteen_bits_of_state_change_energies_by_a_per_cent_at_most():
    problem = moved(scene(2, 5, 40, 50)).problem("cce", "cd")
    half, single = (solve(problem, kind="fast", half_state=state).energy for state in (True, False))
    torch.testing.assert_close(half, single, rtol=1e-2, atol=0)


@pytest.mark.parametrize("kind", ["gradient", "fast"])
def test_a_solver_gives_the_same_labels_twice(kind):
    problem = moved(scene(2, 5, 40, 50)).problem("cce", "cd")
    settings = {"steps": 20} if kind == "gradient" else {}
    first, second = (solve(problem, kind=kind, **settings).labels for _ in range(2))
    assert torch.equal(first, second)


def test_the_low_rank_filter_gives_the_same_numbers_twice(photographs):
    image, probs, valid = (part.to(GPU) for part in photographs)
    first, second = (DenseKernel.build(image, valid, 15.0, 20.0).filter(probs) for _ in range(2))
    assert torch.equal(first, second)


TERMS = {
    "masks": {"masks": 1.0},
    "size-crf": {
        "size": {"loss": "forward_kl", "weight": 1.0, "suppression": 0.0},
        "dense_crf": {
            "weight": 1e-5,
            "sigma_rgb": 15.0,
            "sigma_xy_px": 12.5,
            "scale_factor": 0.5,
            "mode": "nystrom",
            "landmarks": 64,
        },
    },
    "seeds": {"seeds": 1.0},
}


def steps_of(terms, precision="float32", count=1):
    """Return the loss of each step and the last weights of a small network on the GPU."""
    torch.manual_seed(0)
    network = build_network({"kind": "small", "width": 16}, 4).to(GPU)
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(network, learning_rate=0.01, head_lr_factor=1.0, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(count):
        torch.manual_seed(step)
        batch = copy.deepcopy(BATCH)
        losses.append(take_step(network, network, Objective(terms), optimizer, batch, precision, GPU, step, "test")["loss"])
    return losses, [value.detach().cpu() for value in network.parameters()]


@pytest.mark.parametrize("terms", TERMS)
def test_the_loss_in_bf16_is_that_in_float32(terms):
    (half,), _ = steps_of(TERMS[terms], "bf16")
    (single,), _ = steps_of(TERMS[terms], "float32")
    assert half == pytest.approx(single, rel=3e-2)


@pytest.mark.parametrize("terms", TERMS)
def test_steps_with_deterministic_algorithms_repeat_themselves(terms, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (steps_of(TERMS[terms], count=3) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert first[0] == second[0]
    assert all(torch.equal(one, other) for one, other in zip(first[1], second[1]))


def test_contrast_weights_of_invalid_pixels_are_zero_on_the_gpu(given):
    weights = contrast_affinity(given.image.to(GPU), torch.zeros_like(given.valid).to(GPU), given.offsets, 9.0)
    assert float(weights.abs().max()) == 0


def test_a_batch_without_any_seed_gives_a_finite_loss_on_the_gpu(given):
    nothing = torch.full_like(given.seeds, VOID).to(GPU)
    edges = Edges(given.affinity.to(GPU), given.offsets)
    problem = Problem(given.log_probs.to(GPU), nothing, edges, "cce", "cd", 0.3, 6.0, given.valid.to(GPU))
    assert bool(solve(problem, kind="fast").energy.isfinite().all())
