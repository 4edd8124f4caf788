import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.solver.fast import Level

pytest.importorskip("triton")
from pipeline.solver.backends.triton_descent import CROSS_ENTROPIES, RELAXATIONS

TESTS = Path(__file__).resolve().parent.parent
PAIRS = [f"cce-{name}" for name in RELAXATIONS] + [f"{name}-q" for name in CROSS_ENTROPIES if name != "cce"]


@pytest.fixture(scope="module")
def distances():
    """What `triton_comparison` prints, run in Triton's interpreter."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    script = [sys.executable, str(TESTS / "triton_comparison.py")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_step_equals_that_of_torch(distances, pair):
    energy, labels = distances[pair]
    assert energy < 1e-5
    assert labels < 1e-4


def test_several_steps_on_the_8_grid_equal_those_of_torch(distances):
    energy, labels = distances["several steps"]
    assert energy < 1e-5
    assert labels < 1e-3


def test_sixteen_bit_state_changes_energies_little(distances):
    energy, _ = distances["sixteen bits"]
    assert 0 < energy < 2e-3


def test_only_images_that_move_are_moved(distances):
    moving, resting = distances["at rest"]
    assert moving > 1e-3
    assert resting == 0


def level(names=("cce", "q")):
    ones = torch.ones(1, 2, 4, 5)
    return Level(torch.zeros(1, 3, 4, 5).log_softmax(1), torch.full((1, 4, 5), 255), ones, ((0, 1), (1, 0)), ones[:, :1], names)


def test_logits_in_another_memory_order_are_rejected():
    from pipeline.solver.backends.triton_descent import FusedAdam

    logits = torch.zeros(1, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="logits: expected contiguous memory"):
        FusedAdam(level(), logits)


def test_an_energy_without_a_formula_is_rejected():
    from pipeline.solver.backends.triton_descent import FusedAdam

    with pytest.raises(ValueError, match="names: expected some of"):
        FusedAdam(level(("cce", "tv")), torch.zeros(1, 3, 4, 5))


def test_every_variant_has_a_formula():
    from pipeline.solver.backends import triton_descent

    assert set(triton_descent.RELAXATIONS) == set(RELAXATIONS)
    assert set(triton_descent.CROSS_ENTROPIES) == set(CROSS_ENTROPIES)
