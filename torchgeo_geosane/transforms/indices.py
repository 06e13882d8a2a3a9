"""Indices as further channels: TorchGeo's transforms, with the channels found by wavelength."""

from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor
from torchgeo.transforms import AppendNDVI, AppendNDWI

from torchgeo_geosane.errors import SensorError
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.transforms.decibel import Units, check_units

# Centre and half width, in nm: wide enough for every sensor of ours, too narrow for red edges.
_COLOURS = {'green': (560, 20), 'red': (655, 25), 'near infrared': (835, 35)}


def append_ndvi(sensor: Sensor) -> AppendNDVI:
    """TorchGeo's NDVI, (near infrared - red) / (near infrared + red), for a sensor's channels.

    Raises:
        SensorError: If the sensor has no such bands.
    """
    return AppendNDVI(
        index_nir=_channel(sensor, 'near infrared'), index_red=_channel(sensor, 'red')
    )


def append_ndwi(sensor: Sensor) -> AppendNDWI:
    """TorchGeo's NDWI, (green - near infrared) / (green + near infrared), for a sensor's channels.

    Raises:
        SensorError: If the sensor has no such bands.
    """
    return AppendNDWI(
        index_green=_channel(sensor, 'green'), index_nir=_channel(sensor, 'near infrared')
    )


def append_vv_vh_ratio(sensor: Sensor, units: Units) -> 'AppendRatio':
    """The ratio of co- to cross-polarised power, for a sensor's channels.

    Args:
        sensor: It has the bands VV and VH.
        units: Of the image: ``'dB'`` or ``'linear'``.

    Raises:
        SensorError: If the sensor has no such bands.
        TransformError: If the units are unknown.
    """
    vv, vh = (sensor.bands.index(sensor.band(name)) for name in ('VV', 'VH'))
    return AppendRatio(vv, vh, units)


def _channel(sensor: Sensor, colour: str) -> int:
    """The channel whose wavelength is nearest to a colour's."""
    centre, reach = _COLOURS[colour]
    distances = {
        channel: abs(band.wavelength - centre)
        for channel, band in enumerate(sensor.bands)
        if band.wavelength is not None and abs(band.wavelength - centre) <= reach
    }
    if not distances:
        raise SensorError(
            f'sensor {sensor.name!r} has no {colour} band, {centre - reach} to {centre + reach} nm: '
            f'it has {", ".join(sensor.band_names)}'
        )
    return min(distances, key=distances.__getitem__)


class AppendRatio(IntensityAugmentationBase2D):
    """Append the ratio of two channels: their quotient, or in dB their difference.

    In linear units zero over zero is NaN, and anything else over zero infinite.

    Args:
        index_a: Channel of the numerator.
        index_b: Channel of the denominator.
        units: Of the image, and of the ratio: ``'dB'`` or ``'linear'``.

    Raises:
        TransformError: If the units are unknown.
    """

    def __init__(self, index_a: int, index_b: int, units: Units) -> None:
        super().__init__(p=1, keepdim=True)
        check_units(units)
        self.flags = {'index_a': index_a, 'index_b': index_b, 'units': units}

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Append one channel."""
        a, b = (input[:, [flags[index]]] for index in ('index_a', 'index_b'))
        return torch.cat((input, a / b if flags['units'] == 'linear' else a - b), dim=1)
