"""The adaptive descent of `fast` compiled for a CPU core, one image after the other.

All steps of an image are taken before the next one begins, so that small images stay in the core's cache; of large ones, each
step visits blocks of pixels that do. Inner loops run over neighbouring pixels of one class, which the compiler turns into vector
instructions. It has none for exp and ln: these are polynomials here, exact to two rounding errors of float32 or so.

The formulas are those of `pipeline.losses.relaxations.EDGE_TERMS` and `pipeline.solver.descent.UNARIES`; tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from pipeline.crf.neighborhoods import Offsets
from pipeline.losses.cross_entropy import LABEL_FLOOR
from pipeline.losses.relaxations import PRODUCT_FLOOR, quadratic_floor
from pipeline.solver.codes import RELAXATION_CODES, UNARY_CODES
from pipeline.solver.descent import SMALLEST_PRODUCT

BLOCK = 1024
"""Pixels visited together: 4 KiB of each class and array."""

FLOOR = np.float32(PRODUCT_FLOOR)
SMALLEST_LABEL = np.float32(LABEL_FLOOR)
SMALLEST_TOTAL = np.float32(SMALLEST_PRODUCT)
SMALLEST_ARGUMENT = np.float32(quadratic_floor(torch.float32))
ONE, TWO, HALF, ZERO = np.float32(1), np.float32(2), np.float32(0.5), np.float32(0)

LOG2_E, LN_2, ROOT_2 = np.float32(1 / math.log(2)), np.float32(math.log(2)), np.float32(math.sqrt(2))
LN_2_HIGH = np.float32(math.floor(math.log(2) * 2**12) / 2**12)
LN_2_LOW = np.float32(math.log(2) - float(LN_2_HIGH))
"""ln 2 in two parts: whole multiples of the first are exact."""
LOWEST = np.float32(-126)
"""Least binary exponent of a normal float32; smaller powers become 0."""
EXP_0, EXP_1, EXP_2, EXP_3, EXP_4, EXP_5, EXP_6, EXP_7 = (np.float32(1 / math.factorial(power)) for power in range(8))
"""e^f for |f| <= ln 2 / 2 as a polynomial in f; the next term is below 1e-8."""
LN_3, LN_5, LN_7, LN_9 = (np.float32(2 / power) for power in (3, 5, 7, 9))
"""ln x = 2 z + 2/3 z^3 + ... with z = (x - 1) / (x + 1), 1/sqrt 2 <= x <= sqrt 2; the next term is below 1e-9."""

_EXACT: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    # A check for zero before each division would keep loops from becoming vector instructions.
    "error_model": "numpy",
    "fastmath": {"contract"},  # product and sum may be one instruction
}
_COMPILED = {
    **_EXACT,
    "fastmath": {"contract", "reassoc", "nsz"},  # and sums be added up in any order; nan and infinity keep their meaning
}


@njit(**_EXACT)
def exponentiate(values: np.ndarray, powers: np.ndarray, bits: np.ndarray) -> None:
    """Replace values <= 0 by e to their power; `powers` float32 and `bits` int32 are the same memory, overwritten."""
    for i in range(len(values)):
        whole = np.floor(values[i] * LOG2_E + HALF)
        f = (values[i] - whole * LN_2_HIGH) - whole * LN_2_LOW
        bits[i] = (np.int32(max(whole, LOWEST)) + np.int32(127)) << np.int32(23) if whole >= LOWEST else np.int32(0)
        high = EXP_4 + f * (EXP_5 + f * (EXP_6 + f * EXP_7))
        fraction = EXP_0 + f * (EXP_1 + f * (EXP_2 + f * (EXP_3 + f * high)))
        values[i] = ZERO if whole < LOWEST else fraction
    for i in range(len(values)):
        values[i] *= powers[i]


@njit(**_COMPILED)
def weighted_log_sum(values: np.ndarray, bits: np.ndarray, weights: np.ndarray, exponents: np.ndarray) -> float:
    """Return sum weights ln values, for normal values > 0; `values` float32 and `bits` int32 are the same memory, overwritten."""
    for i in range(len(values)):
        exponents[i] = np.float32((bits[i] >> np.int32(23)) - np.int32(127))
        bits[i] = (bits[i] & np.int32(0x7FFFFF)) | np.int32(0x3F800000)
    total = ZERO
    for i in range(len(values)):
        above = values[i] > ROOT_2
        x = HALF * values[i] if above else values[i]
        whole = exponents[i] + ONE if above else exponents[i]
        z = (x - ONE) / (x + ONE)
        square = z * z
        total += weights[i] * (whole * LN_2 + z * (TWO + square * (LN_3 + square * (LN_5 + square * (LN_7 + square * LN_9)))))
    return float(total)


class Scratch(NamedTuple):
    """Memory for one block of `BLOCK` pixels.

    Attributes:
        values: (BLOCK,) float32.
        powers: (BLOCK,) float32.
        bits: `powers` as int32.
        first: (BLOCK,) float32.
        second: (BLOCK,) float32.
    """

    values: np.ndarray
    powers: np.ndarray
    bits: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Image(NamedTuple):
    """The problem of one image; N pixels in rows.

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


