"""Weights of the published WideResNet-38 in the form of its original: MXNet's `.params` files, read without MXNet.

A file is a list of arrays and then their names, little-endian:

    uint64 0x112, uint64 0, uint64 count, the arrays, uint64 count, per name: uint64 length, characters
    array: a version, its shape, int32 device kind, int32 device number, int32 type, the numbers in C order

    version        what follows it
    0xF993FAC9     int32 storage (0: dense), uint32 dimensions, int64 each      since MXNet 0.12
    0xF993FACA     the same, with the shapes of NumPy                           MXNet 1.5 and later
    0xF993FAC8     uint32 dimensions, int64 each                                MXNet 0.10 and 0.11
    1 to 8         is itself the number of dimensions, uint32 each              before

Names start with "arg:" (learned) or "aux:" (statistics). Those of the network come from its definition in itijyou/ademxapp:
stages 2 to 7, blocks a, b1, b2, ..., branch1 the projection.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.networks.base import Network
from pipeline.networks.encoders import wideresnet38_name
from pipeline.networks.weights import check_names, prefixed, with_step_counts

LIST_MAGIC = 0x112
DENSE_VERSIONS = (0xF993FAC9, 0xF993FACA)
"""Versions that say how the array is stored."""
WIDE_SHAPE_VERSION = 0xF993FAC8
MOST_DIMENSIONS = 8
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f8"), 2: np.dtype("<f2")}
"""MXNet's type number -> type; the others are integers, which are no weights."""

TENSORS = {"weight": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}
LAYERS = {"res": "conv", "bn": "bn"}
BLOCK = re.compile(r"(res|bn)(\d)(?:a|b(\d))_(branch\w+?)_(weight|gamma|beta|moving_mean|moving_var)")
ENDS = re.compile(r"(conv1a|bn7)_(weight|gamma|beta|moving_mean|moving_var)")
CLASSIFIER = re.compile(r"linear\d+_(weight|bias)")


class _Bytes:
    """Reads a buffer from front to back."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def take(self, count: int) -> memoryview:
        left = len(self.content) - self.position
        if count > left:
            raise ValueError(f"is cut off: {count} more bytes expected at {self.position}, got {left}")
        self.position += count
        return memoryview(self.content)[self.position - count : self.position]

    def numbers(self, form: str, count: int = 1) -> tuple[int, ...]:
        """Return `count` integers; `form` is the letter of `struct`: i, I, q or Q."""
        layout = f"<{count}{form}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))


def read_params(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a `.params` file by their names, as MXNet's `nd.load` does.

    Args:
        path: written by `mx.nd.save` or `Module.save_params`; any of the versions above, dense and of floating-point numbers.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, cut off, or with arrays of another type or storage; names the file and the array.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path}: no such file")
    source = _Bytes(path.read_bytes())
    try:
        (magic,) = source.numbers("Q")
        if magic != LIST_MAGIC:
            raise ValueError(f"is no list of MXNet arrays: expected the magic number {LIST_MAGIC:#x}, got {magic:#x}")
        _, count = source.numbers("Q", 2)
        arrays = []
        for number in range(count):
            try:
                arrays.append(_read_array(source))
            except ValueError as error:
                raise ValueError(f"array {number + 1} of {count}: {error}") from error
        (named,) = source.numbers("Q")
        if named != count:
            raise ValueError(f"expected a name for each of the {count} arrays, got {named} names")
        names = [bytes(source.take(*source.numbers("Q"))).decode("utf-8") for _ in range(count)]
        left = len(source.content) - source.position
        if left or len(set(names)) < count:
            raise ValueError(f"expected {count} different names and nothing after, got {len(set(names))} and {left} more bytes")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return dict(zip(names, arrays, strict=True))


def _read_array(source: _Bytes) -> np.ndarray:
    (version,) = source.numbers("I")
    if version in DENSE_VERSIONS:
        (storage,) = source.numbers("i")
        if storage != 0:
            raise ValueError(f"expected dense storage (0), got {storage}; sparse arrays are not read")
    letter = "I" if version <= MOST_DIMENSIONS else "q"
    if version not in (*DENSE_VERSIONS, WIDE_SHAPE_VERSION) and letter == "q":
        raise ValueError(f"expected a version of MXNet's arrays, got {version:#x}")
    dimensions = version if letter == "I" else source.numbers("I")[0]
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"expected 1 to {MOST_DIMENSIONS} dimensions, got {dimensions}")
    shape = source.numbers(letter, dimensions)
    if min(shape) < 0:
        raise ValueError(f"expected a shape, got {shape}")
    _, _, kind = source.numbers("i", 3)
    if kind not in DTYPES:
        raise ValueError(f"expected type 0, 1 or 2 (32, 64 or 16 bit floating point), got {kind}")
    dtype = DTYPES[kind]
    return np.frombuffer(source.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)


def published_name(name: str) -> str | None:
    """Return the name of a tensor in the PyTorch copy of the published file; None for ImageNet's classifier.

    Raises:
        ValueError: no name of WideResNet-38.

    >>> published_name("arg:res3b1_branch2b1_weight"), published_name("aux:bn6a_branch2a_moving_var")
    ('b3_1.conv_branch2b1.weight', 'b6.bn_branch2a.running_var')
    """
    plain = name.removeprefix("arg:").removeprefix("aux:")
    if CLASSIFIER.fullmatch(plain):
        return None
    if match := ENDS.fullmatch(plain):
        return f"{match[1]}.{TENSORS[match[2]]}"
    if match := BLOCK.fullmatch(plain):
        kind, stage, block, branch, tensor = match.groups()
        place = f"b{stage}_{block}" if block else f"b{stage}"
        return f"{place}.{LAYERS[kind]}_{branch}.{TENSORS[tensor]}"
    raise ValueError(f"expected the names of WideResNet-38 (arg:conv1a_weight, arg:res2a_branch2a_weight, ...), got {name}")


def convert_params(network: Network, path: Path) -> dict[str, Tensor]:
    """Bring the published `.params` file into the form that `load_encoder` reads, as `weights.convert` does with others.

    Args:
        network: a WideResNet-38; its names and shapes count, its numbers do not.
        path: ilsvrc-cls_rna-a1_cls1000_ep-0001.params.

    Raises:
        FileNotFoundError: no such file.
        ValueError: broken file, or one that belongs to something else.
    """
    arrays = read_params(path)
    expected = network.encoder_state()
    try:
        named = {published_name(name): array for name, array in arrays.items()}
        state = {wideresnet38_name(name): torch.from_numpy(array.astype(np.float32)) for name, array in named.items() if name}
        complete = with_step_counts(prefixed(state), expected)
        check_names(complete, expected)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return {name: complete[name] for name in expected}
