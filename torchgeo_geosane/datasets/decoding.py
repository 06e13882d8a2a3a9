"""Part of an acquisition on a grid: read at the needed resolution, no data as NaN."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from torchgeo_geosane.datasets import warping
from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.georeference import cannot_warp
from torchgeo_geosane.datasets.grid import Grid, Pixels, rounded, same_crs
from torchgeo_geosane.datasets.no_data import Mask, holdable
from torchgeo_geosane.datasets.open_files import at_once, open_file
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.reprojection import around_the_earth
from torchgeo_geosane.datasets.resampling import EXACT, Axis, read_part
from torchgeo_geosane.datasets.turns import Turn, Upright
from torchgeo_geosane.errors import DataError

KEPT = (np.uint8, np.int16, np.uint16)
"""Data types that reach the device as they are; all others become float32."""


@dataclass(frozen=True)
class Values:
    """Pixels as files hold them.

    Attributes:
        values: [bands, height, width], of the type that holds all files' values.
        missing: Which of them mean nothing, of the same shape, or None where all have data.
    """

    values: NDArray[Any]
    missing: Mask | None


@dataclass(frozen=True)
class _Part:
    """Bands of one file over a part of the rectangle; ``missing`` is None where nothing is."""

    rows: slice
    cols: slice
    values: NDArray[Any]
    missing: Mask | None


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
) -> NDArray[Any]:
    """Read bands of an acquisition, see :func:`decode_values`.

    Returns:
        [bands, height, width]: of :func:`data_type` where all pixels have data; else float32, with
        NaN where they have none.

    Raises:
        DataError: If a file is missing or damaged, or cannot be warped.
    """
    found = decode_values(acquisition, bands, grid, pixels, nodata)
    image = found.values.astype(data_type(acquisition.holding(bands)), copy=False)
    if found.missing is None:
        return image
    return np.where(found.missing, np.float32(np.nan), image.astype(np.float32))


def decode_values(
    acquisition: Acquisition,
    bands: Sequence[str],
    grid: Grid,
    pixels: Pixels,
    nodata: float | None = None,
    resampling: Resampling = Resampling.bilinear,
) -> Values:
    """Read bands of an acquisition, in the files' own type.

    Files that lie along the grid in its CRS are read directly, mirrored or turned by quarters where
    they are: at the same resolution as they are, coarser ones are interpolated, finer ones read
    from their overviews. Files that lie askew, or in another CRS, are warped. Files are decoded in
    parallel.

    Args:
        acquisition: What to read.
        bands: Names of the bands in the order wanted.
        grid: The grid of the result, of any affine map.
        pixels: The rectangle; it may reach beyond the files.
        nodata: Value that means no data in bands that state none.
        resampling: Bilinear or nearest.

    Returns:
        Values, and which are missing: beyond the files, where a mask or an alpha of 0 says so,
        where they are not finite, and where they are their band's value for no data. Zero as that
        value counts where all of these bands for which it is that hold it.

    Raises:
        DataError: If a file is missing or damaged, or cannot be warped.
    """
    files = acquisition.holding(bands)
    parts = at_once(lambda file: list(_read(file, bands, grid, pixels, nodata, resampling)), files)
    shape = (len(bands), pixels.height, pixels.width)
    whole = all(any(part.values.shape[1:] == shape[1:] for part in found) for found in parts)
    image = (np.empty if whole else np.zeros)(shape, np.result_type(*(f.dtype for f in files)))
    missing = None if whole else np.ones(shape, bool)
    black = []
    for file, found in zip(files, parts, strict=True):
        rows = [row for row, band in enumerate(bands) if band in file.bands]
        for part in found:
            image[rows, part.rows, part.cols] = part.values
            if missing is None and part.missing is not None:
                missing = np.zeros(shape, bool)
            if missing is not None:
                missing[rows, part.rows, part.cols] = (
                    False if part.missing is None else part.missing
                )
        black += [
            row for row, value in zip(rows, _nodata(file, bands, nodata), strict=True) if value == 0
        ]
    nothing = _all_zero(image, black)
    if nothing is not None:
        missing = np.zeros(shape, bool) if missing is None else missing
        missing[black] |= nothing
    return Values(image, missing if missing is not None and missing.any() else None)


def _all_zero(image: NDArray[Any], rows: Sequence[int]) -> Mask | None:
    """Where all of some bands hold zero, or None where that is nowhere."""
    black: Mask | None = None
    for row in rows:
        zero = image[row] == 0
        black = zero if black is None else black & zero
        if not black.any():
            return None
    return black


def _wanted(file: RasterFile, bands: Sequence[str]) -> list[int]:
    """Places of wanted bands among a file's."""
    return [file.bands.index(band) for band in bands if band in file.bands]