@njit(**_COMPILED)
def _soften(logits: np.ndarray, low: int, high: int, labels: np.ndarray, scratch: Scratch) -> None:
    """Write the soft-max of `logits` to `labels`, both (C, N), at pixels `low` to `high`."""
    count = high - low
    top, total = scratch.first[:count], scratch.second[:count]
    top[:] = logits[0, low:high]
    for c in range(1, len(logits)):
        logit = logits[c, low:high]
        for i in range(count):
            top[i] = max(top[i], logit[i])
    total[:] = ZERO
    for c in range(len(logits)):
        logit, label = logits[c, low:high], labels[c, low:high]
        for i in range(count):
            label[i] = logit[i] - top[i]
        exponentiate(label, scratch.powers[:count], scratch.bits[:count])
        for i in range(count):
            total[i] += label[i]
    for i in range(count):
        total[i] = ONE / total[i]
    for c in range(len(logits)):
        label = labels[c, low:high]
        for i in range(count):
            label[i] *= total[i]


@njit(**_COMPILED)
def _pairwise(
    labels: np.ndarray,
    edges: np.ndarray,
    shifts: np.ndarray,
    relaxation: int,
    gradient: np.ndarray,
    square: np.ndarray,
    own: np.ndarray,
    scratch: Scratch,
) -> float:
    """Return the pairwise energy of one image; write its gradient, but for `own` times the labels, to `gradient` (C, N).

    `square` (N,) becomes |y|^2, `own` (N,) the slope in it, twice. The neighbour at a displacement lies `shifts` (E,) pixels
    further on in memory; where a row ends that is a pixel of another row, at a weight of 0.
    """
    classes, pixels = labels.shape
    square[:] = ZERO
    own[:] = ZERO
    gradient[:] = ZERO
    for c in range(classes):
        label = labels[c]
        for i in range(pixels):
            square[i] += label[i] * label[i]
    energy = 0.0
    for e in range(len(edges)):
        shift = shifts[e]
        start, stop = max(0, -shift), min(pixels, pixels - shift)
        for low in range(start, stop, BLOCK):
            high = min(low + BLOCK, stop)
            energy += _edges_of_block(labels, edges[e], low, high, shift, relaxation, gradient, square, own, scratch)
    return energy


