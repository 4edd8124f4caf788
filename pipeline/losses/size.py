"""Losses of the predicted class sizes of an image ([SIZE] Eq. 1, 2, 7-9, 11, 17).

Size-target losses compare predicted sizes with `size_targets`; barriers use only which classes are present (the tags,
`size_targets` > 0) or a lower bound per class. All return one value per image, (B,), in float32 or better even if the
network runs in half precision. What takes the logarithm of a size is given `log_mean_probs`: the mean itself underflows where
a class has been lost, and a clamp before the logarithm would take away the very gradient that brings the class back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.conventions import check_shape

SIZE_FLOOR = 1e-8
"""Size targets are raised to this value inside a logarithm: a hundredth of a pixel of a 1000 x 1000 image. Predicted sizes are
not: of them the logarithm itself is known."""


def mean_probs(probs: Tensor, valid: Tensor) -> Tensor:
    """Return the average prediction over the valid pixels, the predicted class sizes ([SIZE] Eq. 1).

    mean_probs = 1/|Omega| sum_{p in Omega} S_p

    Args:
        probs: (B, C, H, W) on the simplex.
        valid: (B, H, W) bool; pixels outside are left out of sum and count, and get zero gradient.

    Returns:
        (B, C), rows sum to 1; all zeros (and zero gradient) for an image without a valid pixel.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    check_shape("probs", probs, (None, None, None, None))
    check_shape("valid", valid, (probs.shape[0], *probs.shape[2:]))
    # where, not times the mask: 0 times nan or inf outside would be nan.
    kept = _precise(probs).where(valid.unsqueeze(1), torch.zeros((), device=probs.device))
    return kept.sum((2, 3)) / valid.sum((1, 2)).clamp(min=1).unsqueeze(1)


