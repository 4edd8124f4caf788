"""WideResNet-38 with dilated last stages ("Wider or Deeper", model A1, as used for weakly-supervised segmentation).

Pre-activation residual blocks: normalise, activate, convolve. A block whose shape changes has a 1x1 projection that reads the
activated input.

    part    blocks  channels                stride  dilations
    stem    1       64                      1       1            (one 3x3 convolution)
    stage 0 3       128                     2       1
    stage 1 3       256                     4       1            low-level features of DeepLabV3+
    stage 2 6       512                     8       1
    stage 3 3       512 -> 1024             8       1 then 2 in the first block, 2 in the others
    stage 4 1       512 -> 1024 -> 2048     8       4            bottleneck, channel dropout 0.3
    stage 5 1       1024 -> 2048 -> 4096    8       4            bottleneck, channel dropout 0.5
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu


class PreActivationBlock(nn.Module):
    """Residual block of convolutions, each after batch normalisation and ReLU.

    Args:
        inputs: channels in.
        outputs: channels after each convolution; the last is the block's.
        kernels: side of each convolution, 1 or 3.
        dilations: of each convolution.
        stride: of the first convolution and of the projection.
        dropout: probability of dropping whole channels before every convolution but the first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: Sequence[int],
        *,
        kernels: Sequence[int] = (3, 3),
        dilations: Sequence[int] = (1, 1),
        stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sources = (inputs, *outputs[:-1])
        strides = (stride, *[1] * (len(outputs) - 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(source) for source in sources)
        self.convs = nn.ModuleList(
            nn.Conv2d(source, target, kernel, step, dilation * (kernel // 2), dilation, bias=False)
            for source, target, kernel, step, dilation in zip(sources, outputs, kernels, strides, dilations, strict=True)
        )
        self.dropout = nn.Dropout2d(dropout)
        changes = inputs != outputs[-1] or stride != 1
        self.stride = stride
        self.projection = nn.Conv2d(inputs, outputs[-1], 1, bias=False) if changes else None

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs[-1], H / stride, W / stride)."""
        hidden = relu(self.norms[0](features))
        shortcut = features
        if self.projection is not None:  # a strided 1x1 convolution, written so because oneDNN's corrupts memory at few channels
            shortcut = self.projection(hidden[..., :: self.stride, :: self.stride])
        hidden = self.convs[0](hidden)
        for norm, conv in zip(list(self.norms)[1:], list(self.convs)[1:], strict=True):
            hidden = conv(self.dropout(relu(norm(hidden))))
        return shortcut + hidden


class WideResNet38(nn.Module):
    """Encoder of output stride 8 with 64 * `width` channels.

    Args:
        width: channels of the stem; published: 64.

    Attributes:
        out_channels: of the features that `forward` returns.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w = width
        self.stem = nn.Conv2d(3, w, 3, padding=1, bias=False)
        plain = [_stage(w, 2 * w, 3), _stage(2 * w, 4 * w, 3), _stage(4 * w, 8 * w, 6)]
        wide = nn.Sequential(
            PreActivationBlock(8 * w, (8 * w, 16 * w), dilations=(1, 2)),
            *[PreActivationBlock(16 * w, (8 * w, 16 * w), dilations=(2, 2)) for _ in range(2)],
        )
        self.stages = nn.ModuleList([*plain, wide, _bottleneck(16 * w, 0.3), _bottleneck(32 * w, 0.5)])
        self.norm = nn.BatchNorm2d(64 * w)
        self.out_channels = [3, 2 * w, 4 * w, 64 * w]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map normalised (B, 3, H, W) to features of strides 1 (the image), 2, 4 and 8."""
        half = self.stages[0](self.stem(image))
        quarter = self.stages[1](half)
        deep = quarter
        for stage in list(self.stages)[2:]:
            deep = stage(deep)
        return [image, half, quarter, relu(self.norm(deep))]


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Return blocks of two 3x3 convolutions, the first of which halves the resolution."""
    first = PreActivationBlock(inputs, (outputs, outputs), stride=2)
    return nn.Sequential(first, *[PreActivationBlock(outputs, (outputs, outputs)) for _ in range(blocks - 1)])


def _bottleneck(inputs: int, dropout: float) -> PreActivationBlock:
    """Return the block that doubles the channels through half and once as many, dilation 4."""
    outputs = (inputs // 2, inputs, 2 * inputs)
    return PreActivationBlock(inputs, outputs, kernels=(1, 3, 1), dilations=(1, 4, 1), dropout=dropout)
