"""From a name, or a dataset's list of bands, to the sensor."""

import re
from collections.abc import Sequence

from torchgeo_geosane.errors import SensorError, did_you_mean
from torchgeo_geosane.sensors.base import Sensor, plain_name
from torchgeo_geosane.sensors.known import SENSORS

# A sensor's name, its chosen bands, the number of images.
_NAME = re.compile(r'([^\[*]*)(?:\[([^\]]*)\])?(?:\*(\d{1,3}))?')


def get_sensor(name: str) -> Sensor:
    """Find a sensor by its name.

    Args:
        name: A sensor (``'sentinel2_all'``), some of its bands in an order of your own
            (``'sentinel2_all[B4,B3,B2]'``), or several stacked images (``'sentinel2_all*2'``, also
            after brackets).

    Raises:
        SensorError: If there is none, or it has no such band; the message names the nearest.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise SensorError(
            f'{name!r} is not the name of a sensor: write sentinel2_all, sentinel2_all[B4,B3,B2] '
            'or, for two stacked images, sentinel2_all*2'
        )
    whole, bands, images = parts.groups()
    if whole not in SENSORS:
        raise SensorError(f'unknown sensor {name!r}{did_you_mean(whole, SENSORS)}')
    sensor = SENSORS[whole]
    if bands is not None:
        sensor = sensor.select(band.strip() for band in bands.split(','))
    return sensor.stacked(int(images or 1))


def whole_name(name: str) -> str:
    """The sensor alone: ``sentinel2_all`` of ``sentinel2_all[B4,B3]*2``."""
    return re.split(r'[\[*]', name)[0]


def find_sensor(bands: Sequence[str]) -> Sensor:
    """Find the sensor that has all of a dataset's bands, with its bands in the dataset's order.

    Args:
        bands: A dataset's band list, e.g. ``EuroSAT.all_bands``. Spelling counts where it tells
            products apart: ``SR_`` is Landsat's surface reflectance, ``B02`` is Sentinel-2.

    Raises:
        SensorError: If no sensor has all of the bands, or several have and see different things.
    """
    if isinstance(bands, str):
        raise SensorError(f'{bands!r} is not a list of bands: write [{bands!r}], or name a sensor')
    possible = [sensor for sensor in SENSORS.values() if _spells(sensor, bands)]
    found = [sensor for sensor in possible if not _unknown(sensor, bands)]
    if not found:
        nearest = min(possible or SENSORS.values(), key=lambda one: len(_unknown(one, bands)))
        raise SensorError(
            f'no sensor has all of the bands {list(bands)}; the nearest, {nearest.name!r}, '
            f'has {", ".join(nearest.band_names)}'
        )
    chosen = [sensor.select(bands) for sensor in found]
    if len({tuple((band.name, band.wavelength) for band in one.bands) for one in chosen}) > 1:
        raise SensorError(
            f'several sensors have the bands {list(bands)} and mean different ones: '
            f'name one of {", ".join(whole_name(one.name) for one in chosen)}'
        )
    return next((one for one in chosen if one.name in SENSORS), chosen[0])


def _spells(sensor: Sensor, bands: Sequence[str]) -> bool:
    """Whether the sensor's products spell bands this way."""
    if any(band.upper().startswith('SR_') for band in bands):
        return sensor.name.endswith('_sr')
    if any(re.match(r'B0\d', band.upper()) for band in bands):
        return sensor.name.startswith('sentinel2')
    return True


def _unknown(sensor: Sensor, bands: Sequence[str]) -> list[str]:
    known = {plain_name(name) for name in sensor.band_names}
    return [name for name in bands if plain_name(name) not in known]


def sensors_with(in_chans: int) -> list[str]:
    """The names of the sensors that have this many channels."""
    return [name for name, sensor in SENSORS.items() if sensor.in_chans == in_chans]
