"""Checkpoints: equal states are equal files."""

import os

import pytest
import torch

from pipeline.training.checkpoint import load_state, save_state


def test_state_comes_back(tmp_path):
    save_state(tmp_path / "a.pt", {"weights": {"w": torch.arange(3)}, "step": 4})
    state = load_state(tmp_path / "a.pt")
    assert state["step"] == 4
    assert state["weights"]["w"].tolist() == [0, 1, 2]


def test_state_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt: not a complete checkpoint \(OSError\); delete it"):
        load_state(tmp_path / "last.pt")


def test_equal_states_are_equal_bytes_under_any_name(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_state(tmp_path / name, {"w": torch.arange(5.0)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
