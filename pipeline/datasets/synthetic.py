"""Procedural pictures with ground truth, for running the whole pipeline without any real data.

Each class is a family of two colours, a texture and a shape; families share colours (bird and chair, horse and sofa) or shapes
(all four-legged animals), so that no single cue decides. Backgrounds have textures of their own, distractors in class
colours, cast shadows and highlights: strong edges that are no class borders. Parts of objects fade into the background.
Sizes, aspect ratios, void borders and pictures without background follow PASCAL VOC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pipeline.conventions import VOID
from pipeline.datasets.base import Scene
from pipeline.datasets.textures import TEXTURES, Grid, noise

Shape = Callable[[Grid, Grid], np.ndarray]
"""(u, v) in object coordinates -> (parts, H, W) levels, below 1 inside a part; v points down."""

SPLIT_CODES = {"train": 0, "val": 1, "test": 2}
NOMINAL_SIDE_PX = 96
"""Textures and borders are designed for this longest side and scale with it."""
COVERED_EVERY = 64
"""One picture in so many has no background pixel (1.6 %; PASCAL VOC: ten pictures)."""


class Style(NamedTuple):
    """How one class looks."""

    shape: str
    color: tuple[int, int, int]
    second: tuple[int, int, int]
    texture: str
    period_px: float


STYLES = (
    Style("blob", (120, 120, 120), (120, 120, 120), "plain", 6),  # 0, the background, is never drawn as an object
    Style("plane", (200, 205, 212), (120, 135, 160), "plain", 8),
    Style("cycle", (60, 52, 60), (170, 60, 50), "stripes", 4),
    Style("bird", (122, 74, 44), (84, 52, 38), "plain", 8),
    Style("boat", (214, 216, 210), (70, 100, 150), "stripes", 8),
    Style("bottle", (58, 110, 70), (128, 160, 104), "plain", 6),
    Style("box", (196, 62, 48), (226, 200, 96), "checker", 9),
    Style("car", (96, 104, 150), (170, 60, 60), "plain", 9),
    Style("animal", (186, 128, 72), (92, 66, 48), "stripes", 5),
    Style("chair", (128, 84, 50), (94, 62, 40), "plain", 6),
    Style("animal", (204, 176, 160), (120, 66, 52), "patches", 4),
    Style("table", (158, 112, 70), (110, 72, 42), "stripes", 6),
    Style("animal", (226, 218, 206), (58, 50, 48), "patches", 4),
    Style("animal", (168, 122, 80), (100, 78, 60), "speckle", 2),
    Style("cycle", (44, 44, 50), (110, 112, 120), "speckle", 2),
    Style("person", (64, 78, 128), (206, 158, 128), "patches", 5),
    Style("plant", (70, 126, 58), (122, 168, 74), "curls", 3),
    Style("animal", (220, 210, 190), (172, 160, 142), "curls", 2.5),
    Style("sofa", (132, 62, 54), (160, 96, 76), "plain", 8),
    Style("box", (74, 98, 138), (176, 180, 190), "stripes", 7),
    Style("box", (46, 46, 52), (90, 96, 112), "checker", 14),
)
"""Looks in the order of PASCAL VOC's classes; any other data set may use the indices it needs."""

COCO_STYLES = {
    1: 15, 2: 2, 3: 7, 4: 14, 5: 1, 6: 6, 7: 19, 9: 4, 15: 3, 16: 8, 17: 12, 18: 13, 19: 17, 20: 10, 40: 5, 57: 9, 58: 18, 59: 16,
    61: 11, 63: 20,
}  # fmt: skip
"""Class of MS COCO -> look of the same thing in PASCAL VOC; other classes take the looks in turn."""
COCO_LOOKS = {index: STYLES[COCO_STYLES.get(index, (index - 1) % (len(STYLES) - 1) + 1)] for index in range(1, 81)}

GROUNDS = (
    (104, 138, 76), (150, 168, 110), (150, 176, 206), (196, 206, 214), (140, 132, 122), (92, 90, 92), (198, 180, 146),
    (146, 106, 74), (112, 92, 72), (174, 156, 168), (84, 104, 116), (214, 206, 196),
)  # fmt: skip
"""Background colours: grass, sky, walls, road, sand, wood, earth, water, snow."""


