"""Where chips can lie: the outlines of images, of other sensors and of labels, in common."""

import math
from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from rasterio.warp import calculate_default_transform

from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.grid import same_crs
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.sources import Source
from torchgeo_geosane.errors import DataError

_EXACT = 1e-4


def outlines(acquisitions: Sequence[Acquisition], bands: Sequence[str]) -> gpd.GeoSeries:
    """Outlines of images, all in the CRS of the first; other CRS's edges have 21 points a side."""
    finest = [acquisition.finest(bands) for acquisition in acquisitions]
    crs = finest[0].crs
    return gpd.GeoSeries([_outline(file, crs) for file in finest], crs=crs)


def _outline(file: RasterFile, crs: str) -> shapely.Geometry:
    box = shapely.box(*file.bounds)
    if same_crs(file.crs, crs):
        return box
    try:
        dense = gpd.GeoSeries([shapely.segmentize(box, box.length / 84)], crs=file.crs)
        return dense.to_crs(crs).iloc[0]
    except ProjError as error:
        raise DataError(
            f'cannot warp {file.path} to another coordinate reference system ({error}): '
            'reproject the file'
        ) from error


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
        DataError: If the system is unknown.
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
    left, bottom, right, top = file.bounds
    width, height = round((right - left) / file.res[0]), round((top - bottom) / file.res[1])
    transform, _, _ = calculate_default_transform(
        file.crs, target.to_wkt(), width, height, left, bottom, right, top
    )
    return target, (transform.a, -transform.e)


def make_index(
    source: Source, crs: CRS, res: tuple[float, float], limits: Mapping[str, gpd.GeoSeries]
) -> gpd.GeoDataFrame:
    """TorchGeo's index of a sensor's images, one row each.

    Args:
        source: The sensor.
        crs: Coordinate reference system of the index.
        res: Size of a pixel.
        limits: What else must be there, by name.

    Returns:
        The common outlines, cut to whole pixels of the image; images that lie elsewhere have no
        row. The columns are ``filepath`` and ``image``, the number of the image.

    Raises:
        DataError: If nothing is in common.
    """
    area = outlines(source.acquisitions, source.bands).to_crs(crs)
    for name, other in limits.items():
        common = area.intersection(other.to_crs(crs).union_all())
        if not (common.area > 0).any():
            raise DataError(
                f'the images of {source.sensor.name!r}, at {_extent(area)}, do not overlap {name}, '
                f'at {_extent(other.to_crs(crs))} in {crs.to_string()}: check the files and their '
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


def _whole_pixels(
    area: shapely.Geometry, image: Acquisition, source: Source, crs: CRS, res: tuple[float, float]
) -> shapely.Geometry:
    """An outline whose bounds are whole pixels of its image, where that is not warped."""
    file = image.finest(source.bands)
    if not same_crs(file.crs, crs.to_wkt()):
        return area
    left, bottom, right, top = area.bounds
    west, north = file.bounds[0], file.bounds[3]
    inner = shapely.box(
        west + math.ceil((left - west) / res[0] - _EXACT) * res[0],
        north - math.floor((north - bottom) / res[1] + _EXACT) * res[1],
        west + math.floor((right - west) / res[0] + _EXACT) * res[0],
        north - math.ceil((north - top) / res[1] - _EXACT) * res[1],
    )
    return area.intersection(inner)


def _extent(area: gpd.GeoSeries) -> str:
    return '(' + ', '.join(f'{bound:.6g}' for bound in area.total_bounds) + ')'
