"""The six second-order relaxations of the Potts model, [SSL] Tables 1 and 2, and their slopes in closed form.

Each relaxes [p != q] from one-hot labels to distributions p, q. All six depend on p and q only through three numbers,
p.q, |p|^2 and |q|^2. `EDGE_TERMS` gives value and slopes in these numbers; from it come both the functions of two
distributions (`RELAXATIONS`) and the gradients of energies (`pipeline.crf.pairwise`), so that each formula stands here once:
dP/dp = dP/d(p.q) q + 2 dP/d|p|^2 p.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

PRODUCT_FLOOR = 1e-12
"""Smallest argument of ln in P_CCE and P_CD: bounds them by 27.6. Products of small probabilities keep their relative
precision, so that this value serves float32 as well as float64."""


class EdgeTerms(NamedTuple):
    """One relaxation at given p.q, |p|^2, |q|^2: its value and its derivatives in these three numbers."""

    value: Tensor
    product_slope: Tensor
    square_p_slope: Tensor
    square_q_slope: Tensor


def quadratic_floor(dtype: torch.dtype) -> float:
    """Return the smallest argument of ln in P_LQ: 1e-12 in float64, 8 rounding errors (about 1e-6) in float32.

    Unlike the products, 1 - 1/2 |p - q|^2 is a difference of numbers near 1 and carries their absolute rounding error;
    a smaller floor would turn that error into gradients of arbitrary size between two confident, contradicting pixels.
    """
    return max(PRODUCT_FLOOR, 8 * torch.finfo(dtype).eps)


def moments(p: Tensor, q: Tensor, dim: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Return p.q, |p|^2 and |q|^2 along `dim`."""
    return (p * q).sum(dim), p.square().sum(dim), q.square().sum(dim)


def _bilinear_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_BL = 1 - p.q
    # dP/d(p.q) = -1, and nothing depends on |p|^2: linear in each label, so that hard ones minimise it.
    zero = torch.zeros_like(product)
    return EdgeTerms(1 - product, zero - 1, zero, zero)


def _quadratic_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_Q = 1/2 |p - q|^2 = 1/2 (|p|^2 + |q|^2) - p.q
    # dP/d(p.q) = -1, dP/d|p|^2 = 1/2: dP/dp = p - q
    half = torch.full_like(product, 0.5)
    return EdgeTerms(0.5 * (square_p + square_q) - product, -2 * half, half, half)


def _normalized_quadratic_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_NQ = 1 - p.q / (|p| |q|)
    square_p, square_q = _positive(square_p), _positive(square_q)
    scale = (square_p * square_q).rsqrt()
    cosine = product * scale
    # With s = |p|^2 and t = |q|^2: d(-p.q s^-1/2 t^-1/2)/ds = 1/2 p.q s^-3/2 t^-1/2 = 1/2 cos / s
    return EdgeTerms(1 - cosine, -scale, 0.5 * cosine / square_p, 0.5 * cosine / square_q)


def _collision_cross_entropy_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_CCE = -ln p.q
    zero = torch.zeros_like(product)
    # dP/d(p.q) = -1 / p.q
    bounded = product.clamp(min=PRODUCT_FLOOR)
    # Below the floor the value is constant, and so its slope zero.
    return EdgeTerms(-bounded.log(), torch.where(product < PRODUCT_FLOOR, zero, -1 / bounded), zero, zero)


def _collision_divergence_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_CD = -ln (p.q / (|p| |q|))
    zero = torch.zeros_like(product)
    square_p, square_q = _positive(square_p), _positive(square_q)
    # P = -ln p.q + 1/2 ln |p|^2 + 1/2 ln |q|^2, so that each slope needs but one of the three numbers.
    cosine = product * (square_p * square_q).rsqrt()
    # The floor is that of the cosine, of which ln is taken; 1 / p.q may be infinite where it is not chosen.
    below = cosine < PRODUCT_FLOOR
    return EdgeTerms(
        -cosine.clamp(min=PRODUCT_FLOOR).log(),
        torch.where(below, zero, -1 / product),
        torch.where(below, zero, 0.5 / square_p),
        torch.where(below, zero, 0.5 / square_q),
    )


