"""Soft Jaccard index between two fields of soft labels, the check of the solver in [SSL] Appendix B (99.2 % there)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.conventions import check_shape

if TYPE_CHECKING:
    from torch import Tensor


def soft_jaccard(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return sum min(a, b) / sum max(a, b) over classes and pixels of each image.

    Args:
        a: (B, C, H, W), >= 0.
        b: (B, C, H, W), >= 0.
        mask: (B, H, W) bool, the pixels that count; None counts all.

    Returns:
        (B,) in [0, 1]; 1 for equal fields, and by definition for an image in which nothing counts.

    Raises:
        ValueError: if the shapes differ.

    >>> import torch
    >>> a, b = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).view(2, 1, 2, 1, 1)
    >>> round(float(soft_jaccard(a, b)), 4)
    0.3333
    """
    check_shape("a", a, (None, None, None, None))
    check_shape("b", b, tuple(a.shape))
    # For one-hot labels minimum is and, maximum is or: the index of sets.
    smaller, larger = a.minimum(b), a.maximum(b)
    if mask is not None:
        check_shape("mask", mask, (a.shape[0], *a.shape[2:]))
        smaller = smaller.where(mask.unsqueeze(1), smaller.new_zeros(()))
        larger = larger.where(mask.unsqueeze(1), larger.new_zeros(()))
    shared, united = smaller.flatten(1).sum(1), larger.flatten(1).sum(1)
    # 0 / 0 is avoided inside and called 1 outside.
    return (shared / united.where(united > 0, united.new_ones(()))).where(united > 0, united.new_ones(()))