@dataclass(frozen=True)
class SceneMaker:
    """Maker of procedural pictures of one kind.

    Attributes:
        allowed: class indices that it knows, those of the reader's class names.
        paint: (random numbers, number, split, classes that occur, nominal size) -> the pictures of that number.
        together: how many those are: one, or the slices of a volume.
    """

    allowed: range
    paint: Callable[[np.random.Generator, int, str, tuple[int, ...], tuple[int, int]], list[Scene]]
    together: int = 1

    def __call__(
        self,
        count: int,
        *,
        seed: int,
        class_indices: Sequence[int],
        size_px: tuple[int, int],
        start: int = 0,
        split: str = "train",
    ) -> list[Scene]:
        """Return pictures numbered start..start+count-1; each depends on seed, split and its number alone.

        Args:
            count: how many, a multiple of `together`.
            seed: non-negative.
            class_indices: classes that occur, each in `allowed`.
            size_px: nominal (width, height), at least 16 each.
            start: number of the first picture, a multiple of `together`.
            split: "train", "val" or "test".

        Raises:
            ValueError: an argument out of range.
        """
        allowed, volume = self.allowed, self.together
        if not class_indices or not all(index in allowed for index in class_indices):
            raise ValueError(f"class_indices: expected one or more of {allowed[0]}..{allowed[-1]}, got {list(class_indices)}")
        if split not in SPLIT_CODES:
            raise ValueError(f"split: expected one of {', '.join(SPLIT_CODES)}, got '{split}'")
        if min(size_px) < 16:
            raise ValueError(f"size_px: expected at least 16x16, got {size_px}")
        if count % volume or start % volume:
            raise ValueError(f"count, start: expected multiples of {volume}, the slices of a volume, got {count}, {start}")
        return [
            scene
            for number in range(start // volume, (start + count) // volume)
            for scene in self.paint(
                np.random.default_rng([seed, SPLIT_CODES[split], number]), number, split, tuple(class_indices), size_px
            )
        ]


def _scene(
    rng: np.random.Generator,
    index: int,
    split: str,
    classes: tuple[int, ...],
    size_px: tuple[int, int],
    *,
    styles: Mapping[int, Style],
    crowded: bool = False,
) -> list[Scene]:
    covered = index % COVERED_EVERY == 11
    official = not crowded and (covered or split != "train" or (index // len(classes)) % 2 == 0)
    width, height = picture_size(rng, size_px)
    scale = max(size_px) / NOMINAL_SIDE_PX
    main = classes[index % len(classes)]
    image = _background(rng, (height, width), scale, [styles[index] for index in classes])
    labels = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.int32)
    for position, (class_index, area) in enumerate(_plan(rng, main, classes, covered, crowded)):
        fill = covered and position == 0
        inside = paint_object(image, labels, rng, class_index, styles[class_index], area, scale, fill=fill)
        instances[inside] = position + 1
    image = finish_photo(image, rng, scale)
    if official:
        labels[_border(labels, max(1, round(scale)))] = VOID
    year = 2007 + SPLIT_CODES[split]
    return [Scene(f"{year}_{index:06d}", image, labels, official, instances=instances if crowded else None)]


make_scenes = SceneMaker(range(1, len(STYLES)), partial(_scene, styles=dict(enumerate(STYLES))))
"""Pictures with classes of PASCAL VOC.

The main class of picture i is `class_indices[i % len(class_indices)]`, so every class is frequent in small sets. In the training
split the rounds through the classes alternate between official pictures, with void borders, and others without; validation
pictures are all official. The longest side is kept or (in one picture of ten) about a third smaller, the other varies.
"""
make_coco_scenes = SceneMaker(range(1, 81), partial(_scene, styles=COCO_LOOKS, crowded=True))
"""Pictures with classes of MS COCO, as those of `make_scenes`, with more and smaller objects, told apart as `instances`, and
without void. Classes that PASCAL VOC has too look alike."""


def finish_photo(image: np.ndarray, rng: np.random.Generator, scale: float) -> np.ndarray:
    """Return a painted picture, (H, W, 3) float, with light, blur and grain: uint8."""
    image = image * light(rng, image.shape[:2])[..., None]
    image = ndimage.gaussian_filter(image, (rng.uniform(0.35, 0.75) * scale,) * 2 + (0,))
    image += rng.normal(0, rng.uniform(4, 10), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def picture_size(rng: np.random.Generator, size_px: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) drawn around a nominal size."""
    longest, aspect = max(size_px), min(size_px) / max(size_px)
    if rng.random() < 0.1:
        longest = max(16, round(longest * rng.uniform(0.6, 0.75)))
    shortest = max(12, round(longest * np.clip(aspect * rng.uniform(0.85, 1.15), 0.5, 1)))
    landscape = (size_px[0] >= size_px[1]) == (rng.random() < 0.8)
    return (longest, shortest) if landscape else (shortest, longest)


def _plan(rng: np.random.Generator, main: int, classes: tuple[int, ...], covered: bool, crowded: bool) -> list[tuple[int, float]]:
    """Return (class, share of the picture) of the objects in painting order, largest first."""
    others = [index for index in classes if index != main] or [main]
    plan = [(main, float(np.exp(rng.uniform(np.log(0.06), np.log(0.55)))))]
    for _ in range(int(rng.choice(3, p=(0.5, 0.35, 0.15)))):
        class_index = main if rng.random() < 0.35 else int(rng.choice(others))
        plan.append((class_index, float(np.exp(rng.uniform(np.log(0.02), np.log(0.2))))))
    if crowded:
        extra = int(rng.integers(1, 5))
        plan += [(int(rng.choice(classes)), float(np.exp(rng.uniform(np.log(0.008), np.log(0.06))))) for _ in range(extra)]
    if covered:  # one object everywhere and another on it, so that there is a border
        return [(main, 1.0), (int(rng.choice(others)), rng.uniform(0.15, 0.4))]
    return sorted(plan, key=lambda entry: -entry[1])


def paint_object(
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    class_index: int,
    style: Style,
    area: float,
    scale: float,
    *,
    fill: bool = False,
    x_range: tuple[float, float] = (0.2, 0.8),
    y_range: tuple[float, float] = (0.25, 0.8),
) -> np.ndarray:
    """Draw one object into `image` and `labels` and return its pixels.

    Args:
        image: (H, W, 3) float, changed in place.
        labels: (H, W) uint8, changed in place.
        rng: source of everything random.
        class_index: value for `labels`.
        style: look.
        area: share of the picture.
        scale: size of textures.
        fill: cover everything.
        x_range: where the middle may be, as fractions of the width.
        y_range: the same of the height.

    Returns:
        (H, W) bool.
    """
    height, width = labels.shape
    shape = SHAPES[style.shape](rng)
    size = np.sqrt(area * height * width / _unit_area(shape))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    angle = rng.normal(0, 0.22)
    flip = rng.choice((-1.0, 1.0))
    dx = columns - width * rng.uniform(*x_range)
    dy = rows - height * rng.uniform(*y_range)
    u = flip * (dx * np.cos(angle) + dy * np.sin(angle))
    v = dy * np.cos(angle) - dx * np.sin(angle)
    levels = shape(u / size, v / size)
    inside = np.full(labels.shape, True) if fill else levels.min(0) < 1
    _cast_shadow(image, rng, inside, size)
    tones = rng.uniform(0.78, 1.12, len(levels))[levels.argmin(0)]
    pattern = TEXTURES[style.texture](rng, u, v, style.period_px * scale * rng.uniform(0.85, 1.2))
    mix = 0.5 + 0.5 * rng.uniform(0.75, 1.0) * pattern
    first, second = (_jitter(rng, color) for color in (style.color, style.second))
    color = first + (second - first) * mix[..., None]
    color = color * (tones * (1 - rng.uniform(0.05, 0.25) * np.clip(v / size, -1, 1)))[..., None]
    opacity = np.ones(labels.shape)
    if rng.random() < 0.6:  # a part of low contrast
        du, dv = u / size - rng.uniform(-0.9, 0.9), v / size - rng.uniform(-0.9, 0.9)
        opacity -= rng.uniform(0.3, 0.6) * np.exp(-(du**2 + dv**2) / 0.25)
    blended = image + (color - image) * opacity[..., None]
    image[inside] = blended[inside]
    labels[inside] = class_index
    return inside


def _background(rng: np.random.Generator, shape: tuple[int, int], scale: float, styles: Sequence[Style]) -> np.ndarray:
    """Return one or two textured zones with distractors: (H, W, 3) float."""
    height, width = shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    upper, lower = rng.choice(len(GROUNDS), 2, replace=False)
    horizon = height * rng.uniform(0.2, 0.75) + np.tan(rng.normal(0, 0.12)) * (columns - width / 2)
    below = rows > horizon + 2 * scale * noise(rng, shape, 3 * scale)
    image = np.empty((*shape, 3))
    for zone, ground in ((~below, upper), (below, lower)):
        texture = str(rng.choice(("plain", "speckle", "stripes", "curls", "patches"), p=(0.3, 0.3, 0.15, 0.15, 0.1)))
        angle = rng.uniform(0, np.pi)
        u, v = columns * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - columns * np.sin(angle)
        pattern = TEXTURES[texture](rng, u, v, scale * rng.uniform(2, 9))
        contrast = rng.uniform(8, 24) * pattern + 14 * noise(rng, shape, 8 * scale)
        image[zone] = (_jitter(rng, GROUNDS[ground]) + contrast[..., None] * rng.uniform(0.7, 1.2, 3))[zone]
    for _ in range(int(rng.integers(1, 4))):  # things nobody labelled, in the colours of classes
        style = styles[int(rng.choice(len(styles)))]
        kind = SHAPES[str(rng.choice(("blob", "polygon", "ellipse")))](rng)
        size = max(shape) * rng.uniform(0.05, 0.16)
        u, v = (columns - rng.uniform(0, width)) / size, (rows - rng.uniform(0, height)) / size
        inside = kind(u, v).min(0) < 1
        color = _jitter(rng, style.color if rng.random() < 0.5 else style.second)
        pattern = rng.uniform(0, 22) * noise(rng, shape, rng.uniform(0.7, 3) * scale)
        share = rng.uniform(0.5, 0.9)
        image[inside] += share * ((color + pattern[..., None]) - image)[inside]
    return image


def light(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return the brightness factor, (H, W): a gradient, cast shadows and highlights whose edges are no class borders."""
    height, width = shape
    rows, columns = np.mgrid[0:height, 0:width] / np.array((height, width)).reshape(2, 1, 1) - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.1, 0.4) * (columns * np.cos(angle) + rows * np.sin(angle))
    if rng.random() < 0.6:
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.35)
        distance = columns * np.cos(angle) + rows * np.sin(angle) - offset
        light *= 1 - rng.uniform(0.2, 0.42) / (1 + np.exp(-distance * max(shape) / rng.uniform(0.4, 2.5)))
    if rng.random() < 0.5:
        du = (columns - rng.uniform(-0.4, 0.4)) / rng.uniform(0.06, 0.2)
        dv = (rows - rng.uniform(-0.4, 0.4)) / rng.uniform(0.06, 0.2)
        light += rng.uniform(0.15, 0.45) / (1 + np.exp(6 * (np.hypot(du, dv) - 1)))
    return light


def _cast_shadow(image: np.ndarray, rng: np.random.Generator, inside: np.ndarray, size: float) -> None:
    shift = (size * rng.uniform(0.05, 0.3), size * rng.uniform(-0.35, 0.35))
    moved = ndimage.shift(inside.astype(np.float64), shift, order=1)
    image *= 1 - rng.uniform(0.0, 0.4) * moved[..., None]


def _jitter(rng: np.random.Generator, color: Sequence[int]) -> np.ndarray:
    return np.asarray(color, np.float64) * rng.uniform(0.82, 1.18) + rng.normal(0, 10, 3)


def _border(labels: np.ndarray, half_width_px: int) -> np.ndarray:
    """Return the pixels at most `half_width_px` from a pixel of another class, along rows and columns."""
    border = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return ndimage.binary_dilation(border, iterations=half_width_px - 1) if half_width_px > 1 else border


def _unit_area(shape: Shape) -> float:
    side = np.linspace(-2, 2, 41)
    u, v = np.meshgrid(side, side)
    return max(0.05, float((shape(u, v).min(0) < 1).mean() * 16))


# --- shapes: rng -> function of object coordinates ---


def _round(u: Grid, v: Grid, x: float, y: float, a: float, b: float) -> Grid:
    return np.hypot((u - x) / a, (v - y) / b)


def _square(u: Grid, v: Grid, x: float, y: float, a: float, b: float) -> Grid:
    return np.maximum(np.abs(u - x) / a, np.abs(v - y) / b)


def _blob(rng: np.random.Generator) -> Shape:
    waves, phases = rng.normal(0, 0.12, 5), rng.uniform(0, 2 * np.pi, 5)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        theta = np.arctan2(v, u)
        radius = 1 + sum(wave * np.cos((k + 2) * theta + phase) for k, (wave, phase) in enumerate(zip(waves, phases)))
        return np.stack([np.hypot(u, v) / np.maximum(radius, 0.3)])

    return levels


def _ellipse(rng: np.random.Generator) -> Shape:
    aspect = rng.uniform(0.4, 0.9)
    return lambda u, v: np.stack([_round(u, v, 0, 0, 1, aspect)])


def _polygon(rng: np.random.Generator) -> Shape:
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 7))))
    distances = rng.uniform(0.6, 1, len(angles))

    def levels(u: Grid, v: Grid) -> np.ndarray:
        sides = [(u * np.cos(angle) + v * np.sin(angle)) / distance for angle, distance in zip(angles, distances)]
        return np.stack([np.maximum(np.maximum.reduce(sides), np.hypot(u, v) / 1.5)])

    return levels


