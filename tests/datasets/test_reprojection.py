"""Footprints in other systems: across the antimeridian, over a pole, beyond a projection's domain."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from rasters import write_raster

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.reprojection import around_the_earth
from torchgeo_geosane.datasets.reprojection import reprojected as all_reprojected
from torchgeo_geosane.errors import DataError

RNG = np.random.default_rng(0)
VALUES = RNG.integers(1, 250, (3, 40, 60)).astype(np.uint8)
WGS84, MERCATOR, UTM33 = (CRS(code).to_wkt() for code in (4326, 3857, 32633))
POLAR = CRS(3413).to_wkt()


def reprojected(outline: shapely.Geometry, source: str, target: str) -> shapely.Geometry:
    return all_reprojected(gpd.GeoSeries([outline], crs=source), CRS.from_wkt(target)).iloc[0]


def test_once_around_the_earth() -> None:
    assert around_the_earth(WGS84) == 360
    assert around_the_earth(CRS(4807).to_wkt()) == pytest.approx(400)
    assert around_the_earth(MERCATOR) == pytest.approx(2 * np.pi * 6_378_137)
    assert around_the_earth(UTM33) is None


def test_long_sides_are_densified() -> None:
    """A parallel of 20 degrees is no straight line in UTM."""
    band = shapely.box(5, 50, 25, 60)
    there = Transformer.from_crs(4326, 32633, always_xy=True)
    outline = reprojected(band, WGS84, UTM33)
    for lon, lat in ((15, 50.05), (15, 59.95), (6, 50.05), (24, 59.95)):
        assert outline.contains(shapely.Point(there.transform(lon, lat)))
    for lon, lat in ((15, 49.95), (15, 60.05), (6, 49.95), (24, 60.05)):
        assert not outline.contains(shapely.Point(there.transform(lon, lat)))


@pytest.mark.parametrize('target', [UTM33, MERCATOR, POLAR])
def test_the_world_covers_what_it_covers(target: str) -> None:
    there = Transformer.from_crs(4326, CRS.from_wkt(target), always_xy=True)
    outline = reprojected(shapely.box(-180, -90, 180, 90), WGS84, target)
    assert outline.is_valid
    assert np.isfinite(outline.bounds).all()
    for lon, lat in RNG.uniform((-25, 40), (55, 80), (50, 2)):
        assert outline.contains(shapely.Point(there.transform(lon, lat)))


def test_a_hole_stays_a_hole() -> None:
    ring = shapely.box(14, 45, 16, 47) - shapely.box(14.5, 45.5, 15.5, 46.5)
    assert len(reprojected(ring, WGS84, UTM33).interiors) == 1


def test_a_pole_has_no_longitude() -> None:
    outline = reprojected(shapely.box(-5e5, -5e5, 5e5, 5e5), POLAR, WGS84)
    left, bottom, right, top = outline.bounds
    assert (left, right) == (-180, 180)
    assert bottom == pytest.approx(83.5, abs=0.1)
    assert top > 89.5
    for lon in range(-175, 180, 10):
        assert outline.contains(shapely.Point(lon, 87))


def test_beyond_the_domain_there_is_nothing() -> None:
    sinusoidal = CRS('ESRI:54008').to_wkt()
    assert reprojected(shapely.box(-2e7, 5.5e6, -1.9e7, 6.5e6), sinusoidal, WGS84).is_empty


def image(path: Path, crs: str, place: Affine, values: Any = VALUES) -> Path:
    write_raster(path, values, crs=crs, transform=place)
    return path


def expected(data: Imagery, query: Any, crs: str, place: Affine) -> tuple[Any, Any]:
    """The file's nearest columns and rows below a chip's centres, by pyproj and the geotransform."""
    x, y, _ = query
    width, height = round((x.stop - x.start) / x.step), round((y.stop - y.start) / y.step)
    east, north = np.meshgrid(
        x.start + (np.arange(width) + 0.5) * x.step, y.stop - (np.arange(height) + 0.5) * y.step
    )
    there = Transformer.from_crs(data.crs, crs, always_xy=True)
    return ~place @ there.transform(east, north)


PLANES = np.stack([*np.mgrid[0:40, 0:60][::-1], np.full((40, 60), 7)]).astype(np.float32) + 0.5


@pytest.mark.parametrize(
    ('crs', 'place'),
    [
        ('EPSG:32660', Affine(500, 0, 725_000, 0, -500, 5_000_000)),
        ('EPSG:32601', Affine(500, 0, 245_000, 0, 500, 5_000_000)),
        ('EPSG:4326', Affine(0.005, 0, 179.9, 0, -0.005, 45)),
        ('EPSG:4326', Affine(0.005, 0, -180.1, 0, -0.005, 45)),
        ('EPSG:3832', Affine(600, 0, 3_320_000, 0, -600, 5_600_000)),
    ],
)
@pytest.mark.parametrize('onto', [None, 'EPSG:4326', 'EPSG:3857', 'EPSG:32660', 'EPSG:32601'])
def test_scenes_across_the_antimeridian_are_read_whole(
    tmp_path: Path, crs: str, place: Affine, onto: str | None
) -> None:
    path = image(tmp_path / 'image.tif', crs, place, PLANES)
    data = Imagery({'rgb': path}, crs=onto, nodata='nan')
    x, y, _ = data.bounds
    assert (x.stop - x.start) / x.step < 100
    assert (y.stop - y.start) / y.step < 100
    found = data[data.bounds]['image'].numpy()
    cols, rows = expected(data, data.bounds, crs, place)
    if crs == 'EPSG:4326':
        cols = (cols + 30) % (360 / 0.005) - 30
    inside = (cols > 1) & (cols < 59) & (rows > 1) & (rows < 39)
    assert inside.sum() > 1000
    near = np.abs(found[:2] - np.stack([cols, rows]))[:, inside]
    assert near.max() <= (0.51 if onto in {None, crs} else 0.05)


def test_both_sides_of_the_antimeridian_are_one_place(tmp_path: Path) -> None:
    """A chip is found by longitudes beyond 180 degrees and by those before -180."""
    place = Affine(0.005, 0, 179.9, 0, -0.005, 45)
    data = Imagery({'rgb': image(tmp_path / 'image.tif', 'EPSG:4326', place)})
    lat = slice(44.9, 45, 0.005)
    east = data[slice(180.05, 180.15, 0.005), lat]['image']
    west = data[slice(-179.95, -179.85, 0.005), lat]['image']
    assert (east.numpy() == VALUES[:, :20, 30:50]).all()
    assert (west == east).all()


def test_scenes_on_both_sides_lie_next_to_each_other(tmp_path: Path) -> None:
    image(tmp_path / 'one.tif', 'EPSG:4326', Affine(0.005, 0, 179.7, 0, -0.005, 45))
    image(tmp_path / 'over.tif', 'EPSG:32660', Affine(500, 0, 725_000, 0, -500, 5_000_000))
    image(tmp_path / 'two.tif', 'EPSG:4326', Affine(0.005, 0, -180, 0, -0.005, 45))
    data = Imagery({'rgb': tmp_path})
    x, _, _ = data.bounds
    assert 179 < x.start < 180 < x.stop < 181
    lat = slice(44.9, 45, 0.005)
    chip = data[slice(180.25, 180.3, 0.005), lat]['image'].numpy()
    assert (chip == VALUES[:, :20, 50:]).all()


def test_another_system_for_a_data_set(tmp_path: Path) -> None:
    """As TorchGeo's operators set it."""
    place = Affine(500, 0, 725_000, 0, -500, 5_000_000)
    data = Imagery({'rgb': image(tmp_path / 'image.tif', 'EPSG:32660', place)})
    data.crs = CRS(4326)
    x, _, _ = data.bounds
    assert data.crs.to_epsg() == 4326
    assert 179 < x.start < 180 < x.stop < 181
    assert data[slice(179.95, 180.05, 0.005), slice(44.95, 45.05, 0.005)]['image'].min() > 0


