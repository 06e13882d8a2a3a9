"""Labels in files of every kind, compared with what rasterio, numpy and geopandas read."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.transform import from_origin
from rasters import write_raster

from torchgeo_geosane.datasets import IGNORE_INDEX, Imagery
from torchgeo_geosane.datasets.grid import grid_of
from torchgeo_geosane.errors import DataError

RGB, CRS = 'sentinel2_rgb', 'EPSG:32633'
LEFT, TOP, WIDTH, HEIGHT = 500_000, 5_000_000, 48, 32
PLACE = from_origin(LEFT, TOP, 10, 10)
CLASSES = ['a', 'b', 'c']


@pytest.fixture
def image(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(1, 3000, (3, HEIGHT, WIDTH)).astype(np.uint16)
    write_raster(tmp_path / 'image.tif', values, crs=CRS, transform=PLACE)
    return tmp_path / 'image.tif'


def mask(image: Path, **options: Any) -> np.ndarray:
    data = Imagery({RGB: image}, **options)
    return data[data.bounds]['mask'].numpy()


@pytest.mark.parametrize(
    'dtype', ['uint8', 'uint16', 'int32', 'uint32', 'int64', 'float32', 'float64']
)
@pytest.mark.parametrize('fine', [1, 2, 5])
def test_no_label_comes_from_an_overview(image: Path, dtype: str, fine: int) -> None:
    """Finer labels with averages in their overviews: each is one of the file's own pixels."""
    path = image.parent / 'labels.tif'
    values = np.random.default_rng(1).choice([0, 100], (HEIGHT * fine, WIDTH * fine)).astype(dtype)
    place = PLACE @ Affine.scale(1 / fine)
    write_raster(path, values, crs=CRS, transform=place)
    if dtype != 'int64':
        with rasterio.open(path, 'r+') as file:
            file.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    found = mask(image, labels=path, classes={'no': 0, 'yes': 100})
    middle = np.arange(max(HEIGHT, WIDTH)) * fine + fine // 2
    expected = values[np.ix_(middle[:HEIGHT], middle[:WIDTH])] == 100
    assert (found == expected).all()


@pytest.mark.parametrize(
    ('dtype', 'first'), [('uint32', 70_000), ('int64', 2**40), ('int32', -(2**30))]
)
def test_large_values(image: Path, dtype: str, first: int) -> None:
    at = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 300
    path = image.parent / 'labels.tif'
    write_raster(path, (at + first).astype(dtype), crs=CRS, transform=PLACE)
    found = mask(image, labels=path, classes={f'c{n}': n + first for n in range(300)})
    assert (found == at).all()


@pytest.mark.parametrize('count', [255, 256])
def test_no_label_beside_many_classes(image: Path, count: int, tmp_path: Path) -> None:
    at = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % (count + 1)
    path = image.parent / 'labels.tif'
    write_raster(path, at.astype(np.uint16), crs=CRS, transform=PLACE, nodata=count)
    for cache in (None, tmp_path / 'blocks'):
        data = Imagery(
            {RGB: image}, labels=path, classes=[f'c{n}' for n in range(count)], cache=cache
        )
        found = data[data.bounds]['mask'].numpy()
        assert data.ignore_index == (255 if count == 255 else -1)
        assert (found == np.where(at == count, data.ignore_index, at)).all()
        shown = data.plot(data[data.bounds]).axes[1].images[0].get_array()
        assert (shown == np.where(at == count, count, at)).all()


@pytest.mark.parametrize('turn', [0, 90, 180, 270, 30])
def test_rasters_of_any_direction(image: Path, turn: int) -> None:
    values = np.random.default_rng(2).integers(0, 3, (120, 120)).astype(np.uint8)
    place = (
        Affine.translation(LEFT + 240, TOP - 160)
        @ Affine.rotation(turn)
        @ Affine.scale(10, -10)
        @ Affine.translation(-60, -60)
    )
    path = image.parent / 'labels.tif'
    write_raster(path, values, crs=CRS, transform=place)
    cols, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    to_file = ~place @ PLACE
    col = np.floor(to_file.a * cols + to_file.b * rows + to_file.c + 1e-6).astype(int)
    row = np.floor(to_file.d * cols + to_file.e * rows + to_file.f + 1e-6).astype(int)
    assert (mask(image, labels=path, classes=CLASSES) == values[row, col]).all()


