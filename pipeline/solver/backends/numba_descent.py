"""The adaptive descent of `fast` compiled for a CPU core, one image after the other.

All steps of an image are taken before the next one begins, and a step does all its work on one block of pixels before it goes
on to the next, so that what it reads is in the core's cache. Blocks follow each other in memory and edges lead from a pixel to a
later one: when a block is done no other needs its labels, and they are moved in place. Inner loops run over neighbouring pixels
of one class, which the compiler turns into vector instructions, unless a loop divides on a condition or has more than eight pairs
of arrays that might overlap. It has no such instructions for exp and ln: these are polynomials here, exact to two rounding errors
of float32 or so.

The formulas are those of `pipeline.losses.relaxations.EDGE_TERMS` and `pipeline.solver.descent.UNARIES`; tests compare the two.

numba keeps what it compiled until this file changes, and does not see what comes from others. So numbers of other files are
arguments (`Floors`, and what a `Schedule` gives), and the codes of names stand here.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit

from pipeline.crf.neighborhoods import Offsets
from pipeline.losses.cross_entropy import LABEL_FLOOR
from pipeline.losses.relaxations import PRODUCT_FLOOR, quadratic_floor
from pipeline.solver.descent import SMALLEST_PRODUCT
from pipeline.solver.pace import MOMENTUM, PATIENCE, SQUARE_MEMORY, Schedule

BLOCK = 1024
"""Pixels visited together: 4 KiB of each class and array."""

ONE, TWO, HALF, ZERO = np.float32(1), np.float32(2), np.float32(0.5), np.float32(0)

SMALLEST_GRADIENT = np.float32(1e-18)
"""Smaller ones count as 0: they move nothing, but with numbers below 1e-38, as their squares are, a processor takes its time."""

LOG2_E, LN_2, ROOT_2 = np.float32(1 / math.log(2)), np.float32(math.log(2)), np.float32(math.sqrt(2))
LN_2_HIGH = np.float32(math.floor(math.log(2) * 2**12) / 2**12)
LN_2_LOW = np.float32(math.log(2) - float(LN_2_HIGH))
"""ln 2 in two parts: whole multiples of the first are exact."""
LOWEST = np.float32(-87)
"""e to this power is just a normal float32; to smaller ones it becomes 0."""
ROUNDER = np.float32(1.5 * 2**23)
"""A float32 this large has no fraction: adding it rounds, and leaves the whole number in the last bits."""
EXP_0, EXP_1, EXP_2, EXP_3, EXP_4, EXP_5, EXP_6, EXP_7 = (np.float32(1 / math.factorial(power)) for power in range(8))
"""e^f for |f| <= ln 2 / 2 as a polynomial in f; the next term is below 1e-8."""
LN_3, LN_5, LN_7, LN_9 = (np.float32(2 / power) for power in (3, 5, 7, 9))
"""ln x = 2 z + 2/3 z^3 + ... with z = (x - 1) / (x + 1), 1/sqrt 2 <= x <= sqrt 2; the next term is below 1e-9."""

_EXACT: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    # A check for zero before each division would keep loops from becoming vector instructions.
    "error_model": "numpy",
    # Sums as written: in any order the number that rounds, added and taken away, would cancel.
    "fastmath": {"contract"},  # product and sum may be one instruction
}
COMPILED: dict[str, Any] = {
    **_EXACT,
    "fastmath": {"contract", "reassoc", "nsz"},  # and sums be added up in any order; nan and infinity keep their meaning
}
"""Options of numba for the loops of the solver."""


@njit(**_EXACT)
def exponentiate(values: np.ndarray) -> None:
    """Replace values <= 0 by e to their power."""
    for i in range(len(values)):
        # e^x = 2^n e^f with n = round(x / ln 2) and |f| <= ln 2 / 2
        shifted = max(values[i], LOWEST) * LOG2_E + ROUNDER
        whole = shifted - ROUNDER
        # The first product is exact: f loses no digits to a large multiple of ln 2.
        f = (values[i] - whole * LN_2_HIGH) - whole * LN_2_LOW
        # 2^n, by writing n + 127 to the bits of the exponent; the other bits of ROUNDER are shifted out
        power = np.int32((np.float32(shifted).view(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)
        # e^f = 1 + f + f^2 / 2! + ... + f^7 / 7!, from the inside out
        high = EXP_4 + f * (EXP_5 + f * (EXP_6 + f * EXP_7))
        fraction = EXP_0 + f * (EXP_1 + f * (EXP_2 + f * (EXP_3 + f * high)))
        # -inf ends here as well: the other classes of a seed.
        values[i] = ZERO if values[i] < LOWEST else fraction * power


@njit(**COMPILED)
def weighted_log_sum(values: np.ndarray, weights: np.ndarray) -> float:
    """Return sum weights ln values, for normal values > 0."""
    total = ZERO
    for i in range(len(values)):
        # x = 2^n m with 1 <= m < 2, from its bits; then m <= sqrt 2, so that the series converges fast
        bits = np.float32(values[i]).view(np.int32)
        fraction = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
        exponent = np.float32((bits >> np.int32(23)) - np.int32(127))
        above = fraction > ROOT_2
        x = HALF * fraction if above else fraction
        whole = exponent + ONE if above else exponent
        z = (x - ONE) / (x + ONE)
        square = z * z
        # ln x = n ln 2 + 2 z + 2/3 z^3 + 2/5 z^5 + 2/7 z^7 + 2/9 z^9
        total += weights[i] * (whole * LN_2 + z * (TWO + square * (LN_3 + square * (LN_5 + square * (LN_7 + square * LN_9)))))
    return float(total)


class Relaxation(IntEnum):
    """P by number; names as in `RELAXATIONS`."""

    bl = 0
    nq = 1
    q = 2
    cce = 3
    cd = 4
    lq = 5


class CrossEntropy(IntEnum):
    """H by number; names as in `CROSS_ENTROPIES`."""

    ce = 0
    rce = 1
    cce = 2
    quadratic = 3


def knows(cross_entropy: str, relaxation: str) -> bool:
    """Return whether there is compiled code for the energy."""
    return cross_entropy in CrossEntropy.__members__ and relaxation in Relaxation.__members__


class Floors(NamedTuple):
    """Smallest arguments of logarithms and divisors, float32.

    Attributes:
        product: of p.q and |p|^2 in relaxations.
        argument: of 1 - 1/2 |p - q|^2.
        label: of pseudo-labels in cross-entropies.
        total: of y.sigma.
    """

    product: np.float32
    argument: np.float32
    label: np.float32
    total: np.float32


FLOORS = Floors(
    np.float32(PRODUCT_FLOOR),
    np.float32(quadratic_floor(torch.float32)),
    np.float32(LABEL_FLOOR),
    np.float32(SMALLEST_PRODUCT),
)


class Steps(NamedTuple):
    """How far, and until when, an image descends.

    Attributes:
        rates: (steps,) float32.
        momentum: memory of the gradients' mean, float32.
        memory: of the mean of their squares, float32.
        smallest: size of gradients below which steps shrink, float32 > 0.
        patience: number of steps over which energies are compared.
        tolerance: relative decrease per step at which an image has come to rest, and stops.
        least: steps after which an image stops at a decrease of `falling` already.
        falling: see `least`.
    """

    rates: np.ndarray
    momentum: np.float32
    memory: np.float32
    smallest: np.float32
    patience: int
    tolerance: float
    least: int
    falling: float


class Image(NamedTuple):
    """The problem of one image; N pixels in rows. Also of a batch, (B, ...), with pixels in a picture, (..., H, W).

    Attributes:
        log_probs: (C, N) float32.
        probs: (C, N) float32.
        scale: (N,) float32, eta at free pixels, else 0.
        edges: (E, N) float32 >= 0, lambda included; 0 where an edge leads out of the image.
    """

    log_probs: np.ndarray
    probs: np.ndarray
    scale: np.ndarray
    edges: np.ndarray


class State(NamedTuple):
    """Where the descent on one image stands.

    Attributes:
        logits: (C, N) float32.
        labels: (C, N) float32, their soft-max.
        gradient: (C, N) float32: what edges that were visited say of it; 0 once a pixel has moved.
        own: (N,) float32: twice the slope in |y|^2, of the same edges.
        norm: (N,) float32, |y|^2.
        inverse: (N,) float32, 1 / |y|^2.
        mean: (C, N) float32, the running mean of the gradient.
        square: (C, N) float32, that of its square.
        scratch: (3, BLOCK) float32.
    """

    logits: np.ndarray
    labels: np.ndarray
    gradient: np.ndarray
    own: np.ndarray
    norm: np.ndarray
    inverse: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    scratch: np.ndarray


@njit(**COMPILED)
def _soften(state: State, low: int, high: int, floor: float) -> None:
    """Write the soft-max of the logits of pixels `low` to `high` to their labels, and |y|^2 and its inverse, above `floor`."""
    count = high - low
    top, total, norm = state.scratch[0, :count], state.scratch[1, :count], state.norm[low:high]
    # y = e^(l - max l) / sum e^(l - max l)
    top[:] = -np.inf
    for c in range(len(state.logits)):
        logit = state.logits[c, low:high]
        for i in range(count):
            top[i] = max(top[i], logit[i])
    total[:] = ZERO
    for c in range(len(state.logits)):
        logit, label = state.logits[c, low:high], state.labels[c, low:high]
        for i in range(count):
            label[i] = logit[i] - top[i]  # at most 0, as `exponentiate` expects
        exponentiate(label)
        _add(total, label)
    for i in range(count):
        # One division per pixel instead of one per class.
        total[i] = ONE / total[i]
    norm[:] = ZERO
    for c in range(len(state.logits)):
        label = state.labels[c, low:high]
        for i in range(count):
            label[i] *= total[i]
            norm[i] += label[i] * label[i]
    inverse = state.inverse[low:high]
    for i in range(count):
        # Once per pixel, for all of its edges.
        inverse[i] = ONE / max(norm[i], floor)


@njit(**COMPILED)
def _follow_edges(state: State, weights: np.ndarray, low: int, high: int, shift: int, relaxation: int, floors: Floors) -> float:
    """Return the energy of the edges of one displacement that start at pixels `low` to `high`, and add their gradient.

    The other ends lie `shift` >= 0 pixels further on in memory; beyond the end of a row that is the next one, at a weight of 0.
    """
    # p begins at `low`, q at `near`: windows of the same rows, which overlap where an edge is shorter than the block.
    count, near, far = high - low, low + shift, high + shift
    weight, norm_p, norm_q = weights[low:high], state.norm[low:high], state.norm[near:far]
    inverse_p, inverse_q = state.inverse[low:high], state.inverse[near:far]
    own_p, own_q = state.own[low:high], state.own[near:far]
    product, slope, values = state.scratch[0, :count], state.scratch[1, :count], state.scratch[2, :count]
    # p.q of both ends, class by class
    product[:] = ZERO
    for c in range(len(state.labels)):
        _add_product(product, state.labels[c, low:high], state.labels[c, near:far])

    # slope: w dP/d(p.q);  added to `own`: 2 w dP/d|p|^2 at p, 2 w dP/d|q|^2 at q
    total = ZERO
    if relaxation == Relaxation.bl:  # P_BL = 1 - p.q
        for i in range(count):
            total += weight[i] * (ONE - product[i])
            slope[i] = -weight[i]
    elif relaxation == Relaxation.nq:  # P_NQ = 1 - p.q / (|p| |q|)
        for i in range(count):
            # 1 / (|p| |q|)
            scale = np.sqrt(inverse_p[i] * inverse_q[i])
            cosine = product[i] * scale
            total += weight[i] * (ONE - cosine)
            slope[i] = -weight[i] * scale
            # 2 dP/d|p|^2 = cos / |p|^2, and with |q|^2 at the other end: divided below
            product[i] = weight[i] * cosine
        _add_product(own_p, product, inverse_p)
        _add_product(own_q, product, inverse_q)
    elif relaxation == Relaxation.q:  # P_Q = 1/2 (|p|^2 + |q|^2) - p.q
        for i in range(count):
            total += weight[i] * (HALF * (norm_p[i] + norm_q[i]) - product[i])
            slope[i] = -weight[i]
        # 2 dP/d|p|^2 = 1
        _add(own_p, weight)
        _add(own_q, weight)
    elif relaxation == Relaxation.cce:  # P_CCE = -ln p.q
        for i in range(count):
            # dP/d(p.q) = -1 / p.q, and 0 below the floor, where P is constant
            values[i] = max(product[i], floors.product)
            kept = weight[i] if values[i] > floors.product else ZERO
            slope[i] = -kept / values[i]
        total = -weighted_log_sum(values, weight)
    elif relaxation == Relaxation.cd:  # P_CD = -ln (p.q / (|p| |q|))
        for i in range(count):
            # Two loops: in one there would be twelve pairs of arrays that might overlap.
            values[i] = max(product[i] * np.sqrt(inverse_p[i] * inverse_q[i]), floors.product)
        for i in range(count):
            kept = weight[i] if values[i] > floors.product else ZERO
            # dP/d(p.q) = -1 / p.q; the bound keeps 0 / 0 out where nothing is kept.
            slope[i] = -kept / max(product[i], floors.total)
            # 2 dP/d|p|^2 = 1 / |p|^2: divided below
            product[i] = kept
        _add_product(own_p, product, inverse_p)
        _add_product(own_q, product, inverse_q)
        total = -weighted_log_sum(values, weight)
    else:  # P_LQ = -ln (1 - 1/2 |p - q|^2)
        for i in range(count):
            # a = 1 - 1/2 |p - q|^2; two loops, as for P_CD
            values[i] = max(ONE - HALF * (norm_p[i] + norm_q[i]) + product[i], floors.argument)
        for i in range(count):
            kept = weight[i] if values[i] > floors.argument else ZERO
            # dP/d(p.q) = -1 / a;  2 dP/d|p|^2 = 1 / a
            product[i] = kept / values[i]
            slope[i] = -product[i]
        _add(own_p, product)
        _add(own_q, product)
        total = -weighted_log_sum(values, weight)

    # dE/dp = slope q, dE/dq = slope p, and what multiplies a pixel's own label is in `own`
    for c in range(len(state.labels)):
        p, q, g = state.labels[c, low:high], state.labels[c, near:far], state.gradient[c]
        # One end after the other, as their windows of g may overlap.
        _add_product(g[low:high], slope, q)
        _add_product(g[near:far], slope, p)
    # float32 within a block; blocks are added up in double precision.
    return float(total)


@njit(**COMPILED)
def _add(sums: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(sums)):
        sums[i] += values[i]


@njit(**COMPILED)
def _add_product(sums: np.ndarray, factor: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(sums)):
        sums[i] += factor[i] * values[i]


@njit(**COMPILED)
def _through_softmax(state: State, image: Image, low: int, high: int, unary: int, floor: float, floors: Floors) -> float:
    """Return the unary energy of pixels `low` to `high`; turn their gradient into that of both terms in the logits.

    Labels of H_CCE are raised to `floor`: 0 gives what the gradient belongs to, `LABEL_FLOOR` the published energy.
    """
    count, labels, gradient = high - low, state.labels, state.gradient
    scale, slope = image.scale[low:high], state.own[low:high]
    inner, total, values = state.scratch[0, :count], state.scratch[1, :count], state.scratch[2, :count]
    # g <- y (g - y.g), the second part of which waits for the unary term
    inner[:] = ZERO
    for c in range(len(labels)):
        y, g = labels[c, low:high], gradient[c, low:high]
        for i in range(count):
            # dE/dy = g + own y, from all edges of the pixel
            g[i] = y[i] * (g[i] + slope[i] * y[i])
            inner[i] += g[i]

    energy = ZERO
    total[:] = ZERO
    if unary == CrossEntropy.ce:  # H = -y.ln sigma;  dH/dl = y (y.ln sigma - ln sigma)
        for c in range(len(labels)):
            _add_product(total, labels[c, low:high], image.log_probs[c, low:high])
        for i in range(count):
            energy -= scale[i] * total[i]
        for c in range(len(labels)):
            y, g, log_prob = labels[c, low:high], gradient[c, low:high], image.log_probs[c, low:high]
            for i in range(count):
                g[i] += y[i] * (scale[i] * (total[i] - log_prob[i]) - inner[i])
    elif unary == CrossEntropy.rce:  # H = -sigma.ln y;  dH/dl = y - sigma
        for c in range(len(labels)):
            y, g, prob = labels[c, low:high], gradient[c, low:high], image.probs[c, low:high]
            for i in range(count):
                # The floor is for the logarithm: y - sigma needs none.
                values[i] = max(y[i], floors.label)
                total[i] = scale[i] * prob[i]
            for i in range(count):
                g[i] += scale[i] * (y[i] - prob[i]) - y[i] * inner[i]
            energy -= weighted_log_sum(values, total)
    elif unary == CrossEntropy.cce:  # H = -ln y.sigma;  dH/dl = y (1 - sigma / y.sigma)
        for c in range(len(labels)):
            y, prob = labels[c, low:high], image.probs[c, low:high]
            for i in range(count):
                # The floor is 0 but in the last pass, whose gradient nobody follows.
                total[i] += max(y[i], floor) * prob[i]
        for i in range(count):
            values[i] = max(total[i], floors.total)
            total[i] = ONE / values[i]  # from here on 1 / y.sigma
        energy = -weighted_log_sum(values, scale)
        for c in range(len(labels)):
            y, g, prob = labels[c, low:high], gradient[c, low:high], image.probs[c, low:high]
            for i in range(count):
                g[i] += y[i] * (scale[i] * (ONE - prob[i] * total[i]) - inner[i])
    else:  # H = 1/2 |y - sigma|^2;  dH/dl = y (y - sigma - y.(y - sigma))
        for c in range(len(labels)):
            y, prob = labels[c, low:high], image.probs[c, low:high]
            for i in range(count):
                apart = y[i] - prob[i]
                energy += HALF * scale[i] * apart * apart
                total[i] += y[i] * apart
        for c in range(len(labels)):
            y, g, prob = labels[c, low:high], gradient[c, low:high], image.probs[c, low:high]
            for i in range(count):
                g[i] += y[i] * (scale[i] * (y[i] - prob[i] - total[i]) - inner[i])
    return float(energy)


@njit(**COMPILED)
def _move(state: State, low: int, high: int, rate: float, steps: Steps) -> None:
    """Take Adam's step at pixels `low` to `high`, and forget their gradient."""
    momentum, memory, smallest = steps.momentum, steps.memory, steps.smallest
    for c in range(len(state.logits)):
        logit, gradient = state.logits[c, low:high], state.gradient[c, low:high]
        mean, square = state.mean[c, low:high], state.square[c, low:high]
        for i in range(high - low):
            # m <- momentum m + (1 - momentum) g;  s <- memory s + (1 - memory) g^2;  l <- l - rate m / (sqrt(s) + smallest)
            g = ZERO if abs(gradient[i]) < SMALLEST_GRADIENT else gradient[i]
            mean[i] += (ONE - momentum) * (g - mean[i])
            square[i] = memory * square[i] + (ONE - memory) * g * g
            # smallest > 0: at seeds, where all gradients are 0, the step is 0 and not 0 / 0.
            logit[i] -= rate * mean[i] / (np.sqrt(square[i]) + smallest)
            # The next pass adds edges to it, from earlier blocks before this one is visited.
            gradient[i] = ZERO
    state.own[low:high] = ZERO


