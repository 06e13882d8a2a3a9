"""Pixels of one size over a whole coordinate reference system."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rasterio.crs import CRS

_PHASE = 1e-4


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
    """Pixels of one size over a whole coordinate reference system.

    Attributes:
        crs: The system, as WKT.
        xres: Width of a pixel.
        yres: Height of a pixel.
        left: Western edge of column 0.
        top: Northern edge of row 0.
    """

    crs: str
    xres: float
    yres: float
    left: float
    top: float

    def edges(self, pixels: Pixels) -> tuple[float, float]:
        """Western and northern edge of a rectangle."""
        return self.left + pixels.col * self.xres, self.top - pixels.row * self.yres

    def inside(self, bounds: tuple[float, float, float, float]) -> Pixels:
        """The rectangle nearest to bounds: left, bottom, right, top."""
        left, bottom, right, top = bounds
        col, end = round((left - self.left) / self.xres), round((right - self.left) / self.xres)
        row, last = round((self.top - top) / self.yres), round((self.top - bottom) / self.yres)
        return Pixels(col, row, end - col, last - row)


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
    left = _rounded(x.start - col * xres, xres)
    top = _rounded(y.stop + row * yres, yres)
    width, height = round((x.stop - x.start) / xres), round((y.stop - y.start) / yres)
    return Grid(crs, xres, yres, left, top), Pixels(col, row, width, height)


def _rounded(phase: float, res: float) -> float:
    return round(phase / res / _PHASE) * _PHASE * res


@lru_cache(maxsize=1024)
def same_crs(first: str, second: str) -> bool:
    """Whether two spellings, as WKT, are one coordinate reference system."""
    return first == second or CRS.from_wkt(first) == CRS.from_wkt(second)
