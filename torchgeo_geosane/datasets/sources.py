"""Sensors over one place: which acquisition a chip is read from, and its bands in their order."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.datasets.acquisitions import Acquisition, Files, find_images
from torchgeo_geosane.datasets.block_cache import BlockCache
from torchgeo_geosane.datasets.chips import DB, LINEAR
from torchgeo_geosane.datasets.decoding import data_type, decode, extent
from torchgeo_geosane.datasets.evidence import How
from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.datasets.open_files import modified
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.reprojection import around_the_earth
from torchgeo_geosane.errors import DataError, SensorError, did_you_mean
from torchgeo_geosane.sensors import Sensor, get_sensor
from torchgeo_geosane.sensors.base import plain_name

# Of decoded blocks: another number wherever the same files are read as other pixels.
_FORMAT = 2


@dataclass(frozen=True)
class Source:
    """The images of one sensor, and the bands of it that are wanted.

    Attributes:
        sensor: The sensor, with the bands that its files hold.
        bands: Names of the wanted ones, in the sensor's spelling.
        acquisitions: The images.
        nodata: Value that means no data in files that state none.
        left_out: Files that are not read, and why.
    """

    sensor: Sensor
    bands: tuple[str, ...]
    acquisitions: tuple[Acquisition, ...]
    nodata: float | None
    left_out: tuple[str, ...] = ()

    @property
    def units(self) -> dict[str, str]:
        """Unit of each band's values: its sensor's, or power where radar files hold no dB."""
        power = any(one.radar is not None and one.radar[0] != 'dB' for one in self._files)
        bands = [self.sensor.band(name) for name in self.bands]
        return {band.name: LINEAR if power and band.units == DB else band.units for band in bands}

    @property
    def _files(self) -> list[RasterFile]:
        return [file for one in self.acquisitions for file in one.holding(self.bands)]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """What all values can be held in."""
        if any(not one.is_identity for file in self._files for one in file.calibrations):
            return np.dtype(np.float32)
        return data_type(self._files)

    @property
    def coarseness(self) -> float:
        """Width of the first image's coarsest pixel, in pixels of its finest band."""
        widths = [file.res[0] for file in self.acquisitions[0].holding(self.bands)]
        return max(widths) / min(widths)

    def read(
        self, acquisition: Acquisition, grid: Grid, pixels: Pixels, cache: BlockCache | None
    ) -> NDArray[Any]:
        """Read the wanted bands of one image, see :func:`~.decoding.decode`.

        Args:
            acquisition: The image.
            grid: The grid of the result.
            pixels: Its rectangle.
            cache: Where decoded blocks lie, or None to decode the rectangle alone.
        """
        if cache is None:
            return self._decode(acquisition, grid, pixels)
        whole = extent(acquisition, self.bands, grid)
        here = pixels.overlap(whole)
        if here != pixels and around_the_earth(grid.crs) is not None:
            return self._decode(acquisition, grid, pixels)  # It may lie on the other side.
        if here.is_empty:
            return np.full((len(self.bands), pixels.height, pixels.width), np.nan, np.float32)
        # What one and the same file holds may be told otherwise.
        stamps = [
            (file.path, modified(file.path), file.bands, file.indexes, file.nodata)
            for file in acquisition.holding(self.bands)
        ]
        image = cache.read(
            f'{_FORMAT} {stamps} {self.bands} {self.nodata} {grid.name}{_values(acquisition, self.bands)}',
            here,
            whole,
            partial(self._decode, acquisition, grid),
        )
        if here == pixels:
            return image
        padded = np.full((len(image), pixels.height, pixels.width), np.nan, np.float32)
        padded[:, *here.within(pixels)] = image
        return padded

    def _decode(self, acquisition: Acquisition, grid: Grid, pixels: Pixels) -> NDArray[Any]:
        image = decode(acquisition, self.bands, grid, pixels, self.nodata)
        found = acquisition.calibrations(self.bands)
        if all(one.is_identity for one in found):
            return image
        image = image.astype(np.float32, copy=False)
        image *= np.array([one.scale for one in found], np.float32)[:, None, None]
        image += np.array([one.offset for one in found], np.float32)[:, None, None]
        return image


def _values(acquisition: Acquisition, bands: Sequence[str]) -> str:
    """What values are made of, where they are not as the files hold them."""
    made = [(one.scale, one.offset) for one in acquisition.calibrations(bands)]
    squared = [file.squared for file in acquisition.holding(bands)]
    plain = not any(squared) and all(pair == (1, 0) for pair in made)
    return '' if plain else f' {made} {squared}'


