"""Rasters that lie askew to a grid, or in another coordinate reference system: read onto it.

GDAL's warper, as rasterio opens it, knows one value for no data and no mask beside it, spreads
infinity, takes a turned raster for a reduced one, and gives a chip other pixels than its
neighbours. Here pyproj says where the grid's pixels lie, and they are interpolated as all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from torchgeo_geosane.datasets.grid import (
    Coordinates,
    Grid,
    Pixels,
    mapped,
    same_crs,
)
from torchgeo_geosane.datasets.no_data import Mask, either, unknown
from torchgeo_geosane.datasets.reprojection import around_the_earth, near, transformer
from torchgeo_geosane.datasets.resampling import EXACT, MOST_AT_ONCE, between, interpolate, reduced
from torchgeo_geosane.datasets.turns import Upright

# Pixels between points that are transformed; between them coordinates are interpolated.
_STEP = 32
# Error of that, in the raster's pixels, above which every pixel is transformed.
_ERROR = 0.02
# Points along each side of a raster that tell where it lies.
_POINTS = 33


@lru_cache(maxsize=4096)
def extent(own: Grid, whole: Pixels, grid: Grid) -> Pixels:
    """The rectangle of a grid around a raster, with a margin.

    Args:
        own: The raster's own grid.
        whole: All its pixels.
        grid: The other grid; around the Earth, the rectangle lies around the raster's first corner.

    Raises:
        ProjError: If the raster cannot be transformed.
    """
    cols, rows = np.linspace(0, whole.width, _POINTS), np.linspace(0, whole.height, _POINTS)
    x, y = mapped(own.transform, *(side.ravel() for side in np.meshgrid(cols, rows)))
    if not same_crs(own.crs, grid.crs):
        x, y = transformer(own.crs, grid.crs).transform(x, y)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return Pixels(0, 0, 0, 0)
    x, y = x[finite], y[finite]
    around = around_the_earth(grid.crs)
    if around is not None:
        x = near(x, x[0], around)
    across, along = mapped(~grid.transform, x, y)
    (col, end), (row, last) = ((int(side.min()), int(side.max())) for side in (across, along))
    wider, higher = 2 + (end - col) // 50, 2 + (last - row) // 50
    return Pixels(col - wider, row - higher, end - col + 2 * wider, last - row + 2 * higher)


# Files of one resolution share them.
@lru_cache(maxsize=8)
def _positions(
    own: Grid, whole: Pixels, grid: Grid, pixels: Pixels
) -> tuple[Coordinates, Coordinates]:
    """Where a grid's pixels have their centres in a raster.

    Returns:
        Columns and rows, [height, width]; not finite where the systems have no place in common.
    """
    first, last = pixels.col // _STEP, (pixels.col + pixels.width - 1) // _STEP
    upper, lower = pixels.row // _STEP, (pixels.row + pixels.height - 1) // _STEP
    # One more on each side tells how far the map is from a linear one.
    cols, rows = np.arange(first - 1, last + 3) * _STEP, np.arange(upper - 1, lower + 3) * _STEP
    nodes = _exact(own, whole, grid, cols, rows)
    right, down = np.arange(pixels.width) + pixels.col, np.arange(pixels.height) + pixels.row
    if not all(_is_linear(side) for side in nodes):
        return _exact(own, whole, grid, right, down)
    across, along = (_interpolated(side, right - cols[0], down - rows[0]) for side in nodes)
    return across, along


def _exact(
    own: Grid, whole: Pixels, grid: Grid, cols: NDArray[Any], rows: NDArray[Any]
) -> tuple[Coordinates, Coordinates]:
    x, y = mapped(grid.transform, *np.meshgrid(cols + 0.5, rows + 0.5))
    if not same_crs(own.crs, grid.crs):
        x, y = transformer(grid.crs, own.crs).transform(x, y)
    around = around_the_earth(own.crs)
    # Where the systems have no place in common there is infinity.
    with np.errstate(invalid='ignore'):
        if around is not None:
            middle, _ = own.transform @ (whole.width / 2, whole.height / 2)
            x = near(x, middle, around)
        return mapped(~own.transform, x, y)


def _is_linear(nodes: Coordinates) -> bool:
    """Whether interpolating between nodes errs little; not where they jump or are infinite."""
    with np.errstate(invalid='ignore'):
        bent = [np.abs(np.diff(nodes, 2, axis)).max() / 8 for axis in (0, 1)]
    return bool(sum(bent) <= _ERROR)


def _interpolated(nodes: Coordinates, right: NDArray[Any], down: NDArray[Any]) -> Coordinates:
    at, share = np.divmod(right, _STEP)
    wide = nodes[:, at] + (nodes[:, at + 1] - nodes[:, at]) * (share / _STEP)
    at, share = np.divmod(down, _STEP)
    return wide[at] + (wide[at + 1] - wide[at]) * (share / _STEP)[:, None]


@lru_cache(maxsize=4096)
def _shrinkage(own: Grid, whole: Pixels, grid: Grid) -> tuple[int, int]:
    """How many whole columns and rows of a raster a grid's pixel takes, in the raster's middle."""
    box = extent(own, whole, grid)
    col, row = box.col + box.width // 2, box.row + box.height // 2
    spans = []
    for side in _exact(own, whole, grid, np.arange(col, col + 2), np.arange(row, row + 2)):
        span = np.hypot(side[0, 1] - side[0, 0], side[1, 0] - side[0, 0])
        spans.append(max(int(span + EXACT), 1) if np.isfinite(span) else 1)
    return spans[0], spans[1]


@dataclass(frozen=True)
class _Side:
    """Columns, or rows, of a reduced raster that wanted pixels are read from, [height, width].

    Attributes:
        by: Pixels of the raster in a reduced one.
        first: The first reduced pixel that is needed.
        count: How many are.
        low: The one before each centre, counted from the first.
        high: The one behind it.
        share: Of the latter.
        nearest: The one in which the centre lies.
    """

    by: int
    first: int
    count: int
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float32]
    nearest: NDArray[np.intp]

    @classmethod
    def of(cls, centres: Coordinates, length: int, by: int) -> '_Side':
        centres, last = centres / by, max(length // by, 1) - 1
        before = np.floor(centres - 0.5 + EXACT)
        share = np.maximum(centres - 0.5 - before, 0).astype(np.float32)
        low, high, nearest = (
            np.clip(at, 0, last).astype(np.intp)
            for at in (before, before + 1, np.floor(centres + EXACT))
        )
        first = int(low.min())
        count = int(high.max()) + 1 - first
        return cls(by, first, count, low - first, high - first, share, nearest - first)

    def window(self, length: int) -> tuple[int, int]:
        """Offset and length of the raster's pixels."""
        return self.first * self.by, min(self.count * self.by, length - self.first * self.by)


