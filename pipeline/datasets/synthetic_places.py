"""Procedural places: pictures of six natural scenes for classification, streets and rooms with many classes for segmentation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import Scene
from pipeline.datasets.synthetic import (
    NOMINAL_SIDE_PX,
    SceneMaker,
    Style,
    finish_photo,
    paint_object,
    picture_size,
)
from pipeline.datasets.textures import TEXTURES, noise

Color = tuple[int, int, int]
Size = tuple[int, int]
"""(height, width)."""


def _natural(rng: np.random.Generator, index: int, split: str, classes: tuple[int, ...], size_px: tuple[int, int]) -> list[Scene]:
    class_index, shape = classes[index % len(classes)], (size_px[1], size_px[0])
    image = finish_photo(NATURAL[class_index](rng, shape), rng, max(size_px) / NOMINAL_SIDE_PX)
    return [Scene(f"{split}_{index:06d}", image, np.full(shape, VOID, np.uint8), class_index=class_index)]


class Thing(NamedTuple):
    """An object of a place: class, look, range of its share of the picture, where its middle may be, and how many there are."""

    class_index: int
    style: Style
    area: tuple[float, float]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    most: int


class Place(NamedTuple):
    """A kind of place: how its ground is painted, what stands on it, its ids, and whether all pictures are equally large."""

    ground: Callable[[np.random.Generator, Size], tuple[np.ndarray, np.ndarray]]
    things: tuple[Thing, ...]
    image_id: str
    one_size: bool


def _place(
    rng: np.random.Generator, index: int, split: str, classes: tuple[int, ...], size_px: tuple[int, int], *, place: Place
) -> list[Scene]:
    """Return one picture of a place; what belongs to none of `classes` is drawn, but void in the mask."""
    kept = np.full(256, VOID, np.uint8)
    kept[list(classes)] = classes
    scale = max(size_px) / NOMINAL_SIDE_PX
    width, height = size_px if place.one_size else picture_size(rng, size_px)
    image, labels = place.ground(rng, (height, width))
    for thing in place.things:
        for _ in range(int(rng.integers(0, thing.most + 1))):
            area = float(np.exp(rng.uniform(*np.log(thing.area))))
            x_range, y_range = thing.x_range, thing.y_range
            paint_object(image, labels, rng, thing.class_index, thing.style, area, scale, x_range=x_range, y_range=y_range)
    image = finish_photo(image, rng, scale)
    return [Scene(place.image_id.format(split=split, number=index), image, kept[labels])]


# --- parts of pictures: (rng, ...) -> (H, W, 3) float or (H, W) bool ---


def _grid(shape: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns as fractions of the height and width."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return rows / shape[0], columns / shape[1]


def _cover(rng: np.random.Generator, shape: Size, color: Color, texture: str, period: float, contrast: float) -> np.ndarray:
    """Return an evenly textured surface."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    angle = rng.normal(0, 0.3)
    u, v = rows * np.cos(angle) + columns * np.sin(angle), columns * np.cos(angle) - rows * np.sin(angle)
    pattern = TEXTURES[texture](rng, u, v, period * shape[0] / 64)
    tint = np.asarray(color, np.float64) * rng.uniform(0.85, 1.15) + rng.normal(0, 8, 3)
    return tint + contrast * pattern[..., None] * rng.uniform(0.7, 1.2, 3)


def _sky(rng: np.random.Generator, shape: Size) -> np.ndarray:
    """Return a clear, cloudy or grey sky, paler towards the bottom."""
    rows, _ = _grid(shape)
    zenith = np.array(((110, 150, 210), (150, 170, 195), (190, 195, 200))[int(rng.integers(3))], np.float64)
    clouds = np.clip(noise(rng, shape, shape[0] / 10) - rng.uniform(0, 1.2), 0, 1.5)
    return zenith + rows[..., None] * np.array((70, 50, 25)) + 40 * clouds[..., None]


