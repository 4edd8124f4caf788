"""Smooth noise and the textures of procedural pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

Grid = np.ndarray


def noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> np.ndarray:
    """Return smooth noise of zero mean and unit variance: (H, W)."""
    step = max(1, int(sigma_px / 1.5))  # smooth noise is drawn coarsely and enlarged: a wide filter would dominate the time
    coarse = rng.standard_normal((shape[0] // step + 2, shape[1] // step + 2), dtype=np.float32)
    field = ndimage.gaussian_filter(coarse, sigma_px / step, mode="nearest", truncate=2.5)
    if step > 1:
        field = np.asarray(Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    field = field[: shape[0], : shape[1]].astype(np.float64)
    return (field - field.mean()) / (field.std() + 1e-9)


def _plain(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    return np.clip(0.35 * noise(rng, u.shape, period), -1, 1)


def _stripes(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    bend = 0.8 * noise(rng, u.shape, 1.5 * period)
    return np.tanh(2 * np.sin(2 * np.pi * (u + 0.25 * v) / period + bend))


def _checker(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    return np.tanh(4 * np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period))


def _speckle(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    return np.tanh(noise(rng, u.shape, 0.4 * period))


def _patches(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    return np.tanh(5 * noise(rng, u.shape, period))


def _curls(rng: np.random.Generator, u: Grid, v: Grid, period: float) -> np.ndarray:
    return 1 - 2 * np.clip(np.abs(noise(rng, u.shape, 0.6 * period)), 0, 1)


TEXTURES: dict[str, Callable[[np.random.Generator, Grid, Grid, float], np.ndarray]] = {
    "plain": _plain,
    "stripes": _stripes,
    "checker": _checker,
    "speckle": _speckle,
    "patches": _patches,
    "curls": _curls,
}
"""(rng, u, v in pixels, period in pixels) -> (H, W) in [-1, 1]."""