def _animal(rng: np.random.Generator) -> Shape:
    belly, neck, leg = rng.uniform(0.36, 0.58), rng.uniform(0.15, 0.6), rng.uniform(0.55, 0.95)
    head, tail = rng.uniform(0.26, 0.44), rng.uniform(-0.4, 0.5)
    sitting = rng.random() < 0.25

    def levels(u: Grid, v: Grid) -> np.ndarray:
        parts = [_round(u, v, 0, 0, 1, belly), _round(u, v, 0.95, -neck, head, head)]
        parts.append(_round(u, v, -1.1, tail, 0.3, 0.12))
        if not sitting:
            parts += [_square(u, v, x, leg / 2 + 0.15, 0.1, leg / 2) for x in (-0.7, -0.35, 0.4, 0.7)]
        return np.stack(parts)

    return levels


def _bird(rng: np.random.Generator) -> Shape:
    body, wing, lift = rng.uniform(0.35, 0.5), rng.uniform(0.5, 0.8), rng.uniform(-0.5, 0.3)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        parts = [_round(u, v, 0, 0, 0.8, body), _round(u, v, 0.75, -0.35, 0.27, 0.27)]
        parts.append(_round(u, v, -0.2, lift, wing, 0.3))
        parts.append(_round(u, v, -1.0, 0.1, 0.45, 0.14))
        return np.stack(parts)

    return levels


