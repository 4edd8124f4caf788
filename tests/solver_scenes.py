"""Pseudo-label problems for the tests of solvers: pictures with an edge, smooth predictions, a few seeds."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from pipeline.conventions import one_hot
from pipeline.crf.affinity import contrast_affinity
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.solver import Edges, Problem

VOID = 255
SIGMA_RGB = 9.0


class Scene(NamedTuple):
    log_probs: Tensor
    seeds: Tensor
    affinity: Tensor
    offsets: tuple
    valid: Tensor
    image: Tensor

    def problem(self, cross_entropy="cce", relaxation="q", unary_weight=0.3, pairwise_weight=6.0):
        """What solvers are given."""
        edges = Edges(self.affinity, self.offsets)
        weights = (unary_weight, pairwise_weight)
        return Problem(self.log_probs, self.seeds, edges, cross_entropy, relaxation, *weights, self.valid)

    def alone(self, index):
        """The scene of one image of the batch."""
        parts = [part[index : index + 1] if isinstance(part, Tensor) else part for part in self]
        return Scene(*parts)


def scene(batch=2, classes=3, height=8, width=10, neighborhood="grid4", dtype=torch.float32):
    """A shaded picture with a vertical edge per image; seeds on both sides; one invalid corner."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    pictures = [
        torch.stack([0.3 + 0.02 * x + 0.5 * (x > edge), 0.4 + 0.02 * y, 0.5 - 0.1 * (x > edge)])
        for edge in torch.linspace(0.35, 0.65, batch)
    ]
    image = torch.stack(pictures).to(dtype)
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(batch, classes, 3, 3, generator=generator, dtype=dtype)
    log_probs = (2 * interpolate(coarse, size=(height, width), mode="bilinear")).log_softmax(1)
    seeds = torch.full((batch, height, width), VOID)
    seeds[:, 2, :2] = 0
    seeds[:, 3, 1] = 0
    seeds[:, height - 3, width - 3 :] = 1
    valid = torch.ones(batch, height, width, dtype=torch.bool)
    valid[:, :2, -2:] = False
    offsets = NEIGHBORHOODS[neighborhood]
    return Scene(log_probs, seeds, contrast_affinity(image, valid, offsets, SIGMA_RGB), offsets, valid, image)


def four_pixels(dtype=torch.float64):
    """Two classes on 2 x 2 pixels, one of them a seed, small enough for a search over all labellings."""
    logits = torch.tensor([[0.6, -0.8], [0.3, -0.2]], dtype=dtype).view(1, 1, 2, 2)
    log_probs = torch.cat([logits, -logits], dim=1).log_softmax(1)
    seeds = torch.tensor([[[0, VOID], [VOID, VOID]]])
    affinity = torch.tensor([[[[0.9, 0], [0.4, 0]], [[0.2, 0.8], [0, 0]]]], dtype=dtype)
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    return Scene(log_probs, seeds, affinity, NEIGHBORHOODS["grid4"], valid, torch.zeros(1, 3, 2, 2))


def all_labellings(problem, points=41):
    """Every labelling of `four_pixels` on a grid of `points` values, and the step of that grid."""
    values = torch.linspace(0, 1, points, dtype=torch.float64)
    free = torch.cartesian_prod(values, values, values)
    first = torch.cat([torch.ones(len(free), 1, dtype=torch.float64), free], dim=1).view(-1, 2, 2)
    return torch.stack([first, 1 - first], dim=1)


def noisy_regions(count=8, classes=4, size=20):
    """Regions of shaded colours with more or less noise, predictions right in most places, three seeds per class.

    Their many weak and few strong edges do not follow blocks of pixels, and predictions are wrong over whole regions.
    """
    parts = []
    for index in range(count):
        generator = torch.Generator().manual_seed(index)

        def field(channels, side, generator=generator):
            rough = torch.randn(1, channels, side, side, generator=generator)
            return interpolate(rough, size=(size, size), mode="bicubic", align_corners=True)

        truth = field(classes, 4).argmax(1)
        hard = one_hot(truth, classes)
        colors = 0.2 + 0.6 * torch.rand(classes, 3, generator=generator)
        noise = (0.01, 0.03, 0.06)[index % 3] * torch.randn(1, 3, size, size, generator=generator)
        image = torch.einsum("bchw,cd->bdhw", hard, colors) + 0.05 * field(3, 3) + noise
        soft = avg_pool2d(hard, 5, 1, 2, count_include_pad=False)
        log_probs = ((1, 2, 4)[index // 3 % 3] * (2 * soft + field(classes, 5))).log_softmax(1)
        seeds = torch.full_like(truth, VOID)
        for index_of_class in truth.unique().tolist():
            places = (truth[0] == index_of_class).nonzero()
            for y, x in places[torch.randint(len(places), (3,), generator=generator)].tolist():
                seeds[0, y, x] = index_of_class
        parts.append((log_probs, seeds, image.clamp(0, 1)))
    log_probs, seeds, image = (torch.cat(part) for part in zip(*parts, strict=True))
    valid, offsets = torch.ones_like(seeds, dtype=torch.bool), NEIGHBORHOODS["grid4"]
    return Scene(log_probs, seeds, contrast_affinity(image, valid, offsets, SIGMA_RGB), offsets, valid, image)
