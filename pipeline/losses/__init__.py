"""Stateless losses of tensors: one value per pixel or image, reduced by the caller."""

from pipeline.losses.cross_entropy import (
    CROSS_ENTROPIES,
    collision_cross_entropy,
    cross_entropy,
    entropy,
    partial_cross_entropy,
    quadratic_cross_entropy,
    reverse_cross_entropy,
)
from pipeline.losses.relaxations import (
    EDGE_TERMS,
    RELAXATIONS,
    bilinear,
    collision_divergence,
    log_quadratic,
    normalized_quadratic,
    quadratic,
)
from pipeline.losses.robust import robust_cross_entropy, trust_region_loss
from pipeline.losses.size import (
    SIZE_LOSSES,
    barrier_bounds,
    flat_barrier,
    forward_kl,
    log_barrier,
    mean_probs,
    reverse_kl,
    squared_barrier,
    squared_suppression,
    suppression,
)

__all__ = [
    "CROSS_ENTROPIES",
    "EDGE_TERMS",
    "RELAXATIONS",
    "SIZE_LOSSES",
    "barrier_bounds",
    "bilinear",
    "collision_cross_entropy",
    "collision_divergence",
    "cross_entropy",
    "entropy",
    "flat_barrier",
    "forward_kl",
    "log_barrier",
    "log_quadratic",
    "mean_probs",
    "normalized_quadratic",
    "partial_cross_entropy",
    "quadratic",
    "quadratic_cross_entropy",
    "reverse_cross_entropy",
    "reverse_kl",
    "robust_cross_entropy",
    "squared_barrier",
    "squared_suppression",
    "suppression",
    "trust_region_loss",
]
