"""Labels on the grid of the imagery, of the time of the image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import geometry_mask

from torchgeo_geosane.datasets.block_cache import BLOCK, BlockCache
from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.datasets.legend import Legend
from torchgeo_geosane.datasets.located import Located
from torchgeo_geosane.errors import DataError

Span = tuple[pd.Timestamp, pd.Timestamp]
"""When something was taken and when that ended; the limits of the calendar where unknown."""

Order = tuple[tuple[int, ...], ...]
"""Numbers of label files: those that count first, then those for what these do not reach."""

UNDATED: Span = (pd.Timestamp.min, pd.Timestamp.max)

# Labels have no corner to count blocks from: they begin far away.
_FAR = BLOCK * 2**40


class Labels(ABC):
    """Labels of an area, in files that may be of different times.

    A file decides within its extent, before those that are further away in time.

    Args:
        legend: What the values mean.
        extents: Around each file, with its number, by coordinate reference system.
        times: When each file's labels were.
    """

    def __init__(
        self,
        legend: Legend,
        extents: Sequence[tuple[Located, NDArray[np.intp]]],
        times: Sequence[Span],
    ) -> None:
        self.legend = legend
        self._extents = extents
        self._times = [(start.value, stop.value) for start, stop in times]
        self._orders: dict[tuple[int, int], Order] = {}

    @property
    def ignored(self) -> int:
        """Class index of pixels without label."""
        return self.legend.ignore_index

    @property
    def are_of_several_times(self) -> bool:
        """Whether files are of different times."""
        return len(set(self._times)) > 1

    def outline(self, images: gpd.GeoSeries) -> gpd.GeoSeries:
        """Where images may have labels.

        Args:
            images: The images' outlines.

        Returns:
            Extents of the labels, as far as they lie around the images, in the images' system.

        Raises:
            DataError: If that is nowhere.
        """
        crs = images.crs.to_wkt()
        boxes = {tuple(box) for box in images.bounds.to_numpy().tolist()}
        found = [
            located.around(box, crs, located.near(box, crs))
            for box in boxes
            for located, _ in self._extents
        ]
        around = gpd.GeoSeries(np.concatenate(found), crs=images.crs)
        around = around[~around.is_empty]
        if not images.intersects(around.union_all()).any():
            raise DataError(
                f'the images, at {_extent(images)} in {images.crs.to_string()}, do not overlap the '
                f'labels, at {self._where()}: check the files and their coordinate reference '
                'systems'
            )
        return around

    def _where(self) -> str:
        return ', '.join(
            f'{_extent(gpd.GeoSeries(located.shapes))} in {CRS.from_wkt(located.crs).to_string()}'
            for located, _ in self._extents[:3]
        )

    def read(
        self, grid: Grid, pixels: Pixels, time: Span = UNDATED, cache: BlockCache | None = None
    ) -> NDArray[np.int64]:
        """Class indices on a grid, [height, width]; :attr:`ignored` where there is no label.

        Args:
            grid: The grid of the result.
            pixels: Its rectangle.
            time: When the image was taken.
            cache: Where drawn blocks lie, or None to draw the rectangle alone.

        Raises:
            DataError: If a file is damaged, or holds a value that the legend does not know.
        """
        order = self._order(time)
        draw = partial(self._draw_all, grid, order)
        if cache is None:
            return draw(pixels)[0].astype(np.int64)
        everywhere = Pixels(-_FAR, -_FAR, 2 * _FAR, 2 * _FAR)
        key = f'{self._stamp()} {self.legend} {grid} {order}'
        return cache.read(key, pixels, everywhere, draw)[0].astype(np.int64)

    def _order(self, time: Span) -> Order:
        """Files by their distance in time; of those that include it, the shorter ones first."""
        start, stop = time[0].value, time[1].value
        if (start, stop) not in self._orders:
            ranked = sorted(
                (max(begin - stop, start - end, 0), begin > stop, end - begin, number)
                for number, (begin, end) in enumerate(self._times)
            )
            groups = groupby(ranked, key=lambda file: file[:3])
            self._orders[start, stop] = tuple(
                tuple(number for *_, number in group) for _, group in groups
            )
        return self._orders[start, stop]

    def _draw_all(self, grid: Grid, order: Order, pixels: Pixels) -> NDArray[Any]:
        """Class indices, [1, height, width]: of each pixel by the first files that reach it."""
        area = grid.outline(pixels).bounds
        extents = {
            int(number): (located, at)
            for located, numbers in self._extents
            for at, number in ((at, numbers[at]) for at in located.near(area, grid.crs))
        }
        groups = [found for group in order if (found := [at for at in group if at in extents])]
        if not groups:
            return self._draw(grid, pixels, ())[None]
        mask = self._draw(grid, pixels, groups[0])
        reached = np.zeros(mask.shape, bool)
        for group, following in pairwise(groups):
            shapes = [
                shape
                for located, at in (extents[number] for number in group)
                for shape in located.around(area, grid.crs, np.array([at]))
                if not shape.is_empty
            ]
            if shapes:
                reached |= geometry_mask(shapes, mask.shape, grid.at(pixels), invert=True)
            if reached.all():
                break
            mask = np.where(reached, mask, self._draw(grid, pixels, following))
        return mask[None]

    @abstractmethod
    def _stamp(self) -> str:
        """What the labels depend on beside the legend: files with their times of modification."""

    @abstractmethod
    def _draw(self, grid: Grid, pixels: Pixels, files: Sequence[int]) -> NDArray[Any]:
        """Class indices of some files that lie around a rectangle, [height, width]."""


def _extent(area: gpd.GeoSeries) -> str:
    return '(' + ', '.join(f'{bound:.6g}' for bound in area.total_bounds) + ')'
