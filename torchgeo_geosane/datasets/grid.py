"""Pixels of one size and direction over a whole coordinate reference system."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

_PHASE = 1e-4
_EXACT = 1e-6

Coordinates = NDArray[np.float64]

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""


class Pixels(NamedTuple):
    """A rectangle of a grid, in whole pixels; rows count downwards."""

    col: int
    row: int
    width: int
    height: int

    def overlap(self, other: 'Pixels') -> 'Pixels':
        """What two rectangles share; its width or height is not positive where that is nothing."""
        col, row = max(self.col, other.col), max(self.row, other.row)
        right = min(self.col + self.width, other.col + other.width)
        lower = min(self.row + self.height, other.row + other.height)
        return Pixels(col, row, right - col, lower - row)

    def around(self, other: 'Pixels') -> 'Pixels':
        """The smallest rectangle around two."""
        col, row = min(self.col, other.col), min(self.row, other.row)
        right = max(self.col + self.width, other.col + other.width)
        lower = max(self.row + self.height, other.row + other.height)
        return Pixels(col, row, right - col, lower - row)

    def within(self, outer: 'Pixels') -> tuple[slice, slice]:
        """Rows and columns of another rectangle that this one, inside it, covers."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixel."""
        return self.width <= 0 or self.height <= 0


@dataclass(frozen=True)
class Grid:
    """Pixels of one size and direction over a whole coordinate reference system.

    Attributes:
        crs: The system, as WKT.
        transform: From (column, row), counted from the outer corner of pixel (0, 0), to
            coordinates: any affine map, as a scene's own grid may be turned or mirrored.
    """

    crs: str
    transform: Affine

    @cached_property
    def name(self) -> str:
        """What tells it apart, as text."""
        return f'{self.crs} {tuple(self.transform)}'

    @property
    def xres(self) -> float:
        """Length of a pixel's side along its row."""
        return math.hypot(self.transform.a, self.transform.d)

    @property
    def yres(self) -> float:
        """Length of a pixel's side along its column."""
        return math.hypot(self.transform.b, self.transform.e)

    def at(self, pixels: Pixels) -> Affine:
        """The affine map of a rectangle, as rasterio wants it for an array of its pixels."""
        return self.transform @ Affine.translation(pixels.col, pixels.row)

    def outline(self, pixels: Pixels) -> shapely.Polygon:
        """A rectangle in coordinates."""
        place = self.at(pixels)
        corners = (0, 0), (pixels.width, 0), (pixels.width, pixels.height), (0, pixels.height)
        return shapely.Polygon([place @ corner for corner in corners])

    def nearest(self, outline: Affine, width: int, height: int) -> Pixels:
        """The rectangle nearest to a raster whose sides lie along this grid's rows and columns.

        Args:
            outline: The raster's affine map.
            width: Its columns.
            height: Its rows.
        """
        to_here = ~self.transform @ outline
        cols, rows = zip(*(to_here @ corner for corner in ((0, 0), (width, height))), strict=True)
        col, end = map(rounded, sorted(cols))
        row, last = map(rounded, sorted(rows))
        return Pixels(col, row, end - col, last - row)

    def inside(self, bounds: Bounds) -> Pixels:
        """The rectangle nearest to bounds; of a grid whose rows run from west to east, as queries' do."""
        left, bottom, right, top = bounds
        place = self.transform
        col, end = rounded((left - place.c) / place.a), rounded((right - place.c) / place.a)
        row, last = rounded((top - place.f) / place.e), rounded((bottom - place.f) / place.e)
        return Pixels(col, row, end - col, last - row)


def mapped(place: Affine, cols: Coordinates, rows: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Many points at once by an affine map."""
    return (
        place.a * cols + place.b * rows + place.c,
        place.d * cols + place.e * rows + place.f,
    )


def rounded(number: float) -> int:
    """The nearest whole number; halves go up, all alike, also where arithmetic falls short of them."""
    return math.floor(number + 0.5 + _EXACT)


def grid_of(crs: str, x: slice, y: slice) -> tuple[Grid, Pixels]:
    """The grid of a query of TorchGeo, and its rectangle of it.

    Queries that are whole pixels apart share a grid.

    Args:
        crs: Coordinate reference system of the query, as WKT.
        x: Western edge, eastern edge and width of a pixel.
        y: Southern edge, northern edge and height of a pixel.
    """
    xres, yres = float(x.step), float(y.step)
    # The tolerance keeps a phase that rounds to a whole pixel at zero.
    col = math.floor(x.start / xres + _PHASE / 2)
    row = math.floor(-y.stop / yres + _PHASE / 2)
    left = _phase(x.start - col * xres, xres)
    top = _phase(y.stop + row * yres, yres)
    width, height = round((x.stop - x.start) / xres), round((y.stop - y.start) / yres)
    return _north_up(crs, xres, yres, left, top), Pixels(col, row, width, height)


# One object for all chips of a grid: what is known of it is found at once.
@lru_cache(maxsize=1024)
def _north_up(crs: str, xres: float, yres: float, left: float, top: float) -> Grid:
    return Grid(crs, Affine(xres, 0.0, left, 0.0, -yres, top))


def _phase(offset: float, res: float) -> float:
    return round(offset / res / _PHASE) * _PHASE * res


@lru_cache(maxsize=1024)
def same_crs(first: str, second: str) -> bool:
    """Whether two spellings, as WKT, are one coordinate reference system."""
    return first == second or CRS.from_wkt(first) == CRS.from_wkt(second)
