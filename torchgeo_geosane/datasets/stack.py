"""Sensors over one place: a chip of all their bands."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from torchgeo_geosane.datasets.block_cache import BlockCache
from torchgeo_geosane.datasets.footprints import outlines
from torchgeo_geosane.datasets.grid import grid_of
from torchgeo_geosane.datasets.index_table import IndexTable, Query, clipped, mosaic
from torchgeo_geosane.datasets.sources import Source
from torchgeo_geosane.sensors import Band


@dataclass(frozen=True)
class Stack:
    """Bands of one sensor after those of another.

    Attributes:
        sources: The sensors; the first leads.
        cache: Where decoded blocks lie, or None.
    """

    sources: tuple[Source, ...]
    cache: BlockCache | None

    @property
    def leader(self) -> Source:
        """The sensor whose images chips lie in."""
        return self.sources[0]

    @property
    def channels(self) -> list[Band]:
        """What the sensors say of each channel."""
        return [source.sensor.band(name) for source in self.sources for name in source.bands]

    @property
    def coarseness(self) -> float:
        """Width of the coarsest pixel that is read, in pixels of the finest band beside it."""
        return max(source.coarseness for source in self.sources)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What all values can be held in."""
        return np.result_type(*(source.dtype for source in self.sources))

    def others(self, crs: CRS) -> list[gpd.GeoSeries]:
        """Outlines of the images of each further sensor, in a coordinate reference system."""
        return [outlines(source.acquisitions, source.bands, crs) for source in self.sources[1:]]

    def read(self, table: IndexTable, query: Query) -> NDArray[Any]:
        """Read one chip, see :func:`~.decoding.decode` for the result.

        Args:
            table: Where and when the leading sensor's images lie.
            query: Where and when the chip lies.

        Raises:
            IndexError: If no image lies there.
            DataError: If a file is damaged.
        """
        rows = table.below(query)
        if not len(rows):
            raise IndexError(f'no image at {query}: the data set lies at {table.extent}')
        grid, pixels = grid_of(table.wkt, *query[:2])
        leader = self.leader
        boxes = [grid.inside(table.box(row, query)) for row in rows]
        layers = (
            clipped(
                leader.read(leader.acquisitions[table.images[row]], grid, pixels, self.cache),
                pixels,
                [box],
            )
            for row, box in zip(rows, boxes, strict=True)
        )
        parts = [mosaic(layers, (len(leader.bands), pixels.height, pixels.width))]
        for number, source in enumerate(self.sources[1:]):
            near = table.nearest_in_time(int(rows[0]), number, query, source.acquisitions)
            layers = (source.read(image, grid, pixels, self.cache) for image in near)
            found = mosaic(layers, (len(source.bands), pixels.height, pixels.width))
            parts.append(clipped(found, pixels, boxes))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
