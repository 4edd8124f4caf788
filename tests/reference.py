"""Naive, obviously right loops: what the tests compare the fast code with. Nothing outside the tests imports this."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

# --- losses, CRF and solvers: one pixel, one pair, one class at a time ---


def potts_relaxation(name: str, p: Sequence[float], q: Sequence[float]) -> float:
    """[SSL] Tables 1 and 2, each in the left-hand form printed there; p and q strictly inside the simplex."""
    product = sum(a * b for a, b in zip(p, q, strict=True))
    norms = math.sqrt(sum(a * a for a in p)) * math.sqrt(sum(b * b for b in q))
    half_square = 0.5 * sum((a - b) ** 2 for a, b in zip(p, q, strict=True))
    return {
        "bl": 1 - product,
        "nq": 1 - product / norms,
        "q": half_square,
        "cce": -math.log(product),
        "cd": -math.log(product / norms),
        "lq": -math.log(1 - half_square),
    }[name]


def soft_cross_entropy(name: str, prediction: Sequence[float], label: Sequence[float]) -> float:
    """[SSL] Eq. 7-9 and 1/2 |sigma - y|^2 for one pixel; both strictly inside the simplex."""
    pairs = list(zip(prediction, label, strict=True))
    return {
        "ce": -sum(y * math.log(s) for s, y in pairs),
        "rce": -sum(s * math.log(y) for s, y in pairs),
        "cce": -math.log(sum(s * y for s, y in pairs)),
        "quadratic": 0.5 * sum((s - y) ** 2 for s, y in pairs),
    }[name]


def grid_edges(valid: np.ndarray, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """All (kind, first pixel, second pixel) whose ends are both inside and valid."""
    height, width = valid.shape
    edges = []
    for kind, (dy, dx) in enumerate(offsets):
        for y in range(height):
            for x in range(width):
                inside = 0 <= y + dy < height and 0 <= x + dx < width
                if inside and valid[y, x] and valid[y + dy, x + dx]:
                    edges.append((kind, (y, x), (y + dy, x + dx)))
    return edges


def contrast_weight(image: np.ndarray, first: tuple[int, int], second: tuple[int, int], sigma_rgb: float) -> float:
    """exp(-|dI|^2 / (2 sigma^2)) for one edge of an image (3, H, W) in [0, 1], over the distance of adjacent pixels."""
    square = sum((255 * (image[c][first] - image[c][second])) ** 2 for c in range(3))
    adjacent = math.dist(first, second) < 1.5
    return math.exp(-square / (2 * sigma_rgb**2)) / (math.dist(first, second) if adjacent else 1)


def self_labeling_energy(
    labels: np.ndarray,
    probs: np.ndarray,
    seeds: np.ndarray,
    valid: np.ndarray,
    image: np.ndarray,
    offsets: Sequence[tuple[int, int]],
    sigma_rgb: float,
    names: tuple[str, str],
    weights: tuple[float, float],
) -> float:
    """[SSL] Eq. 6 as a function of y for one image (C, H, W), without seed terms and edges between two seeds."""
    height, width = seeds.shape
    energy = 0.0
    for y in range(height):
        for x in range(width):
            if seeds[y, x] == 255 and valid[y, x]:
                energy += weights[0] * soft_cross_entropy(names[0], probs[:, y, x], labels[:, y, x])
    for _, first, second in grid_edges(valid, offsets):
        if seeds[first] == 255 or seeds[second] == 255:
            relaxed = potts_relaxation(names[1], labels[(slice(None), *first)], labels[(slice(None), *second)])
            energy += weights[1] * contrast_weight(image, first, second, sigma_rgb) * relaxed
    return energy


def dense_potts(probs: np.ndarray, image: np.ndarray, valid: np.ndarray, sigma_rgb: float, sigma_xy_px: float) -> float:
    """[SIZE] Eq. 3, sum_k (1 - S_k)^T A S_k over all ordered pairs of valid pixels of one image, at full resolution."""
    pixels = [(y, x) for y in range(valid.shape[0]) for x in range(valid.shape[1]) if valid[y, x]]
    energy = 0.0
    for a in pixels:
        for b in pixels:
            colors = sum((255 * (image[c][a] - image[c][b])) ** 2 for c in range(3)) / sigma_rgb**2
            places = ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / sigma_xy_px**2
            energy += math.exp(-0.5 * (colors + places)) * sum((1 - probs[k][a]) * probs[k][b] for k in range(len(probs)))
    return energy


def minimum_cut(
    log_probs: np.ndarray,
    seeds: np.ndarray,
    affinity: np.ndarray,
    valid: np.ndarray,
    offsets: Sequence[tuple[int, int]],
    unary_weight: float,
    pairwise_weight: float,
) -> float:
    """Least energy eta sum -ln sigma + lambda sum w [f_p != f_q] of two classes on one image, by scipy's maximum flow."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    scale, never = 2**22, 2**30
    height, width = seeds.shape
    source, sink = height * width, height * width + 1
    capacity: dict[tuple[int, int], int] = {}
    for y in range(height):
        for x in range(width):
            pixel = y * width + x
            if seeds[y, x] != 255:  # class 0 stays with the source
                capacity[(source, pixel) if seeds[y, x] == 0 else (pixel, sink)] = never
            elif valid[y, x]:
                capacity[source, pixel] = round(-unary_weight * scale * log_probs[1, y, x])
                capacity[pixel, sink] = round(-unary_weight * scale * log_probs[0, y, x])
    for kind, (y, x), (ny, nx) in grid_edges(np.ones_like(valid), offsets):
        if seeds[y, x] == 255 or seeds[ny, nx] == 255:
            weight = round(pairwise_weight * scale * affinity[kind, y, x])
            first, second = y * width + x, ny * width + nx
            capacity[first, second] = capacity[second, first] = weight
    heads, tails = zip(*capacity, strict=True)
    shape = (height * width + 2, height * width + 2)
    graph = coo_array((np.array(list(capacity.values()), np.int32), (heads, tails)), shape=shape).tocsr()
    flow = maximum_flow(graph, source, sink).flow
    # The cut's own energy, not the rounded flow: pixels that the source still reaches have class 0.
    residual = (graph - flow).tolil()
    reached, waiting = {source}, [source]
    while waiting:
        node = waiting.pop()
        for other, left in zip(residual.rows[node], residual.data[node], strict=True):
            if left > 0 and other not in reached:
                reached.add(other)
                waiting.append(other)
    label = {(y, x): int(y * width + x not in reached) for y in range(height) for x in range(width)}
    energy = 0.0
    for y in range(height):
        for x in range(width):
            if seeds[y, x] == 255 and valid[y, x]:
                energy -= unary_weight * log_probs[label[y, x], y, x]
    for kind, first, second in grid_edges(np.ones_like(valid), offsets):
        if (seeds[first] == 255 or seeds[second] == 255) and label[first] != label[second]:
            energy += pairwise_weight * affinity[(kind, *first)]
    return float(energy)


