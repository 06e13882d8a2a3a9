"""Your own imagery: every way to name the files, every kind of label, and TorchGeo's machinery."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasters import Miniature, change, read_raster, write_raster
from shapely import box
from torchgeo.datasets import RasterDataset, roi_split
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler

from torchgeo_geosane.datasets import IGNORE_INDEX, Imagery
from torchgeo_geosane.datasets.chips import FILL
from torchgeo_geosane.datasets.grid import grid_of

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.samplers:DeprecationWarning')

OPTICAL = 'sentinel2_all[B2,B3,B4,B8,B11]'
STACK = 'sentinel2_all[B2,B3,B4,B8]'
CLASSES = ('water', 'forest', 'urban')
NUMBERS = dict(zip(CLASSES, (1, 2, 3), strict=True))
LEFT, TOP = 600_000, 5_800_020


def query(col: int, row: int, size: int = 32, res: float = 10) -> tuple[slice, slice]:
    """A chip by its upper left pixel."""
    left, top = LEFT + col * 10, TOP - row * 10
    return slice(left, left + size * res, res), slice(top - size * res, top, res)


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('imagery')


def test_bands_lie_where_their_files_have_them(root: Path) -> None:
    sample = Imagery({OPTICAL: root / 's2'})[query(40, 20)]
    row, col = np.indices((32, 32))
    for number, band in enumerate(sample['image'][:4].numpy(), start=1):
        assert (band == 1000 * number + 4 * (40 + col) + 20 + row).all()


@pytest.mark.parametrize('kind', ['folder', 'glob', 'files', 'stac'])
def test_ways_to_name_the_files(root: Path, kind: str) -> None:
    files = sorted((root / 's2').glob('*.tif'))
    paths: Any = {
        'folder': root / 's2',
        'glob': str(root / 's2' / '*_B*.tif'),
        'files': files,
        'stac': root / 'items.json',
    }
    data = Imagery({OPTICAL: paths[kind]})
    assert len(data) == 1
    assert str(data.index.index[0].left)[:19] == '2020-06-01 10:30:31'
    expected = np.stack([read_raster(file)[0] for file in files[:4]])[:, 20:52, 40:72]
    assert (data[query(40, 20)]['image'][:4].numpy() == expected).all()


def test_bands_come_in_the_order_asked_for(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'}, bands=('B11', 'B03', 'b8'))
    assert data.bands == ('B11', 'B3', 'B8')
    whole = Imagery({OPTICAL: root / 's2'})[query(8, 8)]['image']
    assert torch.equal(data[query(8, 8)]['image'], whole[[4, 1, 3]])


def test_descriptions_of_bands_win_over_the_sensors_order(root: Path, tmp_path: Path) -> None:
    path = tmp_path / 'reversed.tif'
    stack = next((root / 'stacks').iterdir())
    shutil.copy(stack, path)
    with rasterio.open(path, 'r+') as file:
        file.write(read_raster(stack)[::-1])
        file.descriptions = ('B8', 'B4', 'B3', 'B02')
    read, plain = (Imagery({STACK: where})[query(8, 8)] for where in (path, stack))
    assert torch.equal(read['image'], plain['image'])


def test_alpha_is_no_band_but_says_where_no_data_is(tmp_path: Path) -> None:
    values = np.full((4, 96, 96), 200, np.uint8)
    values[3, 40:] = 0
    place = {'crs': 'EPSG:32632', 'transform': rasterio.Affine(10, 0, LEFT, 0, -10, TOP)}
    write_raster(tmp_path / 'aerial.tif', values, photometric='RGB', ALPHA='YES', **place)
    same, finer = (
        Imagery({'rgb': tmp_path}, nodata='nan', res=res)[query(40, 20, size, res)]['image']
        for res, size in ((10, 32), (5, 64))
    )
    assert (same[:, :20] == 200).all()
    assert same[:, 20:].isnan().all()
    assert (finer[:, :40] == 200).all()
    assert finer[:, 40:].isnan().all()


def test_no_data_is_filled_or_nan_and_ignored(root: Path) -> None:
    options = {'labels': root / 'labels' / 'cover.tif', 'classes': NUMBERS}
    filled, kept = (
        Imagery({OPTICAL: root / 's2'}, nodata=nodata, **options)[query(0, 0)]
        for nodata in ('fill', 'nan')
    )
    corner = np.zeros((32, 32), bool)
    corner[:8, :8] = True
    assert (kept['image'].isnan().numpy() == corner).all()
    assert (filled['image'].numpy()[:, corner] == 0).all()
    for sample in (filled, kept):
        assert ((sample['mask'] == IGNORE_INDEX).numpy() == corner).all()


def test_a_value_for_no_data_that_no_file_states(root: Path) -> None:
    plain, told = (
        Imagery({STACK: root / 'stacks'}, nodata='nan', nodata_value=value)[query(0, 0)]['image']
        for value in (None, 0)
    )
    assert plain.isfinite().all()
    assert told.isnan().sum() == 4 * 8 * 8


def test_zero_in_one_band_is_a_value(root: Path, copied: Miniature) -> None:
    path = next((copied('imagery') / 's2').glob('*_B03.tif'))
    values = read_raster(path)
    values[:, 40:50] = 0
    change(path, values, nodata=0)
    image = Imagery({OPTICAL: path.parent}, nodata='nan')[query(40, 32)]['image']
    assert (image[1, 8:18] == 0).all()
    assert image.isfinite().all()


def test_radar_is_filled_as_its_noise_and_stacked_from_another_zone(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2', 'sentinel1_grd': root / 's1'}, nodata='nan')
    assert data.bands == ('B2', 'B3', 'B4', 'B8', 'B11', 'VV', 'VH')
    assert data.units['VV'] == 'dB'
    image = data[query(40, 20)]['image']
    assert image.isfinite().all()
    optical = Imagery({OPTICAL: root / 's2'})[query(40, 20)]['image']
    assert torch.equal(image[:5], optical)
    # -8.5 dB and -15.7 dB on average, as the miniature has them.
    assert -12 < image[5].mean() < -6 < 3 < (image[5] - image[6]).mean() < 11
    alone = Imagery({'sentinel1_grd': root / 's1'})
    left, top = alone.bounds[0].stop - 200, alone.bounds[1].start + 200
    corner = alone[slice(left, left + 200, 50), slice(top - 200, top, 50)]['image']
    assert (corner == FILL['dB']).all()


def test_warped_pixels_come_from_their_place(root: Path) -> None:
    """The optical bands grow by 4 a column: in another zone too they tell where they are from."""
    stack = sorted((root / 'stacks').iterdir())[0]
    there = Imagery({STACK: stack}, crs='EPSG:32633', res=10, nodata='nan')
    x, y, _ = there.bounds
    middle = (x.start + x.stop) / 2, (y.start + y.stop) / 2
    around = [slice(centre - 80, centre + 80, 10) for centre in middle]
    image = there[around[0], around[1]]['image'][0]
    east, north = rasterio.warp.transform(
        'EPSG:32633', 'EPSG:32632', [middle[0] + 5], [middle[1] - 5]
    )
    col, row = (east[0] - LEFT) / 10 - 0.5, (TOP - north[0]) / 10 - 0.5
    assert abs(image[8, 8] - (1000 + 4 * col + row)) < 1


@pytest.mark.parametrize('native', [False, True])
def test_data_type(root: Path, native: bool) -> None:
    optical = Imagery({OPTICAL: root / 's2'}, native=native)[query(0, 0)]['image']
    assert optical.dtype == (torch.uint16 if native else torch.float32)
    both = Imagery({OPTICAL: root / 's2', 'sentinel1_grd': root / 's1'}, native=native)
    assert both[query(0, 0)]['image'].dtype == torch.float32


def test_labels_from_rasters_and_polygons_agree(root: Path) -> None:
    raster = Imagery({OPTICAL: root / 's2'}, labels=root / 'labels/cover.tif', classes=NUMBERS)
    polygons = Imagery(
        {OPTICAL: root / 's2'}, labels=root / 'labels/cover.gpkg', attribute='kind', classes=CLASSES
    )
    mask = raster[query(40, 20)]['mask']
    assert mask.dtype == torch.int64
    assert (mask == torch.arange(40, 72) // 16 % 3).all()
    assert torch.equal(polygons[query(40, 20)]['mask'], mask)
    assert raster[query(40, 80)]['mask'][8:].eq(IGNORE_INDEX).all()


def test_background_and_ignored_labels(root: Path) -> None:
    data = Imagery(
        {OPTICAL: root / 's2'},
        labels=root / 'labels/cover.gpkg',
        attribute='kind',
        classes=('land', 'water'),
        background='land',
        ignored=('forest', 'urban'),
    )
    mask = data.labels.read(*grid_of(data.crs.to_wkt(), *query(40, 64)))
    stripes = np.arange(40, 72) // 16 % 3
    assert (mask[:24] == np.where(stripes == 0, 1, IGNORE_INDEX)).all()
    assert (mask[24:] == 0).all()


def test_the_first_image_with_data_is_shown(root: Path, copied: Miniature) -> None:
    folder = copied('imagery') / 'stacks'
    first, second = sorted(folder.iterdir())
    values = read_raster(first)
    values[:, :, 100:] = 0
    change(first, values, nodata=0)
    shutil.copy(first, second)
    change(second, read_raster(first) * 0 + 7)
    image = Imagery({STACK: folder})[query(84, 20)]['image']
    assert (image[:, :, :16] == torch.from_numpy(values[:, 20:52, 84:100]).float()).all()
    assert (image[:, :, 16:] == 7).all()


def test_time_chooses_the_image(root: Path, copied: Miniature) -> None:
    folder = copied('imagery') / 'stacks'
    june, july = sorted(folder.iterdir())
    shutil.copy(june, july)
    change(july, read_raster(june) * 0 + 7)
    data = Imagery({STACK: folder})
    when = data.index.index
    chips = [data[(*query(40, 20), slice(time.left, time.right))]['image'] for time in when]
    assert (chips[1] == 7).all()
    assert (chips[0] > 1000).all()


def test_torchgeos_samplers_splits_and_operators(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'}, labels=root / 'labels/cover.tif', classes=NUMBERS)
    for sampler in (RandomGeoSampler(data, 32, 4), GridGeoSampler(data, 48, 48)):
        for where in sampler:
            image = data[where]['image']
            assert image.shape == (5, *sampler_size(sampler))
    stacks = Imagery({STACK: root / 'stacks'})
    both = Imagery({OPTICAL: root / 's2'}, bands=['B2', 'B3', 'B4', 'B8']) | stacks
    assert both[next(iter(RandomGeoSampler(both, 32, 1)))]['image'].shape == (4, 32, 32)
    cover = RasterDataset(str(root / 'labels'))
    joined = stacks & cover
    where = next(iter(RandomGeoSampler(joined, 32, 1)))
    assert joined[where]['image'].shape == (5, 32, 32)


def sampler_size(sampler: Any) -> tuple[int, int]:
    return tuple(round(side / 10) for side in sampler.size)


def test_beyond_the_index_there_is_no_data(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'}, nodata='nan')
    (part,) = roi_split(data, [box(LEFT, TOP - 960, LEFT + 500, TOP)])
    image = part[query(40, 20)]['image']
    assert image[:, :, :10].isfinite().all()
    assert image[:, :, 10:].isnan().all()
    assert data[query(40, 20)]['image'].isfinite().all()


def test_overviews_serve_coarse_queries(root: Path, copied: Miniature) -> None:
    path = sorted((copied('imagery') / 'stacks').iterdir())[0]
    with rasterio.open(path, 'r+') as file:
        file.build_overviews([4], rasterio.enums.Resampling.average)
    # A level that holds something else betrays that it was read.
    with rasterio.open(path, 'r+', overview_level=0) as file:
        file.write(np.full((4, 24, 48), 9, np.uint16))
    data = Imagery({STACK: path})
    assert (data[query(0, 0, 16, res=40)]['image'] == 9).all()
    assert (data[query(8, 8, 16)]['image'] > 1000).all()


def test_a_copy_for_workers_reads_the_same(root: Path, tmp_path: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'}, cache=tmp_path / 'blocks')
    before = data[query(40, 20)]['image']
    assert torch.equal(pickle.loads(pickle.dumps(data))[query(40, 20)]['image'], before)


def test_plot(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'}, labels=root / 'labels/cover.tif', classes=NUMBERS)
    figure = data.plot(data[query(0, 0)], suptitle='June')
    assert [axes.get_title() for axes in figure.axes] == ['Image', 'Label']
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*CLASSES, 'unlabelled']
    radar = Imagery({'sentinel1_grd': root / 's1'})
    x, y, _ = radar.bounds
    assert radar.plot(radar[x.start : x.start + 800, y.start : y.start + 800]).axes


def test_stac_of_version_1_1_and_of_a_single_item(root: Path, copied: Miniature) -> None:
    path = copied('imagery') / 'items.json'
    item = json.loads(path.read_text())['features'][0]
    for asset in item['assets'].values():
        asset['bands'] = asset.pop('eo:bands', [])
    item['properties'] = {
        'datetime': None,
        'start_datetime': '2020-06-01T12:00:00+02:00',
        'end_datetime': '2020-06-01T12:00:09+02:00',
    }
    path.write_text(json.dumps(item))
    data = Imagery({OPTICAL: path})
    assert data.bounds[2].start.hour == 10
    assert data[query(40, 20)]['image'].shape == (5, 32, 32)