@pytest.mark.parametrize('west', [-180, 0])
def test_a_raster_of_the_world(image: Path, west: int) -> None:
    """Land cover of the whole Earth in degrees, below a scene in UTM; longitudes to 180 or to 360."""
    values = np.random.default_rng(3).integers(0, 3, (1800, 3600)).astype(np.uint8)
    path = image.parent / 'world.tif'
    write_raster(path, values, crs='EPSG:4326', transform=from_origin(west, 90, 0.1, 0.1))
    found = mask(image, labels=path, classes=CLASSES)
    x = LEFT + 10 * (np.arange(WIDTH) + 0.5)
    y = TOP - 10 * (np.arange(HEIGHT) + 0.5)
    east, north = rasterio.warp.transform(
        CRS, 'EPSG:4326', *np.stack(np.meshgrid(x, y)).reshape(2, -1)
    )
    col = ((np.array(east) - west) // 0.1).astype(int)
    row = ((90 - np.array(north)) // 0.1).astype(int)
    assert (found.reshape(-1) == values[row, col]).all()


def boxes(**columns: Any) -> gpd.GeoDataFrame:
    """Stripes of a third of the image each."""
    count = len(next(iter(columns.values())))
    shapes = [
        shapely.box(LEFT + 160 * n, TOP - 320, LEFT + 160 * (n + 1), TOP) for n in range(count)
    ]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=CRS)


STRIPES = np.tile(np.repeat(np.arange(3), 16), (HEIGHT, 1))


def folder(path: Path) -> Path:
    boxes(k=CLASSES).to_file(path / 'x.gdb', driver='OpenFileGDB')
    return path / 'x.gdb'


def geodatabase_in_zip(path: Path) -> Path:
    folder(path)
    return Path(shutil.make_archive(str(path / 'y.gdb'), 'zip', path, 'x.gdb'))


def shapefile(path: Path) -> Path:
    (path / 'shapes').mkdir()
    boxes(k=CLASSES).to_file(path / 'shapes' / 'x.shp')
    return path / 'shapes' / 'x.shp'


def shapefile_in_zip(path: Path) -> Path:
    shapefile(path)
    return Path(shutil.make_archive(str(path / 'x'), 'zip', path / 'shapes'))


def shapefile_in_a_folder_in_zip(path: Path) -> Path:
    shapefile(path)
    return Path(shutil.make_archive(str(path / 'x'), 'zip', path, 'shapes'))


def inside_of_zip(path: Path) -> str:
    return f'/vsizip/{shapefile_in_zip(path)}/x.shp'


def a_folder_of_files(path: Path) -> Path:
    (path / 'all').mkdir()
    for name in CLASSES:
        part = boxes(k=CLASSES)
        part[part.k == name].to_file(path / 'all' / f'{name}.gpkg')
    return path / 'all'


def a_glob(path: Path) -> str:
    return str(a_folder_of_files(path) / '*.gpkg')


def geojson(path: Path) -> Path:
    boxes(k=CLASSES).to_crs(4326).to_file(path / 'x.geojson')
    return path / 'x.geojson'


def json(path: Path) -> Path:
    return geojson(path).rename(path / 'x.json')


def parquet(path: Path) -> Path:
    boxes(k=CLASSES).to_parquet(path / 'x.parquet')
    return path / 'x.parquet'


FORMATS = (
    *(folder, geodatabase_in_zip, shapefile, shapefile_in_zip, shapefile_in_a_folder_in_zip),
    *(inside_of_zip, a_folder_of_files, a_glob, geojson, json, parquet),
)


@pytest.mark.parametrize('write', FORMATS, ids=lambda write: write.__name__)
def test_polygons_in_files_folders_and_archives(image: Path, tmp_path: Path, write: Any) -> None:
    if write is parquet:
        pytest.importorskip('pyarrow')
    found = mask(image, labels=write(tmp_path), attribute='k', classes=CLASSES)
    assert (found == STRIPES).all()


def test_a_raster_in_an_archive(image: Path, tmp_path: Path) -> None:
    write_raster(tmp_path / 'in' / 'labels.tif', STRIPES.astype(np.uint8), crs=CRS, transform=PLACE)
    archive = shutil.make_archive(str(tmp_path / 'labels'), 'zip', tmp_path / 'in')
    for path in (archive, f'/vsizip/{archive}/labels.tif'):
        assert (mask(image, labels=path, classes=CLASSES) == STRIPES).all()


def test_layers(image: Path, tmp_path: Path) -> None:
    path = tmp_path / 'layers.gpkg'
    boxes(k=['a']).to_file(path, layer='aoi')
    boxes(k=CLASSES).to_file(path, layer='crops')
    options: dict[str, Any] = {'labels': path, 'attribute': 'k', 'classes': CLASSES}
    with pytest.raises(DataError, match='has the layers aoi, crops: choose one by layer'):
        mask(image, **options)
    for layer in ('crops', 1):
        assert (mask(image, layer=layer, **options) == STRIPES).all()
    with pytest.raises(DataError, match=r"no layer 'crop'.*crops"):
        mask(image, layer='crop', **options)
    with pytest.raises(DataError, match=r'has 2 layers .* none of number 2'):
        mask(image, layer=2, **options)


def test_shapefiles_in_an_archive_are_layers(image: Path, tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    boxes(k=['a']).to_file(tmp_path / 'in' / 'aoi.shp')
    boxes(k=CLASSES).to_file(tmp_path / 'in' / 'crops.shp')
    archive = shutil.make_archive(str(tmp_path / 'x'), 'zip', tmp_path / 'in')
    options: dict[str, Any] = {'labels': archive, 'attribute': 'k', 'classes': CLASSES}
    with pytest.raises(DataError, match='has the layers aoi, crops: choose one by layer'):
        mask(image, **options)
    assert (mask(image, layer='crops', **options) == STRIPES).all()


def test_features_without_value_have_no_label(image: Path, tmp_path: Path) -> None:
    for values, classes in ((['a', 'b', None], ['a', 'b']), ([1, 2, None], {'a': 1, 'b': 2})):
        boxes(k=values).to_file(tmp_path / 'x.geojson')
        found = mask(image, labels=tmp_path / 'x.geojson', attribute='k', classes=classes)
        assert (found == np.where(STRIPES == 2, IGNORE_INDEX, STRIPES)).all()


def test_truth_values(image: Path, tmp_path: Path) -> None:
    boxes(k=[False, True, False]).to_file(tmp_path / 'x.gpkg')
    found = mask(
        image, labels=tmp_path / 'x.gpkg', attribute='k', classes={'no': False, 'yes': True}
    )
    assert (found == (STRIPES == 1)).all()


@pytest.mark.parametrize('system', ['EPSG:32633', 'EPSG:3035', 'EPSG:3995', 'EPSG:3857'])
def test_polygons_around_the_earth(tmp_path: Path, system: str) -> None:
    """A sea all around the Earth, and a farm in it."""
    middle = rasterio.warp.transform('EPSG:4326', system, [15.0], [62.0])
    left, top = middle[0][0] - 160, middle[1][0] + 160
    values = np.ones((3, 32, 32), np.uint16)
    path = tmp_path / 'image.tif'
    write_raster(path, values, crs=system, transform=from_origin(left, top, 10, 10))
    farm = gpd.GeoSeries([shapely.box(left + 80, top - 160, left + 160, top - 80)], crs=system)
    shapes = [shapely.box(-180, -90, 180, 90), farm.to_crs(4326).iloc[0]]
    frame = gpd.GeoDataFrame({'k': ['sea', 'farm']}, geometry=shapes, crs=4326)
    frame.to_file(tmp_path / 'x.gpkg')
    found = mask(path, labels=tmp_path / 'x.gpkg', attribute='k', classes=['sea', 'farm'])
    assert found.shape == (32, 32)
    expected = np.zeros((32, 32), int)
    expected[8:16, 8:16] = 1
    assert (found != expected).sum() <= 4


def test_long_edges_are_straight_in_their_own_system(tmp_path: Path) -> None:
    """An edge along a parallel, over five degrees, is an arc in UTM."""
    path = tmp_path / 'image.tif'
    place = from_origin(330_000, 6_670_000, 200, 200)
    write_raster(path, np.ones((3, 200, 1500), np.uint16), crs=CRS, transform=place)
    land = shapely.Polygon([(10, 60), (20, 60), (20, 50), (10, 50)])
    island = shapely.box(5, 62, 5.1, 62.1)
    gpd.GeoDataFrame(geometry=[land, island], crs=4326).to_file(tmp_path / 'x.gpkg')
    found = mask(path, labels=tmp_path / 'x.gpkg', classes=['sea', 'land'], background='sea')
    x = 330_000 + 200 * (np.arange(1500) + 0.5)
    y = 6_670_000 - 200 * (np.arange(200) + 0.5)
    grid = np.stack(np.meshgrid(x, y)).reshape(2, -1)
    east, north = rasterio.warp.transform(CRS, 'EPSG:4326', *grid)
    expected = ((np.array(north) < 60) & (np.array(east) > 10) & (np.array(east) < 20)).reshape(
        200, -1
    )
    edge = np.abs(np.array(north).reshape(200, -1) - 60) < 2e-4
    assert found.shape == expected.shape
    assert ((found == 1) == expected)[~edge].all()
    assert 0.1 < expected.mean() < 0.9


def test_across_the_antimeridian(tmp_path: Path) -> None:
    """Polygons to either side of 180°, one of them beyond it, below an image in UTM 60."""
    x, y = rasterio.warp.transform('EPSG:4326', 'EPSG:32660', [180.0], [-17.0])
    place = from_origin(x[0] - 800, y[0] + 400, 50, 50)
    write_raster(
        tmp_path / 'image.tif', np.ones((3, 16, 32), np.uint16), crs='EPSG:32660', transform=place
    )
    east = ('east', shapely.box(-180, -18, -179, -16))
    beyond = ('east', shapely.box(180, -18, 181, -16))
    west = ('west', shapely.box(179, -18, 180, -16))
    for pair in ((west, east), (west, beyond)):
        frame = gpd.GeoDataFrame(
            {'k': [k for k, _ in pair]}, geometry=[s for _, s in pair], crs=4326
        )
        frame.to_file(tmp_path / 'x.gpkg')
        found = mask(
            tmp_path / 'image.tif',
            labels=tmp_path / 'x.gpkg',
            attribute='k',
            classes=['west', 'east'],
        )
        assert (found[:, :15] == 0).all()
        assert (found[:, 17:] == 1).all()


def test_smaller_polygons_of_several_files_lie_on_top(image: Path, tmp_path: Path) -> None:
    """Also where the files have different systems, and the larger one comes last."""
    small = gpd.GeoDataFrame(
        {'k': ['b']}, geometry=[shapely.box(LEFT + 80, TOP - 160, LEFT + 160, TOP - 80)], crs=CRS
    )
    large = gpd.GeoDataFrame(
        {'k': ['a']}, geometry=[shapely.box(LEFT, TOP - 320, LEFT + 480, TOP)], crs=CRS
    )
    small.to_crs(4326).to_file(tmp_path / '1.gpkg')
    large.to_file(tmp_path / '2.gpkg')
    found = mask(
        image, labels=[tmp_path / '1.gpkg', tmp_path / '2.gpkg'], attribute='k', classes=['a', 'b']
    )
    pairs = [(large.geometry[0], 0), (small.geometry[0], 1)]
    expected = rasterize(pairs, (HEIGHT, WIDTH), transform=PLACE)
    assert (found != expected).sum() <= 2
    assert (found == 1).sum() > 50


@pytest.mark.parametrize('system', [CRS, 'EPSG:4326', 'EPSG:3035'])
@pytest.mark.parametrize(
    'kind', ['crossing itself', 'with a hole', 'in parts', 'in three dimensions']
)
def test_shapes_of_any_kind(image: Path, tmp_path: Path, system: str, kind: str) -> None:
    right, bottom = LEFT + 10 * WIDTH, TOP - 10 * HEIGHT
    whole = shapely.box(LEFT, bottom, right, TOP)
    shape = {
        'crossing itself': shapely.Polygon(
            [(LEFT, bottom), (right, TOP), (right, bottom), (LEFT, TOP)]
        ),
        'with a hole': shapely.box(LEFT - 1e4, bottom - 1e4, right + 1e4, TOP + 1e4)
        - shapely.box(LEFT + 80, bottom + 80, right - 80, TOP - 80),
        'in parts': whole - shapely.box(LEFT + 100, bottom, LEFT + 200, TOP),
        'in three dimensions': shapely.force_3d(shapely.box(LEFT, bottom, LEFT + 200, TOP), 5),
    }[kind]
    frame = gpd.GeoDataFrame({'k': ['b', 'a']}, geometry=[shape, whole.buffer(10)], crs=CRS)
    frame.to_crs(system).to_file(tmp_path / 'x.gpkg')
    found = mask(image, labels=tmp_path / 'x.gpkg', attribute='k', classes=['b', 'a'])
    drawn = rasterize([shapely.make_valid(shape)], (HEIGHT, WIDTH), transform=PLACE)
    expected = np.ones_like(drawn) if kind == 'with a hole' else 1 - drawn
    assert (found != expected).mean() < 0.01


def test_rasters_and_polygons_are_not_mixed(image: Path, tmp_path: Path) -> None:
    boxes(k=CLASSES).to_file(tmp_path / 'x.gpkg')
    with pytest.raises(DataError, match=r'polygons in .*x\.gpkg, but not in .*image\.tif'):
        mask(image, labels=[image, tmp_path / 'x.gpkg'], attribute='k', classes=CLASSES)
    with pytest.raises(
        DataError, match='holds no polygons: attribute, background and layer are for polygons'
    ):
        mask(image, labels=image, layer='x', classes=CLASSES)
    with zipfile.ZipFile(tmp_path / 'empty.zip', 'w'), pytest.raises(DataError):
        mask(image, labels=tmp_path / 'empty.zip', classes=CLASSES)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('nothing.gpkg', 'does not exist, and matches no file'),
        ('nothing*.tif', 'does not exist, and matches no file'),
        ('empty', r'holds no labels \(\.tif, .*\.gpkg'),
        ('cut.gpkg', 'cannot open'),
        ('two.tif', 'holds 2 bands'),
    ],
)
def test_no_labels(image: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'cut.gpkg').write_bytes(b'SQLite format 3\0')
    write_raster(
        tmp_path / 'two.tif', np.zeros((2, HEIGHT, WIDTH), np.uint8), crs=CRS, transform=PLACE
    )
    with pytest.raises(DataError, match=message):
        mask(image, labels=tmp_path / name, classes=CLASSES)


