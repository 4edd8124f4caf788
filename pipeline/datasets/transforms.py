"""From a decoded picture and its annotation to tensors of the network's input size.

Two policies. `WholeImage` resizes the whole picture: the only one that keeps size targets true. `RandomCrop` scales at
random, pads and crops, as in the scribble literature. Seeds are poly-lines until here: they are scaled first and drawn
afterwards, so that thin strokes survive (FACTS U12). Each sample brings its own seed: the result does not depend on
workers or order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble

Draw = Callable[[Sequence[Scribble], tuple[int, int], tuple[int, int]], NDArray[np.uint8]]
"""(scribbles, original (w, h), target (w, h)) -> seeds (h, w); `VOID` where nothing is drawn."""


@dataclass(frozen=True)
class Jitter:
    """Random changes that keep geometry: mirror and colours.

    Attributes:
        flip: mirror left-right with probability 1/2.
        color: largest relative change of brightness, contrast and saturation; hue changes by up to a quarter of it.
    """

    flip: bool = True
    color: float = 0.0

    def colors(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return `image` (3, H, W) in [0, 1] with changed colours."""
        if self.color == 0:
            return image
        from torchvision.transforms.v2 import functional as F  # takes longer to load than a small run to train

        brightness, contrast, saturation, hue = (_uniform(generator, -self.color, self.color) for _ in range(4))
        image = F.adjust_brightness(image, 1 + brightness)
        image = F.adjust_contrast(image, 1 + contrast)
        image = F.adjust_saturation(image, 1 + saturation)
        return F.adjust_hue(image, hue / 4) if hue else image

    def flips(self, generator: torch.Generator) -> bool:
        """Decide whether this sample is mirrored."""
        return self.flip and _uniform(generator, 0, 1) < 0.5


Sample = dict[str, Tensor]


@dataclass(frozen=True)
class WholeImage:
    """Resize the whole picture to a square of `size_px`, then jitter."""

    size_px: int
    jitter: Jitter
    draw: Draw

    def load(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None, scribbles: Sequence[Scribble] | None
    ) -> Callable[[int], Sample]:
        """Do what is the same each time a picture is shown, and return the function of a seed that does the rest.

        The sample it returns: image (3, S, S), valid (S, S) and, where given, labels and seeds (S, S).
        """
        size = (self.size_px, self.size_px)
        fixed = {"image": resize_image(image, size), "valid": torch.ones(size, dtype=torch.bool)}
        if labels is not None:
            fixed["labels"] = _nearest(labels, size)
        if scribbles is not None:
            drawn = self.draw(scribbles, (image.shape[1], image.shape[0]), size)
            fixed["seeds"] = torch.from_numpy(drawn.astype(np.int64))

        def vary(seed: int) -> Sample:
            generator = torch.Generator().manual_seed(seed)
            sample = {**fixed, "image": self.jitter.colors(fixed["image"], generator)}
            return _mirror(sample) if self.jitter.flips(generator) else sample

        return vary


@dataclass(frozen=True)
class RandomCrop:
    """Scale the short side at random, pad right and below, crop a square of `size_px`.

    Attributes:
        size_px: side of the crop.
        scale: range of the short side relative to `size_px`.
        blur: Gaussian blur of radius 0 to 1 px with probability 1/2.
        jitter: mirror and colours.
        draw: turns strokes into seeds.
    """

    size_px: int
    scale: tuple[float, float]
    blur: bool
    jitter: Jitter
    draw: Draw

    def load(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None, scribbles: Sequence[Scribble] | None
    ) -> Callable[[int], Sample]:
        """Return the function of a seed that makes the sample; nothing is the same each time.

        The sample: image (3, S, S), valid (S, S; False on padding) and, where given, labels and seeds (S, S).
        """
        height, width = image.shape[:2]

        def vary(seed: int) -> Sample:
            generator = torch.Generator().manual_seed(seed)
            factor = _uniform(generator, *self.scale) * self.size_px / min(height, width)
            scaled = (max(round(height * factor), 1), max(round(width * factor), 1))
            top = int(_uniform(generator, 0, max(scaled[0] - self.size_px, 0) + 1))
            left = int(_uniform(generator, 0, max(scaled[1] - self.size_px, 0) + 1))

            def crop(values: Tensor, fill: float) -> Tensor:
                window = values[..., top : top + self.size_px, left : left + self.size_px]
                return pad(window, (0, self.size_px - window.shape[-1], 0, self.size_px - window.shape[-2]), value=fill)

            colors = self._blurred(self.jitter.colors(resize_image(image, scaled), generator), generator)
            sample = {"image": crop(colors, 0.0), "valid": crop(torch.ones((1, *scaled)), 0.0)[0] > 0}
            if labels is not None:
                sample["labels"] = crop(_nearest(labels, scaled)[None], VOID)[0]
            if scribbles is not None:
                drawn = self.draw(scribbles, (width, height), (scaled[1], scaled[0]))
                sample["seeds"] = crop(torch.from_numpy(drawn.astype(np.int64))[None], VOID)[0]
            return _mirror(sample) if self.jitter.flips(generator) else sample

        return vary

    def _blurred(self, image: Tensor, generator: torch.Generator) -> Tensor:
        if not self.blur or _uniform(generator, 0, 1) >= 0.5:
            return image
        from torchvision.transforms.v2.functional import gaussian_blur

        radius = max(_uniform(generator, 0, 1), 1e-2)
        return gaussian_blur(image, kernel_size=[5, 5], sigma=[radius, radius])


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return (3, h, w) float32 colours in [0, 1] of a (H, W, 3) uint8 picture, bilinear with anti-aliasing."""
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
    return interpolate(tensor[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]


def _nearest(labels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    tensor = torch.from_numpy(labels)[None, None]
    return interpolate(tensor, size=size, mode="nearest-exact")[0, 0].to(torch.int64)


def _mirror(sample: Sample) -> Sample:
    return {name: values.flip(-1) for name, values in sample.items()}


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
