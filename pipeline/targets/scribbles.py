"""Scribbles: strokes made from masks, shortened as in the length study of [SSL], and drawn at the network's input size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble, scribbles_from_json, scribbles_to_json
from pipeline.files import write_atomically

VERTEX_DISTANCE_PX = 6.0
"""Distance between the vertices of a generated stroke, along the stroke."""
PIECE_PX = 8.0
"""Segments longer than this, or than the stroke is wide, are drawn in pieces."""
BOX_PIXELS = 2**20
"""So many pixels are tested at once at most: some 50 MB."""
SWING_PERIOD = 5
"""Vertices between two independent swings of a stroke to one side or the other."""


def generate_scribbles(
    labels: np.ndarray, *, min_area_px: float, generator: np.random.Generator, erosion_px: int = 2, waviness: float = 0.5
) -> list[Scribble]:
    """Draw one stroke into every connected region of every class, background included, as an annotator would.

    A stroke follows the longest path of the skeleton of the slightly eroded region, smoothed, and swings to both sides by
    random amounts, within the region. On PASCAL VOC photos of 500x375 pixels the strokes, 3 pixels wide, cover about 3 % of
    the image; on small pictures draw them thinner (`width_px` of `rasterize`).

    Args:
        labels: (H, W) uint8 class index or `VOID`.
        min_area_px: smaller regions get no stroke.
        generator: source of the swings.
        erosion_px: distance kept from the region's border, where the region is wide enough.
        waviness: largest swing as a share of the distance to the border, 0 to 1.

    Returns:
        Strokes ordered by class, background first; none if every region is smaller than `min_area_px`.
    """
    from scipy import ndimage

    scribbles = []
    for class_index in sorted(set(np.unique(labels).tolist()) - {VOID}):
        regions, count = ndimage.label(labels == class_index, structure=np.ones((3, 3), int))
        for number, window in enumerate(ndimage.find_objects(regions, count), start=1):
            region = regions[window] == number
            if region.sum() < max(min_area_px, 1):
                continue
            points = _stroke(region, generator, erosion_px, waviness)
            corner = np.array((window[1].start, window[0].start))
            scribbles.append(Scribble(class_index, tuple((float(x), float(y)) for x, y in np.round(points + corner, 2))))
    return scribbles


def shorten(scribble: Scribble, length_ratio: float) -> Scribble:
    """Return the central part of a stroke, measured along the stroke.

    Args:
        scribble: a stroke; a click is returned as it is.
        length_ratio: fraction kept, 0 to 1. 0 keeps the one vertex that is nearest to the middle, a click.

    Raises:
        ValueError: ratio out of range.

    >>> shorten(Scribble(1, ((0.0, 0.0), (8.0, 0.0))), 0.5).points
    ((2.0, 0.0), (6.0, 0.0))
    """
    if not 0 <= length_ratio <= 1:
        raise ValueError(f"length_ratio: expected 0..1, got {length_ratio}")
    if len(scribble.points) < 2 or length_ratio == 1:
        return scribble
    points = np.array(scribble.points)
    along = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    middle = along[-1] / 2
    if length_ratio == 0 or along[-1] == 0:
        return Scribble(scribble.class_index, (scribble.points[int(np.abs(along - middle).argmin())],))
    first, last = middle * (1 - length_ratio), middle * (1 + length_ratio)
    inner = along[(along > first) & (along < last)]
    kept = np.concatenate([[first], inner, [last]])
    x, y = (np.interp(kept, along, axis) for axis in points.T)
    return Scribble(scribble.class_index, tuple((float(a), float(b)) for a, b in zip(x, y)))


def rasterize(
    scribbles: Sequence[Scribble],
    original_size: tuple[int, int],
    target_size: tuple[int, int],
    width_px: float | Sequence[float] = 3,
    click_width_px: float | Sequence[float] = 3,
) -> np.ndarray:
    """Draw strokes at another size: poly-lines are scaled first and drawn then, so that thin lines survive.

    A stroke covers the pixels whose centres lie within half the width of its poly-line, and those its vertices lie in. A click
    covers a disc around the centre of its pixel. Later strokes overwrite earlier ones; what lies outside is cut off.

    Args:
        scribbles: strokes in pixels of the original image.
        original_size: (width, height) of the original image.
        target_size: (width, height) to draw at.
        width_px: width of strokes in target pixels, at least 1; or one for each of `scribbles`.
        click_width_px: diameter of clicks in target pixels, at least 1; or one for each of `scribbles`.

    Returns:
        (height, width) uint8, class index on strokes, `VOID` elsewhere.

    Raises:
        ValueError: a size or width below 1.
    """
    if min(*original_size, *target_size, *np.ravel(width_px), *np.ravel(click_width_px)) < 1:
        raise ValueError(
            f"sizes and widths: expected at least 1, got {original_size}, {target_size}, {width_px} and {click_width_px}"
        )
    width, height = target_size
    seeds = np.full((height, width), VOID, np.uint8)
    scale = np.array(target_size) / np.array(original_size)
    widths, click_widths = (np.broadcast_to(given, len(scribbles)) for given in (width_px, click_width_px))
    for scribble, stroke_width, click_width in zip(scribbles, widths, click_widths):
        points = np.array(scribble.points, np.float64).reshape(-1, 2) * scale
        is_click = len(points) == 1
        pixels = np.floor(points)
        columns, rows = pixels[((pixels >= 0) & (pixels < (width, height))).all(1)].astype(int).T
        seeds[rows, columns] = scribble.class_index
        starts, ends = (pixels + 0.5, pixels + 0.5) if is_click else (points[:-1], points[1:])
        radius = (click_width if is_click else stroke_width) / 2
        _draw_segments(seeds, starts, ends, radius, scribble.class_index)
    return seeds


def write_scribbles(path: Path, scribbles: Mapping[str, Sequence[Scribble]]) -> None:
    """Write the strokes of many images as JSON: image id -> [{"class": k, "points": [[x, y], ...]}, ...]."""
    write_atomically(path, scribbles_to_json(scribbles).encode())


def read_scribbles(path: Path) -> dict[str, list[Scribble]]:
    """Return what `write_scribbles` wrote.

    Raises:
        DatasetError: not of that form.
        FileNotFoundError: no such file.
    """
    return scribbles_from_json(path.read_bytes(), str(path))


def _draw_segments(seeds: np.ndarray, starts: np.ndarray, ends: np.ndarray, radius: float, value: int) -> None:
    """Set the pixels whose centres lie within `radius` of one of the segments, whose ends are (N, 2) each."""
    height, width = seeds.shape
    longest = max(PIECE_PX, 2 * radius)  # about as long as wide: fewest pixels are tested
    starts, ends = _pieces(starts, ends, longest)
    outside = (np.maximum(starts, ends) < -radius) | (np.minimum(starts, ends) > np.array([width, height]) + radius)
    starts, ends = starts[~outside.any(1)], ends[~outside.any(1)]
    side = int(np.ceil(longest + 2 * radius)) + 1  # of a box that holds any piece, wherever its corner falls
    wide, high = min(side, width), min(side, height)
    together, band = max(BOX_PIXELS // (wide * high), 1), max(BOX_PIXELS // wide, 1)
    for first, top in itertools.product(range(0, len(starts), together), range(0, high, band)):
        start, along = starts[first : first + together], (ends - starts)[first : first + together]
        corner = np.floor(np.minimum(start, start + along) - radius).clip(0)
        columns = corner[:, 0, None] + np.arange(wide)  # (pieces, wide)
        rows = corner[:, 1, None] + np.arange(top, min(top + band, high))
        if together == 1 and (seeds[int(rows[0, 0]) :, int(columns[0, 0]) :][: rows.size, :wide] == value).all():
            continue  # a wide brush soon covers everything
        x, y = (columns + 0.5 - start[:, :1])[:, None, :], (rows + 0.5 - start[:, 1:])[:, :, None]
        dx, dy = along[:, 0, None, None], along[:, 1, None, None]
        # The point of the piece nearest to a pixel's centre: start + t (end - start), t in [0, 1].
        nearest = ((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-12)).clip(0, 1)
        near = (x - nearest * dx) ** 2 + (y - nearest * dy) ** 2 <= radius**2 + 1e-9
        near &= (columns < width)[:, None, :] & (rows < height)[:, :, None]
        piece, row, column = np.nonzero(near)
        seeds[rows[piece, row].astype(int), columns[piece, column].astype(int)] = value


def _pieces(starts: np.ndarray, ends: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut segments into equal pieces of at most that length, whose boxes are of one size and can be tested together."""
    counts = np.ceil(np.abs(ends - starts).max(1) / longest).clip(1).astype(int)
    of = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = ((ends - starts) / counts[:, None])[of]
    return starts[of] + number[:, None] * step, starts[of] + (number[:, None] + 1) * step


