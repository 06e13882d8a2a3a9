"""Embeddings at any point of an image, from a feature map or from tokens on a grid.

GAIR's implicit neural representation (arXiv 2503.16683, section 3.2), after LIIF (arXiv
2012.09161).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.errors import LocationError

_NEIGHBOURHOOD = 3


class LocalInterpolation(nn.Module):
    """The embedding of an image at a point, continuous in the point.

    Each cell of the feature map stands for itself and its eight neighbours. From the four cells
    whose centres surround a point one linear map predicts the embedding there, given the cell and
    the point's offset from its centre; the four predictions are weighted by the areas of the
    opposite rectangles, so that a cell's weight is zero where another takes its place.

    Attributes:
        linear: The map, from nine cells and an offset to the embedding.
    """

    def __init__(self, in_channels: int, embed_dim: int) -> None:
        """Build it.

        Args:
            in_channels: Channels of the feature map.
            embed_dim: Width of the embedding.
        """
        super().__init__()
        self.linear = nn.Linear(_NEIGHBOURHOOD**2 * in_channels + 2, embed_dim)

    def forward(self, features: Tensor, points: Tensor) -> Tensor:
        """Embed points of images.

        Args:
            features: Feature maps, float ``[batch, in_channels, height, width]``.
            points: Where in the image, float ``[batch, n, 2]``: x from -1 at the left edge to 1 at
                the right one, y from -1 at the upper edge to 1 at the lower one.

        Returns:
            float ``[batch, n, embed_dim]``.

        Raises:
            LocationError: If a point lies outside of its image, or shapes do not fit.
        """
        check_points(features, points)
        height, width = features.shape[-2:]
        unfolded = F.unfold(features, _NEIGHBOURHOOD, padding=1)
        rows, columns = _two_cells(points[..., 1], height), _two_cells(points[..., 0], width)
        result = torch.zeros((), device=features.device, dtype=features.dtype)
        for column, x_offset, x_weight in columns:
            for row, y_offset, y_weight in rows:
                index = (row * width + column)[:, None].expand(-1, unfolded.shape[1], -1)
                cell = unfolded.gather(2, index).transpose(1, 2)
                offset = torch.stack([x_offset, y_offset], dim=-1).to(cell.dtype)
                predicted = self.linear(torch.cat([cell, offset], dim=-1))
                result = result + (x_weight * y_weight).to(predicted.dtype)[..., None] * predicted
        return result


def _two_cells(points: Tensor, cells: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The two cells around points along one side: index, offset from the centre, and weight.

    A cell is two wide. Weights sum to 1; beyond the outermost centres both are the outermost cell.
    """
    at = (points.double() + 1) / 2 * cells - 0.5
    lower = at.floor().clamp(0, cells - 1)
    upper = (at.floor() + 1).clamp(0, cells - 1)
    below, above = 2 * (at - lower), 2 * (at - upper)
    total = below.abs() + above.abs()
    # At an outermost centre both cells are one, and its offset is 0.
    share = torch.where(total > 0, below.abs() / total.clamp(min=1e-300), 0.5)
    return [(lower.long(), below, 1 - share), (upper.long(), above, share)]


def check_points(features: Tensor, points: Tensor) -> None:
    """Check that points lie in the images of feature maps.

    Args:
        features: ``[batch, channels, height, width]``.
        points: ``[batch, n, 2]``.

    Raises:
        LocationError: If they do not, or shapes do not fit.
    """
    if features.ndim != 4 or points.ndim != 3 or points.shape[-1] != 2:
        raise LocationError(
            'a feature map is [batch, channels, height, width] and points are [batch, n, 2], not '
            f'{tuple(features.shape)} and {tuple(points.shape)}'
        )
    if len(features) != len(points):
        raise LocationError(f'{len(features)} images, but points of {len(points)}')
    # NaN compares false.
    outside = ~(points.abs() <= 1).all(-1)
    if outside.any():
        image, point = outside.nonzero()[0].tolist()
        x, y = points[image, point].tolist()
        raise LocationError(
            f'{int(outside.sum())} of {outside.numel()} points lie outside of their image, first '
            f'({x:g}, {y:g}) of image {image}: x and y are from -1 to 1'
        )
