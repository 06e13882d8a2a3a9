"""How much ground the classes of a map cover, measured on the ellipsoid."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.crs import CRS
from rasterio.transform import Affine, xy

_BLOCK = 512


class PixelAreas:
    """Areas of pixels, in whatever coordinate reference system.

    A square of the Mercator projection at 60 degrees is a quarter of what its coordinates say.
    """

    def __init__(self, crs: CRS, transform: Affine) -> None:
        """Prepare.

        Args:
            crs: The pixels' coordinate reference system.
            transform: From columns and rows to its coordinates.
        """
        self._transform = transform
        self._there = Transformer.from_crs(crs.to_wkt(), 'EPSG:4326', always_xy=True)
        self._geod = Geod(ellps='WGS84')

    def of(self, row: float, column: float) -> float:
        """Square metres of the pixel whose upper left corner this is."""
        rows, columns = (row, row + 1, row + 1, row), (column, column, column + 1, column + 1)
        area, _ = self._geod.polygon_area_perimeter(*self._places(rows, columns))
        return abs(area)

    def count(self, values: NDArray[np.integer[Any]], first: int, most: int) -> NDArray[np.float64]:
        """Square metres of each value.

        Args:
            values: Rows of a map, integers, [rows, width].
            first: The first of them.
            most: The largest value.

        Returns:
            From value 0 on, [most + 1].
        """
        total = np.zeros(most + 1)
        for left in range(0, values.shape[1], _BLOCK):
            block = values[:, left : left + _BLOCK]
            middle = first + (len(block) - 1) / 2, left + (block.shape[1] - 1) / 2
            total += np.bincount(block.ravel(), minlength=most + 1) * self.of(*middle)
        return total

    def metres(self, row: float, column: float, pixels: int) -> float:
        """Length of some pixels side by side, from one on."""
        return abs(self._geod.line_length(*self._places((row, row), (column, column + pixels))))

    def _places(self, rows: Sequence[float], columns: Sequence[float]) -> tuple[Any, Any]:
        """Longitudes and latitudes of pixels' upper left corners."""
        return self._there.transform(*xy(self._transform, rows, columns, offset='ul'))
