import csv
import shutil
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from PIL import ExifTags, Image
from pyproj import Transformer
from rasters import Miniature

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.geo_photos import GeoPhotos
from torchgeo_geosane.datasets.photo_table import read_photo_table
from torchgeo_geosane.errors import DataError, LocationError

NAME = 'geo_photos'


def imagery(root: Path) -> Imagery:
    return Imagery({'sentinel2_4': str(root / 'scene.tif')})


def photos(root: Path, **options: object) -> GeoPhotos:
    table = options.pop('photos', root / 'photos.csv')
    return GeoPhotos(imagery(root), table, **{'size': 32, 'photo_size': 40, **options})


def rows(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / 'photos.csv')


def test_the_pixel_at_the_point_is_the_photos_place(miniature: Miniature) -> None:
    """Compared with plain rasterio: the value at the coordinate is that at the point."""
    root = miniature(NAME)
    data = photos(root)
    to_scene = Transformer.from_crs('EPSG:4326', 'EPSG:32633', always_xy=True)
    with rasterio.open(root / 'scene.tif') as scene:
        for index in range(len(data)):
            sample = data[index]
            x, y = to_scene.transform(*sample['location'].tolist())
            expected = next(scene.sample([(x, y)]))
            col, row = ((sample['point'] + 1) / 2 * 32).clamp(max=31.999).int().tolist()
            np.testing.assert_array_equal(sample['image'][:, row, col].numpy(), expected)


def test_the_photo_belongs_to_the_place(miniature: Miniature) -> None:
    data = photos(miniature(NAME), value='kind')
    assert data.classes == ('blue', 'green', 'red', 'yellow')
    for index in range(10):
        sample = data[index]
        assert sample['photo'].dtype == torch.uint8
        assert sample['photo'].shape == (3, 40, 40)
        colour = sample['photo'].float().mean((1, 2))
        expected = {'red': 0, 'green': 1, 'blue': 2}.get(data.classes[sample['label']])
        if expected is not None:
            assert int(colour.argmax()) == expected


def test_values_that_are_numbers(miniature: Miniature) -> None:
    data = photos(miniature(NAME), value='height')
    assert data.classes == ()
    assert data[3]['label'] == np.float32(rows(miniature(NAME))['height'][3])


@pytest.mark.parametrize('off_centre', [0.0, 1.0])
def test_how_far_from_the_middle(miniature: Miniature, off_centre: float) -> None:
    data = photos(miniature(NAME), off_centre=off_centre)
    points = torch.stack([data[index]['point'] for index in range(len(data))])
    assert points.abs().max() <= 1
    if off_centre:
        assert points.abs().max() > 0.8
    else:
        assert points.abs().max() <= 2 / 32


def test_a_place_lies_in_its_chip_alike_in_any_table(copied: Miniature) -> None:
    root = copied(NAME)
    first = photos(root)
    expected = {tuple(first[i]['location'].tolist()): first[i]['point'] for i in range(len(first))}
    rows(root).sample(frac=1, random_state=1).to_csv(root / 'photos.csv', index=False)
    second = photos(root)
    for index in range(len(second)):
        sample = second[index]
        assert torch.equal(sample['point'], expected[tuple(sample['location'].tolist())])


def test_places_alone(miniature: Miniature) -> None:
    sample = photos(miniature(NAME), file=None, value='kind')[0]
    assert set(sample) == {'image', 'point', 'location', 'label'}


@pytest.mark.parametrize('name', ['photos.gpkg', 'photos.geojson'])
def test_layers_of_points(copied: Miniature, name: str) -> None:
    root = copied(NAME)
    table = rows(root)
    points = gpd.points_from_xy(table.longitude, table.latitude, crs='EPSG:4326')
    layer = gpd.GeoDataFrame(table[['file', 'kind']], geometry=points)
    crs = 'EPSG:4326' if name.endswith('json') else 'EPSG:32633'
    layer = layer.to_crs(crs)
    layer.to_file(root / name)
    found = read_photo_table(root / name, value='kind')
    np.testing.assert_allclose(found.locations, table[['longitude', 'latitude']], atol=1e-7)
    assert found.photos == tuple(root / file for file in table['file'])
    assert found.values.tolist() == table['kind'].tolist()


