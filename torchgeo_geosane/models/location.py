"""Coordinates to embeddings: an Equal-Earth map, waves of three scales, a network for each.

GAIR (arXiv 2503.16683, section 3.3), after GeoCLIP (arXiv 2309.16020).
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchgeo_geosane.errors import LocationError

# Šavrič, Patterson and Jenny (2019), "The Equal Earth map projection".
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
# The equator then is from -1 to 1.
_SCALE = 66.50336 / 180

# GAIR's: waves of some 20,000, 1,250 and 80 km.
GLOBAL_SIGMAS = (2.0**0, 2.0**4, 2.0**8)


def equal_earth(coordinates: Tensor) -> Tensor:
    """Project coordinates so that equal areas on the ground are equal areas on the map.

    Args:
        coordinates: Longitude and latitude in degrees (WGS 84), float ``[..., 2]``.

    Returns:
        x in [-1, 1] and y in [-0.49, 0.49], float ``[..., 2]``.

    Raises:
        LocationError: If a coordinate is not finite or lies beyond the globe; swapped longitude
            and latitude are named where that is what explains it.
    """
    check_coordinates(coordinates)
    longitude, latitude = torch.deg2rad(coordinates).unbind(-1)
    theta = torch.asin(math.sqrt(3) / 2 * torch.sin(latitude))
    square = theta.square()
    sixth = square**3
    slope = 9 * _A4 * sixth * square + 7 * _A3 * sixth + 3 * _A2 * square + _A1
    x = 2 * math.sqrt(3) * longitude * torch.cos(theta) / (3 * slope)
    y = theta * (_A4 * sixth * square + _A3 * sixth + _A2 * square + _A1)
    return _SCALE * torch.stack([x, y], dim=-1)


def check_coordinates(coordinates: Tensor) -> None:
    """Check that longitude and latitude in degrees are on the globe.

    Args:
        coordinates: float ``[..., 2]``.

    Raises:
        LocationError: If they are not, or are not pairs.
    """
    if coordinates.shape[-1:] != (2,):
        raise LocationError(
            f'coordinates are pairs of longitude and latitude, not {tuple(coordinates.shape)}'
        )
    longitude, latitude = coordinates.unbind(-1)
    # NaN compares false.
    beyond = ~((longitude.abs() <= 180) & (latitude.abs() <= 90))
    if not beyond.any():
        return
    first = coordinates[beyond][0].tolist()
    swapped = bool(((longitude.abs() <= 90) & (latitude.abs() <= 180)).all())
    hint = (
        'latitude seems to come first: longitude does'
        if swapped
        else 'longitude is from -180 to 180 and latitude from -90 to 90'
    )
    raise LocationError(
        f'{int(beyond.sum())} of {beyond.numel()} coordinates are not on the globe, first '
        f'(longitude {first[0]:g}, latitude {first[1]:g}): {hint}'
    )


class LocationEncoder(nn.Module):
    """Longitude and latitude to an embedding; near places have near ones, at three scales.

    ``f(c) = Σ_σ MLP_σ([cos 2πBc, sin 2πBc])`` with ``c`` the Equal-Earth coordinates and the
    entries of ``B`` drawn from N(0, σ²), σ = 1, 16 and 256.

    Attributes:
        embed_dim: Width of the embedding.
    """

    def __init__(
        self,
        embed_dim: int = 768,
        hidden_dim: int = 1024,
        frequencies: int = 256,
        sigmas: Sequence[float] = GLOBAL_SIGMAS,
        seed: int = 0,
    ) -> None:
        """Build it.

        Args:
            embed_dim: Width of the embedding.
            hidden_dim: Width of the three hidden layers of each scale's network.
            frequencies: Waves of each scale; each gives a sine and a cosine.
            sigmas: Standard deviations of the frequencies, one a scale: larger is finer. A wave of
                frequency σ is some 20,000 km / σ long, so a district of 15 km wants 2¹⁰ to 2¹⁴.
            seed: Draws the frequencies, which are not trained.

        Raises:
            LocationError: If a scale is not above 0, or none is given.
        """
        if not sigmas or not all(0 < sigma < math.inf for sigma in sigmas):
            raise LocationError(
                f'scales {list(sigmas)}: give one or more standard deviations above 0, as '
                f'{list(GLOBAL_SIGMAS)}'
            )
        super().__init__()
        self.embed_dim = embed_dim
        generator = torch.Generator().manual_seed(seed)
        self.scales = nn.ModuleList(
            _Scale(sigma * torch.randn(2, frequencies, generator=generator), hidden_dim, embed_dim)
            for sigma in sigmas
        )

    def forward(self, coordinates: Tensor) -> Tensor:
        """Embed coordinates.

        Args:
            coordinates: Longitude and latitude in degrees, float ``[..., 2]``; float32 at least,
                since half precision knows a longitude to some kilometres only.

        Returns:
            float ``[..., embed_dim]``.

        Raises:
            LocationError: If a coordinate lies beyond the globe.
        """
        projected = equal_earth(
            coordinates.to(torch.promote_types(coordinates.dtype, torch.float32))
        )
        return torch.stack([scale(projected) for scale in self.scales]).sum(0)


class _Scale(nn.Module):
    """Waves of one scale and the network that reads them."""

    def __init__(self, frequencies: Tensor, hidden_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer('frequencies', frequencies)
        widths = (2 * frequencies.shape[1], hidden_dim, hidden_dim, hidden_dim)
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Linear(hidden_dim, embed_dim))

    def forward(self, projected: Tensor) -> Tensor:
        """Embed projected coordinates, float32 at least, ``[..., 2]``."""
        x, y = projected.unsqueeze(-1).unbind(-2)
        x_frequency, y_frequency = self.frequencies.to(projected.dtype)
        # No matrix product, which mixed precision would round: the finest waves are some 80 km long.
        angles = 2 * math.pi * (x * x_frequency + y * y_frequency)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return self.network(waves.to(next(self.network.parameters()).dtype))
