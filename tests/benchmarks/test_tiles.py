"""Tiles of the Earth: what the data modules of ``benchmarks`` give."""

import csv
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
WIDTH = 720


@pytest.fixture(scope='module')
def modules() -> tuple[ModuleType, ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import climate_tiles
        import water_tiles
    finally:
        sys.path.remove(str(BENCHMARKS))
    return climate_tiles, water_tiles


@pytest.fixture
def world(tmp_path: Path, modules: tuple[ModuleType, ModuleType]) -> Path:
    """An Earth whose red is its water, with forty places."""
    modules[0].raster.cache_clear()
    water = np.random.default_rng(0).integers(2, size=(1, WIDTH // 2, WIDTH)).astype(np.uint8)
    for name, bands in (('marble', np.repeat(water, 3, 0)), ('water', water)):
        with rasterio.open(
            tmp_path / f'{name}.tif',
            'w',
            driver='GTiff',
            dtype='uint8',
            count=len(bands),
            height=WIDTH // 2,
            width=WIDTH,
            crs='EPSG:4326',
            transform=from_origin(-180, 90, 360 / WIDTH, 360 / WIDTH),
        ) as file:
            file.write(bands)
    for name in ('zones', 'coasts'):
        with (tmp_path / f'{name}.csv').open('w', newline='') as table:
            rows = csv.writer(table)
            rows.writerow(['longitude', 'latitude', 'zone'])
            rows.writerows([8 * at - 170, at - 20, f'zone {at % 3}'] for at in range(40))
    return tmp_path


def test_parts_are_apart_and_an_epoch_has_its_steps(
    modules: tuple[ModuleType, ModuleType], world: Path
) -> None:
    module = modules[0].ClimateDataModule(
        str(world), batch_size=4, length=100, steps=7, train_fraction=0.25
    )
    module.setup('fit')
    module.setup('test')
    batches = list(module.train_dataloader())
    assert [len(batch['label']) for batch in batches] == [4] * 7
    assert len(module.train_dataset) == 6
    assert {int(label) for batch in batches for label in batch['label']} <= {0, 1, 2}
    east = [float(row['longitude']) for row in module.test_dataset.rows]
    west = [float(row['longitude']) for row in module.train_dataset.dataset.rows]
    assert max(west) < 20
    assert min(east) > 25


def test_water_lies_where_the_picture_has_it(
    modules: tuple[ModuleType, ModuleType], world: Path
) -> None:
    tiles = modules[1].WaterTiles(str(world), 'test', length=5)
    assert len(tiles) == 5
    for tile in tiles:
        assert (tile['image'][0] == tile['mask']).all()
