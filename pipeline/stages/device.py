"""Where a stage computes."""

from __future__ import annotations

import torch


def select_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is a GPU where there is one.

    On a CPU one thread per process is used: runs go side by side, results do not depend on the machine's core count.
    Numbers below 1e-38 count as 0 there, as they do on a GPU: processors take many times as long for them.

    Raises:
        OSError: a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise OSError("params.yaml says device: cuda, and no GPU is available; set device: auto or cpu")
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
    return device
