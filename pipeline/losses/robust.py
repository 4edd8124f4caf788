"""The robust loss on hard proposals of the trust region method that [SSL] compares with ("hard self-labelling")."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.conventions import VOID, check_shape, valid_mask
from pipeline.losses.cross_entropy import partial_cross_entropy


def robust_cross_entropy(log_probs: Tensor, proposals: Tensor, epsilon: float) -> Tensor:
    """Return -ln(epsilon / (C - 1) + (1 - C epsilon / (C - 1)) sigma_l) per pixel, l being the proposed class.

    The negative log-likelihood under labels that are wrong with probability epsilon, evenly over the other classes. Near
    epsilon = (C - 1) / C, where labels say nothing, it is nearly linear in sigma_l: outliers are not punished without bound.

    Args:
        log_probs: (B, C, H, W), <= 0, C at least 2.
        proposals: (B, H, W) int64 in 0..C-1, or `VOID` where there is none.
        epsilon: in [0, (C - 1) / C); 0 gives the plain cross-entropy.

    Returns:
        (B, H, W), between 0 and ln((C - 1) / epsilon); 0 with zero gradient where there is no proposal.

    Raises:
        ValueError: if epsilon is out of range or the shapes do not fit together.

    >>> log_probs = torch.tensor([0.25, 0.75]).log().view(1, 2, 1, 1)
    >>> round(float(robust_cross_entropy(log_probs, torch.tensor([[[1]]]), 0.1)), 4)
    0.3567
    """
    check_shape("log_probs", log_probs, (None, None, None, None))
    batch, classes, height, width = log_probs.shape
    check_shape("proposals", proposals, (batch, height, width))
    if classes < 2 or not 0 <= epsilon < (classes - 1) / classes:
        raise ValueError(f"epsilon: expected a number in [0, {(classes - 1) / max(classes, 1):.4g}), got {epsilon}")
    proposed = valid_mask(proposals)
    # Class 0 where there is no proposal: `VOID` is no index for gather.
    picked = log_probs.gather(1, proposals.where(proposed, proposals.new_zeros(())).unsqueeze(1)).squeeze(1)
    # Selected before logaddexp as well as after it: an infinity or nan there could make the gradient 0 times nan.
    picked = picked.where(proposed, picked.new_zeros(()))
    # Finite, as epsilon < (C - 1) / C keeps the argument above 0.
    slope = math.log(1 - classes * epsilon / (classes - 1))
    # -ln(a + b sigma) = -logaddexp(ln a, ln b + ln sigma). In logarithms, so that epsilon = 0 stays finite for confident
    # networks: then ln a = -inf, which a tensor's log gives and `math.log` refuses.
    background = picked.new_tensor(epsilon / (classes - 1)).log()
    return -torch.logaddexp(background, slope + picked).where(proposed, picked.new_zeros(()))


def trust_region_loss(log_probs: Tensor, proposals: Tensor, seeds: Tensor, epsilon: float) -> Tensor:
    """Return (robust loss on proposals + plain cross-entropy on seeds) / (number of seeds) / B, as published.

    Args:
        log_probs: (B, C, H, W), <= 0.
        proposals: (B, H, W) int64, `VOID` where there is none, such as outside the image; ignored on seeds.
        seeds: (B, H, W) int64, `VOID` where there is none.
        epsilon: see `robust_cross_entropy`.

    Returns:
        Scalar. Divided by 1 where the batch has no seed.

    Raises:
        ValueError: as `robust_cross_entropy`.
    """
    check_shape("seeds", seeds, (proposals.shape[0], *proposals.shape[1:]))
    # A seed is certain: it has the plain loss, and no robust one beside it.
    elsewhere = torch.where(valid_mask(seeds), torch.full_like(proposals, VOID), proposals)
    total = robust_cross_entropy(log_probs, elsewhere, epsilon).sum() + partial_cross_entropy(log_probs, seeds).sum()
    # The sum over all proposals too is divided by the number of seeds, not by its own.
    return total / valid_mask(seeds).sum().clamp(min=1) / len(seeds)