@njit(**COMPILED)
def _descend(
    state: State, image: Image, shifts: np.ndarray, names: tuple[int, int], steps: Steps, floors: Floors, energies: np.ndarray
) -> tuple[int, bool]:
    """Descend on one image; see `descend`. The gradient is 0 at first; `energies` is (steps + 1,).

    Returns:
        The number of steps taken, and whether the energy rests.
    """
    pixels = state.logits.shape[1]
    relaxation, unary = names
    patience, tolerance = steps.patience, steps.tolerance
    for low in range(0, pixels, BLOCK):
        # All labels before the first edge: edges lead to later blocks.
        _soften(state, low, min(low + BLOCK, pixels), floors.product)
    rests, stops = False, False
    step = 0
    while True:
        # The last pass only measures, with the floor that the published energy has.
        last = stops or step == len(steps.rates)
        floor = floors.label if last else ZERO
        energy = 0.0
        for low in range(0, pixels, BLOCK):
            high = min(low + BLOCK, pixels)
            for e in range(len(shifts)):
                # Edges of the last pixels would lead beyond the picture, where there is no other end.
                stop = min(high, pixels - shifts[e])
                if stop > low:
                    energy += _follow_edges(state, image.edges[e], low, stop, shifts[e], relaxation, floors)
            # Edges of earlier blocks have led here, and those of this block are done: its gradient is complete.
            energy += _through_softmax(state, image, low, high, unary, floor, floors)
            if not last:
                # In place though other blocks are still to come: no edge of theirs leads back here.
                _move(state, low, high, steps.rates[step], steps)
                _soften(state, low, high, floors.product)
        if last:
            break
        # Of the labels that this pass found, not of those that it left.
        energies[step] = energy
        step += 1
        if step > patience:
            rests = _rest(energies[step - 1 - patience : step], tolerance)
            stops = rests or (step >= steps.least and _rest(energies[step - 1 - patience : step], steps.falling))
    # An image that ended early keeps its last energy.
    energies[step:] = energy
    # One that was stopped while its energy fell is not at rest; one that took all steps has one energy more to tell.
    return step, rests or (not stops and step >= patience and _rest(energies[step - patience : step + 1], tolerance))


