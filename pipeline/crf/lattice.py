"""The bilateral filter on a permutohedral lattice: the numbers behind the published weights of [SIZE] Eq. 3.

Every pixel is a point in five dimensions. The lattice divides that space into simplices of 6 vertices; values are spread to
the vertices of each pixel's simplex ("splat"), blurred along the 6 axes of the lattice, and read back ("slice"). The constants
are those of the implementation which both papers cite, so the result is its result: about 0.6 of the exact sum, 5-9 % from it
after the best scaling, and not quite symmetric.

All classes and all images of a batch go through one lattice, by sums over bags of rows. It is built by compiled code on a CPU,
elsewhere by sorting in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from pipeline.conventions import check_numbers

DIMENSIONS = 5
VERTICES = DIMENSIONS + 1
SLICE_SCALE = 1 / (1 + 2.0**-DIMENSIONS)
"""Factor of the sliced values, as published."""
LARGEST_FEATURE = 1e5
"""In bandwidths. Beyond, float32 loses a point's place in its simplex, and compiled code would write next to its arrays."""
FINGERPRINTS = (
    -7046029254386353131,
    4354685564936845319,
    -2960836687040624693,
    8117488242155846953,
    -5389540963185046289,
    6364136223846793005,
    1442695040888963407,
)
"""Odd constants; the sum of coordinates times constants, modulo 2^64, names a lattice point (the last is for the image)."""


class Lattice(NamedTuple):
    """Vertices near the pixels of a batch; P pixels, M vertices, and row M which is always zero."""

    splat_rows: Tensor
    """(6 P,) pixels in the order of their vertices."""
    splat_weights: Tensor
    """(6 P,) >= 0; 0 for invalid pixels."""
    splat_starts: Tensor
    """(M + 1,) where the pixels of each vertex begin; row M has none."""
    neighbors: Tensor
    """(6, M + 1, 3) vertex before, the vertex itself, vertex after, along each axis; M where there is none."""
    blur_weights: Tensor
    """(M + 1, 3)."""
    slice_rows: Tensor
    """(P, 6) vertices of each pixel."""
    slice_weights: Tensor
    """(P, 6) >= 0; 0 for invalid pixels."""


def lattice_filter(features: Tensor, valid: Tensor, landmarks: int = 0) -> Callable[[Tensor], Tensor]:
    """Return the multiplication by slice * blur * splat; time and memory O(N).

    Invalid pixels are left out of the lattice. The product of the three is not symmetric, because the axes are blurred one after
    the other and vertices without pixels are missing: 2 A S is 1-2 % from the derivative of S^T A S, as in the published
    implementation.

    Args:
        features: (B, N, 5) float32 or float64.
        valid: (B, N) bool.
        landmarks: not used; all filters are built by the same call.

    Returns:
        S (B, C, N) -> (B, C, N) in the precision of `features`.

    Raises:
        ValueError: features are empty, not finite, or beyond `LARGEST_FEATURE`.
    """
    check_numbers("features", features, least=-LARGEST_FEATURE, most=LARGEST_FEATURE)
    batch, count, _ = features.shape
    # Invalid pixels stand where a valid one is and weigh nothing: so they make no vertices.
    stand_in = features.gather(1, valid.to(torch.uint8).argmax(1).view(-1, 1, 1).expand(-1, 1, DIMENSIONS))
    points = torch.where(valid.unsqueeze(2), features, stand_in).flatten(0, 1).t().contiguous()
    lattice = (torch_lattice if points.is_cuda else compiled_lattice)(points, valid.flatten(), count)

    def apply(signal: Tensor) -> Tensor:
        classes = signal.shape[1]
        # One row per pixel with all classes side by side, so that each sum of rows serves all classes.
        values = signal.transpose(1, 2).contiguous().view(batch * count, classes)
        # Splat: a vertex sums the pixels in whose simplex it is; the last bag is empty, which makes row M zero.
        values = embedding_bag(
            lattice.splat_rows, values, lattice.splat_starts, mode="sum", per_sample_weights=lattice.splat_weights
        )
        # Blur: 1/2, 1, 1/2 along each of the six axes, one after the other.
        # A vertex without a neighbour reads row M, whose own bag holds M three times: it stays zero.
        for rows in lattice.neighbors:
            values = embedding_bag(rows, values, mode="sum", per_sample_weights=lattice.blur_weights)
        # Slice: each pixel reads the six vertices of its simplex.
        values = embedding_bag(lattice.slice_rows, values, mode="sum", per_sample_weights=lattice.slice_weights)
        filtered = torch.empty_like(signal)
        for image, rows in zip(filtered, values.view(batch, count, classes), strict=True):
            image.copy_(rows.t())  # for a single matrix this is much faster than for a batch of them
        return filtered

    return apply