def _ridge(rng: np.random.Generator, shape: Size, height: float, roughness: float) -> np.ndarray:
    """Return what lies below a mountain's outline."""
    rows, _ = _grid(shape)
    walk = noise(rng, (2, shape[1]), shape[1] / 6)[0] + 0.25 * noise(rng, (2, shape[1]), shape[1] / 30)[0]
    return rows > height - roughness * walk


def _house(rng: np.random.Generator, image: np.ndarray, left: float, right: float, top: float, bottom: float) -> np.ndarray:
    """Draw a wall with rows of windows and return its pixels."""
    shape = image.shape[:2]
    rows, columns = _grid(shape)
    inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    color = ((168, 150, 130), (120, 110, 105), (186, 178, 168), (150, 90, 70))[int(rng.integers(4))]
    wall = _cover(rng, shape, color, "plain", 6, 8)
    step, storey = rng.uniform(0.05, 0.1), rng.uniform(0.06, 0.12)
    window = (((columns - left) / step) % 1 > 0.45) & (((rows - top) / storey) % 1 > 0.45)
    wall[window] *= rng.uniform(0.4, 0.65)
    image[inside] = wall[inside]
    return inside


def _buildings(rng: np.random.Generator, shape: Size) -> np.ndarray:
    image = _sky(rng, shape)
    for left in np.sort(rng.uniform(-0.1, 0.8, int(rng.integers(2, 5)))):
        _house(rng, image, left, left + rng.uniform(0.25, 0.6), rng.uniform(0.05, 0.45), 1)
    ground = _ridge(rng, shape, rng.uniform(0.88, 1.0), 0.01)
    image[ground] = _cover(rng, shape, (110, 115, 105), "speckle", 3, 10)[ground]
    return image


def _forest(rng: np.random.Generator, shape: Size) -> np.ndarray:
    _, columns = _grid(shape)
    image = _sky(rng, shape)
    crowns = _ridge(rng, shape, rng.uniform(-0.1, 0.3), 0.08)
    color = ((60, 100, 45), (90, 115, 50), (130, 105, 50))[int(rng.integers(3))]
    image[crowns] = _cover(rng, shape, color, "curls", rng.uniform(2, 5), 35)[crowns]
    for x in rng.uniform(0, 1, int(rng.integers(2, 8))):
        trunk = (np.abs(columns - x) < rng.uniform(0.008, 0.03)) & crowns
        image[trunk] = rng.uniform(35, 80) * np.array((1.1, 0.95, 0.8))
    return image


def _glacier(rng: np.random.Generator, shape: Size) -> np.ndarray:
    image = _sky(rng, shape)
    rock = _ridge(rng, shape, rng.uniform(0.15, 0.4), 0.08)
    image[rock] = _cover(rng, shape, (105, 105, 112), "patches", 5, 18)[rock]
    ice = _ridge(rng, shape, rng.uniform(0.35, 0.6), 0.06)
    image[ice] = _cover(rng, shape, (195, 215, 230), "stripes", rng.uniform(5, 9), 22)[ice]
    if rng.random() < 0.4:
        water = _ridge(rng, shape, rng.uniform(0.75, 0.9), 0.01)
        image[water] = _cover(rng, shape, (80, 120, 150), "stripes", 3, 12)[water]
    return image


def _mountain(rng: np.random.Generator, shape: Size) -> np.ndarray:
    rows, _ = _grid(shape)
    image = _sky(rng, shape)
    height = rng.uniform(0.25, 0.5)
    slope = _ridge(rng, shape, height, 0.16)
    image[slope] = _cover(rng, shape, (120, 108, 98), "patches", rng.uniform(3, 7), 26)[slope]
    snow = slope & (rows + 0.05 * noise(rng, shape, shape[0] / 16) < height + rng.uniform(-0.15, 0.1))
    image[snow] = _cover(rng, shape, (225, 230, 236), "plain", 4, 10)[snow]
    valley = _ridge(rng, shape, rng.uniform(0.7, 0.95), 0.05)
    image[valley] = _cover(rng, shape, (85, 110, 60), "curls", 3, 20)[valley]
    return image


