"""Writing files that are either whole or absent, and the state a run resumes from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from pipeline.files import check_ordinary, write_atomically


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and numbers to `path`; equal states give equal bytes.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file, if any, is still whole.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)  # to memory first: the archive would otherwise carry the temporary file's name
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, device: torch.device | str = "cpu", remedy: str = "delete it and run again") -> dict[str, Any]:
    """Read what `save_state` wrote; `remedy` ends the message of the error.

    Raises:
        ValueError: the file is not a complete checkpoint; names it.
    """
    try:
        check_ordinary(path)
        # weights_only: a pickle may hold code, and weights are passed on.
        state = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"expected a dictionary, got {type(state).__name__}")
        return state
    except FileNotFoundError:  # nothing is damaged: callers tell it as it is
        raise
    except Exception as error:  # damaged files raise whatever torch and pickle stumble over
        raise ValueError(f"{path}: not a complete checkpoint ({type(error).__name__}); {remedy}") from error
