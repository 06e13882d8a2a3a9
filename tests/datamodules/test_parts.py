"""Parts share no ground, whatever the dates, the drift and the places of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasters import write_raster

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.parts import PARTS, divide
from torchgeo_geosane.datamodules.windows import grid_windows
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.errors import DataError

RGB = 'sentinel2_rgb'


def write(path: Path, col: int, row: int = 0, width: int = 40, height: int = 20) -> None:
    """An image whose values tell its ground: columns in the first band, rows in the second."""
    rows, cols = np.indices((height, width))
    values = np.stack([cols + col + 1, rows + row + 1, rows * 0 + 1]).astype(np.uint16)
    place = from_origin(500_000 + 10 * col, 5_000_000 - 10 * row, 10, 10)
    write_raster(path, values, crs='EPSG:32633', transform=place)


def pixels(data: Imagery, size: int = 16) -> set[tuple[int, int]]:
    """Ground that the chips of a grid show, by the values of their pixels."""
    seen: set[tuple[int, int]] = set()
    for window in grid_windows(data, size):
        image = data.pixels(window)
        known = ~np.isnan(image[0].astype(float))
        seen |= set(zip(*image[:2, known].astype(int).tolist(), strict=True))
    return seen


def shown(data: Imagery, by: Any, **options: Any) -> dict[str, set[tuple[int, int]]]:
    """Ground of each part, which no two share."""
    parts = divide(data, by, **options)
    ground = {name: pixels(part) for name, part in parts.items()}
    areas = [part.index.geometry.union_all() for part in parts.values()]
    for at, name in enumerate(PARTS):
        for other in range(at):
            assert not ground[name] & ground[PARTS[other]]
            assert areas[at].intersection(areas[other]).area == 0
    assert all(ground.values())
    return ground


@pytest.mark.parametrize('by', ['region', 'scene'])
def test_a_series_that_drifts_by_a_pixel(tmp_path: Path, by: str) -> None:
    for place in range(4):
        for at, day in enumerate(('20200601', '20200617', '20200703')):
            write(tmp_path / f'p{place}_{day}.tif', 500 * place + at)
    data = Imagery({RGB: tmp_path})
    ground = shown(data, by)
    sites = {part: {(col - 1) // 500 for col, _ in found} for part, found in ground.items()}
    if by == 'region':
        assert all(found == {0, 1, 2, 3} for found in sites.values())
    else:
        assert sorted(map(len, sites.values())) == [1, 1, 2]


def test_overlapping_scenes_are_one_site(tmp_path: Path) -> None:
    for at in range(3):
        write(tmp_path / f'{at}.tif', 35 * at, row=at)
    data = Imagery({RGB: tmp_path})
    with pytest.raises(DataError, match=r'3 images cannot be .* by scene.*: split by region'):
        divide(data, 'scene')
    ground = shown(data, 'region')
    columns = {part: {col for col, _ in found} for part, found in ground.items()}
    assert max(columns['train']) + 2 < min(columns['val']) <= max(columns['val']) + 2
    assert max(columns['val']) + 2 < min(columns['test'])
    # 110 columns: a third, a sixth, and two gaps of two.
    assert [len(columns[part]) for part in PARTS] == [110 - 36 - 18 - 4, 18, 36]


@pytest.mark.parametrize('split', ['region', 'scene'])
@pytest.mark.parametrize('far', [(30_000, 0), (0, 30_000), (-400, 30_000)])
def test_two_sites_far_apart(tmp_path: Path, split: str, far: tuple[int, int]) -> None:
    write(tmp_path / 'near.tif', 400, width=100)
    write(tmp_path / 'far.tif', 400 + far[0], far[1], width=80)
    ground = shown(Imagery({RGB: tmp_path}), split)
    share = {part: len(found) / (180 * 20) for part, found in ground.items()}
    assert share['train'] > 0.4
    assert min(share['val'], share['test']) > 0.1
    module = ImageryDataModule({RGB: tmp_path}, split=split, patch_size=16, batch_size=2)
    for stage in ('fit', 'test'):
        module.setup(stage)


def test_the_second_sensor_shows_no_other_part_either(tmp_path: Path) -> None:
    """Chips that reach beyond their part have no radar there."""
    write(tmp_path / 's2' / 'a.tif', 0, width=90)
    radar = np.tile(np.arange(90, dtype=np.float32), (2, 20, 1)) - 100
    place = {'crs': 'EPSG:32633', 'transform': from_origin(500_000, 5_000_000, 10, 10)}
    write_raster(tmp_path / 's1' / 'a.tif', radar, **place)
    data = Imagery({RGB: tmp_path / 's2', 'sentinel1_grd': tmp_path / 's1'})
    seen = []
    for part in divide(data, 'region').values():
        columns: set[int] = set()
        for window in grid_windows(part, 16):
            image = part.pixels(window)
            assert (np.isnan(image[0]) == np.isnan(image[4])).all()
            columns |= set((image[4][~np.isnan(image[4])] + 100).round().astype(int).tolist())
        seen.append(columns)
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert max(seen[0]) < min(seen[1]) < max(seen[1]) < min(seen[2])


def test_neighbours_that_touch_are_one_region_but_two_scenes(tmp_path: Path) -> None:
    for at in range(4):
        write(tmp_path / f'{at}.tif', 40 * at)
    data = Imagery({RGB: tmp_path})
    ground = shown(data, 'region')
    assert max(col for col, _ in ground['train']) < min(col for col, _ in ground['test'])
    assert sum(map(len, shown(data, 'scene').values())) == 4 * 40 * 20


def test_advice_does_not_go_in_circles(tmp_path: Path) -> None:
    write(tmp_path / 'a.tif', 0, width=5)
    for by in ('region', 'scene'):
        with pytest.raises(DataError, match='neither can they by'):
            divide(Imagery({RGB: tmp_path}), by)
    for at in range(1, 4):
        write(tmp_path / f'{at}.tif', 100 * at, width=5)
    data = Imagery({RGB: tmp_path})
    with pytest.raises(DataError, match='split by scene'):
        divide(data, 'region')
    assert len(divide(data, 'scene')) == 3


def test_an_empty_part_is_told_what_helps(tmp_path: Path) -> None:
    """Labels lie in the west of one site alone: by scene there is nothing to divide."""
    write(tmp_path / 'image' / 'a.tif', 0, width=90)
    labels = np.zeros((20, 90), np.uint8)
    labels[:, :20] = 1
    place = {'crs': 'EPSG:32633', 'transform': from_origin(500_000, 5_000_000, 10, 10)}
    write_raster(tmp_path / 'labels.tif', labels, nodata=0, **place)
    module = ImageryDataModule(
        {RGB: tmp_path / 'image'},
        labels=tmp_path / 'labels.tif',
        classes={'x': 1},
        patch_size=8,
        batch_size=2,
    )
    with pytest.raises(DataError, match=r"part 'val' holds no pixel .*: add labels, or images$"):
        module.setup('fit')


@dataclass
class Indexed:
    """What dividing needs of a data set."""

    index: gpd.GeoDataFrame
    res: tuple[float, float] = (10.0, 10.0)


BOXES = st.lists(
    st.tuples(*(st.integers(0, 400) for _ in range(2)), *(st.integers(1, 120) for _ in range(2))),
    min_size=1,
    max_size=12,
)


@given(boxes=BOXES, by=st.sampled_from(['region', 'scene']), gap=st.integers(0, 5))
def test_no_ground_is_shared(boxes: list[tuple[int, ...]], by: str, gap: int) -> None:
    """Images anywhere, of any size, some at half a pixel."""
    shapes = [
        shapely.box(10 * x + 5 * (w % 2), 10 * y, 10 * (x + w) + 5 * (w % 2), 10 * (y + h))
        for x, y, w, h in boxes
    ]
    days = pd.date_range('2020-01-01', periods=len(shapes))
    times = pd.IntervalIndex.from_arrays(days, days, closed='both', name='datetime')
    frame = {'filepath': list(map(str, range(len(shapes)))), 'image': range(len(shapes))}
    data: Any = Indexed(gpd.GeoDataFrame(frame, geometry=shapes, crs=32633, index=times))
    try:
        parts = divide(data, by, gap)
    except DataError as error:
        other = 'scene' if by == 'region' else 'region'
        if f'split by {other}' in str(error):
            divide(data, other, gap)
        return
    ground = [part.index.geometry.union_all() for part in parts.values()]
    assert all(area.area > 0 for area in ground)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert ground[one].intersection(ground[other]).area == 0
    if by == 'region':
        assert ground[0].distance(ground[2]) >= min(gap * 10, 5)
    for part in parts.values():
        starts = part.index.bounds.minx - data.index.bounds.minx[part.index.index].to_numpy()
        assert np.allclose(starts % 10, 0)