def compiled_lattice(points: Tensor, valid: Tensor, count: int) -> Lattice:
    """Return `torch_lattice` but for the order of vertices, on the CPU, built by compiled code."""
    from pipeline.crf.lattice_compiled import by_vertex, find_vertices  # loads a compiler

    constants = torch.tensor(FINGERPRINTS)
    steps = _steps(constants)
    constants[DIMENSIONS] = 0
    names, vertices, weights, neighbors = find_vertices(points.numpy(), valid.numpy(), count, constants.numpy(), steps.numpy())
    rows, values, starts = map(torch.from_numpy, by_vertex(vertices, weights, len(names)))
    return Lattice(
        rows,
        # The factor of slicing stands in the splat: all three operators are linear.
        values.mul_(SLICE_SCALE),
        starts,
        torch.from_numpy(neighbors),
        values.new_tensor([0.5, 1.0, 0.5]).expand(len(names) + 1, -1).contiguous(),
        torch.from_numpy(vertices),
        torch.from_numpy(weights),
    )


def _steps(constants: Tensor) -> Tensor:
    """Return what a step along each axis adds to the fingerprint of a vertex, (6,).

    Coordinates sum to 0, so that five of them name a vertex.
    """
    free = constants[:VERTICES].clone()
    free[-1] = 0
    # A step along axis j adds 1 to all coordinates and takes 6 from j: sum_i c_i - 6 c_j.
    return free.sum() - VERTICES * free


