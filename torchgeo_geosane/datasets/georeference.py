"""Where a file says that it lies: its coordinate reference system and its geotransform."""

import math

from affine import Affine
from rasterio.io import DatasetReader

from torchgeo_geosane.errors import DataError


def georeference(path: str, file: DatasetReader) -> tuple[str, Affine]:
    """Read where an open file lies.

    Args:
        path: The file, for the message.
        file: The open file.

    Returns:
        The coordinate reference system as WKT, and the affine map from pixels (column, row, from
        the outer corner of the first pixel) to coordinates; of any direction, rotated or sheared.

    Raises:
        DataError: If it lacks one of the two, has points, coefficients or arrays in their place, or
            a map that cannot be inverted.
    """
    if file.transform.is_identity:
        raise DataError(f'{path} {_in_place_of_it(file)}, or leave it out')
    if file.crs is None:
        raise DataError(
            f'{path} states no coordinate reference system: add it (rio edit-info --crs EPSG:…), '
            'or leave it out'
        )
    transform = file.transform
    if not all(map(math.isfinite, transform)) or transform.is_degenerate:
        raise DataError(
            f'{path} has the geotransform {tuple(transform)[:6]}, which gives pixels no area: '
            'correct it (rio edit-info --transform), or leave it out'
        )
    return file.crs.to_wkt(), transform


def _in_place_of_it(file: DatasetReader) -> str:
    """What an ungeoreferenced file states instead, and the way out."""
    points, _ = file.gcps
    if points:
        return (
            f'has {len(points)} ground control points but no geotransform: warp it '
            '(gdalwarp -tps -t_srs EPSG:…)'
        )
    if file.rpcs is not None:
        return (
            'has rational polynomial coefficients but no geotransform: orthorectify it '
            '(gdalwarp -rpc -to RPC_DEM=… -t_srs EPSG:…)'
        )
    if file.tags(ns='GEOLOCATION'):
        return (
            'has geolocation arrays but no geotransform: warp it (gdalwarp -geoloc -t_srs EPSG:…)'
        )
    return 'has no georeference: give it one (rio edit-info)'


def cannot_warp(path: str, error: Exception) -> DataError:
    """The error of a file that no transformation leads to another system."""
    return DataError(
        f'cannot warp {path} to another coordinate reference system ({error}): reproject the file'
    )
