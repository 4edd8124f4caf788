"""The pairwise term of [SSL] Eq. 4 and 6: a Potts relaxation summed over the weighted edges of a grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.conventions import check_shape
from pipeline.crf.neighborhoods import Offsets, edge_windows
from pipeline.losses.relaxations import EdgeTerms


def pairwise_energy(labels: Tensor, affinity: Tensor, offsets: Offsets, relaxation: Callable[..., Tensor]) -> Tensor:
    """Return sum_{ij in N} w_ij P(y_i, y_j) of each image ([SSL] Eq. 6, without lambda).

    Args:
        labels: (B, C, H, W) on the simplex: predictions or pseudo-labels.
        affinity: (B, E, H, W) >= 0, 0 where an end is invalid or outside.
        offsets: E pairs (dy, dx).
        relaxation: P(p, q, dim=1), an entry of `RELAXATIONS`.

    Returns:
        (B,), >= 0.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    batch, _, height, width = _check(labels, affinity, offsets)
    energy = labels.new_zeros(batch)
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        energy = energy + (affinity[:, edge][first] * relaxation(labels[first], labels[second])).sum((1, 2))
    return energy


def pairwise_gradient(labels: Tensor, affinity: Tensor, offsets: Offsets, relaxation_gradient: Callable[..., Tensor]) -> Tensor:
    """Return the gradient of `pairwise_energy` with respect to `labels`, in closed form.

    Args:
        labels: (B, C, H, W) on the simplex.
        affinity: (B, E, H, W) >= 0.
        offsets: E pairs (dy, dx).
        relaxation_gradient: dP/dp(p, q, dim=1), an entry of `RELAXATION_GRADIENTS`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: if the shapes do not fit together.
    """
    _, _, height, width = _check(labels, affinity, offsets)
    gradient = torch.zeros_like(labels)
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        weight = affinity[:, edge][first].unsqueeze(1)
        gradient[first] += weight * relaxation_gradient(labels[first], labels[second])
        gradient[second] += weight * relaxation_gradient(labels[second], labels[first])
    return gradient


def pairwise_energy_and_gradient(
    labels: Tensor,
    affinity: Tensor,
    offsets: Offsets,
    edge_terms: Callable[[Tensor, Tensor, Tensor], EdgeTerms],
    buffers: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `pairwise_energy` and `pairwise_gradient` together, for solvers that need both in each step.

    As all relaxations depend on p.q, |p|^2 and |q|^2 only, one product of (B, C, H, W) per kind of edge serves value
    and both slopes: a fraction of the work of the two functions above, which this one equals.

    Args:
        labels: (B, C, H, W) on the simplex.
        affinity: (B, E, H, W) >= 0.
        offsets: E pairs (dy, dx).
        edge_terms: an entry of `EDGE_TERMS`.
        buffers: two tensors like `labels` to overwrite, the gradient being returned in the first; None makes new ones.
            Repeated calls are several times faster with them, since fresh memory of this size costs more than the sums.

    Returns:
        Energy (B,) and gradient (B, C, H, W).

    Raises:
        ValueError: if the shapes do not fit together.
    """
    batch, _, height, width = _check(labels, affinity, offsets)
    gradient, scratch = buffers or (torch.empty_like(labels), torch.empty_like(labels))
    gradient.zero_()
    squares = torch.mul(labels, labels, out=scratch).sum(1)
    energy = labels.new_zeros(batch)
    own = torch.zeros_like(squares)  # what multiplies the pixel's own label: 2 w dP/d|p|^2 summed over its edges
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        weight = affinity[:, edge][first]
        product = torch.mul(labels[first], labels[second], out=scratch[first]).sum(1)
        terms = edge_terms(product, squares[first], squares[second])
        energy += (weight * terms.value).sum((1, 2))
        pull = (weight * terms.product_slope).unsqueeze(1)
        gradient[first].addcmul_(pull, labels[second])
        gradient[second].addcmul_(pull, labels[first])
        own[first].addcmul_(weight, terms.square_p_slope, value=2)
        own[second].addcmul_(weight, terms.square_q_slope, value=2)
    return energy, gradient.addcmul_(own.unsqueeze(1), labels)


def _check(labels: Tensor, affinity: Tensor, offsets: Offsets) -> torch.Size:
    check_shape("labels", labels, (None, None, None, None))
    batch, _, height, width = labels.shape
    check_shape("affinity", affinity, (batch, len(offsets), height, width))
    return labels.shape
