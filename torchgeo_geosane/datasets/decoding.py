"""Part of an acquisition on a grid: read at the needed resolution, no data as NaN."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.grid import Grid, Pixels, same_crs
from torchgeo_geosane.datasets.no_data import holdable
from torchgeo_geosane.datasets.open_files import Warp, at_once, open_file
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.resampling import Axis, read_part
from torchgeo_geosane.errors import DataError

KEPT = (np.uint8, np.int16, np.uint16)
"""Data types that reach the device as they are; all others become float32."""


@dataclass(frozen=True)
class _Part:
    """Bands of one file over a part of the rectangle; ``missing`` is None where nothing is."""

    rows: slice
    cols: slice
    values: NDArray[Any]
    missing: NDArray[np.bool_] | None


def data_type(files: Sequence[RasterFile]) -> np.dtype[Any]:
    """What the values of some files are held in: see :data:`KEPT`."""
    common = np.result_type(*(file.dtype for file in files))
    return common if common in KEPT else np.dtype(np.float32)


def decode(
    acquisition: Acquisition,
    bands: Sequence[str],
    grid: Grid,
    pixels: Pixels,
    nodata: float | None = None,
    resampling: Resampling = Resampling.bilinear,
) -> NDArray[Any]:
    """Read bands of an acquisition.

    Files of the grid's CRS are read directly: at the same resolution as they are, coarser ones are
    interpolated, finer ones read from their overviews. Files of another CRS are warped. Files are
    decoded in parallel.

    Args:
        acquisition: What to read.
        bands: Names of the bands in the order wanted.
        grid: The grid of the result.
        pixels: The rectangle; it may reach beyond the files.
        nodata: Value that means no data in files that state none.
        resampling: Bilinear or nearest.

    Returns:
        [bands, height, width]: of :func:`data_type` where all pixels have data; else float32, with
        NaN beyond the files, where they have no data, and where they are not finite. Zero as the
        value for no data counts where all these bands hold it.

    Raises:
        DataError: If a file is missing or damaged, or cannot be warped.
    """
    files = acquisition.holding(bands)
    parts = at_once(
        lambda file: _read(file, _indexes(file, bands), grid, pixels, nodata, resampling), files
    )
    shape = (len(bands), pixels.height, pixels.width)
    whole = all(part.values.shape[1:] == shape[1:] for part in parts)
    image = (np.empty if whole else np.zeros)(shape, data_type(files))
    missing = None if whole else np.ones(shape, bool)
    for file, part in zip(files, parts, strict=True):
        rows = [row for row, band in enumerate(bands) if band in file.bands]
        image[rows, part.rows, part.cols] = part.values
        if missing is None and part.missing is not None:
            missing = np.zeros(shape, bool)
        if missing is not None:
            missing[rows, part.rows, part.cols] = False if part.missing is None else part.missing
    if all((nodata if file.nodata[0] is None else file.nodata[0]) == 0 for file in files):
        black = _all_zero(image)
        if black.any():
            missing = black[None] if missing is None else missing | black
    if missing is None or not missing.any():
        return image
    return np.where(missing, np.float32(np.nan), image.astype(np.float32))


def _all_zero(image: NDArray[Any]) -> NDArray[np.bool_]:
    black = image[0] == 0
    for band in image[1:]:
        if not black.any():
            break
        black &= band == 0
    return black


def _indexes(file: RasterFile, bands: Sequence[str]) -> list[int]:
    return [file.indexes[file.bands.index(band)] for band in bands if band in file.bands]


def _read(
    file: RasterFile,
    indexes: list[int],
    grid: Grid,
    pixels: Pixels,
    nodata: float | None,
    resampling: Resampling,
) -> _Part:
    stated = file.nodata[file.indexes.index(indexes[0])]
    nodata = holdable(nodata, file.dtype) if stated is None else stated
    bounds, res, warp, masked = file.bounds, file.res, None, file.is_masked
    is_north_up = file.transform.is_rectilinear and file.transform.a > 0 > file.transform.e
    if not (is_north_up and same_crs(file.crs, grid.crs)):
        bounds, warp = _warp(file, grid, nodata, resampling)
        res, masked = (grid.xres, grid.yres), nodata is None
    here = grid.inside(bounds).overlap(pixels)
    if here.is_empty:
        none = np.empty((len(indexes), 0, 0), np.uint8)
        return _Part(slice(0, 0), slice(0, 0), none, None)
    west, north = grid.edges(here)
    across = Axis((west - bounds[0]) / res[0], grid.xres / res[0], here.width)
    down = Axis((bounds[3] - north) / res[1], grid.yres / res[1], here.height)
    try:
        with open_file(file.path, warp) as source:
            values, missing = read_part(source, indexes, (down, across), nodata, masked, resampling)
    except RasterioError as error:
        raise DataError(f'cannot decode {file.path} ({error}): restore the file') from error
    return _Part(*here.within(pixels), values, missing)


@lru_cache(maxsize=4096)
def extent(acquisition: Acquisition, bands: Sequence[str], grid: Grid) -> Pixels:
    """The rectangle of a grid around the files that hold some bands."""
    boxes = [grid.inside(_bounds(file, grid)) for file in acquisition.holding(bands)]
    col, row = min(box.col for box in boxes), min(box.row for box in boxes)
    right, lower = (
        max(box.col + box.width for box in boxes),
        max(box.row + box.height for box in boxes),
    )
    return Pixels(col, row, right - col, lower - row)


@lru_cache(maxsize=4096)
def _bounds(file: RasterFile, grid: Grid) -> tuple[float, float, float, float]:
    if same_crs(file.crs, grid.crs):
        return file.bounds
    try:
        there = Transformer.from_crs(file.crs, grid.crs, always_xy=True)
        return there.transform_bounds(*file.bounds, errcheck=True)
    except ProjError as error:
        raise DataError(
            f'cannot warp {file.path} to another coordinate reference system ({error}): '
            'reproject the file'
        ) from error


def _warp(
    file: RasterFile, grid: Grid, nodata: float | None, resampling: Resampling
) -> tuple[tuple[float, float, float, float], Warp]:
    """A file's bounds on another grid, in whole pixels, and the way there."""
    box = grid.inside(_bounds(file, grid))
    left, top = grid.edges(box)
    bounds = (left, top - box.height * grid.yres, left + box.width * grid.xres, top)
    transform = (grid.xres, 0.0, left, 0.0, -grid.yres, top)
    return bounds, Warp(grid.crs, transform, box.width, box.height, nodata, resampling)