@njit(**COMPILED)
def _rest(energies: np.ndarray, tolerance: float) -> bool:
    """Return whether all energies of some steps are alike."""
    return energies.max() - energies.min() <= (len(energies) - 1) * tolerance * abs(energies[-1])


class Found(NamedTuple):
    """What a descent writes of each image.

    Attributes:
        energies: (B, steps + 1) float64, before each step and after the last.
        taken: (B,) int64, steps.
        resting: (B,) bool, whether the energy rests.
    """

    energies: np.ndarray
    taken: np.ndarray
    resting: np.ndarray


@njit(**COMPILED)
def _descend_all(
    logits: np.ndarray,
    labels: np.ndarray,
    images: Image,
    shifts: np.ndarray,
    names: tuple[int, int],
    steps: Steps,
    floors: Floors,
    found: Found,
) -> None:
    """Descend on one image after the other; see `descend`."""
    scratch = np.empty((3, BLOCK), np.float32)
    # One image's working memory, used for all: it stays in the cache of a core.
    fields = np.empty((3, *logits.shape[1:]), np.float32)  # gradient, mean, square
    rows = np.empty((3, logits.shape[2]), np.float32)  # own, norm, inverse
    for b in range(len(logits)):
        # Means begin at 0; the last pass over the image before has left a gradient.
        fields[:] = ZERO
        rows[:] = ZERO
        state = State(logits[b], labels[b], fields[0], rows[0], rows[1], rows[2], fields[1], fields[2], scratch)
        image = Image(images.log_probs[b], images.probs[b], images.scale[b], images.edges[b])
        found.taken[b], found.resting[b] = _descend(state, image, shifts, names, steps, floors, found.energies[b])


