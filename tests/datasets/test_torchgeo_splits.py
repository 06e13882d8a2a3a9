"""TorchGeo's own splits of imagery: parts that read what they should, and nothing of each other."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import shapely
import torch
from rasterio.transform import from_origin
from rasters import write_raster
from torchgeo.datasets import (
    GeoDataset,
    random_bbox_assignment,
    random_bbox_splitting,
    random_grid_cell_assignment,
    roi_split,
    time_series_split,
)
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler

from torchgeo_geosane.datasets import Imagery

pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')

RGB = 'sentinel2_rgb'
LEFT, TOP, SIZE = 500_000, 5_000_000, 48
DAYS = ('20200601', '20200701', '20200801', '20200901')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Imagery:
    """Four images side by side, each of another month; values tell column and row."""
    root = tmp_path_factory.mktemp('splits')
    rows, cols = np.indices((SIZE, SIZE))
    for at, day in enumerate(DAYS):
        values = np.stack([cols + SIZE * at + 1, rows + 1, rows * 0 + 1]).astype(np.uint16)
        place = {'crs': 'EPSG:32633', 'transform': from_origin(LEFT + 480 * at, TOP, 10, 10)}
        write_raster(root / 'images' / f's_{day}.tif', values, **place)
        write_raster(root / 'labels' / f'l_{day}.tif', (cols % 2).astype(np.uint8), **place)
    data = Imagery(
        {RGB: root / 'images'}, labels=root / 'labels', classes=['even', 'odd'], nodata='nan'
    )
    assert data[data.bounds]['image'].shape == (3, SIZE, 4 * SIZE)
    return data


def pixels(part: GeoDataset) -> list[tuple[int, int]]:
    """Every pixel that each row of a part's index shows."""
    seen: list[tuple[int, int]] = []
    for shape, time in zip(part.index.geometry, part.index.index, strict=True):
        left, bottom, right, top = shape.bounds
        where = slice(left, right, 10), slice(bottom, top, 10), slice(time.left, time.right)
        sample = part[where]
        known = sample['image'][0].isfinite()
        seen += zip(*sample['image'][:2, known].int().tolist(), strict=True)
        assert (sample['mask'][known] == (sample['image'][0, known].int() - 1) % 2).all()
    return seen


SPLITS: dict[str, Callable[[Imagery], list[GeoDataset]]] = {
    'images': lambda data: random_bbox_assignment(data, [0.5, 0.25, 0.25]),
    'halves of images': lambda data: random_bbox_splitting(data, [0.5, 0.25, 0.25]),
    'cells': lambda data: random_grid_cell_assignment(data, [0.5, 0.25, 0.25], grid_size=3),
    'regions': lambda data: roi_split(
        data,
        [
            shapely.box(LEFT, TOP - 480, LEFT + 700, TOP),
            shapely.box(LEFT + 700, TOP - 480, LEFT + 1920, TOP - 200),
            shapely.box(LEFT + 700, TOP - 200, LEFT + 1920, TOP),
        ],
    ),
    'times': lambda data: time_series_split(data, [0.5, 0.25, 0.25]),
}


@pytest.mark.parametrize('name', SPLITS)
def test_parts_read_all_and_share_nothing(data: Imagery, name: str) -> None:
    torch.manual_seed(0)
    parts = SPLITS[name](data)
    assert len(parts) == 3
    seen = []
    for part in parts:
        assert part.crs == data.crs
        assert part.res == data.res
        assert {'filepath', 'image'} <= set(part.index.columns)
        seen.append(pixels(part))
        for sampler in (RandomGeoSampler(part, 8, 3), GridGeoSampler(part, 8, 8)):
            assert part[next(iter(sampler))]['image'].shape == (3, 8, 8)
    assert all(seen)
    everything = [pixel for part in seen for pixel in part]
    if name == 'times':
        # A month that two parts share belongs to both.
        assert set(everything) == set(pixels(data))
    else:
        assert sorted(everything) == sorted(pixels(data))


def test_a_split_of_a_split(data: Imagery) -> None:
    first, _ = random_grid_cell_assignment(data, [0.5, 0.5], grid_size=2)
    parts = random_grid_cell_assignment(first, [0.5, 0.5], grid_size=2)
    assert sorted(pixels(parts[0]) + pixels(parts[1])) == sorted(pixels(first))


def test_times_by_intervals(data: Imagery) -> None:
    start, stop = data.bounds[2].start, data.bounds[2].stop
    middle = pd.Timestamp(2020, 7, 15)
    early, late = time_series_split(
        data,
        [pd.Interval(start, middle, closed='neither'), pd.Interval(middle, stop, closed='neither')],
    )
    assert {col for col, _ in pixels(early)} == set(range(1, 2 * SIZE + 1))
    assert {col for col, _ in pixels(late)} == set(range(2 * SIZE + 1, 4 * SIZE + 1))
