"""What is not a problem is refused with the argument's name; nothing brings the process down."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from solver_scenes import VOID, scene

from pipeline.solver import Edges, Problem

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("compiler", ["numba", "triton"])
def test_random_and_damaged_problems_are_solved_or_refused(compiler):
    if compiler == "triton":
        pytest.importorskip("triton")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    environment |= {"TRITON_INTERPRET": "1"} if compiler == "triton" else {}
    examples = settings.default.max_examples * (1 if compiler == "triton" else 3)
    script = [sys.executable, str(TESTS / "solver_fuzz.py"), compiler, str(examples)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


def problem(**changes):
    here = scene()
    given = {"log_probs": here.log_probs, "seeds": here.seeds, "neighborhood": Edges(here.affinity, here.offsets)}
    given |= {"cross_entropy": "cce", "relaxation": "q"}
    return Problem(**{**given, **changes})


@pytest.mark.parametrize("weight", ["unary_weight", "pairwise_weight"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e13, 1e-13])
def test_weights_that_are_no_usual_numbers_are_refused(weight, value):
    with pytest.raises(ValueError, match=f"{weight}: expected 0 or a number"):
        problem(**{weight: value})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_predictions_that_are_not_finite_are_refused(value):
    log_probs = scene().log_probs.clone()
    log_probs[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match="log_probs: expected finite numbers"):
        problem(log_probs=log_probs)


def test_logits_in_place_of_logarithms_of_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"log_probs: expected numbers from -1e\+12 to 0\.1"):
        problem(log_probs=scene().log_probs + 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e12])
def test_affinities_out_of_range_are_refused(value):
    here = scene()
    here.affinity[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="affinity: expected"):
        problem(neighborhood=Edges(here.affinity, here.offsets))


@pytest.mark.parametrize("value", [-1, 3, 254, 256])
def test_a_seed_of_no_class_is_refused(value):
    seeds = scene().seeds.clone()
    seeds[0, 0, 0] = value
    with pytest.raises(ValueError, match=f"seeds: expected classes 0 to 2 or 255, got {value}"):
        problem(seeds=seeds)


@pytest.mark.parametrize("offsets", [(), ((0, 0), (1, 0))])
def test_a_neighbourhood_without_neighbours_is_refused(offsets):
    with pytest.raises(ValueError, match="offsets: expected displacements"):
        problem(neighborhood=Edges(torch.zeros(2, len(offsets), 8, 10), offsets))


def test_a_picture_without_pixels_is_refused():
    empty = Edges(torch.zeros(2, 2, 0, 10), ((0, 1), (1, 0)))
    with pytest.raises(ValueError, match="log_probs: expected at least one number"):
        problem(log_probs=torch.zeros(2, 3, 0, 10), seeds=torch.full((2, 0, 10), VOID), neighborhood=empty)


def test_edges_that_leave_the_picture_do_not_count():
    here = scene()
    leaving = here.affinity.clone()
    leaving[:, 0, :, -1] = 7.0
    leaving[:, 1, -1] = 7.0
    expected, found = problem(), problem(neighborhood=Edges(leaving, here.offsets))
    assert torch.equal(found.pairwise_scale(), expected.pairwise_scale())