@njit(**_COMPILED)
def _edges_of_block(
    labels: np.ndarray,
    weights: np.ndarray,
    low: int,
    high: int,
    shift: int,
    relaxation: int,
    gradient: np.ndarray,
    square: np.ndarray,
    own: np.ndarray,
    scratch: Scratch,
) -> float:
    """Do the edges of one displacement that start at pixels `low` to `high`; see `_pairwise`."""
    count, near, far = high - low, low + shift, high + shift
    weight, square_p, square_q = weights[low:high], square[low:high], square[near:far]
    product, slope, values = scratch.first[:count], scratch.second[:count], scratch.powers[:count]
    product[:] = ZERO
    for c in range(len(labels)):
        p, q = labels[c, low:high], labels[c, near:far]
        for i in range(count):
            product[i] += p[i] * q[i]

    total = ZERO
    if relaxation == 0:
        for i in range(count):
            total += weight[i] * (ONE - product[i])
            slope[i] = -weight[i]
    elif relaxation == 1:
        for i in range(count):
            scale = ONE / np.sqrt(max(square_p[i], FLOOR) * max(square_q[i], FLOOR))
            product[i] *= scale
            total += weight[i] * (ONE - product[i])
            slope[i] = -weight[i] * scale
        _add_ratio(own[low:high], weight, product, square_p)
        _add_ratio(own[near:far], weight, product, square_q)
    elif relaxation == 2:
        for i in range(count):
            total += weight[i] * (HALF * (square_p[i] + square_q[i]) - product[i])
            slope[i] = -weight[i]
        _add(own[low:high], weight)
        _add(own[near:far], weight)
    elif relaxation == 3:
        for i in range(count):
            values[i] = max(product[i], FLOOR)
            slope[i] = -weight[i] / values[i] if product[i] >= FLOOR else ZERO
        total = -weighted_log_sum(values, scratch.bits[:count], weight, scratch.values)
    elif relaxation == 4:
        kept = scratch.values[:count]
        for i in range(count):
            cosine = product[i] / np.sqrt(max(square_p[i], FLOOR) * max(square_q[i], FLOOR))
            values[i] = max(cosine, FLOOR)
            kept[i] = weight[i] if cosine >= FLOOR else ZERO
            slope[i] = -weight[i] / product[i] if cosine >= FLOOR else ZERO
            product[i] = ONE
        _add_ratio(own[low:high], kept, product, square_p)
        _add_ratio(own[near:far], kept, product, square_q)
        total = -weighted_log_sum(values, scratch.bits[:count], weight, scratch.values)
    else:
        for i in range(count):
            argument = ONE - HALF * (square_p[i] + square_q[i]) + product[i]
            values[i] = max(argument, SMALLEST_ARGUMENT)
            product[i] = weight[i] / values[i] if argument >= SMALLEST_ARGUMENT else ZERO
            slope[i] = -product[i]
        _add(own[low:high], product)
        _add(own[near:far], product)
        total = -weighted_log_sum(values, scratch.bits[:count], weight, scratch.values)

    for c in range(len(labels)):
        p, q, g = labels[c, low:high], labels[c, near:far], gradient[c]
        _add_product(g[low:high], slope, q)
        _add_product(g[near:far], slope, p)
    return float(total)


@njit(**_COMPILED)
def _add(target: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(target)):
        target[i] += values[i]


@njit(**_COMPILED)
def _add_product(target: np.ndarray, factor: np.ndarray, values: np.ndarray) -> None:
    for i in range(len(target)):
        target[i] += factor[i] * values[i]


@njit(**_COMPILED)
def _add_ratio(target: np.ndarray, weight: np.ndarray, factor: np.ndarray, square: np.ndarray) -> None:
    for i in range(len(target)):
        target[i] += weight[i] * factor[i] / max(square[i], FLOOR)


