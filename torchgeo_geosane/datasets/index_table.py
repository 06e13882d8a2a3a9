"""TorchGeo's index of a data set as arrays: a chip is found in microseconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.grid import Bounds, Pixels
from torchgeo_geosane.datasets.reprojection import around_the_earth

Query = tuple[slice, slice, slice]
Boxes = NDArray[np.float64]
"""Left, bottom, right, top, [images, 4]."""


def restored(index: gpd.GeoDataFrame, before: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """An index that TorchGeo made of another: with the CRS and the columns that it lost."""
    if index.crs is None:
        index = index.set_crs(before.crs)
    if 'image' not in index.columns:
        names = {at: name for at, name in enumerate(before.columns) if name != 'geometry'}
        index = index.rename(columns=names)[[*names.values(), 'geometry']]
        index['image'] = index['image'].astype(np.int64)
    return index


@dataclass(frozen=True)
class IndexTable:
    """Places and times of images.

    Attributes:
        index: The data frame that this was made from.
        wkt: Its coordinate reference system.
        boxes: Bounds of its rows.
        images: Number of each row's image.
        starts: When each was taken, in ns.
        stops: When that ended.
        others: Bounds of the images of each further sensor.
        around: Once around the Earth along x, where x runs so.
    """

    index: gpd.GeoDataFrame
    wkt: str
    boxes: Boxes
    images: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    others: tuple[Boxes, ...]
    around: float | None

    @classmethod
    def of(cls, index: gpd.GeoDataFrame, others: Iterable[gpd.GeoSeries]) -> 'IndexTable':
        """From an index, and the outlines of further sensors' images in its system."""
        return cls(
            index=index,
            wkt=index.crs.to_wkt(),
            boxes=index.bounds.to_numpy(),
            images=index['image'].to_numpy(),
            starts=_nanoseconds(index.index.left),
            stops=_nanoseconds(index.index.right),
            others=tuple(other.bounds.to_numpy() for other in others),
            around=around_the_earth(index.crs.to_wkt()),
        )

    @cached_property
    def extent(self) -> tuple[float, float, float, float, pd.Timestamp, pd.Timestamp]:
        """Left, bottom, right, top, start and end of all."""
        left, bottom = self.boxes[:, :2].min(axis=0).tolist()
        right, top = self.boxes[:, 2:].max(axis=0).tolist()
        first, last = pd.Timestamp(self.starts.min()), pd.Timestamp(self.stops.max())
        return left, bottom, right, top, first, last

    def below(self, query: Query) -> NDArray[np.intp]:
        """Rows whose image meets a query in space and time."""
        start, stop, step = query[2].start, query[2].stop, query[2].step
        during = (self.starts <= pd.Timestamp(stop).value) & (
            self.stops >= pd.Timestamp(start).value
        )
        return np.flatnonzero(during & meeting(self.boxes, query, self.around))[::step]

    def box(self, row: int, query: Query) -> Bounds:
        """Bounds of a row, on the side of the Earth where a query lies."""
        left, bottom, right, top = _beside(self.boxes[row : row + 1], query, self.around)[
            0
        ].tolist()
        return left, bottom, right, top

    def time_of(self, query: Query) -> tuple[pd.Timestamp, pd.Timestamp]:
        """When the image was taken that a chip is read from first; the query's where none is."""
        rows = self.below(query)
        if not len(rows):
            return pd.Timestamp(query[2].start), pd.Timestamp(query[2].stop)
        return pd.Timestamp(self.starts[rows[0]]), pd.Timestamp(self.stops[rows[0]])

    def nearest_in_time(
        self, row: int, sensor: int, query: Query, acquisitions: Sequence[Acquisition]
    ) -> list[Acquisition]:
        """Images of a further sensor that meet a query, those nearest in time to a row's first.

        Those of an unknown time come last: nobody says that they are near.
        """

        def distance(image: Acquisition) -> tuple[bool, int]:
            # Python's integers: the limits of the calendar are too far apart for 64 bits.
            after = image.start.value - int(self.stops[row])
            apart = max(after, int(self.starts[row]) - image.stop.value, 0)
            return image.start == pd.Timestamp.min, apart

        found = np.flatnonzero(meeting(self.others[sensor], query, self.around))
        return sorted((acquisitions[int(at)] for at in found), key=distance)


def meeting(boxes: Boxes, query: Query, around: float | None = None) -> NDArray[np.bool_]:
    """Which boxes share more than an edge with a query.

    Args:
        boxes: The boxes.
        query: The query.
        around: Once around the Earth along x, where x runs so: boxes then lie on all its turns.
    """
    x, y, _ = query
    left, bottom, right, top = _beside(boxes, query, around).T
    return (left < x.stop) & (right > x.start) & (bottom < y.stop) & (top > y.start)


def _beside(boxes: Boxes, query: Query, around: float | None) -> Boxes:
    """Boxes counted around the Earth so that they lie nearest to a query."""
    if around is None:
        return boxes
    x = query[0]
    left, bottom, right, top = boxes.T
    turn = around * np.floor(((x.start + x.stop) - (left + right)) / 2 / around + 0.5)
    # What runs around the whole Earth lies below every query.
    whole = right - left >= around * (1 - 1e-6)
    sides = np.where(whole, x.start, left + turn), np.where(whole, x.stop, right + turn)
    return np.stack([sides[0], bottom, sides[1], top], 1)


def mosaic(layers: Iterable[NDArray[Any]], shape: tuple[int, int, int]) -> NDArray[Any]:
    """One image from several: pixels that lack a band are taken from the next that has all.

    Args:
        layers: Images, [bands, height, width] each, read one after the other while pixels lack.
        shape: Of the result, which is NaN where there is no layer.
    """
    result: NDArray[Any] | None = None
    for layer in layers:
        if result is None:
            result = layer
        else:
            taken = np.isnan(result).any(axis=0) & ~np.isnan(layer).any(axis=0)
            result[:, taken] = layer[:, taken]
        if result.dtype.kind != 'f' or not np.isnan(result).any():
            return result
    return np.full(shape, np.nan, np.float32) if result is None else result


def clipped(image: NDArray[Any], pixels: Pixels, boxes: Iterable[Pixels]) -> NDArray[Any]:
    """An image without what lies outside of all of some boxes of its grid."""
    outside = np.ones(image.shape[1:], bool)
    for box in boxes:
        here = box.overlap(pixels)
        if here == pixels:
            return image
        if not here.is_empty:
            outside[here.within(pixels)] = False
    return (
        np.where(outside, np.float32(np.nan), image.astype(np.float32)) if outside.any() else image
    )


def _nanoseconds(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    return times.to_numpy().astype('datetime64[ns]').astype(np.int64)