def log_mean_probs(log_probs: Tensor, valid: Tensor) -> Tensor:
    """Return the logarithm of `mean_probs`, from log-probabilities and therefore exact for classes predicted nowhere.

    ln mean_probs = logsumexp_{p in Omega} ln S_p - ln |Omega|

    Args:
        log_probs: (B, C, H, W), ln S, finite.
        valid: (B, H, W) bool; pixels outside are left out of sum and count, and get zero gradient.

    Returns:
        (B, C), <= 0; ln `SIZE_FLOOR` (and zero gradient) for all classes of an image without a valid pixel.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    check_shape("log_probs", log_probs, (None, None, None, None))
    check_shape("valid", valid, (log_probs.shape[0], *log_probs.shape[2:]))
    count = valid.sum((1, 2)).view(-1, 1)
    empty = count == 0
    # An image without valid pixels keeps all of them here, as the gradient of logsumexp over nothing is not a number.
    kept = _precise(log_probs).masked_fill(~valid.unsqueeze(1) & ~empty.view(-1, 1, 1, 1), -math.inf)
    return (kept.logsumexp((2, 3)) - count.clamp(min=1).to(kept.dtype).log()).masked_fill(empty, math.log(SIZE_FLOOR))


def forward_kl(log_mean_probs: Tensor, size_targets: Tensor) -> Tensor:
    """Return the size-target loss KL(v | mean_probs) = sum_k v_k ln(v_k / mean_probs_k), with 0 ln 0 = 0 ([SIZE] Eq. 2).

    Zero-avoiding: grows without bound as a class with a positive target vanishes from the prediction.

    Args:
        log_mean_probs: (B, C), ln of rows that sum to 1.
        size_targets: (B, C), rows sum to 1.

    Returns:
        (B,), >= 0, and 0 only where both agree.

    Raises:
        ValueError: if the shapes differ.

    >>> round(float(forward_kl(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]))), 4)
    0.6931
    """
    log_predicted, prescribed = _check_sizes(log_mean_probs, size_targets, "log_mean_probs")
    # xlogy has 0 ln 0 = 0. Linear in ln mean_probs_k: the pull -v_k is the same however small the class has become.
    return (torch.xlogy(prescribed, prescribed) - prescribed * log_predicted).sum(1)


def reverse_kl(log_mean_probs: Tensor, size_targets: Tensor) -> Tensor:
    """Return KL(mean_probs | v) = sum_k mean_probs_k ln(mean_probs_k / v_k), v clamped ([SIZE] Eq. 7, Fig. 3).

    Args:
        log_mean_probs: (B, C), ln of rows that sum to 1.
        size_targets: (B, C), rows sum to 1; a class with target 0 costs at most -ln `SIZE_FLOOR` = 18.4.

    Returns:
        (B,), >= 0 up to the clamp.

    Raises:
        ValueError: if the shapes differ.
    """
    log_predicted, prescribed = _check_sizes(log_mean_probs, size_targets, "log_mean_probs")
    # d/d(ln m) of m ln(m / v) is m (ln(m / v) + 1): unlike in Eq. 2 a lost class has next to no gradient.
    return (log_predicted.exp() * (log_predicted - prescribed.clamp(min=SIZE_FLOOR).log())).sum(1)


def log_barrier(log_mean_probs: Tensor, size_targets: Tensor) -> Tensor:
    """Return the expansion loss -sum_{k in T} ln mean_probs_k, T the classes present ([SIZE] Eq. 9).

    Args:
        log_mean_probs: (B, C), ln of rows that sum to 1.
        size_targets: (B, C); only its tags T = {k: size_targets_k > 0} are used.

    Returns:
        (B,), >= 0; smallest where the present classes are equally large ([SIZE] Eq. 10).

    Raises:
        ValueError: if the shapes differ.
    """
    log_predicted, prescribed = _check_sizes(log_mean_probs, size_targets, "log_mean_probs")
    # = |T| KL(u_T | mean_probs) + |T| ln |T|, u_T uniform over the tags ([SIZE] Eq. 10).
    return -((prescribed > 0) * log_predicted).sum(1)


def flat_barrier(log_mean_probs: Tensor, size_targets: Tensor, epsilon: float = 1e-2, as_printed: bool = False) -> Tensor:
    """Return the barrier with a flat bottom, -sum_{k in T} ln min(mean_probs_k, epsilon) ([SIZE] Eq. 11).

    Eq. 11 prints max in place of min. With max the loss is constant exactly where a present class is missing and pulls
    towards equal sizes everywhere else, the bias which the sentence under it says the flat bottom avoids; hence min.

    Args:
        log_mean_probs: (B, C), ln of rows that sum to 1.
        size_targets: (B, C); only its tags T = {k: size_targets_k > 0} are used.
        epsilon: the size from which a class is large enough, a fraction in (0, 1).
        as_printed: take max, as the equation is printed.

    Returns:
        (B,), at least -|T| ln epsilon (at most, if `as_printed`).

    Raises:
        ValueError: if the shapes differ, or epsilon is not in (0, 1).
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon: expected a fraction in (0, 1), got {epsilon}")
    log_predicted, prescribed = _check_sizes(log_mean_probs, size_targets, "log_mean_probs")
    # ln min(m, epsilon) = min(ln m, ln epsilon); the clamp has zero gradient beyond its bound: the flat bottom.
    bound = math.log(epsilon)
    bounded = log_predicted.clamp(min=bound) if as_printed else log_predicted.clamp(max=bound)
    return -((prescribed > 0) * bounded).sum(1)


def suppression(log_mean_probs: Tensor, size_targets: Tensor) -> Tensor:
    """Return -sum_{k not in T} ln(1 - mean_probs_k), which drives the absent classes to size 0 ([SIZE] Eq. 8).

    Args:
        log_mean_probs: (B, C), ln of rows that sum to 1, C >= 2.
        size_targets: (B, C); only its tags T = {k: size_targets_k > 0} are used.

    Returns:
        (B,), >= 0.

    Raises:
        ValueError: if the shapes differ.
    """
    log_predicted, prescribed = _check_sizes(log_mean_probs, size_targets, "log_mean_probs")
    # 1 - mean_probs_k is the sum of the others, whose logarithm stays exact where an absent class fills the image.
    # ln(1 - m_k) = logsumexp_{j != k} ln m_j, by (C, C) numbers of each image, the diagonal left out
    itself = torch.eye(log_predicted.shape[1], dtype=torch.bool, device=log_predicted.device)
    log_others = log_predicted.unsqueeze(1).masked_fill(itself, -math.inf).logsumexp(2)
    # A sum that rounding leaves above 1 would make the loss negative.
    return -log_others.clamp(max=0).masked_fill(prescribed > 0, 0).sum(1)


