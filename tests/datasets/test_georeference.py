"""Where files lie: what they state, and what they state in its place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasters import UTM, quiet, write_raster

from torchgeo_geosane.datasets.raster_files import RasterFile, header
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor

RGB = get_sensor('rgb')
VALUES = np.ones((3, 4, 6), np.uint8)
angles = st.floats(0, 360)
sizes = st.floats(0.1, 100)


def file_at(transform: Affine) -> RasterFile:
    return RasterFile('', ('R',), (1,), '', transform, 6, 4, 'uint8', (None,), False)


@given(
    angle=angles, shear=st.floats(-40, 40), width=sizes, height=sizes, sign=st.sampled_from((1, -1))
)
def test_bounds_and_pixels_of_any_affine(
    angle: float, shear: float, width: float, height: float, sign: int
) -> None:
    turned = Affine.translation(500, -700) @ Affine.rotation(angle) @ Affine.shear(shear)
    file = file_at(turned @ Affine.scale(width, sign * height))
    rows, cols = np.mgrid[0:5, 0:7]
    x, y = file.transform @ (cols, rows)
    assert file.bounds == pytest.approx((x.min(), y.min(), x.max(), y.max()))
    sides = (
        np.hypot(x[0, 1] - x[0, 0], y[0, 1] - y[0, 0]),
        np.hypot(x[1, 0] - x[0, 0], y[1, 0] - y[0, 0]),
    )
    assert sorted(file.res) == pytest.approx(sorted(sides))


def test_width_and_height_of_a_turned_pixel() -> None:
    assert file_at(Affine(0, 10, 0, -20, 0, 0)).res == (10, 20)
    assert file_at(Affine(-10, 0, 0, 0, 20, 0)).res == (10, 20)


def test_pixels_that_are_points(tmp_path: Path) -> None:
    write_raster(tmp_path / 'point.tif', VALUES, **UTM)
    with rasterio.open(tmp_path / 'point.tif', 'r+') as file:
        file.update_tags(AREA_OR_POINT='Point')
    found = header(str(tmp_path / 'point.tif'), RGB)
    assert found is not None
    assert found.transform == UTM['transform']


def points(path: Path) -> None:
    corners = [GroundControlPoint(0, 0, 14, 45), GroundControlPoint(4, 6, 15, 44)]
    write_raster(path, VALUES, gcps=corners, crs='EPSG:4326')


def coefficients(path: Path) -> None:
    line = [1.0, *[0.0] * 19]
    write_raster(path, VALUES)
    with quiet(), rasterio.open(path, 'r+') as file:
        file.rpcs = RPC(0, 1, 45, 1, line, line, 2, 2, 14, 1, line, line, 3, 3)


def arrays(path: Path) -> None:
    write_raster(path, VALUES)
    with quiet(), rasterio.open(path, 'r+') as file:
        file.update_tags(ns='GEOLOCATION', X_DATASET='lon.tif', Y_DATASET='lat.tif')


def no_system(path: Path) -> None:
    write_raster(path, VALUES, transform=UTM['transform'])


def no_area(path: Path) -> None:
    write_raster(path, VALUES, **UTM | {'transform': Affine(10, 10, 0, 10, 10, 0)})


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (points, r'has 2 ground control points but no geotransform: warp it \(gdalwarp -tps'),
        (coefficients, r'has rational polynomial coefficients .*: orthorectify it'),
        (arrays, r'has geolocation arrays .*: warp it \(gdalwarp -geoloc'),
        (no_system, r'states no coordinate reference system: add it'),
        (no_area, r'has the geotransform .* gives pixels no area: correct it'),
        (lambda path: write_raster(path, VALUES), r'has no georeference: give it one'),
    ],
)
def test_files_without_a_geotransform_name_the_way_out(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / 'file.tif'
    write(path)
    with pytest.raises(DataError, match=rf'file\.tif {message}'):
        header(str(path), RGB)