def torch_lattice(points: Tensor, valid: Tensor, count: int) -> Lattice:
    """Return the lattice of `points` (5, P), the pixels of images of `count` pixels each, with `valid` (P,) bool."""
    corner, rank, weights = _enclosing_simplex(_elevate(points))
    # In place before both uses: an invalid pixel neither splats nor slices.
    weights *= valid
    constants = torch.tensor(FINGERPRINTS, device=valid.device)
    # Every image has names of its own, so that no vertex belongs to two of them.
    image = torch.arange(len(valid), device=valid.device) // count * constants[-1]
    # A rank is less than 6: this sum of integers names corner and ranks.
    both = (VERTICES * corner + rank).long()
    # int64 wraps around: the modulo 2^64 of a fingerprint. Stable: pixels of a simplex stay in raster order.
    simplex, by_simplex = (both * constants[:VERTICES, None]).sum(0).add_(image).sort(stable=True)
    # Mostly far fewer simplices than pixels: vertices are looked for once in each.
    _, group, sizes = simplex.unique_consecutive(return_inverse=True, return_counts=True)
    starts = sizes.cumsum(0) - sizes

    free = constants[:VERTICES].clone()
    free[-1] = 0
    steps = _steps(constants)
    # Pixels of one simplex share corner and ranks, so the first of them stands for all.
    first = by_simplex.index_select(0, starts)
    origin = (corner.index_select(1, first).long() * (VERTICES * free[:, None])).sum(0) + image.index_select(0, first)
    # path[r] = step along the axis of rank r
    path = origin.new_empty(VERTICES, len(first))
    path.scatter_(0, rank.index_select(1, first).long(), steps[:, None].expand(-1, len(first)))
    # The vertices of a simplex are met by steps along the axes from the highest rank to the lowest; the sixth step leads back.
    names = torch.cat([origin[None], origin + path.flip(0)[:-1].cumsum(0)]).flatten()  # (6 simplices,)
    # Equal fingerprints are one vertex.
    names, by_name = names.sort(stable=True)
    names, vertex, entries = names.unique_consecutive(return_inverse=True, return_counts=True)
    # Back from the order of names to (vertex of the simplex, simplex): the inverse of a permutation.
    vertices = torch.empty_like(vertex).scatter_(0, by_name, vertex).view(VERTICES, -1)

    # Pixels by vertex: each pair (vertex, simplex) expands to the pixels of the simplex, so that not all 6 P pairs need sorting.
    # In `names` before sorting, entry k S + s is vertex k of simplex s; S = len(sizes).
    own = by_name % len(sizes)
    lengths = sizes.index_select(0, own)
    ends = lengths.cumsum(0)
    total = VERTICES * len(valid)
    # Each pixel is in six pairs; with the total given, the device is not waited for. int32: half the memory to move.
    pair = torch.repeat_interleave(lengths.int(), output_size=total)
    # Entry e of pair j is pixel number e - (where j begins) of its simplex.
    shift = (starts.index_select(0, own) - ends + lengths).int().index_select(0, pair)
    shift += torch.arange(total, dtype=torch.int32, device=valid.device)
    splat_rows = by_simplex.int().index_select(0, shift)
    # (k, pixel) in the flattened weights is k P + pixel.
    place = (by_name // len(sizes) * len(valid)).int().index_select(0, pair)
    return Lattice(
        splat_rows,
        weights.flatten().index_select(0, place.add_(splat_rows)).mul_(SLICE_SCALE),
        # A vertex begins where the pairs of the one before it end.
        torch.cat([ends.new_zeros(1), ends.index_select(0, entries.cumsum(0) - 1)]).int(),
        _neighbors(names, steps),
        weights.new_tensor([0.5, 1.0, 0.5]).expand(len(names) + 1, -1).contiguous(),
        vertices.t().int().contiguous().index_select(0, torch.empty_like(group).scatter_(0, by_simplex, group)),
        weights.t().contiguous(),
    )


def _elevate(points: Tensor) -> Tensor:
    """Return (6, P), the points (5, P) on the plane of vectors that sum to 0, in sixths of the units of the lattice."""
    axis = torch.arange(1, VERTICES, dtype=points.dtype, device=points.device)[:, None]
    # 1 / sqrt(axis (axis + 1)) makes the columns of this map orthonormal, so that distances are kept but for one factor:
    # sqrt(2/3), with which the blur on the lattice is a Gaussian of standard deviation 1.
    scaled = points * (math.sqrt(2 / 3) / (axis * (axis + 1)).sqrt())
    elevated = points.new_empty(VERTICES, points.shape[1])
    later = torch.zeros_like(points[0])
    # e_i = sum_{j > i} z_j - i z_i and e_0 = sum_j z_j; z is `scaled`, counted from 1. Downwards, with a running sum.
    for index in range(DIMENSIONS, 0, -1):
        elevated[index] = later - index * scaled[index - 1]
        later = later + scaled[index - 1]
    elevated[0] = later
    return elevated


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return corner, rank and weights of the simplex around each point of `_elevate`, all (6, P).

    The corner is the vertex with integer coordinates here (multiples of 6 in units of the lattice); the rank (int8) orders the
    coordinates of the point relative to it, 0 for the largest; weight k is the barycentric coordinate of the vertex k steps
    from the corner.
    """
    # The nearest point with whole coordinates; if they do not sum to 0 it is no vertex yet.
    corner = elevated.round()
    offset = elevated - corner
    rank = torch.arange(VERTICES, dtype=torch.int8, device=offset.device)[:, None].repeat(1, offset.shape[1])
    # rank_i = number of offsets larger than its own; of equal ones the later axis comes behind, as it starts there.
    for low in range(VERTICES):
        for high in range(low + 1, VERTICES):
            behind = (offset[low] < offset[high]).view(torch.int8)  # bool seen as int8: no copy
            rank[low] += behind
            rank[high] -= behind
    # Where the rounded coordinates do not sum to 0, those with the largest rounding errors are moved by one.
    # At most 3 of them, as six rounding errors of up to 1/2 sum to no more: int8 holds ranks throughout.
    rank += corner.sum(0).to(torch.int8)
    moved = (rank < 0).view(torch.int8) - (rank >= VERTICES).view(torch.int8)
    rank += VERTICES * moved
    corner += moved
    offset -= moved
    # o_0 >= ... >= o_5, and o_0 - o_5 <= 1 now that the coordinates of the corner sum to 0.
    ordered = torch.empty_like(offset).scatter_(0, rank.long(), offset)
    # Barycentric coordinates: differences of neighbouring coordinates in their order.
    # w_0 = 1 + o_5 - o_0, w_k = o_{5-k} - o_{6-k}: the sum is 1.
    weights = torch.cat([1 + ordered[5:] - ordered[:1], (ordered[:-1] - ordered[1:]).flip(0)])
    return corner, rank, weights


def _neighbors(names: Tensor, steps: Tensor) -> Tensor:
    """Return `Lattice.neighbors` of the vertices with sorted fingerprints `names` (M,)."""
    count = len(names)
    own = torch.arange(count + 1, device=names.device).expand(len(steps), -1)
    wanted = names + steps[:, None]
    # Clamped to be read; whether the vertex is there is seen in the next line.
    after = torch.searchsorted(names, wanted).clamp_(max=count - 1)
    found = names.index_select(0, after.flatten()).view_as(wanted) == wanted
    after = torch.cat([after.where(found, count), own[:, -1:]], dim=1)
    # What comes after v has v before it. Steps are one to one: only row M may be written more than once, and is set anew.
    before = torch.full_like(after, count).scatter_(1, after, own)
    before[:, -1] = count
    return torch.stack([before, own, after], dim=2).int()