@njit(**_COMPILED)
def _through_softmax(
    labels: np.ndarray,
    image: Image,
    low: int,
    high: int,
    unary: int,
    floor: float,
    gradient: np.ndarray,
    own: np.ndarray,
    scratch: Scratch,
) -> float:
    """Return the unary energy of pixels `low` to `high`; turn `gradient` there into that of both terms in the logits.

    Labels of H_CCE are raised to `floor`: 0 gives what the gradient belongs to, `LABEL_FLOOR` the published energy.
    """
    count = high - low
    scale, slope = image.scale[low:high], own[low:high]
    inner, total, values = scratch.first[:count], scratch.second[:count], scratch.powers[:count]
    inner[:] = ZERO
    for c in range(len(labels)):
        y, g = labels[c, low:high], gradient[c, low:high]
        for i in range(count):
            g[i] = y[i] * (g[i] + slope[i] * y[i])
            inner[i] += g[i]

    energy = ZERO
    total[:] = ZERO
    if unary == 0:
        for c in range(len(labels)):
            _add_product(total, labels[c, low:high], image.log_probs[c, low:high])
        for i in range(count):
            energy -= scale[i] * total[i]
        for c in range(len(labels)):
            y, g, log_prob = labels[c, low:high], gradient[c, low:high], image.log_probs[c, low:high]
            for i in range(count):
                g[i] += y[i] * (scale[i] * (total[i] - log_prob[i]) - inner[i])
    elif unary == 1:
        for c in range(len(labels)):
            y, g, prob = labels[c, low:high], gradient[c, low:high], image.probs[c, low:high]
            for i in range(count):
                values[i] = max(y[i], SMALLEST_LABEL)
                total[i] = scale[i] * prob[i]
                g[i] += scale[i] * (y[i] - prob[i]) - y[i] * inner[i]
            energy -= weighted_log_sum(values, scratch.bits[:count], total, scratch.values)
    elif unary == 2:
        for c in range(len(labels)):
            y, prob = labels[c, low:high], image.probs[c, low:high]
            for i in range(count):
                total[i] += max(y[i], floor) * prob[i]
        for i in range(count):
            values[i] = max(total[i], SMALLEST_TOTAL)
            total[i] = ONE / values[i]
        energy = -weighted_log_sum(values, scratch.bits[:count], scale, scratch.values)
        for c in range(len(labels)):
            y, g, prob = labels[c, low:high], gradient[c, low:high], image.probs[c, low:high]
            for i in range(count):
                g[i] += y[i] * (scale[i] * (ONE - prob[i] * total[i]) - inner[i])
    else:
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


@njit(**_COMPILED)
def _move(
    logits: np.ndarray,
    gradient: np.ndarray,
    mean: np.ndarray,
    root: np.ndarray,
    low: int,
    high: int,
    rate: float,
    momentum: float,
    memory: float,
    smallest: float,
) -> None:
    """Take Adam's step at pixels `low` to `high`."""
    for c in range(len(logits)):
        logit, g, m, s = logits[c, low:high], gradient[c, low:high], mean[c, low:high], root[c, low:high]
        for i in range(high - low):
            m[i] += (ONE - momentum) * (g[i] - m[i])
            s[i] = memory * s[i] + (ONE - memory) * g[i] * g[i]
            logit[i] -= rate * m[i] / (np.sqrt(s[i]) + smallest)