def labels_of(folder: Path, name: str, value: int, cols: slice = slice(None)) -> None:
    """A map that holds one value, some columns of the image, without label in its first row."""
    width = len(range(WIDTH)[cols])
    values = np.full((HEIGHT, width), value, np.uint8)
    values[0] = 9
    place = PLACE @ Affine.translation(cols.start or 0, 0)
    write_raster(folder / name, values, crs=CRS, transform=place, nodata=9)


def masks_by_time(tmp_path: Path, **options: Any) -> dict[str, np.ndarray]:
    data = Imagery({RGB: tmp_path / 'images'}, labels=tmp_path / 'labels', **options)
    x, y, _ = data.bounds
    return {
        str(time.left)[:10]: data[x, y, slice(time.left, time.right)]['mask'].numpy()
        for time in data.index.index
    }


@pytest.fixture
def series(tmp_path: Path, image: Path) -> Path:
    (tmp_path / 'images').mkdir()
    for day in ('20180601', '20190801', '20210101'):
        shutil.copy(image, tmp_path / 'images' / f's_{day}.tif')
    return tmp_path


@pytest.mark.parametrize('cached', [False, True])
def test_labels_nearest_in_time(series: Path, cached: bool) -> None:
    for value, day in enumerate(('20190701', '20200701')):
        labels_of(series / 'labels', f'map_{day}.tif', value)
    cache = series / 'blocks' if cached else None
    found = masks_by_time(series, classes=['in2019', 'in2020'], cache=cache)
    expected = {'2018-06-01': 0, '2019-08-01': 0, '2021-01-01': 1}
    for day, value in expected.items():
        # Where the nearest map has no label there is none: another year's would be wrong.
        assert (found[day][0] == IGNORE_INDEX).all()
        assert (found[day][1:] == value).all()


