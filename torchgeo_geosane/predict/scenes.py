"""Scenes: large images on their own grid, read a run of windows at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.grid import Grid, Pixels, grid_of
from torchgeo_geosane.datasets.index_table import mosaic
from torchgeo_geosane.datasets.open_files import modified
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.predict.tiling import Tiling

_EXACT = 1e-3
"""How far edges of images may lie apart and still be one, in pixels."""


@dataclass(frozen=True)
class Scene:
    """A rectangle of a grid, and the images that show it.

    Attributes:
        name: What its file's name, or its STAC item, calls it.
        data: The imagery that it is part of, with its bands, units and sensors.
        images: Of each sensor, those to read, one after the other while pixels lack.
        grid: The grid.
        pixels: The rectangle.
    """

    name: str
    data: Imagery
    images: tuple[tuple[Acquisition, ...], ...]
    grid: Grid
    pixels: Pixels

    @property
    def crs(self) -> CRS:
        """Coordinate reference system."""
        return CRS.from_wkt(self.grid.crs)

    @property
    def transform(self) -> Affine:
        """From columns and rows to coordinates."""
        return self.grid.at(self.pixels)

    @property
    def date(self) -> pd.Timestamp | None:
        """When its first image was taken; None where that is not known."""
        start = self.images[0][0].start
        return None if start == pd.Timestamp.min else start

    @property
    def dates(self) -> 'tuple[Scene, ...]':
        """What it is at each date: itself; the two of a :class:`~.pairs.Pair`."""
        return (self,)

    def stamps(self) -> list[tuple[str, int]]:
        """Its files and when they were modified."""
        files = (file for images in self.images for image in images for file in image.files)
        return [(file.path, modified(file.path)) for file in files]

    def thumbnail(self, bands: Sequence[str], step: int) -> NDArray[np.float32]:
        """The whole at a coarser resolution, from overviews where files have them.

        Args:
            bands: Some of the data's bands.
            step: Width of a pixel, in the scene's.

        Returns:
            [bands, rows, columns], float32, NaN where there is no data.

        Raises:
            DataError: If a file is damaged.
        """
        grid = Grid(self.grid.crs, self.transform @ Affine.scale(step))
        size = Pixels(0, 0, -(-self.pixels.width // step), -(-self.pixels.height // step))
        found: dict[str, NDArray[Any]] = {}
        for source, images in zip(self.data.stack.sources, self.images, strict=True):
            wanted = replace(source, bands=tuple(set(source.bands).intersection(bands)))
            if wanted.bands:
                layers = (wanted.read(image, grid, size, None) for image in images)
                image = mosaic(layers, (len(wanted.bands), size.height, size.width))
                found |= zip(wanted.bands, image, strict=True)
        return np.stack([found[band] for band in bands]).astype(np.float32)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a part.

        Args:
            rows: Counted from the scene's upper edge.
            columns: Counted from its left edge.

        Returns:
            [bands, rows, columns], of the files' type, or float32 with NaN where there is no data.

        Raises:
            DataError: If a file is damaged.
        """
        part = Pixels(
            self.pixels.col + columns.start,
            self.pixels.row + rows.start,
            columns.stop - columns.start,
            rows.stop - rows.start,
        )
        stack = self.data.stack
        found = []
        for source, images in zip(stack.sources, self.images, strict=True):
            layers = (source.read(image, self.grid, part, stack.cache) for image in images)
            found.append(mosaic(layers, (len(source.bands), part.height, part.width)))
        return found[0] if len(found) == 1 else np.concatenate(found)


def scenes_of(data: Imagery) -> list[Scene]:
    """Each image of the leading sensor as a scene, on its own grid.

    Args:
        data: The imagery.
    """
    leader = data.stack.leader
    scenes = []
    for number in data.index['image']:
        image = leader.acquisitions[number]
        grid, pixels = _own_grid(image.finest(leader.bands))
        scenes.append(Scene(Path(image.name).name, data, _beside(data, image), grid, pixels))
    return scenes


