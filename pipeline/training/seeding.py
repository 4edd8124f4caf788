"""All randomness as a function of (seed, what for, where), so that a resumed run repeats an uninterrupted one exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed from any sequence of numbers and words; equal parts give equal seeds.

    >>> derive_seed(0, "a") == derive_seed(0, "a") != derive_seed(0, "b")
    True
    """
    # With types, so that the number 1 and the word "1" give different seeds.
    text = "/".join(f"{type(part).__name__}:{part}" for part in parts)
    # Shifted, so that it fits a signed integer of 64 bits.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class BatchPlan:
    """Which images, each with its own seed for augmentation, form which batch.

    Each epoch is a new permutation; the last incomplete batch is dropped. Iterating yields the batches from `start_step` to
    the end of the last epoch, so it serves as the `batch_sampler` of a loader, also in the middle of a run.

    Args:
        num_images: images in the set.
        batch_size: images per batch; if the set is smaller, one batch holds the whole set.
        epochs: passes over the set.
        seed: root seed of the run.
        start_step: batches already done.
        rank: which share of every batch: images rank, rank + shares, ...
        shares: processes among which every batch is divided; each gets as many images.

    Raises:
        ValueError: a batch cannot be divided evenly.
    """

    num_images: int
    batch_size: int
    epochs: int
    seed: int
    start_step: int = 0
    rank: int = 0
    shares: int = 1

    def __post_init__(self) -> None:
        if min(self.batch_size, self.num_images) % self.shares:
            raise ValueError(
                f"training.<name>.batch_size: {min(self.batch_size, self.num_images)} images cannot be divided evenly "
                f"among {self.shares} processes"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch."""
        return max(self.num_images // self.batch_size, 1)

    @property
    def total_steps(self) -> int:
        """Batches in the whole run."""
        return self.epochs * self.steps_per_epoch

    def __len__(self) -> int:
        return self.total_steps - self.start_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.start_step // self.steps_per_epoch, self.epochs):
            # From the epoch's number alone, so that a resumed run need not draw the epochs before.
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            order = torch.randperm(self.num_images, generator=generator).tolist()
            skipped = max(self.start_step - epoch * self.steps_per_epoch, 0)
            for batch in range(skipped, self.steps_per_epoch):
                chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size][self.rank :: self.shares]
                # By epoch and image: neither the batch nor the number of processes changes how a picture is varied.
                yield [(index, derive_seed(self.seed, "augment", epoch, index)) for index in chosen]