@njit(**_COMPILED)
def _descend(
    logits: np.ndarray,
    labels: np.ndarray,
    image: Image,
    shifts: np.ndarray,
    names: tuple[int, int],
    steps: int,
    rates: np.ndarray,
    state: tuple[float, float, float],
    rest: tuple[int, float],
    energies: np.ndarray,
) -> tuple[int, bool]:
    """Descend on one image; see `descend`. Arrays are (C, N), `energies` (steps + 1,).

    Returns:
        The number of steps taken, and whether the energy rests.
    """
    pixels = logits.shape[1]
    relaxation, unary = names
    momentum, memory, smallest = state
    patience, tolerance = rest
    gradient, mean, root = np.empty_like(logits), np.zeros_like(logits), np.zeros_like(logits)
    square, own = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    powers = np.empty(BLOCK, np.float32)
    rows = np.empty((3, BLOCK), np.float32)
    scratch = Scratch(rows[0], powers, powers.view(np.int32), rows[1], rows[2])
    for low in range(0, pixels, BLOCK):
        _soften(logits, low, min(low + BLOCK, pixels), labels, scratch)
    rests = False
    step = 0
    while True:
        last = rests or step == steps
        floor = SMALLEST_LABEL if last else ZERO
        energy = _pairwise(labels, image.edges, shifts, relaxation, gradient, square, own, scratch)
        for low in range(0, pixels, BLOCK):
            high = min(low + BLOCK, pixels)
            energy += _through_softmax(labels, image, low, high, unary, floor, gradient, own, scratch)
            if not last:
                _move(logits, gradient, mean, root, low, high, rates[step], momentum, memory, smallest)
                _soften(logits, low, high, labels, scratch)
        if last:
            break
        energies[step] = energy
        step += 1
        rests = step > patience and abs(energies[step - 1 - patience] - energy) <= patience * tolerance * abs(energy)
    energies[step:] = energy
    before = energies[max(step - patience, 0)]
    return step, rests or (step >= patience and abs(before - energy) <= patience * tolerance * abs(energy))


def descend(
    log_probs: Tensor,
    logits: Tensor,
    unary_scale: Tensor,
    edges: Tensor,
    offsets: Offsets,
    names: tuple[str, str],
    rates: Sequence[float],
    momentum: float,
    memory: float,
    smallest: float,
    patience: int,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the steps of `pipeline.solver.fast.descend_adaptively`, each image until its energy rests.

    Args:
        log_probs: (B, C, H, W) float32 on the CPU, ln sigma.
        logits: (B, C, H, W), contiguous: the start, which is overwritten.
        unary_scale: (B, 1, H, W), eta at free pixels, 0 elsewhere.
        edges: (B, E, H, W) >= 0, lambda included; 0 where an edge leads out of the image.
        offsets: E pairs (dy, dx).
        names: keys of `CROSS_ENTROPIES` and `RELAXATIONS`.
        rates: length of each step.
        momentum: memory of the gradients' mean.
        memory: that of the mean of their squares.
        smallest: size of gradients below which steps shrink with them, > 0.
        patience: steps over which an image's energy is compared.
        tolerance: relative decrease of the energy per step at which an image stops.

    Returns:
        The labels, (B, C, H, W); all energies, (steps taken + 1, B), the last as `self_labeling_energy` has it, with its floor
        under labels; and whether each image's energy rests, (B,).
    """
    batch, _, height, width = logits.shape
    pixels = height * width
    labels = torch.empty_like(logits)
    energies = np.empty((batch, len(rates) + 1))
    taken, resting = np.empty(batch, np.int64), np.empty(batch, np.bool_)
    shifts = np.array([dy * width + dx for dy, dx in offsets], np.int64)
    codes = (RELAXATION_CODES[names[1]], UNARY_CODES[names[0]])
    state = (np.float32(momentum), np.float32(memory), np.float32(smallest))
    start, soft, log, prob = (_planes(field, pixels) for field in (logits, labels, log_probs, log_probs.exp()))
    weight, scale = _planes(edges, pixels), _planes(unary_scale, pixels)
    lengths = np.array(rates, np.float32)
    for b in range(batch):
        image = Image(log[b], prob[b], scale[b, 0], weight[b])
        taken[b], resting[b] = _descend(
            start[b], soft[b], image, shifts, codes, len(rates), lengths, state, (patience, tolerance), energies[b]
        )
    used = energies[:, : taken.max() + 1].T
    return labels, torch.from_numpy(used).to(logits.dtype), torch.from_numpy(resting)


def _planes(field: Tensor, pixels: int) -> np.ndarray:
    """Return a field (B, C, H, W) as an array (B, C, `pixels`) in the same memory, if that is contiguous."""
    return field.contiguous().view(*field.shape[:2], pixels).numpy()
