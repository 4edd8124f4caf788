"""The pseudo-label problem, [SSL] Eq. 6 as a function of y: what every solver is given, checked once when it is put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pipeline.conventions import VOID, check_numbers, check_shape, valid_mask
from pipeline.crf.affinity import without_seed_edges
from pipeline.crf.neighborhoods import Offsets, check_offsets
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS

LARGEST_WEIGHT = 1e12
"""Of eta, of lambda and of lambda w: gradients may be 30 times as large, and their squares, as Adam keeps, must fit float32."""
SMALLEST_WEIGHT = 1e-12
"""Of eta and of lambda where they are not 0: products with probabilities stay normal numbers of float32."""
LARGEST_ROUNDING = 0.1
"""Of ln sigma, above 0. Logits that were not normalised are no energies, and their probabilities overflow."""
LARGEST_LOGARITHM = 1e12
"""Of -ln sigma. Logits of a trained network stay below 1e5; sums over a large picture must still fit float32."""


class Edges(NamedTuple):
    """A sparse neighbourhood: all pixels share their displacements, every edge has a weight of its own.

    Attributes:
        affinity: (B, E, H, W) >= 0, w_ij, stored at the first pixel of each edge. Edges that leave the image are left out; those
            to invalid pixels must have weight 0.
        offsets: E pairs (dy, dx).
    """

    affinity: Tensor
    offsets: Offsets


class Kernel(Protocol):
    """The dense neighbourhood: the matrix W of all pairs, which can only be multiplied by ([SSL] section 3.3, "DN")."""

    @property
    def degrees(self) -> Tensor:
        """W 1, (B, 1, H, W): the sum of weights at each pixel; 0 where it is invalid."""

    def filter(self, values: Tensor) -> Tensor:
        """Return W `values`, (B, C, H, W)."""


@dataclass(frozen=True)
class Problem:
    """Minimise over soft labels y on the simplex, one-hot on the seeds S ([SSL] Eq. 6 without the seeds' constant):

    E(y) = eta sum_{i not in S} H(sigma_i, y_i) + lambda sum_{ij in N} w_ij P(y_i, y_j)

    Attributes:
        log_probs: (B, C, H, W), ln sigma, finite and at most 0. Kept detached, in float32 at least: no gradient flows back.
        seeds: (B, H, W) int64 in 0..C-1, or `VOID` where there is no seed.
        neighborhood: N and w. On a `Kernel` lambda is divided by the mean degree, see `solve_dense`.
        cross_entropy: H, a key of `CROSS_ENTROPIES`.
        relaxation: P, a key of `RELAXATIONS`.
        unary_weight: eta, 0 or 1e-12 to 1e12; 0.3 in [SSL] Appendix C.
        pairwise_weight: lambda, 0 or 1e-12 to 1e12; 6 in [SSL] Appendix C.
        valid: (B, H, W) bool, pixels with a unary term; None for all. Others without edges keep the prediction.

    Raises:
        ValueError: a part is empty, not finite or out of range, a name is unknown, or the shapes do not fit together. This is
            the one place where that is checked: solvers and their compiled code trust a `Problem`.
    """

    log_probs: Tensor
    seeds: Tensor
    neighborhood: Edges | Kernel
    cross_entropy: str
    relaxation: str
    unary_weight: float = 0.3
    pairwise_weight: float = 6.0
    valid: Tensor | None = None

    def __post_init__(self) -> None:
        log_probs = self.log_probs.detach()
        # Energies sum over whole pictures, too much for 16 bits; compiled code takes memory as it lies.
        log_probs = log_probs.to(torch.promote_types(log_probs.dtype, torch.float32)).contiguous()
        object.__setattr__(self, "log_probs", log_probs)  # the dataclass is frozen for everybody else
        # Shapes first: what follows reads whole tensors, and would not say which of two does not fit.
        check_shape("log_probs", log_probs, (None, None, None, None))
        check_numbers("log_probs", log_probs, least=-LARGEST_LOGARITHM, most=LARGEST_ROUNDING)
        batch, classes, height, width = log_probs.shape
        check_shape("seeds", self.seeds, (batch, height, width))
        _check_seeds(self.seeds, classes)
        if self.valid is not None:
            check_shape("valid", self.valid, (batch, height, width))
        _check_name("cross_entropy", self.cross_entropy, CROSS_ENTROPIES)
        _check_name("relaxation", self.relaxation, RELAXATIONS)
        _check_weight("unary_weight", self.unary_weight)
        _check_weight("pairwise_weight", self.pairwise_weight)
        # A kernel of all pairs shows its weights only by its row sums.
        if not isinstance(self.neighborhood, Edges):
            degrees = self.neighborhood.degrees
            check_shape("kernel.degrees", degrees, (batch, 1, height, width))
            check_numbers("kernel.degrees", degrees)
            return
        affinity, offsets = self.neighborhood
        check_offsets(offsets)
        check_shape("affinity", affinity, (batch, len(offsets), height, width))
        # lambda w must be a number of float32 as well, and so must its square.
        # With lambda below 1 it is w itself that must be.
        check_numbers("affinity", affinity, least=0, most=LARGEST_WEIGHT / max(self.pairwise_weight, 1))

    @property
    def edges(self) -> Edges:
        """The neighbourhood of a solver that needs edges.

        Raises:
            ValueError: it is a `Kernel`.
        """
        if isinstance(self.neighborhood, Edges):
            return self.neighborhood
        raise ValueError("neighborhood: expected edges, got a kernel of all pairs; take the solver 'dense'")

    # Every energy asks for it. The cache writes to __dict__, which a frozen dataclass leaves open.
    @cached_property
    def free(self) -> Tensor:
        """Where a pseudo-label is sought and pulled to the prediction: valid and no seed; (B, H, W) bool."""
        free = ~valid_mask(self.seeds)
        return free if self.valid is None else free & self.valid

    @property
    def unary_scale(self) -> Tensor:
        """eta at free pixels, 0 elsewhere; (B, 1, H, W)."""
        return self.unary_weight * self.free.to(self.log_probs.dtype).unsqueeze(1)

    def pairwise_scale(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return lambda w of each edge, 0 between two seeds, whose energy is a constant; (B, E, H, W).

        Args:
            dtype: of the result; None for that of `log_probs`.
        """
        affinity, offsets = self.edges
        # With both labels fixed, w P(y_i, y_j) is a number, and for logarithmic P and different seeds an infinite one.
        kept = without_seed_edges(affinity.detach().to(dtype or self.log_probs.dtype), self.seeds, offsets)
        # In place: `without_seed_edges` returns a new tensor in any case.
        return kept.mul_(self.pairwise_weight)

    def expect(self, solver: str, cross_entropy: str, relaxation: str) -> None:
        """Raise ValueError unless H and P are those that the solver of that name can minimise."""
        if (self.cross_entropy, self.relaxation) != (cross_entropy, relaxation):
            raise ValueError(
                f"solver {solver}: expected cross_entropy {cross_entropy!r} with relaxation {relaxation!r}, "
                f"got {self.cross_entropy!r} with {self.relaxation!r}"
            )

    def expect_unary(self) -> None:
        """Raise ValueError unless eta is above 0: without it labels far from seeds are anything, and a linear system singular."""
        if self.unary_weight == 0:
            raise ValueError("unary_weight: expected a number above 0, got 0")


def check_steps(steps: int) -> None:
    """Raise ValueError unless a solver may take at least one step."""
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")


def check_descent(steps: int, learning_rate: float, tolerance: float) -> None:
    """Raise ValueError unless the settings of a descent are in range; nan is not."""
    check_steps(steps)
    if not 0 < learning_rate <= LARGEST_WEIGHT:
        raise ValueError(f"learning_rate: expected a number above 0, at most {LARGEST_WEIGHT:g}, got {learning_rate}")
    check_tolerance(tolerance)


def check_tolerance(tolerance: float) -> None:
    """Raise ValueError unless a tolerance is in range; nan is not."""
    if not 0 <= tolerance <= LARGEST_WEIGHT:
        raise ValueError(f"tolerance: expected a number >= 0, at most {LARGEST_WEIGHT:g}, got {tolerance}")


def _check_seeds(seeds: Tensor, classes: int) -> None:
    if seeds.dtype != torch.int64:
        raise ValueError(f"seeds: expected int64, got {seeds.dtype}")
    wrong = valid_mask(seeds) & ((seeds < 0) | (seeds >= classes))
    if bool(wrong.any()):
        raise ValueError(f"seeds: expected classes 0 to {classes - 1} or {VOID}, got {int(seeds[wrong][0])}")


def _check_name(argument: str, name: str, known: object) -> None:
    names = list(known)  # type: ignore[call-overload]
    if name not in names:
        raise ValueError(f"{argument}: expected one of {', '.join(names)}, got {name!r}")


def _check_weight(argument: str, weight: float) -> None:
    # Put as what is allowed, not as what is refused: nan fails every comparison.
    if not (weight == 0 or SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT):
        raise ValueError(f"{argument}: expected 0 or a number from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}, got {weight}")
