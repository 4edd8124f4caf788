import numpy as np
import pytest
import torch
from reference import minimum_cut
from solver_scenes import VOID, scene

from pipeline.solver import Edges, Problem, solve
from pipeline.solver.backends.numba_cuts import MOST_DIRECTIONS, sink_side
from pipeline.solver.graph_cut import solve_graph_cut
from pipeline.solver.solution import self_labeling_energy

WEIGHTS = {"unary_weight": 0.3, "pairwise_weight": 2.0}
GRIDS = pytest.mark.parametrize("neighborhood", ["grid4", "grid8", "sparse"])


def cut(problem, pairwise_weight=2.0, **settings):
    return solve_graph_cut(problem.problem("ce", "bl", WEIGHTS["unary_weight"], pairwise_weight), **settings)


def energy_of(labels, problem):
    return self_labeling_energy(labels, problem.problem("ce", "bl", **WEIGHTS))


@GRIDS
@pytest.mark.parametrize("seed", range(3))
def test_two_classes_reach_the_optimum_of_an_independent_max_flow(neighborhood, seed):
    problem = scene(2, 2, 9, 11, neighborhood, torch.float64)
    generator = torch.Generator().manual_seed(seed)
    rough = 1.5 * torch.randn(problem.log_probs.shape, generator=generator, dtype=torch.float64)
    problem = problem._replace(log_probs=rough.log_softmax(1))
    solution = cut(problem, start=torch.zeros_like(problem.seeds))
    for index in range(2):
        alone = problem.alone(index)
        optimum = minimum_cut(
            alone.log_probs[0].numpy(), alone.seeds[0].numpy(), alone.affinity[0].numpy(), alone.valid[0].numpy(), alone.offsets,
            *WEIGHTS.values(),
        )  # fmt: skip
        assert solution.energy[index].item() == pytest.approx(optimum, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_flow_equals_the_cut_of_an_independent_max_flow(seed):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    generator = np.random.default_rng(seed)
    height, width = 6, 7
    framed = width + 2
    count = (height + 2) * framed
    steps = np.array([1, -1, framed, -framed, framed + 1, -framed - 1])
    inside = np.zeros((height + 2, framed), bool)
    inside[1:-1, 1:-1] = True
    alive = np.flatnonzero(inside)
    capacity = np.zeros((count, 6), np.int64)
    terminal = np.zeros(count, np.int64)
    terminal[alive] = generator.integers(-20, 21, alive.size)
    heads, tails, values = [], [], []
    for pixel in alive:
        for way, step in enumerate(steps):
            if inside.ravel()[pixel + step]:
                capacity[pixel, way] = generator.integers(0, 12)
                heads.append(pixel)
                tails.append(pixel + step)
                values.append(capacity[pixel, way])
        if terminal[pixel]:
            heads.append(count if terminal[pixel] > 0 else pixel)
            tails.append(pixel if terminal[pixel] > 0 else count + 1)
            values.append(abs(terminal[pixel]))
    graph = coo_array((np.array(values, np.int32), (heads, tails)), shape=(count + 2, count + 2)).tocsr()
    expected = maximum_flow(graph, count, count + 1).flow_value
    side = sink_side(steps, capacity.copy(), terminal.copy())
    cost = terminal[side & (terminal > 0)].sum() - terminal[~side & (terminal < 0)].sum()
    cost += sum(capacity[p, way] for p in alive for way, step in enumerate(steps) if not side[p] and side[p + step])
    assert cost == expected


@GRIDS
def test_reported_energy_is_that_of_the_labels(neighborhood):
    problem = scene(2, 4, 9, 11, neighborhood, torch.float64)
    solution = cut(problem, restrict=False)
    assert torch.allclose(solution.energy, energy_of(solution.labels, problem), rtol=1e-8)


def test_energy_never_rises_and_falls_at_first():
    trace = cut(scene(2, 5, 16, 16, "grid8"), restrict=False).energy_trace
    assert (trace.diff() <= 0).all()
    assert trace[-1] < trace[0]


def test_no_single_move_lowers_a_converged_energy():
    problem = scene(1, 3, 6, 7, "grid8", torch.float64)
    solution = cut(problem, restrict=False)
    assert solution.converged.all()
    best = solution.labels.argmax(1)
    for y in range(6):
        for x in range(7):
            if problem.seeds[0, y, x] != VOID:
                continue
            for other in range(3):
                changed = best.clone()
                changed[0, y, x] = other
                labels = torch.nn.functional.one_hot(changed, 3).movedim(-1, 1).double()
                assert energy_of(labels, problem).item() >= solution.energy.item() - 1e-8


def test_seeds_are_kept_even_against_a_wrong_start():
    problem = scene()
    labels = cut(problem, start=torch.ones_like(problem.seeds)).labels.argmax(1)
    seeded = problem.seeds != VOID
    assert torch.equal(labels[seeded], problem.seeds[seeded])


def test_only_classes_of_the_seeds_are_used():
    problem = scene(2, 5)
    assert set(cut(problem).labels.argmax(1)[problem.valid].tolist()) <= {0, 1}
    assert set(cut(problem, restrict=False, pairwise_weight=0.0).labels.argmax(1).unique().tolist()) > {0, 1}


def test_an_image_without_seeds_may_use_every_class():
    problem = scene(2, 5)
    problem.seeds[:] = VOID
    labels = cut(problem, pairwise_weight=0.0).labels.argmax(1)
    assert torch.equal(labels, problem.log_probs.argmax(1))


def test_a_batch_of_two_equals_two_solves():
    problem = scene(2, 4, 9, 11, "grid8")
    together = cut(problem)
    for index in range(2):
        alone = cut(problem.alone(index))
        assert torch.equal(together.labels[index], alone.labels[0])
        assert together.energy[index].item() == alone.energy.item()


def test_converged_is_false_when_starved():
    problem = scene(1, 3, 16, 16, "grid8")
    assert not cut(problem, restrict=False, steps=1, start=torch.full_like(problem.seeds, 2)).converged.any()
    assert cut(problem, restrict=False).converged.all()


def test_extreme_logits_give_finite_energies():
    problem = scene()
    extreme = problem._replace(log_probs=(1e4 * problem.log_probs).log_softmax(1))
    assert cut(extreme).energy.isfinite().all()


def test_solve_picks_graph_cuts_by_name():
    problem = scene()
    picked = solve(problem.problem("ce", "bl", **WEIGHTS), kind="graph_cut", steps=5)
    assert torch.equal(picked.labels, cut(problem).labels)


def test_graph_cuts_refuse_soft_energies():
    with pytest.raises(ValueError, match="graph_cut: expected cross_entropy 'ce' with relaxation 'bl'"):
        solve(scene().problem(), kind="graph_cut")


@pytest.mark.parametrize(("argument", "value"), [("steps", 0), ("pairwise_weight", -1.0)])
def test_settings_out_of_range_are_rejected(argument, value):
    with pytest.raises(ValueError, match=argument):
        cut(scene(), **{argument: value})


def test_a_start_of_another_shape_is_rejected():
    with pytest.raises(ValueError, match="start: expected shape"):
        cut(scene(), start=torch.zeros(1, 2, 2, dtype=torch.int64))


def test_a_picture_of_seeds_only_keeps_them_and_costs_nothing():
    problem = scene()
    problem.seeds.copy_(torch.randint(3, problem.seeds.shape, generator=torch.Generator().manual_seed(0)))
    solution = cut(problem)
    assert torch.equal(solution.labels.argmax(1), problem.seeds)
    assert solution.energy.tolist() == [0, 0]


def test_a_picture_without_a_valid_pixel_costs_nothing():
    problem = scene()
    problem.seeds[:] = VOID
    nothing = problem._replace(valid=torch.zeros_like(problem.valid), affinity=torch.zeros_like(problem.affinity))
    solution = cut(nothing)
    assert solution.energy.tolist() == [0, 0]
    assert torch.equal(solution.labels.argmax(1), problem.log_probs.argmax(1))


def test_edges_longer_than_the_picture_cost_no_memory():
    problem = scene()
    affinity = torch.cat([problem.affinity, torch.ones_like(problem.affinity[:, :1])], 1)
    longer = problem._replace(affinity=affinity, offsets=(*problem.offsets, (10**6, 3)))
    assert torch.equal(cut(longer).labels, cut(problem).labels)


def test_more_displacements_than_a_parent_has_bits_for_are_an_error():
    offsets = tuple((dy, dx) for dy in range(1, 9) for dx in range(9))
    assert 2 * len(offsets) > MOST_DIRECTIONS
    weights = Edges(torch.ones(1, len(offsets), 9, 9), offsets)
    with pytest.raises(ValueError, match="offsets: expected at most 64"):
        solve_graph_cut(Problem(torch.zeros(1, 2, 9, 9), torch.full((1, 9, 9), VOID), weights, "ce", "bl"))


@pytest.mark.parametrize(
    ("capacity", "terminal"),
    [
        ([[0, 0], [-1, 0], [0, 0]], [0, 5, 0]),
        ([[0, 0], [0, 0], [3, 0]], [0, 5, 0]),
        ([[0, 0], [3, 0], [0, 0]], [0, 5, 0]),
        ([[0, 0], [0, 0], [0, 0]], [0, 5, -2]),
        ([[0, 0], [0, 0]], [0, 5, 0]),
    ],
)
def test_flow_that_would_leave_its_arrays_is_refused(capacity, terminal):
    with pytest.raises(ValueError, match="capacity"):
        sink_side(np.array([1, -1]), np.array(capacity), np.array(terminal))
