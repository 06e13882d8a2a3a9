"""Where chips can lie: the outlines of images, of other sensors and of labels, in common."""

import math
from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from shapely.affinity import translate

from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.georeference import cannot_warp
from torchgeo_geosane.datasets.grid import rounded, same_crs
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.reprojection import around_the_earth, everywhere, reprojected
from torchgeo_geosane.datasets.sources import Source
from torchgeo_geosane.errors import DataError

_EXACT = 1e-4


def outlines(acquisitions: Sequence[Acquisition], bands: Sequence[str], crs: CRS) -> gpd.GeoSeries:
    """Outlines of images.

    Where one reaches across the antimeridian, or the files count so, longitudes (and x of
    cylindrical projections) run from 0 once around the Earth.

    Args:
        acquisitions: The images.
        bands: Of the files that hold some of them, the finest tells.
        crs: The system of the result.

    Raises:
        DataError: If a file cannot be transformed.
    """
    files = [acquisition.finest(bands) for acquisition in acquisitions]
    found: list[shapely.Geometry] = [None] * len(files)
    for wkt in {file.crs for file in files}:
        here = [at for at, file in enumerate(files) if file.crs == wkt]
        for at, outline in zip(here, _outlines([files[at] for at in here], crs), strict=True):
            found[at] = outline
    return gpd.GeoSeries(_unbroken(found, around_the_earth(crs.to_wkt())), crs=crs)


def _outlines(files: Sequence[RasterFile], crs: CRS) -> gpd.GeoSeries:
    """Outlines of files of one system, in another."""
    own = gpd.GeoSeries([file.grid.outline(file.whole) for file in files], crs=files[0].crs)
    try:
        return reprojected(own, crs)
    except ProjError as error:
        raise cannot_warp(files[0].path, error) from error


def _unbroken(found: list[shapely.Geometry], around: float | None) -> list[shapely.Geometry]:
    if around is None:
        return found
    half = around / 2 * (1 + 1e-9)
    bounds = np.array([area.bounds for area in found]).reshape(-1, 4)
    left, right = bounds[:, 0], bounds[:, 2]
    # What runs around the whole Earth has no side on which it should lie.
    narrow = right - left < half
    if not ((left < -half) | (right > half))[narrow].any():
        return found
    turns = np.where(narrow, np.floor((left + right) / 2 / around), 0)
    return [
        translate(area, -around * turn) if turn else area
        for area, turn in zip(found, turns.tolist(), strict=True)
    ]


def target_grid(
    source: Source, crs: str | None, res: float | tuple[float, float] | None
) -> tuple[CRS, tuple[float, float]]:
    """Coordinate reference system and pixels of the chips.

    Args:
        source: The leading sensor; what is not given is taken from the finest band of its first
            image.
        crs: Coordinate reference system in any spelling.
        res: Size of a pixel in its units.

    Raises:
        DataError: If the system is unknown, or the image has no place in it.
    """
    file = source.acquisitions[0].finest(source.bands)
    try:
        target = CRS.from_user_input(file.crs if crs is None else crs)
    except CRSError as error:
        raise DataError(
            f'unknown coordinate reference system {crs!r}: write it as EPSG:32633'
        ) from error
    if res is not None:
        return target, (res, res) if isinstance(res, int | float) else res
    if same_crs(file.crs, target.to_wkt()):
        return target, file.res
    # A square pixel of the same area on average.
    side = math.sqrt(_outlines([file], target).area.iloc[0] / (file.width * file.height))
    if side == 0:
        raise DataError(f'{file.path} has no place in {target.to_string()}: name another crs')
    return target, (side, side)


def make_index(
    source: Source, crs: CRS, res: tuple[float, float], limits: Mapping[str, gpd.GeoSeries]
) -> gpd.GeoDataFrame:
    """TorchGeo's index of a sensor's images, one row each.

    Args:
        source: The sensor.
        crs: Coordinate reference system of the index.
        res: Size of a pixel.
        limits: What else must be there, by name: outlines in that system.

    Returns:
        The common outlines, cut to whole pixels of the image; images that lie elsewhere have no
        row. The columns are ``filepath`` and ``image``, the number of the image.

    Raises:
        DataError: If nothing is in common.
    """
    area = outlines(source.acquisitions, source.bands, crs)
    if area.is_empty.all():
        raise DataError(
            f'no image of {source.sensor.name!r} has a place in {crs.to_string()}: name another crs'
        )
    for name, other in limits.items():
        everything = everywhere(other.union_all(), crs.to_wkt())
        common = area.intersection(shapely.union_all(everything))
        if not (common.area > 0).any():
            raise DataError(
                f'the images of {source.sensor.name!r}, at {_extent(area)}, do not overlap {name}, '
                f'at {_extent(other)} in {crs.to_string()}: check the files and their '
                'coordinate reference systems'
            )
        area = common
    kept = np.flatnonzero(area.area > 0)
    images = [source.acquisitions[row] for row in kept]
    times = pd.IntervalIndex.from_arrays(
        [image.start for image in images],
        [image.stop for image in images],
        closed='both',
        name='datetime',
    )
    geometry = [
        _whole_pixels(area.iloc[row], image, source, crs, res)
        for row, image in zip(kept, images, strict=True)
    ]
    paths = [image.files[0].path for image in images]
    return gpd.GeoDataFrame(
        {'filepath': paths, 'image': kept}, geometry=geometry, crs=crs, index=times
    )


def moved_index(index: gpd.GeoDataFrame, crs: CRS) -> gpd.GeoDataFrame:
    """An index in another coordinate reference system.

    Raises:
        ProjError: If no transformation leads there.
    """
    areas = _unbroken(list(reprojected(index.geometry, crs)), around_the_earth(crs.to_wkt()))
    return index.set_geometry(gpd.GeoSeries(areas, crs=crs).array)


def _whole_pixels(
    area: shapely.Geometry, image: Acquisition, source: Source, crs: CRS, res: tuple[float, float]
) -> shapely.Geometry:
    """An outline whose bounds are whole pixels of its image, where that is not warped."""
    file = image.finest(source.bands)
    if not same_crs(file.crs, crs.to_wkt()) or area.is_empty:
        return area
    left, bottom, right, top = area.bounds
    west, north = file.bounds[0], file.bounds[3]
    around = around_the_earth(crs.to_wkt())
    west += 0.0 if around is None else around * rounded((left - west) / around)
    inner = shapely.box(
        west + math.ceil((left - west) / res[0] - _EXACT) * res[0],
        north - math.floor((north - bottom) / res[1] + _EXACT) * res[1],
        west + math.floor((right - west) / res[0] + _EXACT) * res[0],
        north - math.ceil((north - top) / res[1] - _EXACT) * res[1],
    )
    return area.intersection(inner)


def _extent(area: gpd.GeoSeries) -> str:
    return '(' + ', '.join(f'{bound:.6g}' for bound in area.total_bounds) + ')'