def _plane(rng: np.random.Generator) -> Shape:
    span, sweep = rng.uniform(0.5, 0.9), rng.uniform(0.1, 0.4)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        wing = _square(u + sweep * np.abs(v), v, 0.1, 0, 0.24, span)
        return np.stack([_round(u, v, 0, 0, 1.3, 0.2), wing, _square(u, v, -1.05, -0.2, 0.18, 0.35)])

    return levels


def _cycle(rng: np.random.Generator) -> Shape:
    wheel, tyre = rng.uniform(0.45, 0.58), rng.uniform(0.35, 0.55)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        rings = [1 + (np.abs(np.hypot(u - x, v - 0.3) / wheel - 1 + tyre / 2) / (tyre / 2) - 1) for x in (-0.7, 0.7)]
        frame = _square(u, v, 0, -0.15, 0.75, 0.2)
        return np.stack([*rings, frame, _square(u, v, 0.55, -0.5, 0.12, 0.4)])

    return levels


def _boat(rng: np.random.Generator) -> Shape:
    sail = rng.uniform(0.6, 1.2)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        hull = np.maximum(np.abs(v - 0.45) / 0.3, np.abs(u) / np.maximum(1.2 - 0.6 * (v - 0.15), 0.2))
        return np.stack([hull, np.maximum.reduce([(u + 0.1) / 0.8 - v / sail, -(u + 0.2) / 0.15, v / 0.15])])

    return levels


