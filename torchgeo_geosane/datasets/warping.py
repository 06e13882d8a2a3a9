"""Rasters that lie askew to a grid, or in another coordinate reference system: read onto it.

GDAL's warper, as rasterio opens it, knows one value for no data and no mask beside it, spreads
infinity, takes a turned raster for a reduced one, and gives a chip other pixels than its
neighbours. Here pyproj says where the grid's pixels lie, and they are interpolated as all others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

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
# Pixels of a rectangle of which it is kept what they are made of.
_MOST_KEPT = 2**20
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


class _Side(NamedTuple):
    """Columns, or rows, of a reduced raster around centres, [height, width].

    Attributes:
        first: The first that is needed.
        needed: How many are.
        low: The one before each centre, counted from the first.
        high: The one behind it.
        share: Of the latter.
        nearest: The one in which the centre lies.
    """

    first: int
    needed: int
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float32]
    nearest: NDArray[np.intp]

    @classmethod
    def around(cls, centres: Coordinates, length: int) -> '_Side':
        before = np.floor(centres - 0.5 + EXACT)
        share = np.maximum(centres - 0.5 - before, 0).astype(np.float32)
        low, high, nearest = (
            np.clip(at, 0, length - 1).astype(np.intp)
            for at in (before, before + 1, np.floor(centres + EXACT))
        )
        first, last = int(low.min()), int(high.max())
        return cls(first, last + 1 - first, low - first, high - first, share, nearest - first)


@dataclass(frozen=True)
class _Aim:
    """What of a raster, reduced by a whole number, the pixels of a rectangle are made of.

    Attributes:
        window: The raster's pixels.
        shape: Rows and columns that they are reduced to.
        corners: The four pixels around each centre, in the order of their rows; counted from the
            first of the window, row by row.
        shares: Of the right, and of the lower ones.
        nearest: The pixel in which each centre lies.
        outside: Which centres lie beside the raster, [1, height, width], or None.
    """

    window: Window
    shape: tuple[int, int]
    corners: tuple[NDArray[np.intp], ...]
    shares: tuple[NDArray[np.float32], NDArray[np.float32]]
    nearest: NDArray[np.intp]
    outside: Mask | None

    def blend(self, layers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear interpolation."""
        flat = layers.reshape(len(layers), -1)
        right, lower = self.shares
        first, second, third, fourth = (flat.take(corner, 1) for corner in self.corners)
        return between(between(first, second, right), between(third, fourth, right), lower)

    def pick(self, layers: NDArray[Any]) -> NDArray[Any]:
        """The nearest pixels."""
        return layers.reshape(len(layers), -1).take(self.nearest, 1)


def _aim(
    own: Grid, whole: Pixels, grid: Grid, pixels: Pixels, shrink: tuple[int, int]
) -> _Aim | None:
    """What of a raster a rectangle is made of; None where the raster lies beside it."""
    positions = _positions(own, whole, grid, pixels)
    lengths = whole.width, whole.height
    # Not a number is outside.
    inside = np.logical_and(
        *((at >= -EXACT) & (at < n - EXACT) for at, n in zip(positions, lengths, strict=True))
    )
    if not inside.any():
        return None
    cols, rows = (
        _Side.around(np.where(inside, at, at[inside][0]) / by, max(n // by, 1))
        for at, n, by in zip(positions, lengths, shrink, strict=True)
    )
    left, top = cols.first * shrink[0], rows.first * shrink[1]
    return _Aim(
        window=Window(
            left,
            top,
            min(cols.needed * shrink[0], whole.width - left),
            min(rows.needed * shrink[1], whole.height - top),
        ),
        shape=(rows.needed, cols.needed),
        corners=tuple(
            row * cols.needed + col
            for row in (rows.low, rows.high)
            for col in (cols.low, cols.high)
        ),
        shares=(cols.share, rows.share),
        nearest=rows.nearest * cols.needed + cols.nearest,
        outside=None if inside.all() else ~inside[None],
    )


# Files of one resolution share them; those of large rectangles would fill the memory.
_kept_aim = lru_cache(maxsize=4)(_aim)


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
    shrink = (1, 1) if resampling == Resampling.nearest else _shrinkage(*placed, grid)
    find = _kept_aim if pixels.width * pixels.height <= _MOST_KEPT else _aim
    aim = find(*placed, grid, pixels, shrink)
    if aim is None:
        return None
    if math.prod(aim.shape) > MOST_AT_ONCE and pixels.height > 1:
        return _in_halves(source, placed, indexes, grid, pixels, nodata, resampling)
    if shrink == (1, 1):
        values, hidden = source.read(indexes, aim.window)
        missing = unknown(values, nodata, hidden)
    else:
        values, missing = reduced(source, indexes, aim.window, aim.shape, nodata, resampling)
    if resampling == Resampling.nearest:
        values, missing = aim.pick(values), None if missing is None else aim.pick(missing)
    else:
        values, missing = interpolate(values, missing, nodata, aim.blend, aim.pick)
    return values, either(missing, aim.outside)


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