def test_geoparquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    (tmp_path / 'photos.parquet').touch()
    with pytest.raises(DataError, match='pyarrow'):
        read_photo_table(tmp_path / 'photos.parquet')


def test_photos_that_say_it_themselves(tmp_path: Path) -> None:
    places = {'a.jpg': (13.4, 52.5), 'b.jpg': (-70.6, -33.5), 'c.jpg': None}
    for name, place in places.items():
        image = Image.new('RGB', (8, 8))
        exif = Image.Exif()
        if place is not None:
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
            for key, value, sides in (
                (ExifTags.GPS.GPSLongitude, place[0], 'EW'),
                (ExifTags.GPS.GPSLatitude, place[1], 'NS'),
            ):
                minutes = abs(value) % 1 * 60
                gps[key] = (float(int(abs(value))), float(int(minutes)), minutes % 1 * 60)
                gps[ExifTags.GPS(key - 1)] = sides[value < 0]
        image.save(tmp_path / name, exif=exif)
    found = read_photo_table(tmp_path)
    np.testing.assert_allclose(found.locations, [places['a.jpg'], places['b.jpg']], atol=1e-6)
    assert found.skipped == {'without coordinates': 1}


def test_what_cannot_be_used_is_skipped_and_counted(copied: Miniature) -> None:
    root = copied(NAME)
    (root / 'photos' / '0.png').write_bytes(b'no photo')
    (root / 'photos' / '1.png').unlink()
    table = rows(root)
    table.loc[2, 'latitude'] = np.nan
    table.loc[3, 'longitude'] += 20
    table.to_csv(root / 'photos.csv', index=False)
    data = photos(root)
    assert len(data) == len(table) - 4
    assert data.table.skipped == {
        'unreadable photo': 2,
        'without coordinates': 1,
        'outside of the images': 1,
    }


def test_swapped_coordinates_are_told(miniature: Miniature) -> None:
    with pytest.raises(DataError, match='if longitude and latitude are swapped'):
        photos(miniature(NAME), longitude='latitude', latitude='longitude')


def test_coordinates_beyond_the_globe(copied: Miniature) -> None:
    root = copied(NAME)
    table = rows(root)
    table.loc[0, 'latitude'] = 152
    table.to_csv(root / 'photos.csv', index=False)
    with pytest.raises(LocationError, match='not on the globe'):
        photos(root)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'file': 'fil'}, "no column 'fil'.*'file'"),
        ({'value': 'knd'}, "no column 'knd'.*'kind'"),
        ({'photos': 'nowhere.csv'}, 'does not exist'),
        ({'off_centre': 2}, 'off_centre 2'),
        ({'size': 0}, 'at least 1'),
    ],
)
def test_arguments_without_sense(
    miniature: Miniature, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        photos(miniature(NAME), **options)


def test_a_damaged_photo_is_named(copied: Miniature) -> None:
    root = copied(NAME)
    data = photos(root)
    path = root / 'photos' / '5.png'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r'5\.png'):
        data[5]


def test_one_photo_of_many_places_and_many_of_one(copied: Miniature) -> None:
    root = copied(NAME)
    with (root / 'photos.csv').open('a', newline='') as table:
        first = rows(root).iloc[0]
        for file in ('photos/1.png', first['file']):
            csv.writer(table).writerow([file, first.longitude, first.latitude, 'red', 0.0])
    assert len(photos(root)) == 62


def test_missing_folder_of_photos(tmp_path: Path, miniature: Miniature) -> None:
    shutil.copy(miniature(NAME) / 'photos.csv', tmp_path)
    with pytest.raises(DataError, match='60 unreadable photo'):
        read_photo_table(tmp_path / 'photos.csv')