def squared_barrier(mean_probs: Tensor, lower_bounds: Tensor) -> Tensor:
    """Return the thresholded size barrier sum_k max(a_k - mean_probs_k, 0)^2 ([SIZE] Eq. 17).

    Args:
        mean_probs: (B, C), rows sum to 1.
        lower_bounds: (C,) or (B, C) smallest allowed sizes, fractions in [0, 1]; 0 leaves a class free.

    Returns:
        (B,), >= 0; 0 where each class is large enough.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    check_shape("mean_probs", mean_probs, (None, None))
    shape = tuple(mean_probs.shape)
    check_shape("lower_bounds", lower_bounds, shape if lower_bounds.ndim == 2 else shape[1:])
    # Value and gradient 2 (m_k - a_k) both go to 0 at the bound.
    return (_precise(lower_bounds) - _precise(mean_probs)).clamp(min=0).square().sum(1)


def barrier_bounds(tags: Tensor, object_min: float, object_max: float) -> Tensor:
    """Return the lower bounds a_k of Eq. 17 that follow from the classes present and bounds on objects ([SIZE] section 3.6).

    a_k = object_min for each object class k >= 1 that is present, and a_0 = 1 - object_max if there is one: an upper bound on
    objects is a lower bound on the background. The bounds of [SIZE] [22], 60 and 2000 of 256 x 256 pixels, are the fractions
    object_min = 9.16e-4 and object_max = 0.0305, hence a_0 = 0.9695.

    Args:
        tags: (B, C) bool, or numbers that are above 0 where a class is present; class 0 is the background.
        object_min: smallest size of a present object class, a fraction of the image.
        object_max: largest size of all objects together, a fraction of the image, at least `object_min`.

    Returns:
        (B, C) float32 in [0, 1]: 0 for an absent class, and everywhere in an image without an object, whose objects are left to
        `squared_suppression`.

    Raises:
        ValueError: tags of another shape, or bounds that are not 0 <= object_min <= object_max <= 1.

    >>> barrier_bounds(torch.tensor([[1, 1, 0], [1, 0, 0]]), 0.25, 0.5).tolist()
    [[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]
    """
    check_shape("tags", tags, (None, None))
    if not 0 <= object_min <= object_max <= 1:
        raise ValueError(f"object_min and object_max: expected 0 <= min <= max <= 1, got {object_min} and {object_max}")
    present = (tags > 0).float()
    has_object = present[:, 1:].sum(1, keepdim=True).clamp(max=1)
    return torch.cat([(1 - object_max) * present[:, :1] * has_object, object_min * present[:, 1:]], dim=1)


def squared_suppression(mean_probs: Tensor, size_targets: Tensor) -> Tensor:
    """Return sum_{k not in T} mean_probs_k^2, the suppression used with the size barrier ([SIZE] section 3.6).

    Args:
        mean_probs: (B, C), rows sum to 1.
        size_targets: (B, C); only its tags T = {k: size_targets_k > 0} are used.

    Returns:
        (B,), in [0, 1].

    Raises:
        ValueError: if the shapes differ.
    """
    predicted, prescribed = _check_sizes(mean_probs, size_targets)
    # Its gradient 2 m_k fades as the class vanishes, that of Eq. 8 does not.
    return ((prescribed <= 0) * predicted.square()).sum(1)


SIZE_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "log_barrier": log_barrier,
    "flat_barrier": flat_barrier,
}
"""Losses of (log_mean_probs, size_targets) -> (B,) by name."""


def _precise(tensor: Tensor) -> Tensor:
    # float16 ends at 6e-8, above `SIZE_FLOOR`, and a sum over an image's pixels would lose the small ones.
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _check_sizes(predicted: Tensor, size_targets: Tensor, name: str = "mean_probs") -> tuple[Tensor, Tensor]:
    check_shape(name, predicted, (None, None))
    check_shape("size_targets", size_targets, tuple(predicted.shape))
    return _precise(predicted), _precise(size_targets)