@pytest.mark.parametrize('first', [-180, 0])
def test_a_file_all_around_the_earth(tmp_path: Path, first: int) -> None:
    values = RNG.integers(1, 250, (3, 90, 180)).astype(np.uint8)
    data = Imagery(
        {'rgb': image(tmp_path / 'world.tif', 'EPSG:4326', Affine(2, 0, first, 0, -2, 90), values)}
    )
    chip = data[slice(170, 190, 2), slice(0, 20, 2)]['image'].numpy()
    assert (chip == values[:, 35:45, (np.arange(170, 190, 2) - first) // 2 % 180]).all()


def test_images_labels_and_sensors_meet_across_the_antimeridian(tmp_path: Path) -> None:
    """Longitudes from 0 to 360 here, from -180 to 180 there."""
    path = image(tmp_path / 'image.tif', 'EPSG:4326', Affine(0.005, 0, 185, 0, -0.005, 45))
    labels = tmp_path / 'labels.tif'
    classes = RNG.integers(0, 3, (1, 40, 60)).astype(np.uint8)
    write_raster(labels, classes, crs='EPSG:4326', transform=Affine(0.005, 0, -175, 0, -0.005, 45))
    data = Imagery({'rgb': path}, labels=labels, classes=['a', 'b', 'c'])
    sample = data[data.bounds]
    assert (sample['image'].numpy() == VALUES).all()
    assert (sample['mask'].numpy() == classes[0]).all()


def test_a_polar_scene(tmp_path: Path) -> None:
    place = Affine(10_000, 0, -300_000, 0, -10_000, 200_000)
    path = image(tmp_path / 'pole.tif', 'EPSG:3413', place, PLANES)
    own = Imagery({'rgb': path})
    assert (own[own.bounds]['image'].numpy() == PLANES).all()
    data = Imagery({'rgb': path}, crs='EPSG:4326', res=0.1, nodata='nan')
    query = slice(-20.0, 20.0, 0.1), slice(89.0, 89.9, 0.1), slice(None)
    found = data[query]['image'].numpy()
    cols, rows = expected(data, query, 'EPSG:3413', place)
    assert np.abs(found[:2] - np.stack([cols, rows])).max() < 0.05


def test_a_full_disc_with_corners_in_space(tmp_path: Path) -> None:
    geostationary = '+proj=geos +h=35785831 +lon_0=0 +sweep=y +ellps=WGS84'
    place = Affine(180_000, 0, -5_400_000, 0, -270_000, 5_400_000)
    path = image(tmp_path / 'disc.tif', CRS(geostationary).to_wkt(), place, PLANES)
    data = Imagery({'rgb': path}, crs='EPSG:4326', res=1, nodata='nan')
    x, y, _ = data.bounds
    assert -90 < x.start < -70 < 70 < x.stop < 90
    assert -90 < y.start < -70 < 70 < y.stop < 90
    query = slice(-40, 40, 1), slice(-40, 40, 1), slice(None)
    cols, rows = expected(data, query, CRS(geostationary).to_wkt(), place)
    assert np.abs(data[query]['image'][:2].numpy() - np.stack([cols, rows])).max() < 0.05


def test_no_place_in_a_system(tmp_path: Path) -> None:
    place = Affine(20_000, 0, -20_000_000, 0, -20_000, 6_500_000)
    path = image(tmp_path / 'tile.tif', 'ESRI:54008', place)
    with pytest.raises(
        DataError, match=r'no image of .rgb. has a place in EPSG:4326: name another'
    ):
        Imagery({'rgb': path}, crs='EPSG:4326', res=0.1)


def test_rasterio_agrees_about_a_rotated_scene_in_another_zone(tmp_path: Path) -> None:
    place = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(100, -100)
    path = image(tmp_path / 'turned.tif', 'EPSG:32633', place, PLANES)
    data = Imagery({'rgb': path}, crs='EPSG:32632', res=50, nodata='nan')
    found = data[data.bounds]['image'].numpy()
    cols, rows = expected(data, data.bounds, 'EPSG:32633', place)
    inside = (cols >= 0.5) & (cols <= 59.5) & (rows >= 0.5) & (rows <= 39.5)
    assert np.abs(found[:2] - np.stack([cols, rows]))[:, inside].max() < 0.03
    outside = (cols < 0) | (cols > 60) | (rows < 0) | (rows > 40)
    assert np.isnan(found[:, outside]).all()
    with rasterio.open(path) as file:
        assert file.transform == place