def find_sources(
    images: Mapping[str, Files],
    bands: Sequence[str] | None,
    nodata: float | None,
    radar: Radar | None = None,
) -> list[Source]:
    """The sensors that hold the wanted bands.

    Args:
        images: Sensor to its files, see :func:`~.acquisitions.find_images`.
        bands: Wanted bands in the order of the channels; None is all. Those of one sensor follow
            each other.
        nodata: Value that means no data in files that state none.
        radar: What radar files hold; None is what they say, or dB.

    Raises:
        SensorError: If a sensor or a band is unknown, named twice or in several sensors.
        DataError: If no image is found, a file is damaged, or an image lacks a wanted band.
    """
    sensors = {name: get_sensor(name) for name in images}
    owners: dict[str, Sensor] = {}
    for sensor in sensors.values():
        for band in sensor.band_names:
            other = owners.setdefault(plain_name(band), sensor)
            if other is not sensor:
                raise SensorError(
                    f'{other.name!r} and {sensor.name!r} both have a band {band}: combine two '
                    'data sets by & instead'
                )
    known = [band for sensor in sensors.values() for band in sensor.band_names]
    wanted: dict[str, list[str]] = {}
    for band in known if bands is None else bands:
        if plain_name(band) not in owners:
            raise SensorError(f'unknown band {band!r}{did_you_mean(band, known)}')
        sensor = owners[plain_name(band)]
        if wanted and sensor.name in wanted and next(reversed(wanted)) != sensor.name:
            raise SensorError(f'bands {bands} mix sensors: name those of one after another')
        wanted.setdefault(sensor.name, []).append(sensor.band(band).name)
    if not wanted:
        raise SensorError('no sensor or no band is named: name at least one')
    by_name = {sensor.name: (sensor, images[name]) for name, sensor in sensors.items()}
    return [
        _source(*by_name[name], tuple(chosen), nodata, radar) for name, chosen in wanted.items()
    ]


def _source(
    sensor: Sensor,
    files: Files,
    bands: tuple[str, ...],
    nodata: float | None,
    radar: Radar | None,
) -> Source:
    if len(set(bands)) < len(bands):
        raise SensorError(f'bands {list(bands)} name one twice: name each band once')
    found = find_images(files, sensor, radar)
    for acquisition in found.acquisitions:
        held = {band for file in acquisition.files for band in file.bands}
        lacking = [band for band in bands if band not in held]
        if lacking:
            raise DataError(
                f'{Path(acquisition.name)} lacks {", ".join(lacking)} of {sensor.name!r}'
                f'{_others(acquisition)}: '
                'restore the files, leave the image out, or ask for other bands'
            )
    _check_radar(found.acquisitions)
    return Source(sensor, bands, found.acquisitions, nodata, found.left_out)


def _check_radar(acquisitions: Sequence[Acquisition]) -> None:
    """Images of one sensor are one mosaic: all dB, or all power."""
    first: dict[bool, RasterFile] = {}
    unlikely: list[RasterFile] = []
    for file in (file for one in acquisitions for file in one.files):
        if file.radar is None:
            continue
        first.setdefault(file.radar[0] == 'dB', file)
        scaled = any(one.scale != 1 or one.offset for one in file.calibrations)
        if file.radar[1].how == How.GUESSED and file.dtype.startswith('uint') and not scaled:
            unlikely.append(file)
    if unlikely:
        warnings.warn(
            f'{len(unlikely)} radar files are taken as dB, first {unlikely[0].path}, but hold '
            f'{unlikely[0].dtype}, which has no negative values: if they are detected products as '
            "delivered say radar='amplitude', or name what they hold (linear, dB)",
            stacklevel=2,
        )
    if len(first) == 2:
        in_db, other = first[True], first[False]
        assert in_db.radar is not None
        assert other.radar is not None
        raise DataError(
            f'{in_db.path} holds dB ({in_db.radar[1].found}), but {other.path} {other.radar[0]} '
            f'({other.radar[1].found}): convert one, or leave it out'
        )


def _others(acquisition: Acquisition) -> str:
    """What an image holds beside the bands of its sensor, for a message."""
    others = [text for file in acquisition.files for text in file.left_out]
    return f', and has beside its other bands {", ".join(others)}' if others else ''