def _sea(rng: np.random.Generator, shape: Size) -> np.ndarray:
    image = _sky(rng, shape)
    water = _ridge(rng, shape, rng.uniform(0.3, 0.6), 0.004)
    color = ((60, 105, 145), (85, 130, 140), (110, 120, 130))[int(rng.integers(3))]
    image[water] = _cover(rng, shape, color, "stripes", rng.uniform(3, 6), 18)[water]
    if rng.random() < 0.5:
        beach = _ridge(rng, shape, rng.uniform(0.75, 0.95), 0.03)
        image[beach] = _cover(rng, shape, (200, 182, 145), "speckle", 2, 12)[beach]
    return image


def _street(rng: np.random.Generator, shape: Size) -> np.ndarray:
    image, _ = _street_ground(rng, shape)
    return image


NATURAL: tuple[Callable[[np.random.Generator, Size], np.ndarray], ...] = (
    _buildings,
    _forest,
    _glacier,
    _mountain,
    _sea,
    _street,
)


def _street_ground(rng: np.random.Generator, shape: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return a street in perspective and its labels by Cityscapes' classes; the strip of the bonnet is void."""
    rows, columns = _grid(shape)
    horizon, middle = rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.6)
    image = _sky(rng, shape)
    labels = np.full(shape, 10, np.uint8)
    for side in (-1, 1):
        reach = rng.uniform(0.08, 0.25)
        for depth in range(int(rng.integers(2, 4)), 0, -1):
            far = middle + side * (reach + 0.14 * (depth - 1))
            outer = middle + side * (reach + 0.14 * depth + 0.3)
            inside = _house(
                rng, image, min(far, outer), max(far, outer), horizon - rng.uniform(0.12, 0.22) * depth, horizon + 0.08
            )
            labels[inside] = 2
    for x in rng.uniform(0, 1, int(rng.integers(1, 4))):
        size = rng.uniform(0.06, 0.16)
        wobble = 0.25 * noise(rng, shape, shape[0] / 12)
        tree = np.hypot((columns - x) / size, (rows - horizon + size) / (1.6 * size)) + wobble < 1
        image[tree] = _cover(rng, shape, (78, 108, 58), "curls", 3, 26)[tree]
        labels[tree] = 8
    for class_index, color, near in ((1, (158, 150, 152), 1.6), (0, (98, 98, 102), rng.uniform(0.55, 0.8))):
        width = 0.04 + near * (rows - horizon)
        floor = (rows > horizon) & (np.abs(columns - middle) < width) if class_index == 0 else rows > horizon
        image[floor] = _cover(rng, shape, color, "speckle", 2, 7)[floor]
        labels[floor] = class_index
    markings = (rows > horizon) & (np.abs(columns - middle) < 0.02 * (rows - horizon) / 0.5) & ((30 * rows**2) % 2 < 1)
    image[markings] = 205
    bonnet = rows > 1 - rng.uniform(0.04, 0.08)
    image[bonnet] = rng.uniform(20, 60)
    labels[bonnet] = VOID
    return image, labels


