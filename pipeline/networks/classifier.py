"""ResNet-18 image classifier, for the label-noise experiment of [SSL] Fig. 3(d)."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.networks.base import Classifier, Normalization
from pipeline.networks.encoders import ENCODERS


class ResNet18Classifier(Classifier):
    """torchvision's ResNet-18 from random weights with a linear classifier of its own."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        spec = ENCODERS["resnet18"]
        self.normalization = Normalization(spec.mean, spec.std)
        self.encoder = spec.build()
        self.classifier = nn.Linear(512, num_classes)
        self.head = (self.classifier,)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W) colours in [0, 1] to (B, K) logits."""
        return self.classifier(self.encoder(self.normalization(image)))
