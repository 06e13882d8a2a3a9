"""Photos, or any points, with the satellite image around them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer
from torch import Tensor
from torchgeo.datasets import NonGeoDataset

from torchgeo_geosane.datasets.imagery import Imagery
from torchgeo_geosane.datasets.index_table import Boxes, Query
from torchgeo_geosane.datasets.photo_table import (
    describe_skipped,
    read_photo,
    read_photo_table,
)
from torchgeo_geosane.errors import DataError

_SWAPPED = 'lie in the images if longitude and latitude are swapped: name the columns the other way'


class GeoPhotos(NonGeoDataset):
    """Places with a photo, a value, or both, and a chip of imagery that each lies in.

    Attributes:
        table: The places that lie in the imagery; it counts those that were skipped.
        classes: Names of the classes where values are texts, in the order of their indices.
    """

    def __init__(
        self,
        imagery: Imagery,
        photos: str | Path,
        size: int = 224,
        photo_size: int = 224,
        off_centre: float = 0.5,
        seed: int = 0,
        file: str | None = 'file',
        longitude: str = 'longitude',
        latitude: str = 'latitude',
        value: str | None = None,
        transforms: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """Read the table, and keep the places that lie in the imagery.

        Args:
            imagery: The satellite images.
            photos: Where photos were taken, see :func:`~.photo_table.read_photo_table`.
            size: Height and width of a chip in pixels.
            photo_size: Height and width of a photo: its shorter side is scaled to it, and the
                middle is taken.
            off_centre: How far a place may lie from the middle of its chip, 0 to 1 of half a chip.
            seed: Draws where; always the same for one place.
            file: Column of the photos; None for places alone.
            longitude: Column of a CSV file.
            latitude: Column of a CSV file.
            value: Column of a number or a class of each place.
            transforms: Applied to each sample.

        Raises:
            DataError: If the table cannot be read, a setting is out of range, or no place lies in
                the imagery.
            LocationError: If a coordinate is beyond the globe.
        """
        if not 0 <= off_centre <= 1:
            raise DataError(f'off_centre {off_centre} is not from 0 to 1')
        if size < 1 or photo_size < 1:
            raise DataError(f'chips of {size} and photos of {photo_size} pixels: give at least 1')
        self.imagery, self.size, self.photo_size = imagery, size, photo_size
        self._off_centre, self._seed, self._transforms = off_centre, seed, transforms
        table = read_photo_table(photos, file, longitude, latitude, value)
        points, rows = _locate(imagery, table.locations)
        inside = np.flatnonzero(rows >= 0)
        self.table = table.chosen(inside, 'outside of the images')
        if not len(inside):
            swapped = (_locate(imagery, table.locations[:, ::-1])[1] >= 0).any()
            hint = f'they {_SWAPPED}' if swapped else 'check the table and the images'
            raise DataError(
                f'no place of {photos} lies in the images ({describe_skipped(self.table)}): {hint}'
            )
        self._points, self._rows = points[inside], rows[inside]
        self.classes: tuple[str, ...] = ()
        self._labels = self._read_values()

    def _read_values(self) -> Tensor | None:
        values = self.table.values
        if values is None:
            return None
        if values.dtype.kind in 'iufb':
            return torch.from_numpy(values.astype(np.float32))
        texts = [str(text) for text in values]
        self.classes = tuple(sorted(set(texts)))
        return torch.tensor([self.classes.index(text) for text in texts])

    def __len__(self) -> int:
        """How many places there are."""
        return len(self.table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read one place.

        Args:
            index: Its number.

        Returns:
            ``image``, as the imagery gives it, [bands, size, size]; ``point``, where the place lies
            in it, x to the right and y down, from -1 to 1, float64 [2]; ``location``, longitude and
            latitude, float64 [2]; with photos ``photo``, uint8 [3, photo_size, photo_size]; with
            values ``label``, float32, or int64 where they are classes.

        Raises:
            DataError: If a file is damaged.
        """
        query, point = self.window(index)
        sample: dict[str, Any] = {
            'image': self.imagery[query]['image'],
            'point': torch.tensor(point, dtype=torch.float64),
            'location': torch.from_numpy(self.table.locations[index].copy()),
        }
        if self.table.photos:
            sample['photo'] = _square(read_photo(self.table.photos[index]), self.photo_size)
        if self._labels is not None:
            sample['label'] = self._labels[index]
        return sample if self._transforms is None else self._transforms(sample)

    def window(self, index: int) -> tuple[Query, tuple[float, float]]:
        """The chip that a place lies in, and where in it: from -1 to 1, y down."""
        x, y = self._points[index]
        row = self.imagery.index.iloc[[self._rows[index]]]
        left, _, _, top = row.bounds.to_numpy()[0]
        width, height = self.imagery.res
        # In pixels of the image; the chip begins at a whole one.
        col, line = (x - left) / width, (top - y) / height
        shift = self._shift(index)
        first_col = int(np.floor(col - self.size / 2 + shift[0]))
        first_line = int(np.floor(line - self.size / 2 + shift[1]))
        point = (
            _within(2 * (col - first_col) / self.size - 1),
            _within(2 * (line - first_line) / self.size - 1),
        )
        west, north = left + first_col * width, top - first_line * height
        time = row.index[0]
        return (
            (
                slice(west, west + self.size * width, width),
                slice(north - self.size * height, north, height),
                slice(time.left, time.right, 1),
            ),
            point,
        )

    def _shift(self, index: int) -> NDArray[np.float64]:
        """How many pixels a chip is moved; hashed from the place, so that an order changes nothing."""
        text = f'{self._seed} {self.table.locations[index].tolist()}'
        digest = hashlib.sha256(text.encode()).digest()
        drawn = np.frombuffer(digest[:16], np.uint64) / 2.0**64
        return (2 * drawn - 1) * self._off_centre * self.size / 2

    @property
    def boxes(self) -> Boxes:
        """Ground of each place's chip: left, bottom, right, top, [n, 4]."""
        found = []
        for index in range(len(self)):
            (x, y, _), _ = self.window(index)
            found.append((x.start, y.start, x.stop, y.stop))
        return np.array(found)


def _locate(
    imagery: Imagery, locations: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Coordinates in the imagery's system, and the row of the index that each lies in, else -1."""
    transformer = Transformer.from_crs('EPSG:4326', imagery.crs, always_xy=True)
    points = np.column_stack(transformer.transform(*locations.T))
    rows = np.full(len(points), -1, np.intp)
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    geometry = imagery.index.geometry.to_numpy()
    found, images = shapely.STRtree(geometry).query(
        shapely.points(points[finite]), predicate='intersects'
    )
    # Of several images the first.
    rows[finite[found[::-1]]] = images[::-1]
    return points, rows


def _within(side: float) -> float:
    return min(max(side, -1.0), 1.0)


def _square(image: Image.Image, size: int) -> Tensor:
    """The middle of a photo, uint8 [3, size, size]."""
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    square = image.crop((left, top, left + size, top + size))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)
