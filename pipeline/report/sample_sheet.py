"""A sheet of samples of one prepared split, to see at a glance what is trained on.

Image, mask, scribbles and class sizes of a segmentation set; pictures with their class of a classification set.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive
from pipeline.report.overlay import blend

PANEL_WIDTH_IN = 2.2
WHITE = (255, 255, 255)
COLUMNS = 6
"""Pictures per row of a classification sheet."""


def sample_ids(archive: PreparedArchive, count: int) -> list[str]:
    """Return up to `count` image ids spread evenly over the split; of a segmentation set, of its images that hold an object."""
    ids = archive.ids
    if archive.task == "segmentation" and archive.has_background:
        ids = [image_id for image_id in ids if any(archive.classes_in(image_id))] or ids
    positions = np.unique(np.linspace(0, len(ids) - 1, count).round().astype(int))
    return [ids[position] for position in positions]


def draw_samples(
    archive: PreparedArchive,
    scribbles: Mapping[str, Sequence[Scribble]] | None,
    sizes: Mapping[str, np.ndarray] | None,
    count: int,
) -> Figure:
    """Return a figure with one row per sample: image, mask, scribbles (white: background), class sizes.

    Args:
        archive: prepared split.
        scribbles: strokes per image, or None to leave the column out.
        sizes: size targets (C,) per image, shown beside the exact sizes where they differ, or None.
        count: number of samples, at least 1, spread evenly over the split; fewer if the split is smaller.
    """
    ids = sample_ids(archive, count)
    titles = ["image", "mask", *(["scribbles"] if scribbles is not None else []), "class sizes"]
    ratios = [height / width for width, height in map(archive.size, ids)]
    size = (PANEL_WIDTH_IN * len(titles), PANEL_WIDTH_IN * sum(ratios) + 0.25 * len(ids) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(ids), len(titles), squeeze=False, gridspec_kw={"height_ratios": ratios})
    for image_id, row in zip(ids, axes):
        image, labels = archive.image(image_id), archive.labels(image_id)
        for panel, axis in zip((image, blend(image, labels, archive.palette), (0.6 * image + 40).astype(np.uint8)), row[:-1]):
            axis.imshow(panel, interpolation="nearest" if max(panel.shape[:2]) < 200 else "antialiased")
            axis.set_axis_off()
        if scribbles is not None:
            raster = archive.scribble_raster(image_id)
            if raster is not None and not scribbles.get(image_id):
                row[2].imshow(blend((0.6 * image + 40).astype(np.uint8), raster, _stroke_colors(archive), alpha=0.9))
            _draw_strokes(row[2], scribbles.get(image_id, ()), _stroke_colors(archive))
        counts = np.bincount(labels[labels != VOID], minlength=archive.num_classes)
        bars = [("exact", counts / max(1, counts.sum()))]
        if sizes is not None and image_id in sizes and not np.allclose(sizes[image_id], bars[0][1]):
            bars.append(("target", sizes[image_id]))
        _size_bars(row[-1], bars, archive)
        row[-1].set_title(image_id, fontsize=7, loc="right", pad=3)
    for title, axis in zip(titles, axes[0]):
        axis.set_title(title, fontsize=9, loc="left", pad=3)
    return figure


def draw_classified(archive: PreparedArchive, count: int) -> Figure:
    """Return a figure with `count` pictures of a classification set, or as many as there are, the class above each.

    Raises:
        DatasetError: a segmentation set.
    """
    ids = sample_ids(archive, count)
    rows = -(-len(ids) // COLUMNS)
    figure = Figure(figsize=(0.6 * PANEL_WIDTH_IN * COLUMNS, 0.75 * PANEL_WIDTH_IN * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image_id in zip(axes, ids):
        axis.imshow(archive.image(image_id), interpolation="nearest")
        axis.set_title(archive.class_names[archive.image_class(image_id)], fontsize=8, pad=2)
    return figure


def _stroke_colors(archive: PreparedArchive) -> list[tuple[int, int, int]]:
    """Return the palette with a white background: black strokes would be lost on dark photos."""
    return [WHITE, *archive.palette[1:]] if archive.has_background else list(archive.palette)


def _draw_strokes(axis: Axes, scribbles: Sequence[Scribble], palette: Sequence[tuple[int, int, int]]) -> None:
    """Draw strokes as lines and clicks as dots."""
    for stroke in scribbles:
        color = np.array(palette[stroke.class_index]) / 255
        x, y = np.array(stroke.points).T - 0.5  # imshow puts the centre of the first pixel at 0
        marker = "o" if len(x) == 1 else None
        axis.plot(x, y, color=color, linewidth=1.8, marker=marker, markersize=4, scalex=False, scaley=False)


def _size_bars(axis: Axes, bars: Sequence[tuple[str, np.ndarray]], archive: PreparedArchive) -> None:
    """Draw one stacked bar per (name, sizes), per cent on classes of 6 % and more; the first bar's classes are named below."""
    for position, (_, sizes) in enumerate(bars):
        left = 0.0
        for index in np.flatnonzero(np.asarray(sizes) > 0):
            share, color = float(sizes[index]), archive.palette[index]
            axis.barh(position, share, left=left, height=0.8, color=np.array(color) / 255, edgecolor="white", linewidth=0.6)
            if share >= 0.06:
                ink = "white" if np.dot(color, (0.299, 0.587, 0.114)) < 140 else "black"
                axis.text(left + share / 2, position, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
            left += share
    exact = bars[0][1]
    named = [f"{archive.class_names[index]} {100 * exact[index]:.1f}\N{NO-BREAK SPACE}%" for index in np.flatnonzero(exact > 0)]
    axis.set_xlabel(textwrap.fill(", ".join(named), 42), fontsize=6, labelpad=1)
    axis.set_xlim(0, 1)
    axis.set_ylim(len(bars) - 0.4, -0.6)
    axis.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=7)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.set_frame_on(False)
