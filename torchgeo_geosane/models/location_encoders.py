"""Which encoder of coordinates a task uses: GAIR's, or TorchGeo's SatCLIP."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torchgeo.models
from torch import Tensor, nn

from torchgeo_geosane.errors import ArchitectureError, SpecError, did_you_mean
from torchgeo_geosane.models.location import GLOBAL_SIGMAS, LocationEncoder, check_coordinates

LocationEncoderName = Literal['fourier', 'satclip']

_SATCLIP_WIDTH = 256


class SatCLIPLocation(nn.Module):
    """TorchGeo's SatCLIP (arXiv 2311.17179): spherical harmonics and sine layers.

    Attributes:
        encoder: TorchGeo's model, under its own names.
        embed_dim: Width of the embedding.
    """

    def __init__(self, embed_dim: int = _SATCLIP_WIDTH, pretrained: bool = False) -> None:
        """Build it.

        Args:
            embed_dim: Width of the embedding; SatCLIP's own 256 numbers are mapped to it linearly.
            pretrained: Whether to download TorchGeo's weights ``SATCLIP_VIT16_L40``.

        Raises:
            ArchitectureError: If TorchGeo has no SatCLIP (before 0.10), or the weights cannot be
                fetched.
        """
        super().__init__()
        build: Any = getattr(torchgeo.models, 'satclip', None)
        if build is None:
            raise ArchitectureError(
                "the location encoder 'satclip' is part of TorchGeo 0.10 and later; this is "
                f"TorchGeo {torchgeo.__version__}: upgrade, or choose 'fourier'"
            )
        try:
            self.encoder = build(_pretrained_satclip() if pretrained else None)
        except OSError as error:
            raise ArchitectureError(
                f"cannot fetch SatCLIP's weights ({error}): build it once with a network, or do not "
                'ask for pretrained ones'
            ) from error
        self.embed_dim = embed_dim
        self.projection = (
            nn.Identity() if embed_dim == _SATCLIP_WIDTH else nn.Linear(_SATCLIP_WIDTH, embed_dim)
        )

    def forward(self, coordinates: Tensor) -> Tensor:
        """Embed coordinates.

        Args:
            coordinates: Longitude and latitude in degrees, float ``[..., 2]``.

        Returns:
            float ``[..., embed_dim]``.

        Raises:
            LocationError: If a coordinate lies beyond the globe.
        """
        check_coordinates(coordinates)
        found: Tensor = self.encoder(coordinates.reshape(-1, 2))
        embedding: Tensor = self.projection(found)
        return embedding.reshape(*coordinates.shape[:-1], self.embed_dim)


def location_encoder(
    name: LocationEncoderName,
    embed_dim: int,
    hidden_dim: int,
    sigmas: Sequence[float] = GLOBAL_SIGMAS,
    pretrained: bool = False,
) -> nn.Module:
    """An encoder of longitude and latitude in degrees.

    Args:
        name: ``fourier``, :class:`~torchgeo_geosane.models.location.LocationEncoder`; or
            ``satclip``, :class:`SatCLIPLocation`.
        embed_dim: Width of the embedding.
        hidden_dim: Width of the layers, of ``fourier`` alone.
        sigmas: Its scales, of ``fourier`` alone.
        pretrained: Whether it starts from trained weights, of ``satclip`` alone.

    Returns:
        A module from float ``[..., 2]`` to float ``[..., embed_dim]``.

    Raises:
        SpecError: If the name is unknown, or what is asked for belongs to the other encoder.
        ArchitectureError: See :class:`SatCLIPLocation`.
        LocationError: If a scale is not above 0.
    """
    if name not in (known := get_args(LocationEncoderName)):
        raise SpecError(
            f'unknown location encoder {name!r}: choose fourier or satclip{did_you_mean(name, known)}'
        )
    if name == 'satclip':
        if tuple(sigmas) != GLOBAL_SIGMAS:
            raise SpecError(
                "location_sigmas are of the location encoder 'fourier', not of 'satclip'"
            )
        return SatCLIPLocation(embed_dim, pretrained)
    if pretrained:
        raise SpecError(
            "the location encoder 'fourier' has no trained weights: choose 'satclip', or leave "
            'location_pretrained out'
        )
    return LocationEncoder(embed_dim, hidden_dim, sigmas=sigmas)


def _pretrained_satclip() -> Any:
    weights: Any = torchgeo.models.get_weight('SatCLIP_Weights.SATCLIP_VIT16_L40')
    return weights
