"""The pairwise term of [SSL] Eq. 4 and 6: a Potts relaxation summed over the weighted edges of a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.conventions import check_shape
from pipeline.crf.affinity import adaptive_affinity, contrast_affinity, edge_count
from pipeline.crf.neighborhoods import Offsets, edge_windows
from pipeline.losses.relaxations import EDGE_TERMS, EdgeTerms


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
    # All edges of one displacement at once: views of the picture against itself, moved.
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        energy = energy + (affinity[:, edge][first] * relaxation(labels[first], labels[second])).sum((1, 2))
    return energy


def pairwise_energy_and_gradient(
    labels: Tensor,
    affinity: Tensor,
    offsets: Offsets,
    edge_terms: Callable[[Tensor, Tensor, Tensor], EdgeTerms],
    buffers: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `pairwise_energy` and its gradient with respect to `labels` together, for solvers that need both in each step.

    As all relaxations depend on p.q, |p|^2 and |q|^2 only, one product of (B, C, H, W) per kind of edge serves value
    and both slopes: a fraction of the work of differentiating `pairwise_energy`.

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
    # Everything below adds to it, and a buffer still holds the gradient of the call before.
    gradient.zero_()
    # |p|^2 of all pixels once: each takes part in several edges. The sum is a tensor of its own; scratch is free again.
    squares = torch.mul(labels, labels, out=scratch).sum(1)
    energy = labels.new_zeros(batch)
    own = torch.zeros_like(squares)  # what multiplies the pixel's own label: 2 w dP/d|p|^2 summed over its edges
    for edge, offset in enumerate(offsets):
        first, second = edge_windows(offset, height, width)
        weight = affinity[:, edge][first]
        product = torch.mul(labels[first], labels[second], out=scratch[first]).sum(1)
        terms = edge_terms(product, squares[first], squares[second])
        energy += (weight * terms.value).sum((1, 2))
        # dP/dp = dP/d(p.q) q + 2 dP/d|p|^2 p, and the same at the other end
        pull = (weight * terms.product_slope).unsqueeze(1)
        gradient[first].addcmul_(pull, labels[second])
        gradient[second].addcmul_(pull, labels[first])
        own[first].addcmul_(weight, terms.square_p_slope, value=2)
        own[second].addcmul_(weight, terms.square_q_slope, value=2)
    # The label itself is multiplied once, after all edges, instead of twice for each kind.
    return energy, gradient.addcmul_(own.unsqueeze(1), labels)


def potts_loss(
    probs: Tensor,
    image: Tensor,
    valid: Tensor,
    *,
    offsets: Offsets,
    relaxation: str = "bl",
    sigma_rgb: float | None = None,
) -> Tensor:
    """Return the relaxed Potts model of predictions as a loss for gradient descent on a network ([SSL] Table 4, "GD").

    L = sum_{ij in N} w_ij P(S_i, S_j) / |N|, over the edges N with both ends valid. With `sigma_rgb` None, the 8-grid and
    P_BL this is the published grid CRF loss, to which its weight 100 belongs.

    Args:
        probs: (B, C, H, W) on the simplex, S; any floating type, computed at least in float32.
        image: (B, 3, H, W) in [0, 1]; it receives no gradient.
        valid: (B, H, W) bool.
        offsets: E pairs (dy, dx), an entry of `NEIGHBORHOODS`.
        relaxation: P, a key of `RELAXATIONS`.
        sigma_rgb: bandwidth of `contrast_affinity` on 0-255 colours; None for `adaptive_affinity`.

    Returns:
        (B,), >= 0; 0 for an image without edges. Value and gradient cost one pass over the edges.

    Raises:
        ValueError: if the relaxation is unknown, the bandwidth not positive, or the shapes do not fit together.
    """
    if relaxation not in EDGE_TERMS:
        raise ValueError(f"relaxation: expected one of {', '.join(EDGE_TERMS)}, got {relaxation!r}")
    check_shape("probs", probs, (None, None, None, None))
    check_shape("image", image, (probs.shape[0], 3, *probs.shape[2:]))
    with torch.no_grad():
        affinity = (
            adaptive_affinity(image, valid, offsets) if sigma_rgb is None else contrast_affinity(image, valid, offsets, sigma_rgb)
        )
        # w / |N|: the loss is a mean over edges, whatever the picture's size
        affinity = affinity / edge_count(valid, offsets).clamp(min=1).view(-1, 1, 1, 1)
    probs = probs.to(torch.promote_types(probs.dtype, torch.float32))
    return _PairwiseEnergy.apply(probs, affinity.to(probs.dtype), offsets, EDGE_TERMS[relaxation])


class _PairwiseEnergy(torch.autograd.Function):
    """`pairwise_energy` that keeps its gradient for the backward pass instead of a graph over all edges."""

    @staticmethod
    def forward(ctx: Any, labels: Tensor, affinity: Tensor, offsets: Offsets, edge_terms: Callable[..., EdgeTerms]) -> Tensor:
        # Value and gradient in one pass; autograd would keep a tensor for each kind of edge.
        energy, gradient = pairwise_energy_and_gradient(labels, affinity, offsets, edge_terms)
        ctx.save_for_backward(gradient)
        return energy

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        # The energies of images are independent: dL/dS of an image is dL/dE times its own dE/dS.
        (gradient,) = ctx.saved_tensors
        return upstream.view(-1, 1, 1, 1) * gradient, None, None, None


def _check(labels: Tensor, affinity: Tensor, offsets: Offsets) -> torch.Size:
    check_shape("labels", labels, (None, None, None, None))
    batch, _, height, width = labels.shape
    check_shape("affinity", affinity, (batch, len(offsets), height, width))
    return labels.shape