def _room_ground(rng: np.random.Generator, shape: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return an empty room in perspective and its labels by ADE20K's classes: walls, floor, ceiling, things on the walls."""
    rows, columns = _grid(shape)
    ceiling, floor = rng.uniform(0.05, 0.22), rng.uniform(0.6, 0.78)
    tilt = rng.uniform(0.1, 0.35) * np.abs(columns - rng.uniform(0.3, 0.7))
    paint = ((205, 196, 180), (180, 190, 196), (196, 178, 150), (170, 150, 140))[int(rng.integers(4))]
    image = _cover(rng, shape, paint, "plain", 8, 6)
    labels = np.zeros(shape, np.uint8)
    for class_index, color, kind, top, right, period in (
        (8, (190, 210, 230), "plain", (0.1, 0.25), (0.15, 0.35), 6),
        (22, (130, 95, 80), "patches", (0.2, 0.35), (0.1, 0.2), 3),
        (14, (140, 100, 66), "stripes", (0.25, 0.3), (0.12, 0.18), 8),
        (10, (150, 116, 82), "stripes", (0.35, 0.5), (0.2, 0.4), 6),
    ):
        if rng.random() < 0.6:
            x, y, width = rng.uniform(0, 0.8), rng.uniform(*top), rng.uniform(*right)
            bottom = floor + 0.02 if class_index in (14, 10) else y + rng.uniform(0.15, 0.3)
            panel = (columns > x) & (columns < x + width) & (rows > y) & (rows < bottom)
            image[panel] = _cover(rng, shape, color, kind, period, 14)[panel]
            labels[panel] = class_index
    above, below = rows < ceiling - tilt * 0.5, rows > floor + tilt
    image[above] = _cover(rng, shape, (222, 218, 210), "plain", 8, 4)[above]
    labels[above] = 5
    image[below] = _cover(rng, shape, ((150, 112, 78), (126, 120, 116), (160, 140, 120))[int(rng.integers(3))], "stripes", 5, 12)[
        below
    ]
    labels[below] = 3
    return image, labels


STREET = Place(
    _street_ground,
    (
        Thing(5, Style("pole", (88, 88, 92), (70, 70, 74), "plain", 6), (0.006, 0.015), (0.05, 0.95), (0.3, 0.5), 3),
        Thing(7, Style("ellipse", (200, 170, 40), (190, 60, 50), "plain", 4), (0.002, 0.008), (0.05, 0.95), (0.2, 0.4), 2),
        Thing(15, Style("box", (196, 62, 48), (226, 200, 96), "checker", 9), (0.03, 0.1), (0.2, 0.8), (0.45, 0.6), 1),
        Thing(11, Style("person", (64, 78, 128), (206, 158, 128), "patches", 5), (0.006, 0.03), (0.05, 0.95), (0.5, 0.7), 3),
        Thing(18, Style("cycle", (60, 52, 60), (170, 60, 50), "stripes", 4), (0.006, 0.02), (0.05, 0.95), (0.6, 0.8), 1),
        Thing(13, Style("car", (96, 104, 150), (170, 60, 60), "plain", 9), (0.01, 0.1), (0.1, 0.9), (0.5, 0.78), 3),
    ),
    "{split}stadt_{number:06d}_000019",
    one_size=True,
)
ROOM = Place(
    _room_ground,
    (
        Thing(7, Style("box", (180, 170, 190), (120, 90, 110), "patches", 8), (0.08, 0.2), (0.2, 0.8), (0.65, 0.8), 1),
        Thing(23, Style("sofa", (132, 62, 54), (160, 96, 76), "plain", 8), (0.05, 0.16), (0.2, 0.8), (0.6, 0.75), 1),
        Thing(15, Style("table", (158, 112, 70), (110, 72, 42), "stripes", 6), (0.03, 0.12), (0.2, 0.8), (0.65, 0.85), 1),
        Thing(19, Style("chair", (128, 84, 50), (94, 62, 40), "plain", 6), (0.02, 0.08), (0.1, 0.9), (0.6, 0.85), 3),
        Thing(17, Style("plant", (70, 126, 58), (122, 168, 74), "curls", 3), (0.01, 0.05), (0.1, 0.9), (0.45, 0.7), 1),
        Thing(36, Style("bottle", (230, 214, 150), (190, 160, 90), "plain", 6), (0.006, 0.02), (0.1, 0.9), (0.35, 0.6), 2),
    ),
    "ADE_{split}_{number:08d}",
    one_size=False,
)


make_natural_scenes = SceneMaker(range(len(NATURAL)), _natural)
"""Pictures of buildings, forest, glacier, mountain, sea and street in turn; all have the nominal size.

Scenes share colours and parts: skies, walls with windows, snow, haze, green slopes. Masks are void everywhere.
"""
make_street_scenes = SceneMaker(range(19), partial(_place, place=STREET))
"""Streets with classes of Cityscapes: sky, buildings, trees, pavement, road, and what moves on it."""
make_room_scenes = SceneMaker(range(150), partial(_place, place=ROOM))
"""Rooms with classes of ADE20K: walls, floor, ceiling, windows and furniture."""
