"""Files of imagery: what their headers say, and which bands they hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from torchgeo_geosane.datasets.band_statements import file_bands
from torchgeo_geosane.datasets.evidence import Evidence
from torchgeo_geosane.datasets.file_bands import Mapped, decide_bands
from torchgeo_geosane.datasets.georeference import georeference
from torchgeo_geosane.datasets.grid import Bounds, Grid, Pixels
from torchgeo_geosane.datasets.no_data import holdable, is_masked, nodata_values
from torchgeo_geosane.datasets.open_files import open_file
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.datasets.product_names import Span, stated_time
from torchgeo_geosane.datasets.radar import radar_values
from torchgeo_geosane.datasets.stac import StacAsset
from torchgeo_geosane.datasets.units import Calibration, calibrations
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Sensor

SUFFIXES = ('.tif', '.tiff', '.jp2', '.vrt', '.img')
"""Endings of the files that are looked for in folders."""

_SAMPLED = 16
_MOSTLY = 0.9


@dataclass(frozen=True)
class Told:
    """What the user says about the files of a sensor, where it differs from what they say.

    Attributes:
        bands: Band of the sensor to the number, from 1, or the description of a band in each file.
        scale: Reflectance, kelvin or dB of one digital number; of photographs the value.
        offset: What is added after that.
        radar: What radar files hold.
    """

    bands: Mapped | None = None
    scale: float | None = None
    offset: float | None = None
    radar: Radar | None = None


# Files are told apart by what they are, not by what they hold: that is quick to look up.
@dataclass(frozen=True, eq=False)
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
        evidence: Why each band is taken to be that band.
        left_out: What it holds beside them, to be read by a person.
        taken: From when to when it states that it was taken.
        calibrations: How each band comes into its sensor's unit.
        radar: What a radar file holds, and what says so.
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
    evidence: tuple[Evidence, ...] = ()
    left_out: tuple[str, ...] = ()
    taken: Span | None = None
    calibrations: tuple[Calibration, ...] = ()
    radar: tuple[Radar, Evidence] | None = None

    @property
    def squared(self) -> bool:
        """Whether its values are squared as they are read: power of amplitude or complex numbers."""
        return self.radar is not None and self.radar[0] in {'amplitude', 'complex'}

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


@dataclass(frozen=True)
class Beside:
    """A file that holds no band of a sensor.

    Attributes:
        path: Path or URL.
        holds: What it says that it holds, to be read by a person.
    """

    path: str
    holds: tuple[str, ...]


def header(
    path: str,
    sensor: Sensor,
    told: Told | None = None,
    asset: StacAsset | None = None,
) -> RasterFile | Beside | None:
    """Read a file's header.

    Args:
        path: The file.
        sensor: The sensor, with the bands that its files may hold.
        told: What the user says about it.
        asset: What a STAC item says about it.

    Returns:
        None for a file of one band that does not say which it is.

    Raises:
        DataError: If it cannot be opened, has no georeference, or what it says about its bands
            contradicts the sensor or cannot be understood.
    """
    told = told or Told()
    with open_file(path) as file:
        alpha = [
            i for i, c in zip(file.indexes, file.colorinterp, strict=True) if c == ColorInterp.alpha
        ]
        mask = _mask(file, alpha[0]) if alpha else 1.0
        names = asset.names(file.count) if asset is not None else None
        found = decide_bands(path, file_bands(file), sensor, told.bands, names, mask > _MOSTLY)
        if found is None:
            return None
        if not found.bands:
            return Beside(path, found.left_out)
        crs, transform = georeference(path, file)
        result = RasterFile(
            path=path,
            bands=found.bands,
            indexes=found.indexes,
            crs=crs,
            transform=transform,
            width=file.width,
            height=file.height,
            dtype='float32',
            nodata=(),
            is_masked=is_masked(file, found.indexes)
            and (mask > 0 or not _only_alpha(file, found.indexes)),
            evidence=found.evidence,
            left_out=found.left_out,
            taken=stated_time({**file.tags(), **file.tags(ns='IMAGERY')}),
        )
        return _with_values(result, file, sensor, told, asset)


def _with_values(
    found: RasterFile, file: DatasetReader, sensor: Sensor, told: Told, asset: StacAsset | None
) -> RasterFile:
    """A file with its type, its values for no data and what its values mean."""
    path, numbers = found.path, found.indexes
    bands = [sensor.band(name) for name in found.bands]
    radar = None
    if any(band.units == 'dB' for band in bands):
        stated = [band for band in file_bands(file) if band.number in numbers]
        radar = radar_values(path, file, stated, told.radar, asset)
    dtypes = {file.dtypes[number - 1] for number in numbers}
    if radar is None and any(dtype.startswith('complex') for dtype in dtypes):
        raise DataError(f'{path} holds complex values, which only radar has: name another sensor')
    meant = calibrations(path, file, numbers, bands, (told.scale, told.offset), asset)
    if radar is not None:
        meant = tuple(
            one if one.evidence.is_sure else replace(one, evidence=radar[1]) for one in meant
        )
    nodata = _nodata(file, numbers, asset)
    if radar is not None and radar[0] in {'amplitude', 'complex'}:
        return replace(
            found,
            radar=radar,
            nodata=tuple(None if value is None else abs(value) ** 2 for value in nodata),
            calibrations=tuple(replace(one, scale=one.scale**2) for one in meant),
        )
    return replace(
        found,
        radar=radar,
        dtype=str(np.result_type(*dtypes)),
        nodata=tuple(
            one.blank if value is None else value for value, one in zip(nodata, meant, strict=True)
        ),
        calibrations=meant,
    )


def _nodata(
    file: DatasetReader, numbers: Sequence[int], asset: StacAsset | None
) -> tuple[float | None, ...]:
    """The value of each band that means no data: what the file states, else the STAC item."""
    if any(file.dtypes[number - 1].startswith('complex') for number in numbers):
        return tuple(file.nodatavals[number - 1] for number in numbers)
    stated = list(nodata_values(file, numbers))
    for at, number in enumerate(numbers):
        if stated[at] is None and asset is not None and number <= len(asset.bands):
            stated[at] = holdable(asset.bands[number - 1].nodata, file.dtypes[number - 1])
    return tuple(stated)


def _only_alpha(file: DatasetReader, numbers: Sequence[int]) -> bool:
    """Whether alpha is the one mask of these bands."""
    return all(MaskFlags.alpha in file.mask_flag_enums[number - 1] for number in numbers)


def _mask(file: DatasetReader, number: int) -> float:
    """How likely a band that is tagged as alpha is a mask, by its values in some blocks.

    GDAL tags the fourth band of any four of 8 bits as alpha, be it near infrared. A mask holds
    a few values: nothing, all, and perhaps some shares between.

    Returns:
        The share of its pixels that hold nothing or all; 0 for a band of many values.
    """
    height, width = file.block_shapes[number - 1]
    rows, cols = math.ceil(file.height / height), math.ceil(file.width / width)
    count = min(rows * cols, _SAMPLED)
    values = []
    for at in range(count):
        row, col = divmod(at * rows * cols // count, cols)
        top, left = row * height, col * width
        window = Window(left, top, min(width, file.width - left), min(height, file.height - top))
        values.append(file.read(number, window=window).ravel())
    sample = np.concatenate(values)
    found, counts = np.unique(sample, return_counts=True)
    most = np.iinfo(sample.dtype).max if sample.dtype.kind in 'iu' else 1
    share = float(counts[(found == 0) | (found == most)].sum() / len(sample))
    return max(share, 0.01) if len(found) <= 8 or share > _MOSTLY else 0.0
