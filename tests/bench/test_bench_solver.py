import pytest
import torch

from pipeline.bench.solver import PAPER, autograd_steps, cut_rows, read_pictures, soft_rows, table
from pipeline.solver.gradient import solve_by_gradient


@pytest.fixture(scope="module")
def picture():
    return read_pictures(None, None, 1, 64)[0]


def test_pictures_are_problems_with_seeds_and_mostly_right_predictions(picture):
    assert 0.01 < (picture.seeds != 255).float().mean().item() < 0.5
    assert (picture.log_probs.argmax(1) == picture.seeds)[picture.seeds != 255].float().mean() > 0.5


def test_the_timed_peer_takes_the_steps_of_the_mode_gradient(picture):
    logits = autograd_steps(picture, "q", 3)
    solution = solve_by_gradient(picture.problem("cce", "q"), steps=3)
    free = (picture.seeds == 255).unsqueeze(1)
    assert ((logits.softmax(1) - solution.labels) * free).abs().max() < 1e-4


def test_rows_are_relative_to_the_published_solver(picture):
    rows = soft_rows(picture, "q", repeats=1, timed_steps=1)
    peer = next(row for row in rows if row["solver"] == PAPER)
    assert peer["speed_ratio"] == peer["energy_ratio"] == 1
    assert all(row["seconds"] > 0 for row in rows)


def test_the_table_has_a_line_for_each_solver(picture):
    rows = cut_rows(picture, repeats=1)
    assert len(table(rows + rows).splitlines()) == 1 + len(rows)


def test_pictures_are_the_same_each_time(picture):
    assert torch.equal(read_pictures(None, None, 1, 64)[0].log_probs, picture.log_probs)
