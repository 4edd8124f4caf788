"""Hard proposals of the robust trust region: graph cuts on whole, un-augmented training images ([SSL] Table 4; U35)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.crf.affinity import trust_region_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.solver.graph_cut import solve_graph_cut
from pipeline.solver.problem import Edges, Problem

Annotated = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]
"""Image id, picture (H, W, 3) and seeds (H, W), class index or `VOID`."""
Predict = Callable[[Sequence[NDArray[np.uint8]]], list[Tensor]]
"""Pictures -> logits (C, H, W) at their own size."""


def propose(
    images: Iterable[Annotated], predict: Predict, *, unary_weight: float, pairwise_weight: float, threads: int = 1
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield image id and hard labels (H, W) of every image: expansion moves on the 8-grid, limited to the image's seed classes.

    Args:
        images: training images with their seeds.
        predict: the network as it is now.
        unary_weight: eta, weight of -ln of the prediction.
        pairwise_weight: lambda, weight of the contrast-sensitive Potts term.
        threads: images cut at the same time; the network predicts as many at once.
    """
    images = iter(images)
    cut = partial(_cut, unary_weight=unary_weight, pairwise_weight=pairwise_weight)
    with ThreadPoolExecutor(threads) as pool:
        # No more pictures in memory than are cut at the same time. Threads suffice, as the cuts are compiled code.
        while chunk := list(islice(images, threads)):
            ids, pictures, seeds = zip(*chunk)
            logits = [one.float().cpu() for one in predict(pictures)]
            yield from zip(ids, pool.map(cut, logits, pictures, seeds))


def _cut(
    logits: Tensor, picture: NDArray[np.uint8], given: NDArray[np.uint8], *, unary_weight: float, pairwise_weight: float
) -> NDArray[np.uint8]:
    """Return hard labels (H, W) of one image."""
    offsets = NEIGHBORHOODS["grid8"]
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255
    seeds = torch.from_numpy(given.astype(np.int64))[None]
    # A whole picture has no padding: every pixel is valid.
    edges = Edges(trust_region_affinity(image, torch.ones_like(seeds, dtype=torch.bool), offsets), offsets)
    solution = solve_graph_cut(
        Problem(torch.log_softmax(logits[None], dim=1), seeds, edges, "ce", "bl", unary_weight, pairwise_weight)
    )
    return solution.labels[0].argmax(0).to(torch.uint8).numpy()