def read_warped(
    source: Upright,
    placed: tuple[Grid, Pixels],
    indexes: Sequence[int],
    grid: Grid,
    pixels: Pixels,
    nodata: Sequence[float | None],
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None] | None:
    """Read a raster onto a rectangle of a grid.

    Where the grid is coarser, the raster is first reduced by a whole number, by GDAL and from its
    overviews; then it is interpolated. Where values are missing the others count; a pixel whose own
    source is missing is missing, too.

    Args:
        source: The open raster, as it is.
        placed: Its own grid, and all its pixels.
        indexes: Its bands, counted from 1.
        grid: The grid of the result.
        pixels: The rectangle.
        nodata: Value of each band that means no data.
        resampling: Bilinear or nearest; the latter is never of an overview.

    Returns:
        As :func:`~.resampling.read_part`; None where the raster lies beside the rectangle.

    Raises:
        ProjError: If the raster cannot be transformed.
    """
    positions = _positions(*placed, grid, pixels)
    lengths = source.width, source.height
    # Not a number is outside.
    inside = np.logical_and(
        *((at >= -EXACT) & (at < n - EXACT) for at, n in zip(positions, lengths, strict=True))
    )
    if not inside.any():
        return None
    shrink = (1, 1) if resampling == Resampling.nearest else _shrinkage(*placed, grid)
    across, along = (
        _Side.of(np.where(inside, at, at[inside][0]), n, by)
        for at, n, by in zip(positions, lengths, shrink, strict=True)
    )
    if across.count * along.count > MOST_AT_ONCE and pixels.height > 1:
        return _in_halves(source, placed, indexes, grid, pixels, nodata, resampling)
    (left, width), (top, height) = across.window(source.width), along.window(source.height)
    window, shape = Window(left, top, width, height), (along.count, across.count)
    if shrink == (1, 1):
        values, hidden = source.read(indexes, window)
        missing = unknown(values, nodata, hidden)
    else:
        values, missing = reduced(source, indexes, window, shape, nodata, resampling)
    values, missing = _sampled(values, missing, nodata, along, across, resampling)
    return values, missing if inside.all() else either(missing, ~inside[None])


def _in_halves(
    source: Upright,
    placed: tuple[Grid, Pixels],
    indexes: Sequence[int],
    grid: Grid,
    pixels: Pixels,
    nodata: Sequence[float | None],
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    half = pixels.height // 2
    halves = (
        pixels._replace(height=half),
        pixels._replace(row=pixels.row + half, height=pixels.height - half),
    )
    shape = (len(indexes), pixels.height, pixels.width)
    values, missing = None, np.ones(shape, bool)
    for part in halves:
        found = read_warped(source, placed, indexes, grid, part, nodata, resampling)
        if found is not None:
            values = np.zeros(shape, found[0].dtype) if values is None else values
            rows, _ = part.within(pixels)
            values[:, rows] = found[0]
            missing[:, rows] = False if found[1] is None else found[1]
    assert values is not None  # The raster lies in the whole, hence in a half.
    return values, missing


def _sampled(
    values: NDArray[Any],
    missing: Mask | None,
    nodata: Sequence[float | None],
    along: _Side,
    across: _Side,
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    """Values at places that lie in no common rows and columns."""

    def corner(layers: NDArray[Any], row: NDArray[np.intp], col: NDArray[np.intp]) -> NDArray[Any]:
        return layers.reshape(len(layers), -1).take(row * across.count + col, 1)

    def blend(layers: NDArray[np.float32]) -> NDArray[np.float32]:
        upper, lower = (
            between(corner(layers, row, across.low), corner(layers, row, across.high), across.share)
            for row in (along.low, along.high)
        )
        return between(upper, lower, along.share)

    def pick(layers: NDArray[Any]) -> NDArray[Any]:
        return corner(layers, along.nearest, across.nearest)

    if resampling == Resampling.nearest:
        return pick(values), None if missing is None else pick(missing)
    return interpolate(values, missing, nodata, blend, pick)