def descend(
    image: Image, offsets: Offsets, names: tuple[str, str], logits: np.ndarray, schedule: Schedule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the steps of `pipeline.solver.fast.descend_adaptively`, each image until it stops.

    Args:
        image: (B, C, H, W), (B, H, W) and (B, E, H, W) float32, contiguous.
        offsets: E pairs (dy, dx).
        names: H and P that this backend `knows`.
        logits: (B, C, H, W) float32, contiguous: the start, which is overwritten.
        schedule: of the steps; without any the start is measured.

    Returns:
        The labels, (B, C, H, W); all energies, (steps taken + 1, B), the last as `self_labeling_energy` has it, with its floor
        under labels; and whether each image's energy rests, (B,).
    """
    batch, _, _, width = logits.shape
    labels = np.empty_like(logits)
    found = Found(np.empty((batch, len(schedule.lengths) + 1)), np.empty(batch, np.int64), np.empty(batch, np.bool_))
    # Every edge from its earlier end to its later one, so that blocks are done in order.
    edges, shifts = _forward(_flat(image.edges, 2), [dy * width + dx for dy, dx in offsets])
    images = Image(_flat(image.log_probs, 2), _flat(image.probs, 2), _flat(image.scale, 1), edges)
    # P before H in compiled code
    codes = (int(Relaxation[names[1]]), int(CrossEntropy[names[0]]))
    memories = (np.float32(MOMENTUM), np.float32(SQUARE_MEMORY), np.float32(schedule.smallest))
    lengths = np.array(schedule.lengths, np.float32)
    steps = Steps(lengths, *memories, PATIENCE, float(schedule.tolerance), schedule.least, float(schedule.falling))
    _descend_all(_flat(logits, 2), _flat(labels, 2), images, shifts, codes, steps, FLOORS, found)
    # As many as the image has that took most steps.
    return labels, found.energies[:, : found.taken.max() + 1].T, found.resting


def _forward(edges: np.ndarray, shifts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return edges (B, E, N) and how far on in memory they lead, (E,), those that lead back being stored at their other end."""
    if min(shifts) < 0:
        edges = edges.copy()
        for e, shift in enumerate(shifts):
            if shift < 0:
                # From i to i - k becomes from j = i - k to j + k; the last k pixels have no such edge.
                edges[:, e, :shift], edges[:, e, shift:] = edges[:, e, -shift:].copy(), 0
    return edges, np.abs(np.array(shifts, np.int64))


def _flat(field: np.ndarray, leading: int) -> np.ndarray:
    """Return a field (..., H, W) with pixels in rows, (..., N), in the same memory; `leading` axes go before them."""
    return field.reshape(*field.shape[:leading], -1)