def _bottle(rng: np.random.Generator) -> Shape:
    neck = rng.uniform(0.12, 0.22)
    return lambda u, v: np.stack([_square(u, v, 0, 0.35, 0.42, 0.85), _square(u, v, 0, -0.8, neck, 0.5)])


def _box(rng: np.random.Generator) -> Shape:
    half, slope = rng.uniform(0.45, 0.8), rng.normal(0, 0.12)
    return lambda u, v: np.stack([_square(u, v + slope * u, 0, 0, 1.1, half)])


def _car(rng: np.random.Generator) -> Shape:
    roof = rng.uniform(0.5, 0.75)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        cabin = np.maximum(np.abs(u) / (roof + 0.5 * (v + 0.2)).clip(0.1), np.abs(v + 0.4) / 0.3)
        return np.stack([_square(u, v, 0, 0.1, 1.2, 0.32), cabin, *(_round(u, v, x, 0.42, 0.26, 0.26) for x in (-0.7, 0.7))])

    return levels


def _chair(rng: np.random.Generator) -> Shape:
    back = rng.uniform(0.5, 0.9)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        legs = [_square(u, v, x, 0.65, 0.11, 0.5) for x in (-0.55, 0.55)]
        return np.stack([_square(u, v, 0, 0.1, 0.7, 0.2), _square(u, v, -0.55, -back / 2, 0.18, back / 2 + 0.1), *legs])

    return levels