def test_beyond_the_nearest_map_the_next_one_counts(series: Path) -> None:
    labels_of(series / 'labels', 'west_20190701.tif', 0, slice(0, 20))
    labels_of(series / 'labels', 'all_20200701.tif', 1)
    found = masks_by_time(series, classes=['in2019', 'in2020'])
    assert (found['2019-08-01'][1:, :20] == 0).all()
    assert (found['2019-08-01'][1:, 20:] == 1).all()
    assert (found['2021-01-01'][1:] == 1).all()


def test_polygons_nearest_in_time(series: Path) -> None:
    """Fields of a year: what they leave out has no label, although another year's cover it."""
    (series / 'labels').mkdir()
    boxes(k=CLASSES).iloc[[0, 2]].to_file(series / 'labels' / 'fields_2019.gpkg')
    boxes(k=CLASSES[::-1]).to_crs(4326).to_file(series / 'labels' / 'fields_2020.gpkg')
    found = masks_by_time(series, attribute='k', classes=CLASSES)
    assert (found['2019-08-01'] == np.where(STRIPES == 1, IGNORE_INDEX, STRIPES)).all()
    assert (found['2018-06-01'] == found['2019-08-01']).all()
    assert (found['2021-01-01'] == 2 - STRIPES).mean() > 0.99