def _stroke(region: np.ndarray, generator: np.random.Generator, erosion_px: int, waviness: float) -> np.ndarray:
    """Return the vertices (x, y) of a stroke inside `region`, in pixels to 1/100: a pixel's centre lies at its index + 0.5."""
    from scipy import ndimage
    from skimage.morphology import skeletonize

    # The frame of the image is a border too: without it strokes would run along the picture's edge.
    distance = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    core = distance > erosion_px
    if core.any():
        pieces, count = ndimage.label(core, structure=np.ones((3, 3), int))
        if count > 1:
            core = pieces == 1 + int(np.argmax(ndimage.sum_labels(core, pieces, range(1, count + 1))))
    else:
        core = region
    path = _longest_path(skeletonize(core))
    swing = waviness * np.maximum(distance - erosion_px, 0)
    return _humanize(path, region, swing, generator)


def _longest_path(skeleton: np.ndarray) -> np.ndarray:
    """Return the longest of the shortest paths in a connected skeleton, (N, 2) pixel indices (x, y), by two sweeps."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    rows, columns = np.nonzero(skeleton)
    count = len(rows)
    index = np.full((skeleton.shape[0] + 2, skeleton.shape[1] + 2), -1)
    index[rows + 1, columns + 1] = np.arange(count)
    sources, targets, lengths = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = index[rows + 1 + dy, columns + 1 + dx]
        linked = np.flatnonzero(neighbour >= 0)
        sources.append(linked)
        targets.append(neighbour[linked])
        lengths.append(np.full(len(linked), float(np.hypot(dy, dx))))
    edges = (np.concatenate(lengths), (np.concatenate(sources), np.concatenate(targets)))
    graph = coo_matrix(edges, shape=(count, count)).tocsr()
    reach = dijkstra(graph, directed=False, indices=0)
    start = int(np.where(np.isfinite(reach), reach, -1).argmax())
    reach, previous = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    node = int(np.where(np.isfinite(reach), reach, -1).argmax())
    path = [node]
    while node != start:
        node = int(previous[node])
        path.append(node)
    return np.stack([columns[path], rows[path]], axis=1).astype(np.float64)


def _humanize(path: np.ndarray, region: np.ndarray, swing: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return vertices along `path`, smoothed and swinging sideways by at most `swing` pixels, that all lie in `region`.

    Args:
        path: (N, 2) pixel indices (x, y).
        region: (H, W) bool.
        swing: (H, W).
        generator: source of the swings.

    Returns:
        (M, 2) in pixels, rounded before they are tested: rounding afterwards may lead into the next pixel.
    """
    from scipy import ndimage

    if len(path) < 3:
        return path + 0.5
    smooth = ndimage.gaussian_filter1d(path, min(4.0, len(path) / 8), axis=0, mode="nearest")
    along = np.concatenate([[0.0], np.hypot(*np.diff(smooth, axis=0).T).cumsum()])
    count = max(2, round(along[-1] / VERTEX_DISTANCE_PX) + 1)
    places = np.linspace(0, along[-1], count)
    points = np.stack([np.interp(places, along, axis) for axis in smooth.T], axis=1)
    raw = np.stack([np.interp(places, along, axis) for axis in path.T], axis=1)
    tangent = np.gradient(points, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    knots = generator.uniform(-1, 1, count // SWING_PERIOD + 2)
    sides = ndimage.gaussian_filter1d(np.interp(np.arange(count) / SWING_PERIOD, np.arange(len(knots)), knots), 1.0)
    room = swing[tuple(np.round(raw.T[::-1]).astype(int))]
    wavy = points + normal * (sides * room)[:, None]
    wavy, points, raw, first = (np.round(one + 0.5, 2) for one in (wavy, points, raw, path[0]))
    return np.array([next(p for p in (*tries, first) if _inside(p, region)) for tries in zip(wavy, points, raw)])


def _inside(point: np.ndarray, region: np.ndarray) -> bool:
    x, y = np.floor(point).astype(int)
    return bool(0 <= x < region.shape[1] and 0 <= y < region.shape[0] and region[y, x])
