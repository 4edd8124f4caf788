"""Pictures of labels: class colours, overlays on photos, soft labels as mixed colours, grids of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.conventions import VOID

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Palette = Sequence[tuple[int, int, int]]

VOID_COLOR = (224, 224, 192)
"""Pale yellow, as in PASCAL VOC."""

OBJECT_COLORS = ((213, 94, 0), (86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (0, 114, 178), (230, 159, 0))
"""Okabe and Ito's."""


def label_colors(labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Return labels in the colours of their classes.

    Args:
        labels: (H, W) class index or `VOID`, which becomes pale yellow.
        palette: one RGB colour (0-255) per class.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: a class without a colour.
    """
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    colors[VOID] = VOID_COLOR
    highest = int(np.where(labels == VOID, 0, labels).max(initial=0))
    if highest >= len(palette):
        raise ValueError(f"labels: class {highest} has no colour in a palette of {len(palette)}")
    return colors[labels]


def blend(image: np.ndarray, labels: np.ndarray, palette: Palette, alpha: float = 0.55) -> np.ndarray:
    """Return a photo tinted with class colours; pixels labelled `VOID` keep the photo.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) class index or `VOID`: a mask, a prediction or drawn scribbles.
        palette: one RGB colour per class.
        alpha: share of the class colour, 0 to 1.

    Returns:
        (H, W, 3) uint8.
    """
    tinted = (1 - alpha) * image + alpha * label_colors(labels, palette)
    return np.where((labels == VOID)[..., None], image, np.round(tinted)).astype(np.uint8)


def tint_objects(image: np.ndarray, labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Return a photo tinted where there is an object; class 0, the background, keeps the photo. Else as `blend`."""
    return blend(image, np.where(labels == 0, VOID, labels).astype(np.uint8), palette)


def soft_colors(pseudo_labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Return soft labels as mixed colours: sum_k y_k palette_k ([SSL] Fig. 7).

    Args:
        pseudo_labels: (C, H, W) distributions over the classes.
        palette: C RGB colours.

    Returns:
        (H, W, 3) uint8.
    """
    mixed = np.einsum("khw,kc->hwc", pseudo_labels.astype(np.float64), np.asarray(palette, np.float64))
    return np.round(mixed).clip(0, 255).astype(np.uint8)


def legible(palette: np.ndarray) -> np.ndarray:
    """Return colours of few classes that can be told apart on black and on a photo, by every kind of colour vision.

    Published palettes begin with dark colours. Those of more than eight classes stay as they are.

    Args:
        palette: (C, 3) uint8, the background first, which keeps its colour.
    """
    return palette if len(palette) > 1 + len(OBJECT_COLORS) else np.array([palette[0], *OBJECT_COLORS][: len(palette)], np.uint8)


def interpolation(picture: np.ndarray) -> str:
    """Return how a picture is drawn: a small one pixel by pixel, as which an SVG holds it too, a large one smoothly reduced."""
    return "none" if max(picture.shape[:2]) < 200 else "antialiased"


def show(axes: Axes, picture: np.ndarray | None) -> None:
    """Draw a picture, (H, W, 3) uint8, without frame and ticks; None leaves the place empty."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if picture is not None:
        axes.imshow(picture, interpolation=interpolation(picture))


def panel_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    titles: Sequence[str],
    row_names: Sequence[str] | None = None,
    panel_width_in: float = 1.7,
) -> Figure:
    """Return a figure with one row of equally sized panels per picture.

    Args:
        rows: (H, W, 3) uint8 panels; None leaves a place empty.
        titles: one per column, above the first row.
        row_names: one per row, on the left; None for no names.
        panel_width_in: width of a panel in inches.
    """
    from matplotlib.figure import Figure

    # Every row is as high as its highest panel needs at the common width.
    ratios = [max((panel.shape[0] / panel.shape[1] for panel in row if panel is not None), default=0.75) for row in rows]
    size = (panel_width_in * len(titles), panel_width_in * sum(ratios) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(len(rows), len(titles), squeeze=False, gridspec_kw={"height_ratios": ratios})
    for row_index, (row, row_axes) in enumerate(zip(rows, axes)):
        for panel, axis in zip(row, row_axes, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if panel is not None:
                axis.imshow(panel, interpolation=interpolation(panel))
        if row_names is not None:
            row_axes[0].set_ylabel(row_names[row_index], fontsize=8)
    for title, axis in zip(titles, axes[0]):
        axis.set_title(title, fontsize=8, pad=3)
    return figure
