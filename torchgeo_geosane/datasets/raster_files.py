"""Files of imagery: what their headers say, and which bands they hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from torchgeo_geosane.datasets.georeference import georeference
from torchgeo_geosane.datasets.grid import Bounds, Grid, Pixels
from torchgeo_geosane.datasets.no_data import is_masked, nodata_values
from torchgeo_geosane.datasets.open_files import open_file
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.sensors.base import plain_name

SUFFIXES = ('.tif', '.tiff', '.jp2', '.vrt', '.img')
"""Endings of the files that are looked for in folders."""


@dataclass(frozen=True)
class RasterFile:
    """A file and what its header says.

    Attributes:
        path: Path or URL.
        bands: Names of its bands.
        indexes: Their numbers in the file, from 1.
        crs: Coordinate reference system, as WKT.
        transform: From pixels (column, row) to coordinates: any affine map.
        width: Columns.
        height: Rows.
        dtype: Type of the values.
        nodata: Value of each band that means no data.
        is_masked: Whether a mask or an alpha band says where there is no data.
    """

    path: str
    bands: tuple[str, ...]
    indexes: tuple[int, ...]
    crs: str
    transform: Affine
    width: int
    height: int
    dtype: str
    nodata: tuple[float | None, ...]
    is_masked: bool

    @cached_property
    def grid(self) -> Grid:
        """Its own grid."""
        return Grid(self.crs, self.transform)

    @cached_property
    def whole(self) -> Pixels:
        """All its pixels, on its own grid."""
        return Pixels(0, 0, self.width, self.height)

    @cached_property
    def bounds(self) -> Bounds:
        """Left, bottom, right, top of the rectangle around it."""
        return self.grid.outline(self.whole).bounds

    @cached_property
    def res(self) -> tuple[float, float]:
        """Width and height of a pixel: its side that lies more along x, and the other."""
        col, row = self.grid.xres, self.grid.yres
        return (
            (col, row) if abs(self.transform.a) * row >= abs(self.transform.b) * col else (row, col)
        )


def header(path: str, sensor: Sensor) -> RasterFile | None:
    """Read a file's header.

    Bands are those that its descriptions name; else all of the sensor's, where there are as many;
    else the one that the file's name names.

    Returns:
        None for a file of one band that it does not say which it is.

    Raises:
        DataError: If it cannot be opened, has no georeference, or another number of bands.
    """
    with open_file(path) as file:
        crs, transform = georeference(path, file)
        numbers = tuple(
            number
            for number, colour in zip(file.indexes, file.colorinterp, strict=True)
            if colour != ColorInterp.alpha
        )
        bands = _bands(path, file, numbers, sensor)
        if bands is None:
            return None
        return RasterFile(
            path=path,
            bands=bands,
            indexes=numbers,
            crs=crs,
            transform=transform,
            width=file.width,
            height=file.height,
            dtype=str(np.result_type(*(file.dtypes[i - 1] for i in numbers))),
            nodata=nodata_values(file, numbers),
            is_masked=is_masked(file, numbers),
        )


def _bands(
    path: str, file: DatasetReader, numbers: Sequence[int], sensor: Sensor
) -> tuple[str, ...] | None:
    described = [file.descriptions[number - 1] for number in numbers]
    known = {plain_name(name): name for name in sensor.band_names}
    if all(text is not None and plain_name(text) in known for text in described):
        return tuple(known[plain_name(text)] for text in described if text is not None)
    if len(numbers) == sensor.in_chans:
        return sensor.band_names
    if len(numbers) == 1:
        found = named_band(Path(path).stem, sensor)
        return None if found is None else (found[0],)
    raise DataError(
        f'{path} holds {len(numbers)} bands, but sensor {sensor.name!r} has {sensor.in_chans} '
        f'({", ".join(sensor.band_names)}): name the bands that it holds, as in '
        f'{sensor.name.split("[")[0]}[{",".join(sensor.band_names[:2])}], or leave the file out'
    )


def named_band(name: str, sensor: Sensor) -> tuple[str, str] | None:
    """The band that a file's name names, last if several, and the name without it.

    ``B04``, ``b4`` and ``SR_B4`` are one band; letters or digits before or after it make another.
    """
    found = [
        (match.start(), band.name, name[: match.start()] + name[match.end() :])
        for band in sensor.bands
        for match in re.finditer(_spelling(band.name), name, re.IGNORECASE)
    ]
    return max(found)[1:] if found else None


def _spelling(band: str) -> str:
    plain = re.sub(r'^B(?=\d)', 'B0*', plain_name(band))
    return rf'(?<![A-Za-z0-9])(?:SR_)?{plain}(?![A-Za-z0-9])'