def mosaic_of(data: Imagery, name: str) -> Scene:
    """All images as one scene, on the first one's grid; where one has no data, the next has it."""
    leaders = [data.stack.leader.acquisitions[number] for number in data.index['image']]
    images = tuple(leaders), *_beside(data, leaders[0])[1:]
    return Scene(name, data, images, *_place(data, _around_all(data)))


def _around_all(data: Imagery) -> tuple[float, ...]:
    """Bounds of all images, in whole pixels of the first: others may be warped to it."""
    bounds = data.index.bounds
    anchor = bounds.iloc[0][['minx', 'miny']].to_numpy()
    steps = (data.index.total_bounds.reshape(2, 2) - anchor) / data.res
    low, high = np.floor(steps[0] + _EXACT), np.ceil(steps[1] - _EXACT)
    return *(anchor + low * data.res).tolist(), *(anchor + high * data.res).tolist()


def parts_of(data: Imagery) -> list[Scene]:
    """What each image has of some imagery, on the grid of the data; the largest first.

    Args:
        data: The imagery, or a part of it, as a split leaves it.
    """
    scenes = []
    for box, number in zip(data.index.bounds.to_numpy().tolist(), data.index['image'], strict=True):
        image = data.stack.leader.acquisitions[number]
        name = Path(image.name).name
        scenes.append(Scene(name, data, _beside(data, image), *_place(data, box)))
    return sorted(scenes, key=lambda scene: -scene.pixels.width * scene.pixels.height)


def _place(data: Imagery, box: Sequence[float]) -> tuple[Grid, Pixels]:
    """Bounds on the grid of the data."""
    left, bottom, right, top = box
    x, y = slice(left, right, data.res[0]), slice(bottom, top, data.res[1])
    return grid_of(data.crs.to_wkt(), x, y)


def _beside(data: Imagery, image: Acquisition) -> tuple[tuple[Acquisition, ...], ...]:
    """An image, and those of each further sensor, nearest in time first."""

    def distance(other: Acquisition) -> int:
        # Python's integers: the limits of the calendar are too far apart for 64 bits.
        return max(other.start.value - image.stop.value, image.start.value - other.stop.value, 0)

    others = (sorted(source.acquisitions, key=distance) for source in data.stack.sources[1:])
    return (image,), *map(tuple, others)


def _own_grid(file: RasterFile) -> tuple[Grid, Pixels]:
    """That of a file, turned or mirrored as it may be."""
    return Grid(file.crs, file.transform), Pixels(0, 0, file.width, file.height)


@dataclass(frozen=True)
class Windows:
    """Windows of one row, read together.

    Attributes:
        row: Their row of windows.
        columns: Their columns of windows; those without data are left out.
        images: Each [bands, size, size], as :meth:`Scene.read` gives it.
    """

    row: int
    columns: tuple[int, ...]
    images: tuple[NDArray[Any], ...]


def read_windows(scene: Scene, tiling: Tiling, row: int, columns: Sequence[int]) -> Windows:
    """Read windows that lie side by side, mirrored at the scene's edges.

    Raises:
        DataError: If a file is damaged.
    """
    down = tiling.down.reflected(row)
    across = [tiling.across.reflected(column) for column in columns]
    top, bottom = int(down.min()), int(down.max()) + 1
    left, right = min(int(at.min()) for at in across), max(int(at.max()) for at in across) + 1
    image = scene.read(slice(top, bottom), slice(left, right))[:, down - top]
    windows = {column: image[:, :, at - left] for column, at in zip(columns, across, strict=True)}
    kept = {column: window for column, window in windows.items() if _has_data(window)}
    return Windows(row, tuple(kept), tuple(kept.values()))


def _has_data(window: NDArray[Any]) -> bool:
    """Whether a pixel has data in all bands."""
    return window.dtype.kind != 'f' or not bool(np.isnan(window).any(axis=0).all())
