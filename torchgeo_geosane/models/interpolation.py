"""Ways to read a feature map at a point, for comparison with the local interpolation."""

from collections.abc import Callable
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.errors import SpecError, did_you_mean
from torchgeo_geosane.models.local_interpolation import LocalInterpolation, check_points

Interpolation = Literal['local', 'bilinear', 'nearest', 'mean']


def check_interpolation(kind: str) -> None:
    """Check the name of a way to read a feature map.

    Raises:
        SpecError: If it is unknown.
    """
    known = get_args(Interpolation)
    if kind not in known:
        raise SpecError(f'unknown interpolation {kind!r}{did_you_mean(kind, known)}')


def interpolation(kind: Interpolation, in_channels: int, embed_dim: int) -> nn.Module:
    """A module that embeds points of feature maps, called as :class:`LocalInterpolation` is.

    Args:
        kind: ``local``: that class; ``bilinear`` between the four nearest cells; the ``nearest``
            cell; or the ``mean`` of all cells, whatever the point.
        in_channels: Channels of the feature map.
        embed_dim: Width of the embedding.
    """
    if kind == 'local':
        return LocalInterpolation(in_channels, embed_dim)
    read = {'bilinear': _bilinear, 'nearest': _nearest, 'mean': _mean}[kind]
    return _ReadAndMap(read, in_channels, embed_dim)


class _ReadAndMap(nn.Module):
    """A feature at each point, then one linear map."""

    def __init__(
        self, read: Callable[[Tensor, Tensor], Tensor], in_channels: int, embed_dim: int
    ) -> None:
        super().__init__()
        self._read = read
        self.linear = nn.Linear(in_channels, embed_dim)

    def forward(self, features: Tensor, points: Tensor) -> Tensor:
        check_points(features, points)
        return self.linear(self._read(features, points.to(features.dtype)))


def _bilinear(features: Tensor, points: Tensor) -> Tensor:
    return _sample(features, points, 'bilinear')


def _nearest(features: Tensor, points: Tensor) -> Tensor:
    return _sample(features, points, 'nearest')


def _sample(features: Tensor, points: Tensor, mode: str) -> Tensor:
    found = F.grid_sample(
        features, points[:, None], mode=mode, padding_mode='border', align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def _mean(features: Tensor, points: Tensor) -> Tensor:
    return features.mean((-2, -1))[:, None].expand(-1, points.shape[1], -1)
