"""One multi-resolution satellite scene and its polygons, decoded to arrays once per process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.transform import from_bounds

from torchgeo_geosane.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from rasterio.coords import BoundingBox
    from rasterio.crs import CRS
    from rasterio.transform import Affine

IGNORE_INDEX = 255
"""Label of pixels that no polygon covers; losses and metrics skip it."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene with all bands on one grid.

    Attributes:
        image: Digital numbers as the files hold them, uint16, [bands, height, width].
        mask: Class indices, :data:`IGNORE_INDEX` where there is no label, uint8, [height, width].
        transform: Affine transform from pixels to coordinates.
        crs: Coordinate reference system.
    """

    image: np.ndarray
    mask: np.ndarray
    transform: 'Affine'
    crs: 'CRS'


@lru_cache(maxsize=2)
def read_scene(
    root: Path,
    bands: tuple[str, ...],
    resolution: float,
    classes: tuple[str, ...],
    attribute: str,
) -> Scene:
    """Read the bands and the one GeoPackage in a folder.

    Bands of another resolution are resampled bilinearly. The result is kept in memory, since
    decoding JPEG 2000 takes longer than a training step.

    Args:
        root: Folder with one file a band, named ``*_<band>.<suffix>``, and one ``*.gpkg``.
        bands: Band names in the order wanted.
        resolution: Size of a pixel of the result, in units of the coordinate reference system.
        classes: Values of ``attribute`` in the order of their class indices.
        attribute: Column of the polygons that names their class.

    Returns:
        The scene, with its arrays marked read-only.

    Raises:
        DataError: If a file is missing, ambiguous or damaged, or files contradict each other.
    """
    paths = [_only_file(root, f'*_{band}.*', f'band {band}') for band in bands]
    crs, bounds = _common_extent(paths)
    height = round((bounds.top - bounds.bottom) / resolution)
    width = round((bounds.right - bounds.left) / resolution)
    transform = from_bounds(*bounds, width, height)
    image = np.stack([_read_band(path, (height, width)) for path in paths])
    polygons = _read_polygons(root, crs, classes, attribute)
    mask = rasterize(
        polygons, (height, width), fill=IGNORE_INDEX, transform=transform, dtype='uint8'
    )
    image.setflags(write=False)
    mask.setflags(write=False)
    return Scene(image, mask, transform, crs)


def _only_file(root: Path, pattern: str, what: str) -> Path:
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
            with rasterio.open(path) as raster:
                extents.append((raster.crs, raster.bounds))
        except rasterio.RasterioIOError as error:
            raise DataError(f'cannot read {path} ({error}): restore the file') from error
    crs, bounds = extents[0]
    for path, (other_crs, other_bounds) in zip(paths, extents, strict=True):
        if other_crs != crs or not np.allclose(other_bounds, bounds):
            raise DataError(
                f'{path} covers {tuple(other_bounds)} in {other_crs}, but {paths[0].name} covers '
                f'{tuple(bounds)} in {crs}: cut all bands to the same extent'
            )
    return crs, bounds


def _read_band(path: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        with rasterio.open(path) as raster:
            band: np.ndarray = raster.read(1, out_shape=shape, resampling=Resampling.bilinear)
    except rasterio.RasterioIOError as error:
        raise DataError(f'cannot decode {path} ({error}): restore the file') from error
    if band.dtype != np.uint16:
        raise DataError(f'{path} holds {band.dtype}, expected uint16 digital numbers')
    return band


def _read_polygons(
    root: Path, crs: 'CRS', classes: Sequence[str], attribute: str
) -> list[tuple[object, int]]:
    """Geometries with their class indices, in the order in which they are to be drawn."""
    path = _only_file(root, '*.gpkg', 'the label layer')
    try:
        polygons = gpd.read_file(path)
    except (OSError, RuntimeError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if attribute not in polygons.columns:
        hint = did_you_mean(attribute, [str(name) for name in polygons.columns])
        raise DataError(f'{path} has no column {attribute!r}{hint}')
    unknown = sorted(set(polygons[attribute].astype(str)) - set(classes))
    if unknown:
        hint = did_you_mean(unknown[0], classes)
        raise DataError(f'{path} holds polygons of unknown class {unknown[0]!r}{hint}')
    polygons = polygons.to_crs(crs)
    # Small polygons last, so that where two overlap the more specific one is on top.
    polygons = polygons.iloc[np.argsort(-polygons.area.to_numpy(), kind='stable')]
    indices = [classes.index(name) for name in polygons[attribute]]
    return list(zip(polygons.geometry, indices, strict=True))
