"""A trained network as one ONNX file: `python -m pipeline.export --run potts/cd-len100 --out model.onnx`.

    image   (B, 3, H, W) float32, red, green, blue in [0, 1]; the network normalises them itself
    logits  (B, C, H, W) float32; the class of a pixel is the largest

Batch and sides are free (sides multiples of 16), with --size only the batch. The file appears when ONNX Runtime has given the
same logits as PyTorch on pictures of several sizes; the largest difference is printed. Its metadata say how to use it:
class_names, palette (JSON), resize_px (side of the square that pictures are resized to; empty: their own size), weights.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.command import command_parser
from pipeline.errors import clear_errors
from pipeline.files import atomic_path, check_place
from pipeline.predict import Trained, add_model_arguments, model_of

Size = tuple[int, int]

SIDE_PX = 16
"""Sides are multiples of this, as in training."""
EXAMPLE: Size = (64, 96)
CHECKED: Sequence[Size] = ((64, 64), (160, 96), (128, 208))
"""Sizes (height, width) on which a file for any size is compared with PyTorch."""
TOLERANCE = 1e-3
"""Largest difference accepted, relative to the largest logit."""


def export_onnx(trained: Trained, path: Path, size: Size | None = None) -> float:
    """Write a network as ONNX and compare it with PyTorch.

    Args:
        trained: network on the CPU, in evaluation mode.
        path: file to write; it appears only when the comparison succeeds.
        size: (height, width) of all pictures, multiples of 16. None: any.

    Returns:
        Largest absolute difference of a logit.

    Raises:
        ValueError: a side is no multiple of 16, the network cannot be exported for any size, or the results differ.
        OSError: the file cannot be written.
    """
    if size is not None and (min(size) < SIDE_PX or size[0] % SIDE_PX or size[1] % SIDE_PX):
        raise ValueError(f"size: expected height and width in multiples of {SIDE_PX}, got {size[0]} {size[1]}")
    with atomic_path(path) as temporary:
        _write(trained, temporary, size)
        return compare(trained, temporary, CHECKED if size is None else [size])


def compare(trained: Trained, path: Path, sizes: Sequence[Size]) -> float:
    """Return the largest difference between the logits of a file and of the network, over sizes and batches of 1 and 3.

    Raises:
        ValueError: the file refuses a size, or a difference is above `TOLERANCE`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for height, width in sizes:
        for batch in (1, 3):
            image = torch.rand(batch, 3, height, width, generator=generator)
            expected = _logits(trained, image)
            try:
                found = session.run(None, {"image": image.numpy()})[0]
            except Exception as error:  # ONNX Runtime has a type for each kind of failure and no common one
                raise ValueError(
                    f"the exported network refuses {batch} pictures of {height}x{width} px ({_first_line(error)}); "
                    "pass --size HEIGHT WIDTH for a file that takes one size only"
                ) from error
            difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
            if not difference <= TOLERANCE * float(np.abs(expected).max()):
                raise ValueError(
                    f"the exported network differs by {difference:.3g} from PyTorch on {batch} pictures of {height}x{width} px; "
                    "pass --size HEIGHT WIDTH for a file that takes one size only"
                )
            largest = max(largest, difference)
    return largest


@torch.inference_mode()
def _logits(trained: Trained, image: Tensor) -> np.ndarray:
    return trained.network(image).float().numpy()


def _write(trained: Trained, path: Path, size: Size | None) -> None:
    import onnx

    height, width = size or EXAMPLE
    axes = {0: "batch"} if size is not None else {0: "batch", 2: "height", 3: "width"}
    with _quietly():
        try:
            program = torch.onnx.export(
                trained.network,
                (torch.rand(2, 3, height, width),),
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=(axes,),
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            wanted = "any size" if size is None else f"{height}x{width} px"
            hint = "; pass --size HEIGHT WIDTH for a file that takes one size only" if size is None else ""
            raise ValueError(f"the network cannot be exported for pictures of {wanted} ({_first_line(error)}){hint}") from error
    if program is None:
        raise ValueError("the network cannot be exported: the exporter returned nothing")
    model = program.model_proto
    about = {
        "class_names": json.dumps(trained.class_names),
        "palette": json.dumps(trained.palette),
        "resize_px": "" if trained.resize_px is None else str(trained.resize_px),
        "weights": trained.digest,
    }
    onnx.helper.set_model_props(model, about)
    onnx.save_model(model, path)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's warnings about itself from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.export --run potts/cd-len100 --out model.onnx")
    add_model_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="for pictures of this size only")
    arguments = parser.parse_args()
    with clear_errors():
        check_place(arguments.out)  # before the long part
        trained = model_of(arguments, torch.device("cpu"))
        size = None if arguments.size is None else (arguments.size[0], arguments.size[1])
        difference = export_onnx(trained, arguments.out, size)
        sides = "any sides" if size is None else f"{size[0]}x{size[1]} px"
        print(f"{arguments.out}: {sides}, {len(trained.class_names)} classes; largest difference from PyTorch {difference:.2g}")


if __name__ == "__main__":
    main()
