"""From a decoded picture and its annotation to tensors of the network's input size.

Two policies. `WholeImage` resizes the whole picture: the only one that keeps size targets true. `RandomCrop` scales at
random, pads and crops, as in the scribble literature. Seeds are poly-lines until here: they are scaled first and drawn
afterwards, so that thin strokes survive (U12 in docs/choices.md). Each sample brings its own seed: the result does not depend on
workers or order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
        color: largest relative change of brightness, contrast and saturation (hue stays: changing it costs more than all else).
    """

    flip: bool = True
    color: float = 0.0

    def colors(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return `image` (3, H, W) in [0, 1] with changed colours."""
        if self.color == 0:
            return image
        from torchvision.transforms.v2 import functional as F  # takes longer to load than a small run to train

        brightness, contrast, saturation = (_uniform(generator, -self.color, self.color) for _ in range(3))
        image = F.adjust_brightness(image, 1 + brightness)
        image = F.adjust_contrast(image, 1 + contrast)
        return F.adjust_saturation(image, 1 + saturation)

    def flips(self, generator: torch.Generator) -> bool:
        """Decide whether this sample is mirrored."""
        return self.flip and _uniform(generator, 0, 1) < 0.5


Sample = dict[str, Any]
Features = Callable[[bool], list[Tensor]]
"""Kept features of a picture (False) or of its mirror image (True): maps (D, h, w)."""
Rasters = Mapping[str, NDArray[np.uint8]]
"""Name in the sample (labels, seeds, proposals) -> (H, W) class index or `VOID`; scaled by nearest neighbour."""


@dataclass(frozen=True)
class WholeImage:
    """Resize the whole picture to a square of `size_px`, then jitter.

    Kept features know the picture and its mirror image only: with them, colours must stay as they are.
    """

    size_px: int
    jitter: Jitter
    draw: Draw

    def load(
        self,
        image: NDArray[np.uint8],
        rasters: Rasters,
        scribbles: Sequence[Scribble] | None,
        features: Features | None = None,
    ) -> Callable[[int], Sample]:
        """Do what is the same each time a picture is shown, and return the function of a seed that does the rest.

        The sample it returns: image (3, S, S), valid (S, S), each raster (S, S) and, where scribbles are given, seeds (S, S),
        where features are given, those of the picture as it is shown. Of seeds that are regions and strokes, regions win.
        """
        size = (self.size_px, self.size_px)
        fixed = {"image": resize_image(image, size), "valid": torch.ones(size, dtype=torch.bool)}
        fixed.update({name: _nearest(raster, size) for name, raster in rasters.items()})
        if scribbles is not None:
            drawn = self.draw(scribbles, (image.shape[1], image.shape[0]), size)
            fixed["seeds"] = _filled(fixed.get("seeds"), drawn)

        def vary(seed: int) -> Sample:
            generator = torch.Generator().manual_seed(seed)
            sample: Sample = {**fixed, "image": self.jitter.colors(fixed["image"], generator)}
            mirrored = self.jitter.flips(generator)
            if mirrored:
                sample = _mirror(sample)
            return sample if features is None else {**sample, "features": features(mirrored)}

        return vary


@dataclass(frozen=True)
class RandomCrop:
    """Show a square of `size_px` of the picture, scaled at random; where the picture is smaller, pad right and below.

    The window is cut out first and scaled then, which costs a fraction of scaling the whole picture and is the same but for
    rounding to whole pixels of the original.

    Attributes:
        size_px: side of the square.
        scale: range of the picture's short side after scaling, relative to `size_px`.
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
        self,
        image: NDArray[np.uint8],
        rasters: Rasters,
        scribbles: Sequence[Scribble] | None,
        features: Features | None = None,
    ) -> Callable[[int], Sample]:
        """Return the function of a seed that makes the sample; nothing is the same each time.

        There are no kept features of crops.

        The sample: image (3, S, S), valid (S, S; False on padding), each raster (S, S) and, where scribbles are given, seeds.
        """

        def vary(seed: int) -> Sample:
            generator = torch.Generator().manual_seed(seed)
            sides = image.shape[:2]
            factor = _uniform(generator, *self.scale) * self.size_px / min(sides)
            height, width = (min(side, max(round(self.size_px / factor), 1)) for side in sides)
            top = int(_uniform(generator, 0, sides[0] - height + 1))
            left = int(_uniform(generator, 0, sides[1] - width + 1))
            scaled = (_clamp(round(height * factor), self.size_px), _clamp(round(width * factor), self.size_px))
            window = (slice(top, top + height), slice(left, left + width))

            colors = self._blurred(self.jitter.colors(resize_image(image[window], scaled), generator), generator)
            sample = {"image": self._padded(colors, 0), "valid": self._padded(torch.ones(scaled), 0) > 0}
            for name, raster in rasters.items():
                sample[name] = self._padded(_nearest(raster[window], scaled), VOID)
            if scribbles is not None:
                shifted = [
                    Scribble(stroke.class_index, tuple((x - left, y - top) for x, y in stroke.points)) for stroke in scribbles
                ]
                drawn = self.draw(shifted, (width, height), (scaled[1], scaled[0]))
                regions = _nearest(rasters["seeds"][window], scaled) if "seeds" in rasters else None
                sample["seeds"] = self._padded(_filled(regions, drawn), VOID)
            return _mirror(sample) if self.jitter.flips(generator) else sample

        return vary

    def _padded(self, values: Tensor, fill: int) -> Tensor:
        return pad(values, (0, self.size_px - values.shape[-1], 0, self.size_px - values.shape[-2]), value=fill)

    def _blurred(self, image: Tensor, generator: torch.Generator) -> Tensor:
        if not self.blur or _uniform(generator, 0, 1) >= 0.5:
            return image
        from torchvision.transforms.v2.functional import gaussian_blur

        radius = max(_uniform(generator, 0, 1), 1e-2)
        return gaussian_blur(image, kernel_size=[5, 5], sigma=[radius, radius])


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return (3, h, w) float32 colours in [0, 1] of a (H, W, 3) uint8 picture, bilinear with anti-aliasing."""
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[
        None
    ]  # 8 bits and colours last: the fast path
    return interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)[0].float() / 255


def _nearest(labels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    tensor = torch.from_numpy(np.require(labels, requirements=["C", "W"]))[None, None]
    return interpolate(tensor, size=size, mode="nearest-exact")[0, 0].to(torch.int64)


def _filled(regions: Tensor | None, drawn: NDArray[np.uint8]) -> Tensor:
    """Return seeds (h, w): those of regions and, where these say nothing, strokes."""
    strokes = torch.from_numpy(drawn.astype(np.int64))
    return strokes if regions is None else torch.where(regions == VOID, strokes, regions)


def _mirror(sample: Sample) -> Sample:
    return {name: values.flip(-1) for name, values in sample.items()}


def _clamp(value: int, highest: int) -> int:
    return min(max(value, 1), highest)


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
