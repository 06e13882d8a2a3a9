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
    image = found.values
    if image.dtype not in KEPT:
        image = image.astype(np.float32, copy=False)
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
    plans = _plans(acquisition.files, tuple(bands), nodata, grid)
    parts = at_once(lambda plan: list(_read(plan, grid, pixels, resampling)), plans)
    shape = (len(bands), pixels.height, pixels.width)
    whole = all(any(part.values.shape[1:] == shape[1:] for part in found) for found in parts)
    dtype = np.result_type(*(plan.dtype for plan in plans))
    image = (np.empty if whole else np.zeros)(shape, dtype)
    missing = None if whole else np.ones(shape, bool)
    black = []
    for plan, found in zip(plans, parts, strict=True):
        rows = list(plan.rows)
        for part in found:
            image[rows, part.rows, part.cols] = part.values
            if missing is None and part.missing is not None:
                missing = np.zeros(shape, bool)
            if missing is not None:
                missing[rows, part.rows, part.cols] = (
                    False if part.missing is None else part.missing
                )
        black += [row for row, value in zip(rows, plan.nodata, strict=True) if value == 0]
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


@dataclass(frozen=True)
class _Plan:
    """How a file is read onto a grid.

    Attributes:
        file: The file.
        rows: Places of its bands in the result.
        indexes: Their numbers in the file.
        nodata: The value of each that means no data: what the file states, else what is given.
        dtype: Type of the file's values.
        along: How it lies along the grid, or None where it must be warped.
        around: Once around the Earth along the grid's x, where x runs so.
    """

    file: RasterFile
    rows: tuple[int, ...]
    indexes: tuple[int, ...]
    nodata: tuple[float | None, ...]
    dtype: np.dtype[Any]
    along: _Along | None
    around: float | None


@lru_cache(maxsize=4096)
def _plans(
    files: tuple[RasterFile, ...], bands: tuple[str, ...], nodata: float | None, grid: Grid
) -> list[_Plan]:
    """How those of some files that hold some bands are read onto a grid."""
    plans = []
    for file in files:
        rows = tuple(row for row, band in enumerate(bands) if band in file.bands)
        places = [file.bands.index(bands[row]) for row in rows]
        given = holdable(nodata, file.dtype)
        stated = [file.nodata[place] for place in places]
        plan = _Plan(
            file,
            rows,
            tuple(file.indexes[place] for place in places),
            tuple(given if value is None else value for value in stated),
            np.dtype(file.dtype),
            _along(file.grid, file.whole, grid),
            around_the_earth(grid.crs),
        )
        if rows:
            plans.append(plan)
    return plans


def _read(plan: _Plan, grid: Grid, pixels: Pixels, resampling: Resampling) -> Iterator[_Part]:
    """The parts of a rectangle that a file covers: several where it lies all around the Earth."""
    file = plan.file
    try:
        if plan.along is None:
            with open_file(file.path, file.squared) as source:
                upright = Upright(source, None, file.is_masked)
                own = file.grid, file.whole
                found = warping.read_warped(
                    upright, own, plan.indexes, grid, pixels, plan.nodata, resampling
                )
            if found is not None:
                yield _Part(slice(None), slice(None), *found)
            return
        for along in _copies(plan, grid, pixels):
            here = along.box.overlap(pixels)
            if not here.is_empty:
                with open_file(file.path, file.squared) as source:
                    upright = Upright(source, along.turn, file.is_masked)
                    axes = _axes(along, here)
                    part = read_part(upright, plan.indexes, axes, plan.nodata, resampling)
                yield _Part(*here.within(pixels), *part)
    except RasterioError as error:
        raise DataError(f'cannot decode {file.path} ({error}): restore the file') from error
    except ProjError as error:
        raise cannot_warp(file.path, error) from error


def _copies(plan: _Plan, grid: Grid, pixels: Pixels) -> list[_Along]:
    """How a file lies along a grid; where x runs around the Earth, also one turn to either side."""
    assert plan.along is not None
    if plan.around is None:
        return [plan.along]
    file, found = plan.file, []
    middle = grid.outline(pixels).centroid.x - sum(file.bounds[::2]) / 2
    turns = rounded(middle / plan.around)
    for turn in (turns - 1, turns, turns + 1):
        place = Affine.translation(turn * plan.around, 0) @ file.transform
        along = _along(Grid(file.crs, place), file.whole, grid)
        found += [] if along is None else [along]
    return found


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