def _log_quadratic_terms(product: Tensor, square_p: Tensor, square_q: Tensor) -> EdgeTerms:
    # P_LQ = -ln (1 - 1/2 |p - q|^2)
    floor = quadratic_floor(product.dtype)
    # a = 1 - 1/2 |p - q|^2;  dP/d(p.q) = -1 / a, dP/d|p|^2 = 1 / (2 a)
    argument = 1 - 0.5 * (square_p + square_q) + product
    bounded = argument.clamp(min=floor)
    # Zero where the floor makes the value constant, as above.
    half = torch.where(argument < floor, torch.zeros_like(argument), 0.5 / bounded)
    return EdgeTerms(-bounded.log(), -2 * half, half, half)


def _positive(square: Tensor) -> Tensor:
    # A distribution has |p|^2 >= 1/C; only the all-zero vectors of void pixels meet this bound, and have no edges.
    return square.clamp(min=PRODUCT_FLOOR)


EDGE_TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], EdgeTerms]] = {
    "bl": _bilinear_terms,
    "nq": _normalized_quadratic_terms,
    "q": _quadratic_terms,
    "cce": _collision_cross_entropy_terms,
    "cd": _collision_divergence_terms,
    "lq": _log_quadratic_terms,
}
"""Value and slopes of each relaxation from (p.q, |p|^2, |q|^2)."""


def bilinear(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_BL = 1 - p.q ([SSL] Table 1), tight ("graph cut"): 0 only for equal one-hot pairs.

    Args:
        p: distributions along `dim`.
        q: distributions along `dim`, shape of `p` or broadcasting with it.
        dim: the class axis.

    Returns:
        The shape of `p` without `dim`, in [0, 1].

    >>> half = torch.tensor([[0.5, 0.5, 0.0]])
    >>> bilinear(half, half).tolist()
    [0.5]
    """
    return _bilinear_terms(*moments(p, q, dim)).value


def quadratic(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_Q = 1/2 |p - q|^2 ([SSL] Table 1), convex ("random walker"). Arguments as in `bilinear`; in [0, 1].

    >>> quadratic(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.5, 0.5]])).tolist()
    [0.75]
    """
    return _quadratic_terms(*moments(p, q, dim)).value


def normalized_quadratic(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_NQ = 1 - p.q / (|p| |q|) ([SSL] Table 1). Arguments as in `bilinear`; in [0, 1]."""
    return _normalized_quadratic_terms(*moments(p, q, dim)).value


def collision_cross_entropy(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_CCE = -ln p.q ([SSL] Table 2). Arguments as in `bilinear`; in [0, 27.6], see `PRODUCT_FLOOR`."""
    return _collision_cross_entropy_terms(*moments(p, q, dim)).value


def collision_divergence(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_CD = -ln(p.q / (|p| |q|)) ([SSL] Table 2). Arguments as in `bilinear`; in [0, 27.6]."""
    return _collision_divergence_terms(*moments(p, q, dim)).value


def log_quadratic(p: Tensor, q: Tensor, dim: int = 1) -> Tensor:
    """Return P_LQ = -ln(1 - 1/2 |p - q|^2) ([SSL] Table 2). Arguments as in `bilinear`; bounded by `quadratic_floor`."""
    return _log_quadratic_terms(*moments(p, q, dim)).value


RELAXATIONS: dict[str, Callable[..., Tensor]] = {
    "bl": bilinear,
    "nq": normalized_quadratic,
    "q": quadratic,
    "cce": collision_cross_entropy,
    "cd": collision_divergence,
    "lq": log_quadratic,
}
"""P of [SSL] Eq. 6 by name, in the order of [SSL] Table 3: (p, q, dim=1) -> shape of p without dim."""
