"""What labels mean, and how they are read onto the grid of the imagery."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from torchgeo_geosane.datasets.block_cache import BLOCK, BlockCache
from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.errors import DataError

Value = int | str

IGNORE_INDEX = 255
"""Label of pixels that have none; losses and metrics skip it."""

# Labels have no corner to count blocks from: they begin far away.
_FAR = BLOCK * 2**40


@dataclass(frozen=True)
class Legend:
    """What the values of labels mean.

    Attributes:
        classes: Class name to value, in the order of the class indices.
        ignored: Values that count as no label.
    """

    classes: Mapping[str, Value]
    ignored: tuple[Value, ...] = ()

    @classmethod
    def of(cls, classes: Sequence[str] | Mapping[str, Value], ignored: Sequence[Value]) -> 'Legend':
        """From names alone, which are then the values themselves, or from names and values.

        Raises:
            DataError: If there is no class, or two have one value.
        """
        by_name = dict(classes) if isinstance(classes, Mapping) else dict.fromkeys(classes)
        values = {name: name if value is None else value for name, value in by_name.items()}
        if not values or len({str(value) for value in values.values()}) < len(values):
            raise DataError(f'classes {values} are none, or two have one value: name each')
        return cls(values, tuple(ignored))

    def numbers(self) -> dict[int, int]:
        """Value in a raster to class index; names alone count from 0."""
        if all(name == value for name, value in self.classes.items()):
            known = dict(zip(range(len(self.classes)), range(len(self.classes)), strict=True))
        else:
            known = {int(value): at for at, value in enumerate(self.classes.values())}
        return known | {int(value): IGNORE_INDEX for value in self.ignored}

    def texts(self) -> dict[str, int]:
        """Value in a column to class index."""
        known = {str(value): at for at, value in enumerate(self.classes.values())}
        return known | {str(value): IGNORE_INDEX for value in self.ignored}


class Labels(ABC):
    """Labels of an area."""

    @abstractmethod
    def outline(self, crs: CRS) -> gpd.GeoSeries:
        """Where there may be any, in a coordinate reference system."""

    def read(
        self, grid: Grid, pixels: Pixels, cache: BlockCache | None = None
    ) -> NDArray[np.int64]:
        """Class indices on a grid, [height, width]; 255 where there is no label.

        Args:
            grid: The grid of the result.
            pixels: Its rectangle.
            cache: Where drawn blocks lie, or None to draw the rectangle alone.

        Raises:
            DataError: If a file is damaged, or holds a value that the legend does not know.
        """
        draw = partial(self._draw, grid)
        if cache is None:
            return draw(pixels)[0].astype(np.int64)
        everywhere = Pixels(-_FAR, -_FAR, 2 * _FAR, 2 * _FAR)
        return cache.read(f'{self._stamp()} {grid}', pixels, everywhere, draw)[0].astype(np.int64)

    @abstractmethod
    def _stamp(self) -> str:
        """What the labels depend on: files with their times, and legend."""

    @abstractmethod
    def _draw(self, grid: Grid, pixels: Pixels) -> NDArray[np.uint8]:
        """Class indices, [1, height, width]."""
