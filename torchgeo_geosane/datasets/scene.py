"""One satellite scene and its labels on one grid, decoded to arrays once per process."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_bounds

from torchgeo_geosane.errors import DataError

if TYPE_CHECKING:
    from rasterio.coords import BoundingBox
    from rasterio.crs import CRS
    from rasterio.transform import Affine


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the pixels of a scene are.

    Attributes:
        shape: Height and width in pixels.
        transform: Affine transform from pixels to coordinates.
        crs: Coordinate reference system.
    """

    shape: tuple[int, int]
    transform: 'Affine'
    crs: 'CRS'


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene with all bands and its labels on one grid.

    Attributes:
        image: Digital numbers as the files hold them, [bands, height, width].
        mask: Class indices, uint8, [height, width], :data:`~.labels.IGNORE_INDEX` without label.
        grid: Where the pixels are.
    """

    image: np.ndarray
    mask: np.ndarray
    grid: Grid


class Labels(Protocol):
    """Where the labels of a scene come from; compared by value, since scenes are kept by it."""

    def __hash__(self) -> int:
        """Return a hash of the value."""

    def read(self, root: Path, grid: Grid) -> NDArray[np.uint8]:
        """Read the labels in a folder onto a grid: class indices, [height, width].

        Raises:
            DataError: If files are missing, damaged or contradict the grid or the classes.
        """


@lru_cache(maxsize=2)
def read_scene(
    root: Path, bands: tuple[str, ...], resolution: float, dtype: str, labels: Labels
) -> Scene:
    """Read the bands and the labels in a folder.

    Bands of another resolution are resampled bilinearly. The result is kept in memory, since
    decoding JPEG 2000 takes longer than a training step.

    Args:
        root: Folder with one file a band, named ``*_<band>.<suffix>``, and the labels.
        bands: Band names in the order wanted.
        resolution: Size of a pixel of the result, in units of the coordinate reference system.
        dtype: Of the digital numbers, ``'uint16'`` for example.
        labels: Where the labels come from.

    Returns:
        The scene, with its arrays marked read-only.

    Raises:
        DataError: If a file is missing, ambiguous or damaged, or files contradict each other.
    """
    paths = [only_file(root, f'*_{band}.*', f'band {band}') for band in bands]
    crs, bounds = _common_extent(paths)
    height = round((bounds.top - bounds.bottom) / resolution)
    width = round((bounds.right - bounds.left) / resolution)
    grid = Grid((height, width), from_bounds(*bounds, width, height), crs)
    image = np.stack([_read_band(path, grid.shape, dtype) for path in paths])
    mask = labels.read(root, grid)
    image.setflags(write=False)
    mask.setflags(write=False)
    return Scene(image, mask, grid)


def only_file(root: Path, pattern: str, what: str) -> Path:
    """The one file of a pattern in a folder, sidecars of GDAL aside.

    Raises:
        DataError: If there is none, or more than one.
    """
    found = sorted(path for path in root.glob(pattern) if path.suffix != '.xml')
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise DataError(
            f'{what} needs exactly one file {pattern!r} in {root}, found {names}: '
            'restore or remove files, or pass another root'
        )
    return found[0]


def _common_extent(paths: Sequence[Path]) -> tuple['CRS', 'BoundingBox']:
    extents = []
    for path in paths:
        try:
            with warnings.catch_warnings():
                # Said below, as an error.
                warnings.simplefilter('ignore', NotGeoreferencedWarning)
                raster = rasterio.open(path)
        except rasterio.RasterioIOError as error:
            raise DataError(f'cannot read {path} ({error}): restore the file') from error
        with raster:
            if raster.count != 1:
                raise DataError(f'{path} holds {raster.count} bands, expected one: split the file')
            if raster.crs is None or raster.transform.is_identity:
                raise DataError(f'{path} has no georeference: restore it, or the file')
            extents.append((raster.crs, raster.bounds))
    crs, bounds = extents[0]
    for path, (other_crs, other_bounds) in zip(paths, extents, strict=True):
        if other_crs != crs or not np.allclose(other_bounds, bounds):
            raise DataError(
                f'{path} covers {tuple(other_bounds)} in {other_crs}, but {paths[0].name} covers '
                f'{tuple(bounds)} in {crs}: cut all bands to the same extent'
            )
    return crs, bounds


def _read_band(path: Path, shape: tuple[int, int], dtype: str) -> np.ndarray:
    try:
        with rasterio.open(path) as raster:
            band: np.ndarray = raster.read(1, out_shape=shape, resampling=Resampling.bilinear)
    except rasterio.RasterioIOError as error:
        raise DataError(f'cannot decode {path} ({error}): restore the file') from error
    if band.dtype != dtype:
        raise DataError(f'{path} holds {band.dtype}, expected {dtype} digital numbers')
    return band
