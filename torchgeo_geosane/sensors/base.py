"""Bands and sensors: what a channel shows, in which units, and how large its values are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from torchgeo_geosane.errors import SensorError, did_you_mean

_MOST_IMAGES = 64


@dataclass(frozen=True)
class Band:
    """One channel of a sensor.

    Attributes:
        name: The name in the sensor's own catalogue, e.g. ``'B8A'`` or ``'VV'``.
        wavelength: Centre wavelength in nm; None for radar and for indices.
        units: What one unit of the data means.
        mean: Mean over land in ``units``, or None where no credible number is known.
        std: Standard deviation in ``units``, or None.
        description: What the band shows.
        common_names: What STAC and others call it, e.g. ``('nir08', 'nir')``: names of
            :data:`~.spelling.COMMON_NAMES`.
        gain: Units for one of reflectance, kelvin or dB: a value is (physical - origin) x gain.
            None where values stand for nothing physical, as in photographs.
        origin: The reflectance, or the temperature in kelvin, at value 0.
    """

    name: str
    wavelength: float | None
    units: str
    mean: float | None = None
    std: float | None = None
    description: str = ''
    common_names: tuple[str, ...] = ()
    gain: float | None = None
    origin: float = 0.0

    def is_same(self, other: 'Band') -> bool:
        """Whether both see the same: one name, one wavelength, whatever units and statistics."""
        return (
            plain_name(self.name) == plain_name(other.name) and self.wavelength == other.wavelength
        )


@dataclass(frozen=True)
class Sensor:
    """An ordered band set.

    Attributes:
        name: How it is asked for, e.g. ``'sentinel2_all'``.
        description: What it is.
        bands: The bands, in the order of the channels.
        statistics: Where ``mean`` and ``std`` of the bands come from.
    """

    name: str
    description: str
    bands: tuple[Band, ...]
    statistics: str

    @property
    def in_chans(self) -> int:
        """The number of channels."""
        return len(self.bands)

    @property
    def band_names(self) -> tuple[str, ...]:
        """The bands' names, in order."""
        return tuple(band.name for band in self.bands)

    @property
    def units(self) -> str:
        """The units of the bands, each named once."""
        return ', '.join(dict.fromkeys(band.units for band in self.bands))

    @property
    def mean(self) -> tuple[float, ...] | None:
        """Per-band means, or None where one is unknown: such data is not normalised."""
        means = tuple(band.mean for band in self.bands if band.mean is not None)
        return means if len(means) == self.in_chans else None

    @property
    def std(self) -> tuple[float, ...] | None:
        """Per-band standard deviations, or None where one is unknown (see ``mean``)."""
        stds = tuple(band.std for band in self.bands if band.std is not None)
        return stds if len(stds) == self.in_chans else None

    def band(self, name: str) -> Band:
        """Find one band; case, a padded ``'B08'`` and the prefix ``'SR_'`` do not matter.

        Raises:
            SensorError: If the sensor has no such band.
        """
        for band in self.bands:
            if plain_name(band.name) == plain_name(name):
                return band
        raise SensorError(
            f'sensor {self.name!r} has no band {name!r}{did_you_mean(name, self.band_names)}'
        )

    def select(self, names: Iterable[str]) -> 'Sensor':
        """Some of the bands, in the order asked for.

        Args:
            names: Band names, spelled as :meth:`band` accepts them.

        Returns:
            A sensor named ``'sentinel2_all[B8A,B4]'``, or this one where nothing changes.

        Raises:
            SensorError: If a band is unknown or named twice, or none is named.
        """
        bands = tuple(self.band(name) for name in names)
        chosen = [band.name for band in bands]
        repeated = sorted({name for name in chosen if chosen.count(name) > 1})
        if repeated:
            raise SensorError(
                f'sensor {self.name!r}: band {repeated[0]!r} is named more than once in {chosen}'
            )
        if not bands:
            raise SensorError(
                f'sensor {self.name!r}: no band is named; it has {", ".join(self.band_names)}'
            )
        if bands == self.bands:
            return self
        return replace(self, name=f'{self.name}[{",".join(chosen)}]', bands=bands)

    def stacked(self, images: int) -> 'Sensor':
        """Several images of the sensor, one channel after the other, as change detection has them.

        Args:
            images: How many; 1 is this sensor itself.

        Returns:
            A sensor named ``'sentinel2_rgb*2'``, whose bands are this one's over and over.

        Raises:
            SensorError: If there is no image, or more than 64.
        """
        if not 1 <= images <= _MOST_IMAGES:
            raise SensorError(
                f'sensor {self.name!r}: 1 to {_MOST_IMAGES} images can be stacked, not {images}'
            )
        if images == 1:
            return self
        return replace(self, name=f'{self.name}*{images}', bands=self.bands * images)


def plain_name(name: str) -> str:
    """``'sr_b04'`` and ``'B4'`` as one spelling."""
    return re.sub(r'^B0+(?=\d)', 'B', name.upper().removeprefix('SR_'))
