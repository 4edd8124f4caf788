"""Two processes that share every batch train what one process trains."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.import_graph import REPOSITORY
from pipeline.training.seeding import BatchPlan

DRIVER = REPOSITORY / "tests/parallel_training.py"


def trained(folder, *launcher):
    """Run the driver and return what it wrote."""
    out = folder / "out.json"
    search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=search, OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, *launcher, str(DRIVER), str(out)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the result of one process."""
    return trained(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Return the result of two processes under torchrun."""
    return trained(tmp_path_factory.mktemp("together"), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.slow
def test_every_term_of_the_loss_takes_the_same_course(alone, together):
    assert (alone["processes"], together["processes"]) == (1, 2)
    for one, two in zip(alone["history"], together["history"], strict=True):
        assert {"loss_masks", "loss_seeds", "loss_size", "loss_self_labeling", "loss_proposals"} <= set(one)
        assert two == pytest.approx(one, rel=2e-4)


@pytest.mark.slow
def test_validation_over_divided_images_is_exact(alone, together):
    assert [row["mIoU_val"] for row in together["history"]] == [row["mIoU_val"] for row in alone["history"]]


@pytest.mark.slow
def test_weights_are_the_same(alone, together):
    for name, value in alone["weights"].items():
        np.testing.assert_allclose(together["weights"][name], value, atol=1e-4, err_msg=name)


def test_shares_make_up_the_batch():
    whole = list(BatchPlan(10, 4, 2, seed=0))
    shares = [list(BatchPlan(10, 4, 2, seed=0, rank=rank, shares=2)) for rank in range(2)]
    assert [sorted(first + second) for first, second in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]
    assert {len(batch) for share in shares for batch in share} == {2}


def test_batch_that_cannot_be_divided_evenly_is_refused():
    with pytest.raises(ValueError, match=r"batch_size: 5 images cannot be divided evenly among 2 processes"):
        BatchPlan(10, 5, 1, seed=0, shares=2)
