"""Procedural cardiac volumes: short-axis slices with the two ventricles and the heart muscle, as in ACDC."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.datasets.base import Scene
from pipeline.datasets.synthetic import SceneMaker
from pipeline.datasets.textures import noise

SLICES = 6
"""Slices of each volume."""
RIGHT_VENTRICLE, MYOCARDIUM, LEFT_VENTRICLE = 1, 2, 3


def _volume(rng: np.random.Generator, number: int, split: str, classes: tuple[int, ...], size_px: tuple[int, int]) -> list[Scene]:
    kept = np.zeros(4, np.uint8)
    kept[list(classes)] = classes
    width, height = (max(16, round(side * rng.uniform(0.8, 1.2))) for side in size_px)
    side = min(width, height)
    body = _body(rng, (height, width))
    cavity, wall = side * rng.uniform(0.1, 0.15), side * rng.uniform(0.035, 0.06)
    middle = np.array((width * rng.uniform(0.45, 0.6), height * rng.uniform(0.42, 0.58)))
    angle, squeeze = rng.uniform(-0.6, 0.6), rng.uniform(0.85, 1.1)
    first = -0.3 if number % 4 == 0 else 0.0  # positions below 0 are above the heart, above 1 below it
    positions = np.linspace(first, rng.uniform(0.9, 1.3), SLICES)
    tones = {"blood": rng.uniform(165, 215), "muscle": rng.uniform(75, 105)}
    drift = rng.normal(0, 0.02 * side, 2)
    group = f"{split}_volume{number:03d}"
    scenes = []
    for index, position in enumerate(positions):
        labels = np.zeros((height, width), np.uint8)
        image = body.copy()
        if 0 <= position < 1:
            shrink = np.sqrt(1 - 0.85 * position**2)
            center = middle + drift * position + rng.normal(0, 0.008 * side, 2)
            labels = _heart((height, width), center, angle, squeeze, cavity * shrink, wall * (0.8 + 0.4 * shrink), position)
            image = _paint_heart(image, labels, rng, tones)
        image = ndimage.gaussian_filter(image, 0.6) + rng.normal(0, rng.uniform(4, 9), image.shape)
        grey = np.clip(image, 0, 255).astype(np.uint8)
        scenes.append(Scene(f"{group}_{index}", np.repeat(grey[..., None], 3, axis=2), kept[labels], group=group))
    return scenes


make_cardiac_scenes = SceneMaker(range(1, 4), _volume, together=SLICES)
"""Slices of procedural volumes, `SLICES` after each other per volume; each volume depends on its number alone.

The heart gets smaller from the first slice, at its base, to the last, near its tip. One volume in four begins above the heart,
and most end below it, so some slices hold no heart. Structures have the colours of others nearby, and muscle strands in the left
ventricle are dark; structures that are not asked for are drawn but count as background. Sizes vary by a fifth from volume to
volume.
"""


def _heart(
    shape: tuple[int, int], center: np.ndarray, angle: float, squeeze: float, cavity: float, wall: float, position: float
) -> np.ndarray:
    """Return the structures of one slice: a round cavity in a ring of muscle, and a crescent beside it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    dx, dy = columns - center[0], rows - center[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    distance = np.hypot(u, v / squeeze)
    outer = cavity + wall
    labels = np.zeros(shape, np.uint8)
    reach = outer * (1.15 - 0.55 * position)
    crescent = np.hypot((u + 0.8 * outer) / reach, v / (1.25 * reach)) < 1
    labels[crescent] = RIGHT_VENTRICLE
    labels[distance < outer] = MYOCARDIUM
    labels[distance < cavity] = LEFT_VENTRICLE
    return labels


def _paint_heart(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, tones: dict[str, float]) -> np.ndarray:
    image = image.copy()
    flow = 10 * noise(rng, labels.shape, 4)
    for structure, tone in ((RIGHT_VENTRICLE, "blood"), (MYOCARDIUM, "muscle"), (LEFT_VENTRICLE, "blood")):
        inside = labels == structure
        image[inside] = (tones[tone] * rng.uniform(0.9, 1.1) + flow)[inside]
    cavity = np.argwhere(labels == LEFT_VENTRICLE)
    for _ in range(int(rng.integers(0, 3)) if len(cavity) > 30 else 0):  # strands of muscle that belong to the cavity
        y, x = cavity[int(rng.integers(len(cavity)))]
        rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
        strand = (np.hypot(rows - y, columns - x) < 1.5) & (labels == LEFT_VENTRICLE)
        image[strand] = tones["muscle"]
    return image


def _body(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return a chest without heart: lungs, bright wall, and organs in the colours of blood and muscle."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / np.array(shape).reshape(2, 1, 1) - 0.5
    image = 35 + 8 * noise(rng, shape, 5)
    chest = np.hypot(columns / 0.48, rows / 0.44)
    image[(chest > 0.88) & (chest < 1)] = rng.uniform(120, 190)
    image[chest >= 1] = 8
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.uniform(-0.4, 0.4, 2)
        a, b = rng.uniform(0.03, 0.14, 2)
        organ = (np.hypot((columns - x) / a, (rows - y) / b) < 1) & (chest < 0.9)
        image[organ] = rng.choice((90.0, 130.0, 190.0)) * rng.uniform(0.9, 1.1)
    return image + 6 * noise(rng, shape, 2)