def _nodata(file: RasterFile, bands: Sequence[str], nodata: float | None) -> list[float | None]:
    """Value of each wanted band of a file that means no data: what it states, else what is given."""
    given = holdable(nodata, file.dtype)
    stated = [file.nodata[at] for at in _wanted(file, bands)]
    return [given if value is None else value for value in stated]


@dataclass(frozen=True)
class _Along:
    """How a file lies along a grid.

    Attributes:
        turn: In which direction.
        to_file: From the grid's pixels to those of the file as it then lies.
        box: The rectangle of the grid nearest to it.
    """

    turn: Turn
    to_file: Affine
    box: Pixels


@lru_cache(maxsize=8192)
def _along(own: Grid, whole: Pixels, grid: Grid) -> _Along | None:
    """How a raster lies along a grid, or None where it must be warped."""
    if not same_crs(own.crs, grid.crs):
        return None
    turn = Turn.between(own.transform, whole.width, whole.height, grid.transform)
    if turn is None:
        return None
    upright = turn.upright(own.transform)
    box = grid.nearest(upright, turn.width, turn.height)
    return _Along(turn, ~upright @ grid.transform, box)


def _read(
    file: RasterFile,
    bands: Sequence[str],
    grid: Grid,
    pixels: Pixels,
    nodata: float | None,
    resampling: Resampling,
) -> Iterator[_Part]:
    """The parts of a rectangle that a file covers: several where it lies all around the Earth."""
    indexes = [file.indexes[at] for at in _wanted(file, bands)]
    values = _nodata(file, bands, nodata)
    try:
        if _along(file.grid, file.whole, grid) is None:
            with open_file(file.path, file.squared) as source:
                found = warping.read_warped(
                    Upright(source, None, file.is_masked),
                    (file.grid, file.whole),
                    indexes,
                    grid,
                    pixels,
                    values,
                    resampling,
                )
            if found is not None:
                yield _Part(slice(None), slice(None), *found)
            return
        for own in _copies(file, grid, pixels):
            along = _along(own, file.whole, grid)
            here = pixels if along is None else along.box.overlap(pixels)
            if along is None or here.is_empty:
                continue
            with open_file(file.path, file.squared) as source:
                upright = Upright(source, along.turn, file.is_masked)
                part = read_part(upright, indexes, _axes(along, here), values, resampling)
            yield _Part(*here.within(pixels), *part)
    except RasterioError as error:
        raise DataError(f'cannot decode {file.path} ({error}): restore the file') from error
    except ProjError as error:
        raise cannot_warp(file.path, error) from error


def _copies(file: RasterFile, grid: Grid, pixels: Pixels) -> list[Grid]:
    """A file's own grid and, where x runs around the Earth, those one turn to either side of it."""
    around = around_the_earth(grid.crs)
    if around is None:
        return [file.grid]
    middle = grid.outline(pixels).centroid.x - sum(file.bounds[::2]) / 2
    turns = rounded(middle / around)
    return [
        Grid(file.crs, Affine.translation(turn * around, 0) @ file.transform) if turn else file.grid
        for turn in (turns - 1, turns, turns + 1)
    ]


def _axes(along: _Along, here: Pixels) -> tuple[Axis, Axis]:
    """Rows and columns of a file as it lies along a grid."""
    place, box = along.to_file, along.box
    # At the same resolution whole pixels count, wherever the grids' phases lie.
    down, across = (
        Axis(float(at - first) if abs(step - 1) <= EXACT else at * step + offset, step, count)
        for at, first, step, offset, count in (
            (here.row, box.row, place.e, place.f, here.height),
            (here.col, box.col, place.a, place.c, here.width),
        )
    )
    return down, across


@lru_cache(maxsize=4096)
def extent(acquisition: Acquisition, bands: Sequence[str], grid: Grid) -> Pixels:
    """The rectangle of a grid around the files that hold some bands.

    Raises:
        DataError: If a file cannot be warped.
    """
    whole = None
    for file in acquisition.holding(bands):
        along = _along(file.grid, file.whole, grid)
        try:
            box = warping.extent(file.grid, file.whole, grid) if along is None else along.box
        except ProjError as error:
            raise cannot_warp(file.path, error) from error
        whole = box if whole is None else whole.around(box)
    assert whole is not None  # Every wanted band is in a file.
    return whole
