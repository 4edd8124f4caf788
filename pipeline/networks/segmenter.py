"""Segmenter with a linear decoder on a plain vision transformer (Strudel et al., ICCV 2021), the "ViT-linear" of both papers.

The transformer is timm's. Colours are normalised as in its pre-training, by mean and deviation 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from pipeline.networks.base import Normalization, SegmentationNetwork

HALF = (0.5, 0.5, 0.5)


class Segmenter(SegmentationNetwork):
    """Patch tokens of a vision transformer, a linear classifier of each, bilinear to the input's size.

    Images are padded with 0 (after normalisation) to a multiple of the patch side. The position embedding is resized bilinearly
    when the grid of patches differs from the one it was made for.

    Args:
        num_classes: C.
        encoder: a transformer with a class token and without classifier.
        normalization: of the colours, as the encoder's weights want them; None: mean and deviation 0.5.
    """

    def __init__(self, num_classes: int, *, encoder: VisionTransformer, normalization: Normalization | None = None) -> None:
        super().__init__()
        self.normalization = normalization or Normalization(HALF, HALF)
        self.encoder = encoder
        self.patch_px = encoder.patch_embed.patch_size[0]
        self.grid = encoder.patch_embed.grid_size
        self.classifier = nn.Linear(encoder.embed_dim, num_classes)
        nn.init.trunc_normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)
        self.head = (self.classifier,)

    def features(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) colours in [0, 1] to patch tokens, (B, D, H / p, W / p) rounded up."""
        height, width = image.shape[-2:]
        padding = (0, -width % self.patch_px, 0, -height % self.patch_px)
        return [self.tokens(pad(self.normalization(image), padding)).movedim(-1, 1)]

    def decode(self, features: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Map tokens to (B, C, H, W) logits."""
        scores = self.classifier(features[0].movedim(1, -1)).movedim(-1, 1)
        padded = [side * self.patch_px for side in scores.shape[-2:]]
        logits = interpolate(scores, size=padded, mode="bilinear", align_corners=False)
        return logits[..., : size[0], : size[1]]

    def tokens(self, image: Tensor) -> Tensor:
        """Map a normalised image, sides divisible by the patch side p, to patch tokens (B, H / p, W / p, D)."""
        patches = self.encoder.patch_embed.proj(image)
        rows, columns = patches.shape[-2:]
        sequence = patches.flatten(2).movedim(1, 2)
        embedding, class_token = cast(Tensor, self.encoder.pos_embed), cast(Tensor, self.encoder.cls_token)
        sequence = sequence + resize_position_embedding(embedding[:, 1:], self.grid, (rows, columns))
        class_token = (class_token + embedding[:, :1]).expand(len(image), -1, -1)
        hidden = self.encoder.norm_pre(self.encoder.pos_drop(torch.cat([class_token, sequence], 1)))
        hidden = self.encoder.norm(self.encoder.blocks(hidden))
        return hidden[:, 1:].unflatten(1, (rows, columns))


def resize_position_embedding(embedding: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resize the embedding of an old grid of patches bilinearly to a new one.

    Args:
        embedding: (1, old rows x old columns, D).
        old: rows and columns.
        new: rows and columns.

    Returns:
        (1, new rows x new columns, D).
    """
    if old == new:
        return embedding
    grid = embedding.unflatten(1, old).movedim(-1, 1)
    return interpolate(grid, size=new, mode="bilinear", align_corners=False).flatten(2).movedim(1, 2)


def transformer(name: str, *, drop_path: float = 0.0) -> VisionTransformer:
    """Return a vision transformer of timm from random weights, without classifier.

    Args:
        name: such as "vit_base_patch16_384": 12 layers of 768 channels and 12 heads on patches of 16 px.
        drop_path: probability of skipping the last block in training; earlier ones are skipped less, in proportion.

    Raises:
        ValueError: timm has no plain vision transformer of this name.
    """
    if name not in timm.list_models(module="vision_transformer"):
        raise ValueError(f"encoder: expected a vision transformer of timm such as vit_base_patch16_384, got {name!r}")
    return cast(VisionTransformer, timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path))


def small_transformer(width: int, *, drop_path: float = 0.0) -> VisionTransformer:
    """Return four layers of `width` channels and four heads on patches of 8 px, for pictures of about 64 px (embedded scale).

    Raises:
        ValueError: `width` is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"width: expected a multiple of 4, one quarter for each head, got {width}")
    return VisionTransformer(
        img_size=64, patch_size=8, num_classes=0, embed_dim=width, depth=4, num_heads=4, drop_path_rate=drop_path
    )
