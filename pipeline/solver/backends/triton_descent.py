"""The adaptive descent of `fast` as one Triton kernel per step, for CUDA.

One launch reads the labels of a step, sums energy and gradient over edges and unary terms, takes Adam's step on the logits, and
writes the soft-max of the result as the labels of the next step: each tensor crosses the memory bus once. Labels and Adam's state
may be kept in 16 bits (the root of the squared gradients rather than the squares, which would underflow).

The formulas are those of `pipeline.losses.relaxations.EDGE_TERMS` and `pipeline.solver.descent.UNARIES`; tests compare the two
in Triton's interpreter, which needs no GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.losses.cross_entropy import LABEL_FLOOR
from pipeline.losses.relaxations import PRODUCT_FLOOR, quadratic_floor
from pipeline.solver.descent import SMALLEST_PRODUCT

if TYPE_CHECKING:
    from pipeline.solver.fast import Level

RELAXATIONS = ("bl", "nq", "q", "cce", "cd", "lq")
"""P that `_terms` has a formula for; names as in `pipeline.losses.relaxations`."""
CROSS_ENTROPIES = ("ce", "rce", "cce", "quadratic")
"""H that `_step` has a formula for."""

PIXELS_AT_ONCE = 64
"""Pixels per program: with 21 classes a tile of 32 x 64 numbers, of which about ten are held at a time."""


@triton.jit
def _terms(  # type: ignore[no-untyped-def]
    product, square_p, square_q, relaxation: tl.constexpr, product_floor: tl.constexpr, quadratic_floor: tl.constexpr
):
    """Return value, product slope and slope in |p|^2 of one relaxation."""
    # No slope in |q|^2: at the other end the same edge is seen with p and q exchanged.
    if relaxation == "bl":  # P_BL = 1 - p.q
        value, slope, own = 1 - product, product * 0 - 1, product * 0
    elif relaxation == "nq":  # P_NQ = 1 - p.q / (|p| |q|)
        square_p, square_q = tl.maximum(square_p, product_floor), tl.maximum(square_q, product_floor)
        scale = 1 / tl.sqrt(square_p * square_q)
        value, slope, own = 1 - product * scale, -scale, 0.5 * product * scale / square_p
    elif relaxation == "q":  # P_Q = 1/2 (|p|^2 + |q|^2) - p.q
        value, slope, own = 0.5 * (square_p + square_q) - product, product * 0 - 1, product * 0 + 0.5
    elif relaxation == "cce":  # P_CCE = -ln p.q
        bounded = tl.maximum(product, product_floor)
        value, slope, own = -tl.log(bounded), tl.where(product < product_floor, 0.0, -1 / bounded), product * 0
    elif relaxation == "cd":  # P_CD = -ln (p.q / (|p| |q|))
        square_p, square_q = tl.maximum(square_p, product_floor), tl.maximum(square_q, product_floor)
        cosine = product / tl.sqrt(square_p * square_q)
        below = cosine < product_floor
        value = -tl.log(tl.maximum(cosine, product_floor))
        # 1 in place of a product that may be 0: both sides of a choice are computed.
        slope = tl.where(below, 0.0, -1 / tl.where(below, 1.0, product))
        own = tl.where(below, 0.0, 0.5 / square_p)
    else:  # P_LQ = -ln (1 - 1/2 |p - q|^2)
        argument = 1 - 0.5 * (square_p + square_q) + product
        bounded = tl.maximum(argument, quadratic_floor)
        own = tl.where(argument < quadratic_floor, 0.0, 0.5 / bounded)
        value, slope = -tl.log(bounded), -2 * own
    return value, slope, own


@triton.jit
def _step(  # type: ignore[no-untyped-def]
    labels_ptr,
    next_ptr,
    logits_ptr,
    mean_ptr,
    root_ptr,
    log_probs_ptr,
    scale_ptr,
    edges_ptr,
    offsets_ptr,
    moving_ptr,
    energy_ptr,
    height,
    width,
    rate,
    momentum,
    memory,
    smallest,
    classes: tl.constexpr,
    padded_classes: tl.constexpr,
    kinds: tl.constexpr,
    relaxation: tl.constexpr,
    unary: tl.constexpr,
    product_floor: tl.constexpr,
    quadratic_floor: tl.constexpr,
    label_floor: tl.constexpr,
    smallest_product: tl.constexpr,
    pixels_at_once: tl.constexpr,
):
    """Take one step on a block of pixels; a negative `rate` only measures the energy."""
    # 64 bits, as a batch may have more than 2^31 numbers.
    block, image = tl.program_id(0), tl.program_id(1).to(tl.int64)
    pixels = height * width
    pixel = block * pixels_at_once + tl.arange(0, pixels_at_once)
    inside = pixel < pixels
    row, column = pixel // width, pixel % width
    index = tl.arange(0, padded_classes)
    # Classes are padded to a power of two, which tiles must have; pixels to whole blocks.
    known = (index < classes)[:, None] & inside[None, :]
    place = image * classes * pixels + index[:, None] * pixels + pixel[None, :]

    # y of this block; |y|^2 serves all of its edges.
    labels = tl.load(labels_ptr + place, mask=known, other=0.0).to(tl.float32)
    square = tl.sum(labels * labels, axis=0)
    gradient = tl.zeros([padded_classes, pixels_at_once], tl.float32)
    own = tl.zeros([pixels_at_once], tl.float32)
    energy = tl.zeros([pixels_at_once], tl.float32)
    # Every edge is visited from both ends: a program adds to its own pixels only, and needs no atomic sums.
    for kind in tl.static_range(kinds):
        dy, dx = tl.load(offsets_ptr + 2 * kind), tl.load(offsets_ptr + 2 * kind + 1)
        for side in tl.static_range(2):  # the edge that starts here, then the one that ends here
            sign = 1 - 2 * side
            other_row, other_column = row + sign * dy, column + sign * dx
            joined = inside & (other_row >= 0) & (other_row < height) & (other_column >= 0) & (other_column < width)
            step = sign * (dy * width + dx)
            start = pixel + side * step
            # An edge is stored at its first pixel: this one, or the one it comes from.
            weight = tl.load(edges_ptr + (image * kinds + kind) * pixels + start, mask=joined, other=0.0)
            other = tl.load(labels_ptr + place + step, mask=known & joined[None, :], other=0.0).to(tl.float32)
            value, slope, square_slope = _terms(
                tl.sum(labels * other, axis=0), square, tl.sum(other * other, axis=0), relaxation, product_floor, quadratic_floor
            )
            # Not a product with the weight alone: values of pairs outside the image may be infinite.
            # Once, where the edge starts.
            energy += tl.where(joined & (side == 0), weight * value, 0.0)
            # dE/dp = sum w (dP/d(p.q) q + 2 dP/d|p|^2 p); the factor of p is in `own`
            gradient += tl.where(joined, weight * slope, 0.0)[None, :] * other
            own += tl.where(joined, 2 * weight * square_slope, 0.0)
    # From dE/dy to dE/dl: g <- y (g - y.g)
    gradient = labels * (gradient + own[None, :] * labels)
    gradient -= labels * tl.sum(gradient, axis=0)[None, :]

    # 0 where a pixel is not free: seeds have no unary term.
    scale = tl.load(scale_ptr + image * pixels + pixel, mask=inside, other=0.0)
    log_probs = tl.load(log_probs_ptr + place, mask=known, other=0.0)
    # Not e^0 = 1 in classes that are padding
    probs = tl.where(known, tl.exp(log_probs), 0.0)
    if unary == "ce":  # H = -y.ln sigma;  dH/dl = y (y.ln sigma - ln sigma)
        agreement = tl.sum(labels * log_probs, axis=0)
        energy -= scale * agreement
        gradient += scale[None, :] * labels * (agreement[None, :] - log_probs)
    elif unary == "rce":  # H = -sigma.ln y;  dH/dl = y - sigma
        energy -= scale * tl.sum(probs * tl.log(tl.maximum(labels, label_floor)), axis=0)
        gradient += scale[None, :] * (labels - probs)
    elif unary == "cce":  # H = -ln y.sigma;  dH/dl = y - y sigma / y.sigma
        total = tl.maximum(tl.sum(labels * probs, axis=0), smallest_product)
        energy -= scale * tl.log(total)
        gradient += scale[None, :] * (labels - labels * probs / total[None, :])
    else:  # H = 1/2 |y - sigma|^2;  dH/dl = y (y - sigma - y.(y - sigma))
        apart = labels - probs
        energy += 0.5 * scale * tl.sum(apart * apart, axis=0)
        gradient += scale[None, :] * labels * (apart - tl.sum(apart * labels, axis=0)[None, :])
    # One number per block, summed by torch in the same order each time: atomic sums would not be.
    tl.store(energy_ptr + image * tl.num_programs(0) + block, tl.sum(tl.where(inside, energy, 0.0), axis=0))

    if rate >= 0:
        moving = tl.load(moving_ptr + image)
        mean = tl.load(mean_ptr + place, mask=known, other=0.0).to(tl.float32)
        root = tl.load(root_ptr + place, mask=known, other=0.0).to(tl.float32)
        # m <- momentum m + (1 - momentum) g;  s <- memory s + (1 - memory) g^2;  l <- l - rate m / (sqrt(s) + smallest)
        # An image at rest has no mean left to follow.
        mean = (mean + (1 - momentum) * (gradient - mean)) * moving
        root = tl.sqrt(memory * root * root + (1 - memory) * gradient * gradient)
        # -inf in padded classes: no part of the soft-max
        logits = tl.load(logits_ptr + place, mask=known, other=float("-inf"))
        logits = logits - rate * mean / (root + smallest)
        powers = tl.exp(logits - tl.max(tl.where(inside[None, :], logits, 0.0), axis=0)[None, :])
        powers = powers / tl.sum(powers, axis=0)[None, :]
        tl.store(logits_ptr + place, logits, mask=known)
        tl.store(mean_ptr + place, mean.to(mean_ptr.dtype.element_ty), mask=known)
        tl.store(root_ptr + place, root.to(root_ptr.dtype.element_ty), mask=known)
        # Of images at rest as well: the buffers change places for all.
        tl.store(next_ptr + place, powers.to(next_ptr.dtype.element_ty), mask=known)


def knows(cross_entropy: str, relaxation: str) -> bool:
    """Return whether the kernel has the formulas of the energy."""
    return cross_entropy in CROSS_ENTROPIES and relaxation in RELAXATIONS


class FusedAdam:
    """`Adam` of `pipeline.solver.fast`: one problem and the state of a descent on it.

    Attributes:
        labels: (B, C, H, W), y of the current logits.
    """

    def __init__(self, level: Level, logits: Tensor, state: torch.dtype = torch.float32) -> None:
        """Keep the problem and start at `logits`, which are overwritten.

        Args:
            level: float32 fields, of an energy that this backend `knows`.
            logits: (B, C, H, W) float32, contiguous.
            state: type in which labels and Adam's state are kept.

        Raises:
            ValueError: if `logits` is not contiguous, or the energy is not known.
        """
        if not logits.is_contiguous():
            raise ValueError(f"logits: expected contiguous memory, got strides {logits.stride()}")
        if not knows(*level.names):
            raise ValueError(f"names: expected some of {CROSS_ENTROPIES} and of {RELAXATIONS}, got {level.names}")
        self.names, self.logits = level.names, logits
        # The kernel works out places in memory itself.
        self.log_probs = level.log_probs.contiguous()
        self.unary_scale, self.edges = level.unary_scale.contiguous(), level.edges.contiguous()
        # Read by the kernel when it runs; only their number is compiled in.
        self.offsets = torch.tensor(level.offsets, dtype=torch.int32, device=logits.device)
        self.labels = logits.softmax(1).to(state)
        # While some programs write the next labels, others still read those of this step.
        self.spare = torch.empty_like(self.labels)
        self.mean, self.root = torch.zeros_like(self.labels), torch.zeros_like(self.labels)

    def energy(self) -> Tensor:
        """Return the energy of the current labels, (B,)."""
        # Below 0 the rate leaves all state alone; the numbers after it are not read.
        return self._launch(-1.0, 0.0, 0.0, 1.0, None)

    def step(self, rate: float, momentum: float, memory: float, smallest: float, moving: Tensor | None) -> Tensor:
        """Move the logits of the images in `moving` (B,) bool, None for all, and return the energy before, (B,)."""
        energy = self._launch(rate, momentum, memory, smallest, moving)
        self.labels, self.spare = self.spare, self.labels
        return energy

    def _launch(self, rate: float, momentum: float, memory: float, smallest: float, moving: Tensor | None) -> Tensor:
        batch, classes, height, width = self.labels.shape
        # 1 for images that move, 0 for those at rest.
        moves = torch.ones(batch, device=self.labels.device) if moving is None else moving.float()
        blocks = triton.cdiv(height * width, PIXELS_AT_ONCE)
        energy = torch.empty(batch, blocks, device=self.labels.device)
        unary, relaxation = self.names
        _step[(blocks, batch)](
            self.labels,
            self.spare,
            self.logits,
            self.mean,
            self.root,
            self.log_probs,
            self.unary_scale,
            self.edges,
            self.offsets,
            moves,
            energy,
            height,
            width,
            rate,
            momentum,
            memory,
            smallest,
            classes=classes,
            padded_classes=triton.next_power_of_2(classes),
            kinds=len(self.offsets),
            relaxation=relaxation,
            unary=unary,
            product_floor=PRODUCT_FLOOR,
            quadratic_floor=quadratic_floor(torch.float32),
            label_floor=LABEL_FLOOR,
            smallest_product=SMALLEST_PRODUCT,
            pixels_at_once=PIXELS_AT_ONCE,
        )
        return energy.sum(1)