def test_labels_without_date_are_of_all_times_after_those_with_one(series: Path) -> None:
    labels_of(series / 'labels', 'map.tif', 0)
    labels_of(series / 'labels', 'map_20190801.tif', 1)
    found = masks_by_time(series, classes=['always', 'in2019'])
    assert {day: values[1:].max() for day, values in found.items()} == {
        '2018-06-01': 0,
        '2019-08-01': 1,
        '2021-01-01': 0,
    }


def test_images_without_date_below_labels_of_several_times(image: Path, tmp_path: Path) -> None:
    for value, day in enumerate(('20190701', '20200701')):
        labels_of(tmp_path / 'labels', f'map_{day}.tif', value)
    with pytest.warns(UserWarning, match='labels are of several dates, but some images state none'):
        data = Imagery({RGB: image}, labels=tmp_path / 'labels', classes=['in2019', 'in2020'])
    assert (data[data.bounds]['mask'][1:] == 0).all()


def test_labels_elsewhere_say_where(image: Path, tmp_path: Path) -> None:
    boxes(k=CLASSES).to_crs(4326).translate(xoff=20).to_file(tmp_path / 'x.gpkg')
    with pytest.raises(DataError, match=r'images, at \(500000.* the labels, at \(35.* EPSG:4326'):
        mask(image, labels=tmp_path / 'x.gpkg', classes=['a'])
    data = Imagery({RGB: image})
    assert 'mask' not in data[data.bounds]
    grid, pixels = grid_of(data.crs.to_wkt(), *data.bounds[:2])
    assert pixels.width == WIDTH
    assert grid.xres == 10
