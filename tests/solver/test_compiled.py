import ast
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from solver_scenes import VOID, scene

from pipeline.crf.affinity import without_seed_edges
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver.backends.numba_descent import (
    BLOCK,
    CrossEntropy,
    Image,
    Relaxation,
    _rest,
    descend,
    exponentiate,
    weighted_log_sum,
)
from pipeline.solver.descent import UNARIES, start_logits
from pipeline.solver.fast import Level, descend_adaptively, solve_fast, torch_adam
from pipeline.solver.pace import PACES, Schedule, rates
from pipeline.solver.solution import self_labeling_energy

ALL = [(first, second) for first in CROSS_ENTROPIES for second in RELAXATIONS if second in Relaxation.__members__]
RATES = rates(5, 0.3)
SMALLEST = 0.3
"""Large, so that steps do not amplify rounding."""


def pieces(problem, names, dtype):
    """The arguments that both descents take first."""
    log_probs = problem.log_probs.to(dtype)
    edges = 6.0 * without_seed_edges(problem.affinity.to(dtype), problem.seeds, problem.offsets)
    scale = 0.3 * (problem.valid & (problem.seeds == VOID)).to(dtype).unsqueeze(1)
    level = Level(log_probs, problem.seeds, edges, problem.offsets, scale, names)
    return level, start_logits(log_probs, problem.seeds)


def descended(level, logits, lengths=RATES, tolerance=0.0):
    """The compiled descent on `pieces`."""
    fields = (level.log_probs, level.log_probs.exp(), level.unary_scale[:, 0], level.edges)
    image = Image(*(field.numpy() for field in fields))
    found = descend(image, level.offsets, level.names, logits.numpy(), Schedule(lengths, SMALLEST, tolerance))
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in found)


def compiled(problem, names, lengths=RATES, tolerance=0.0):
    return descended(*pieces(problem, names, torch.float32), lengths, tolerance)


def in_torch(problem, names, lengths=RATES, tolerance=0.0):
    """The same in double precision."""
    given = pieces(problem, names, torch.float64)
    energies, rests = descend_adaptively(torch_adam(*given), Schedule(lengths, SMALLEST, tolerance))
    return given[1].softmax(1), energies, rests


@pytest.mark.parametrize(("cross_entropy", "relaxation"), ALL)
def test_every_energy_falls_as_in_torch(cross_entropy, relaxation):
    problem = scene(height=34, width=41)
    assert problem.seeds[0].numel() > BLOCK
    labels, energies, rests = compiled(problem, (cross_entropy, relaxation))
    expected_labels, expected, _ = in_torch(problem, (cross_entropy, relaxation))
    assert energies.shape == (6, 2)
    assert torch.allclose(energies.double(), expected, rtol=1e-5)
    assert (labels - expected_labels).abs().max() < 1e-3
    assert not rests.any()


@pytest.mark.parametrize("neighborhood", ["grid8", "sparse", "backwards"])
def test_any_displacement_reaches_its_neighbour(neighborhood):
    if neighborhood == "backwards":
        there = scene(height=12, width=15)
        edges = torch.stack([there.affinity[:, 0].roll(1, 2), there.affinity[:, 1].roll(1, 1)], dim=1)
        problem = there._replace(affinity=edges, offsets=((0, -1), (-1, 0)))
    else:
        problem = scene(1, 3, 40, 50, neighborhood)
    for relaxation in ("nq", "cd", "lq"):
        _, energies, _ = compiled(problem, ("cce", relaxation))
        assert torch.allclose(energies.double(), in_torch(problem, ("cce", relaxation))[1], rtol=1e-5)


def test_each_image_stops_on_its_own():
    calm = scene(height=12, width=15)
    seeds = calm.seeds.clone()
    seeds[0] = 0  # nothing is left to be found
    problem = calm._replace(seeds=seeds)
    lengths = RATES + [RATES[-1]] * 10
    labels, energies, rests = compiled(problem, ("cce", "q"), lengths, tolerance=1e-6)
    assert rests.tolist() == [True, False]
    assert len(energies) == 16
    assert (energies[1:, 0] == energies[0, 0]).all()
    alone = compiled(problem.alone(1), ("cce", "q"), lengths, tolerance=1e-6)
    assert torch.equal(labels[1:], alone[0])
    assert torch.equal(energies[:, 1:], alone[1])


