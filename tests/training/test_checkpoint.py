"""Checkpoints: equal states are equal files."""

import torch

from pipeline.training.checkpoint import load_state, save_state


def test_state_comes_back(tmp_path):
    save_state(tmp_path / "a.pt", {"weights": {"w": torch.arange(3)}, "step": 4})
    state = load_state(tmp_path / "a.pt")
    assert state["step"] == 4
    assert state["weights"]["w"].tolist() == [0, 1, 2]


def test_equal_states_are_equal_bytes_under_any_name(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_state(tmp_path / name, {"w": torch.arange(5.0)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
