"""The simple feature pyramid: maps of four scales from the one that a plain ViT has."""

from collections.abc import Mapping, Sequence

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock


class SimpleFeaturePyramid(nn.Module):
    """Maps of several strides, each made from the last map alone.

    Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object Detection", section 3
    (arXiv:2203.16527): transposed convolutions enlarge the map, pooling makes it smaller, then each
    scale has a 1×1 and a 3×3 convolution, all with norms. There is no way from the top down as in
    an FPN: the last block of a ViT sees the whole image already.

    Args:
        in_channels: Of the map.
        stride: Of the map, in pixels.
        strides: Of the maps wanted: ``stride`` times or divided by powers of two.
        out_channels: Of the maps wanted.
        extra_blocks: What the detector adds above them.
    """

    def __init__(
        self,
        in_channels: int,
        stride: int,
        strides: Sequence[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            _level(in_channels, stride / wanted, out_channels) for wanted in strides
        )
        self.extra_blocks = extra_blocks

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make the pyramid.

        Args:
            maps: By name; the last is ``[batch, in_channels, height, width]``.

        Returns:
            By name, ``'0'`` the largest, and then the detector's: ``[batch, out_channels, …]``.
        """
        last = list(maps.values())[-1]
        levels = [level(last) for level in self.levels]
        names = [str(index) for index in range(len(levels))]
        levels, names = self.extra_blocks(levels, [last], names)
        return dict(zip(names, levels, strict=True))


def _level(channels: int, factor: float, out_channels: int) -> nn.Sequential:
    """What makes a map ``factor`` times as large."""
    layers: list[nn.Module] = []
    while factor > 1:
        if layers:
            layers += [LayerNorm2d(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2))
        channels, factor = channels // 2, factor / 2
    while factor < 1:
        layers.append(nn.MaxPool2d(kernel_size=2))
        factor *= 2
    return nn.Sequential(
        *layers,
        nn.Conv2d(channels, out_channels, kernel_size=1, bias=False),
        LayerNorm2d(out_channels),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(out_channels),
    )