def permutohedral_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Splat, blur and slice of the points (N, 5) with values (N, C), one point, vertex and axis at a time.

    A point's simplex is found by rounding, its weights by solving for the point, which also proves that the simplex is right.
    """
    dimensions = features.shape[1]
    corners = dimensions + 1
    plane = np.zeros((corners, dimensions))
    for j in range(dimensions):
        plane[: j + 1, j] = 1
        plane[j + 1, j] = -(j + 1)
        plane[:, j] /= math.sqrt((j + 1) * (j + 2))
    plane *= math.sqrt(2 / 3) * corners
    steps = np.ones((corners, corners), int) - corners * np.eye(corners, dtype=int)
    grid: dict[tuple[int, ...], np.ndarray] = {}
    places = []
    for point, value in zip(features @ plane.T, values, strict=True):
        low = np.floor(point / corners).astype(int) * corners
        excess = -int(low.sum()) // corners  # so many coordinates are rounded up: those that lie furthest above
        start = low.copy()
        start[np.argsort(-(point - low))[:excess]] += corners
        order = np.argsort(point - start)
        vertices = [start]
        for axis in order[:-1]:
            vertices.append(vertices[-1] + steps[axis])
        system = np.vstack([np.array(vertices).T, np.ones(corners)])
        weights = np.linalg.lstsq(system, np.append(point, 1), rcond=None)[0]
        if weights.min() < -1e-9 or not np.allclose(system @ weights, np.append(point, 1)):
            raise ArithmeticError(f"{point} is not in the simplex of {vertices}")
        places.append([(tuple(vertex), weight) for vertex, weight in zip(vertices, weights, strict=True)])
        for key, weight in places[-1]:
            grid[key] = grid.get(key, 0) + weight * value
    for step in steps:
        zero = np.zeros(values.shape[1])
        grid = {
            key: grid[key] + 0.5 * (grid.get(tuple(key + step), zero) + grid.get(tuple(key - step), zero)) for key in list(grid)
        }
    return np.array([sum(weight * grid[key] for key, weight in place) for place in places]) / (1 + 2.0**-dimensions)


# --- targets and metrics: one pixel, one image, one class at a time ---


def perturb_loop(sizes: np.ndarray, sigma: float, normal: np.ndarray) -> tuple[list[list[float]], int]:
    """[SIZE] Eq. 15 with the factor held at 0.01 or more; how many present classes were held."""
    rows, held = [], 0
    for row, errors in zip(sizes.tolist(), normal.tolist(), strict=True):
        scaled = []
        for size, error in zip(row, errors, strict=True):
            factor = 1 + sigma * error
            if factor < 0.01:
                factor = 0.01
                held += size > 0
            scaled.append(factor * size)
        rows.append([value / sum(scaled) for value in scaled])
    return rows, held


def confusion_loop(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> list[list[int]]:
    """Counts by true (row) and predicted (column) class without the pixels labelled 255."""
    counts = [[0] * num_classes for _ in range(num_classes)]
    for truth, prediction in zip(labels.ravel().tolist(), predictions.ravel().tolist(), strict=True):
        if truth != 255:
            counts[truth][prediction] += 1
    return counts


def rasterize_loop(scribbles, original_size, target_size, width_px, click_width_px) -> np.ndarray:
    """Pixel by pixel: its value is the class of the last stroke that has a segment near its centre or a vertex in it."""
    (width, height), seeds = target_size, np.full(target_size[::-1], 255, np.uint8)
    for row in range(height):
        for column in range(width):
            for scribble in scribbles:
                points = [(x * width / original_size[0], y * height / original_size[1]) for x, y in scribble.points]
                covered = any(math.floor(x) == column and math.floor(y) == row for x, y in points)
                if len(points) == 1:
                    (x, y), radius = points[0], click_width_px / 2
                    covered |= math.hypot(math.floor(x) - column, math.floor(y) - row) <= radius
                for (x0, y0), (x1, y1) in itertools.pairwise(points):
                    px, py, dx, dy = column + 0.5 - x0, row + 0.5 - y0, x1 - x0, y1 - y0
                    share = min(1.0, max(0.0, (px * dx + py * dy) / (dx * dx + dy * dy)))
                    covered |= math.hypot(px - share * dx, py - share * dy) <= width_px / 2
                if covered:
                    seeds[row, column] = scribble.class_index
    return seeds


def erode_loop(labels: np.ndarray, class_index: int, max_iterations: int) -> np.ndarray:
    """Erode one class with a 3x3 square, one time less until something survives; 255 where nothing is left."""
    for iterations in range(max_iterations, -1, -1):
        core = {tuple(pixel) for pixel in np.argwhere(labels == class_index).tolist()}
        for _ in range(iterations):
            core = {(y, x) for y, x in core if all((y + dy, x + dx) in core for dy in (-1, 0, 1) for dx in (-1, 0, 1))}
        if core:
            break
    seeds = np.full(labels.shape, 255, np.uint8)
    for pixel in core:
        seeds[pixel] = class_index
    return seeds


def erosion_depth_loop(region: np.ndarray) -> np.ndarray:
    """How many times a region (bool) must be eroded with a 3x3 square until each of its pixels is gone; 0 outside."""
    depth = np.zeros(region.shape, int)
    left = {tuple(pixel) for pixel in np.argwhere(region).tolist()}
    while left:
        for pixel in left:
            depth[pixel] += 1
        left = {(y, x) for y, x in left if all((y + dy, x + dx) in left for dy in (-1, 0, 1) for dx in (-1, 0, 1))}
    return depth


def dice_loop(labels: np.ndarray, predictions: np.ndarray, class_index: int) -> float:
    """DSC of one class from the sets of its pixels, those labelled 255 left out; at least one set is not empty."""
    pixels = [pair for pair in zip(labels.ravel().tolist(), predictions.ravel().tolist(), strict=True) if pair[0] != 255]
    true_area = {number for number, (truth, _) in enumerate(pixels) if truth == class_index}
    predicted_area = {number for number, (_, prediction) in enumerate(pixels) if prediction == class_index}
    return 2 * len(true_area & predicted_area) / (len(true_area) + len(predicted_area))