def test_energies_rest_only_when_all_of_the_last_are_alike():
    assert _rest(np.array([10.0, 10.0, 10.0, 10.0]), 1e-4)
    assert not _rest(np.array([10.0, 12.0, 13.0, 10.0]), 1e-4)
    assert _rest(np.array([10.0029, 10.002, 10.001, 10.0]), 1e-4)
    assert not _rest(np.array([10.0031, 10.002, 10.001, 10.0]), 1e-4)


def test_it_stops_where_torch_does():
    problem = scene(1, height=12, width=15)
    solutions = [
        solve_fast(problem.problem(), steps=300, learning_rate=0.02, tolerance=3e-3, compiled=here) for here in (True, False)
    ]
    assert solutions[0].steps == solutions[1].steps < 300
    assert all(bool(solution.converged) for solution in solutions)
    assert solutions[0].energy.item() == pytest.approx(solutions[1].energy.item(), rel=1e-4)


@pytest.mark.parametrize(("cross_entropy", "relaxation"), ALL)
def test_certain_and_contradicting_predictions_are_measured_as_in_torch(cross_entropy, relaxation):
    problem = scene(height=12, width=15)
    extreme = problem._replace(log_probs=(40 * problem.log_probs).log_softmax(1))
    _, energies, _ = compiled(extreme, (cross_entropy, relaxation), [1e-3])
    given = pieces(extreme, (cross_entropy, relaxation), torch.float32)
    expected, _ = descend_adaptively(torch_adam(*given), Schedule([1e-3], SMALLEST))
    assert torch.allclose(energies[0].float(), expected[0], rtol=1e-4)


def test_the_last_energy_has_the_floor_under_labels():
    problem = scene(height=12, width=15)
    extreme = problem._replace(log_probs=(400 * problem.log_probs).log_softmax(1))
    level, _ = pieces(extreme, ("cce", "q"), torch.float32)
    contradicting = start_logits(level.log_probs.roll(1, 1), problem.seeds)
    labels, energies, _ = descended(level, contradicting.contiguous(), lengths=[])
    expected = self_labeling_energy(labels, extreme.problem("cce", "q"))
    assert torch.allclose(energies[-1].float(), expected, rtol=1e-5)


def test_seeds_keep_their_label_exactly_and_valid_pixels_move():
    problem = scene()
    labels, _, _ = compiled(problem, ("cce", "cd"))
    seeded = problem.seeds != VOID
    hard = torch.nn.functional.one_hot(problem.seeds[seeded], 3).float()
    assert torch.equal(labels.movedim(1, -1)[seeded], hard)
    assert (labels - problem.log_probs.exp()).movedim(1, -1)[~seeded].abs().max() > 0.01


def test_a_prediction_that_is_no_number_gives_labels_that_are_none():
    problem = scene()
    problem.log_probs[0, 1, 4, 4] = float("nan")
    labels, energies, _ = compiled(problem, ("cce", "q"))
    assert labels[0, :, 4, 4].isnan().all()
    assert energies[-1, 0].isnan()
    assert labels[1].isfinite().all()


def test_powers_are_exact_to_the_last_bits_and_zero_where_they_vanish():
    values = -np.geomspace(1e-6, 87, 1000).astype(np.float32)
    values[:3] = 0, -np.inf, -200
    expected = np.exp(values.astype(np.float64))
    exponentiate(values)
    assert values[:3].tolist() == [1, 0, 0]
    assert np.allclose(values, expected, rtol=3e-7, atol=2e-38)


def test_logarithms_are_exact_to_the_last_bits():
    values = np.geomspace(1e-30, 1e3, 1000).astype(np.float32)
    for value in values:
        alone = np.array([value])
        found = weighted_log_sum(alone, np.ones(1, np.float32))
        assert found == pytest.approx(np.log(float(value)), rel=3e-7, abs=1e-7)


def test_every_variant_has_a_code_a_slope_and_a_pace():
    assert set(Relaxation.__members__) == set(RELAXATIONS)
    assert set(CrossEntropy.__members__) == set(CROSS_ENTROPIES) == set(UNARIES) == set(PACES)


def test_compiled_code_takes_numbers_of_other_files_as_arguments():
    """numba's cache notices changes of a function's own file only: an imported constant or function would be kept as it was."""
    for name in ("numba_descent", "numba_fast", "numba_cuts"):
        module = importlib.import_module(f"pipeline.solver.backends.{name}")
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and any("njit" in ast.unparse(item) for item in function.decorator_list):
                read = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
                assert not read & imported, f"{name}.{function.name}: {sorted(read & imported)}"