def _table(rng: np.random.Generator) -> Shape:
    top = rng.uniform(0.22, 0.5)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        legs = [_square(u, v, x, 0.5, 0.11, 0.5) for x in (-0.85, 0.85)]
        return np.stack([_round(u, v, 0, 0, 1.3, top), *legs])

    return levels


def _person(rng: np.random.Generator) -> Shape:
    spread, arm = rng.uniform(0.12, 0.35), rng.uniform(0.3, 0.75)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        legs = [np.maximum(np.abs(u - side * spread * (v + 0.4)) / 0.17, np.abs(v - 0.8) / 0.6) for side in (-1, 1)]
        arms = [np.maximum(np.abs(u - side * (0.35 + arm * 0.5 * (v + 0.5))) / 0.12, np.abs(v + 0.15) / 0.4) for side in (-1, 1)]
        return np.stack([_round(u, v, 0, -0.95, 0.27, 0.3), _round(u, v, 0, -0.15, 0.42, 0.62), *legs, *arms])

    return levels


def _pole(rng: np.random.Generator) -> Shape:
    half = rng.uniform(0.05, 0.09)
    return lambda u, v: np.stack([_square(u, v, 0, 0, half, 1.8)])


def _plant(rng: np.random.Generator) -> Shape:
    foliage = _blob(rng)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        pot = np.maximum(np.abs(v - 0.9) / 0.35, np.abs(u) / (0.55 - 0.25 * (v - 0.55)).clip(0.1))
        return np.concatenate([foliage(u / 0.8, (v + 0.2) / 0.8), pot[None]])

    return levels


def _sofa(rng: np.random.Generator) -> Shape:
    back = rng.uniform(0.25, 0.45)

    def levels(u: Grid, v: Grid) -> np.ndarray:
        arms = [_square(u, v, x, 0.15, 0.22, 0.4) for x in (-1.05, 1.05)]
        return np.stack([_square(u, v, 0, 0.3, 1.1, 0.3), _square(u, v, 0, -back / 2, 0.95, back), *arms])

    return levels


SHAPES: dict[str, Callable[[np.random.Generator], Shape]] = {
    "blob": _blob,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "animal": _animal,
    "bird": _bird,
    "plane": _plane,
    "cycle": _cycle,
    "boat": _boat,
    "bottle": _bottle,
    "box": _box,
    "car": _car,
    "chair": _chair,
    "table": _table,
    "person": _person,
    "pole": _pole,
    "plant": _plant,
    "sofa": _sofa,
}
