from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import from_origin

from torchgeo_geosane.datamodules import GeoPhotosDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.geo_photos import GeoPhotos
from torchgeo_geosane.datasets.photo_parts import By, split_photos
from torchgeo_geosane.errors import DataError

WIDTH, HEIGHT, PLACES = 500, 300, 400


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 5 x 3 km, and places all over it."""
    root = tmp_path_factory.mktemp('world')
    with rasterio.open(
        root / 'scene.tif',
        'w',
        driver='GTiff',
        width=WIDTH,
        height=HEIGHT,
        count=3,
        dtype='uint8',
        crs='EPSG:32633',
        transform=from_origin(400000, 5700000, 10, 10),
    ) as file:
        file.write(np.ones((3, HEIGHT, WIDTH), np.uint8))
        file.descriptions = ('red', 'green', 'blue')
    random = np.random.default_rng(0)
    x = 400000 + 10 * random.uniform(0, WIDTH, PLACES)
    y = 5700000 - 10 * random.uniform(0, HEIGHT, PLACES)
    there = Transformer.from_crs('EPSG:32633', 'EPSG:4326', always_xy=True)
    longitude, latitude = there.transform(x, y)
    table = pd.DataFrame(
        {'longitude': longitude, 'latitude': latitude, 'value': random.random(PLACES)}
    )
    table.to_csv(root / 'places.csv', index=False)
    return root


def places(root: Path, size: int = 24, **options: float) -> GeoPhotos:
    imagery = Imagery({'rgb': str(root / 'scene.tif')})
    return GeoPhotos(imagery, root / 'places.csv', size=size, file=None, value='value', **options)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    size=st.integers(8, 48),
    off_centre=st.floats(0, 1),
    seed=st.integers(0, 9),
    by=st.sampled_from(['region', 'blocks']),
)
def test_parts_share_no_ground(
    world: Path, size: int, off_centre: float, seed: int, by: By
) -> None:
    data = places(world, size, off_centre=off_centre, seed=seed)
    parts = split_photos(data, by=by, seed=seed)
    boxes = data.boxes
    for at, first in enumerate(parts):
        for second in parts[at + 1 :]:
            others = boxes[second]
            for left, bottom, right, top in boxes[first]:
                width = np.minimum(right, others[:, 2]) - np.maximum(left, others[:, 0])
                height = np.minimum(top, others[:, 3]) - np.maximum(bottom, others[:, 1])
                assert not ((width > 0) & (height > 0)).any()


def test_a_region_lies_east_of_the_other(world: Path) -> None:
    data = places(world)
    train, val, test = (data.boxes[part] for part in split_photos(data))
    assert train[:, 2].max() <= val[:, 0].min()
    assert val[:, 2].max() <= test[:, 0].min()


def test_blocks_lie_between_each_other(world: Path) -> None:
    """The held-out places are within the training places' extent, in about the shares asked for."""
    data = places(world, size=12)
    train, val, test = split_photos(data, (0.6, 0.2, 0.2), 'blocks')
    total = len(train) + len(val) + len(test)
    assert total > PLACES / 3
    assert len(test) / total == pytest.approx(0.2, abs=0.05)
    x = data.boxes[:, 0]
    assert np.median(x[test]) == pytest.approx(np.median(x[train]), abs=10 * WIDTH / 4)
    assert split_photos(data, by='blocks', seed=1) != split_photos(data, by='blocks', seed=2)


@pytest.mark.parametrize(
    ('by', 'message'),
    [('region', 'cannot be divided from west to east'), ('blocks', 'into blocks')],
)
def test_too_near_to_be_divided(world: Path, by: By, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_photos(places(world, size=290), by=by)


def test_an_unknown_way_is_named(world: Path) -> None:
    with pytest.raises(DataError, match=r"split 'block': name region or blocks.*'blocks'"):
        split_photos(places(world), by='block')  # type: ignore[arg-type]


def test_the_data_module_divides_by_it(world: Path) -> None:
    data = GeoPhotosDataModule(
        {'rgb': str(world / 'scene.tif')},
        world / 'places.csv',
        file=None,
        value='value',
        size=16,
        split='blocks',
        seed=3,
    )
    data.setup('fit')
    assert data.data is not None
    expected = split_photos(data.data, by='blocks', seed=3)
    assert list(data.test_dataset.indices) == expected[2]
