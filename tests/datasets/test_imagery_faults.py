"""Your own imagery with faults: each names what is wrong and where."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import torch
from rasters import Miniature, change, read_raster, truncate, write_raster
from torch.utils.data import DataLoader, get_worker_info

from torchgeo_geosane.datamodules.loading import GuardedLoader
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.open_files import open_file
from torchgeo_geosane.errors import DataError, SensorError

OPTICAL = 'sentinel2_all[B2,B3,B4,B8,B11]'
STACK = 'sentinel2_all[B2,B3,B4,B8]'
COVER = {'water': 1, 'forest': 2, 'urban': 3}
WHERE = (slice(600_400, 600_720, 10), slice(5_799_500, 5_799_820, 10))


@pytest.fixture
def root(copied: Miniature) -> Path:
    return copied('imagery')


def band(root: Path, name: str = 'B03') -> Path:
    return next((root / 's2').glob(f'*_{name}.tif'))


def test_a_missing_band(root: Path) -> None:
    band(root).unlink()
    with pytest.raises(DataError, match=r'T32UPU_20200601T103031 lacks B3 .*other bands'):
        Imagery({OPTICAL: root / 's2'})
    assert Imagery({OPTICAL: root / 's2'}, bands=('B2', 'B4'))[WHERE]['image'].shape[0] == 2


def test_a_file_that_goes_while_one_trains(root: Path) -> None:
    data = Imagery({OPTICAL: root / 's2'})
    band(root).unlink()
    with pytest.raises(DataError, match=r'B03\.tif .*restore the file'):
        data[WHERE]


def test_an_asset_that_does_not_exist(root: Path) -> None:
    band(root).unlink()
    with pytest.raises(DataError, match=r'B03\.tif .*restore the file'):
        Imagery({OPTICAL: root / 'items.json'})


def test_an_extra_file(root: Path) -> None:
    shutil.copy(band(root), root / 's2' / 'T32UPU_20200601T103031_SCL.tif')
    (source,) = Imagery({OPTICAL: root / 's2'}).stack.sources
    assert [text.endswith("_SCL.tif: named 'SCL'") for text in source.left_out] == [True]
    shutil.copy(band(root), root / 's2' / 'roughness.tif')
    with pytest.raises(DataError, match=r'1 files do not say .*roughness\.tif: leave them out'):
        Imagery({OPTICAL: root / 's2'})
    assert len(Imagery({OPTICAL: str(root / 's2' / '*_B*.tif')})) == 1


def test_two_files_of_one_band(root: Path) -> None:
    shutil.copy(band(root), band(root).with_suffix('.tiff'))
    with pytest.raises(DataError, match=r'both hold band B3'):
        Imagery({OPTICAL: root / 's2'})


def test_the_finer_of_two_resolutions_is_read(root: Path) -> None:
    write_raster(
        root / 's2' / 'R60m' / 'T32UPU_20200601T103031_B03_60m.tif',
        np.full((16, 32), 7, np.uint16),
        crs='EPSG:32632',
        transform=(60, 0, 600_000, 0, -60, 5_800_020),
    )
    assert Imagery({OPTICAL: root / 's2'})[WHERE]['image'][1].min() > 2000


def test_nothing_there(root: Path) -> None:
    (root / 'none').mkdir()
    with pytest.raises(DataError, match=r'no image of sensor .* in .*none'):
        Imagery({OPTICAL: root / 'none'})
    with pytest.raises(DataError, match=r'absent\.tif does not exist'):
        Imagery({OPTICAL: root / 'absent.tif'})


def test_a_truncated_raster(root: Path) -> None:
    truncate(band(root))
    with pytest.raises(DataError, match=r'cannot decode .*B03\.tif .*restore the file'):
        Imagery({OPTICAL: root / 's2'})[WHERE]


def test_a_file_that_is_no_raster(root: Path) -> None:
    band(root).write_text('no raster')
    with pytest.raises(DataError, match=r'cannot open .*B03\.tif .*restore the file'):
        Imagery({OPTICAL: root / 's2'})


def test_another_number_of_bands(root: Path) -> None:
    with pytest.raises(DataError, match=r'holds 4 bands, but sensor .* has 5 .*leave the file out'):
        Imagery({OPTICAL: root / 'stacks'})


def test_no_georeference(root: Path) -> None:
    values = read_raster(band(root))
    band(root).unlink()
    write_raster(root / 's2' / 'T32UPU_20200601T103031_B03.tif', values)
    with pytest.raises(DataError, match=r'B03\.tif has no georeference'):
        Imagery({OPTICAL: root / 's2'})


def test_mixed_systems_are_warped(root: Path) -> None:
    """The eastern image moves to the next zone; a chip across both has no seam."""
    east = sorted((root / 'stacks').iterdir())[1]
    data = Imagery({STACK: root / 'stacks'}, nodata='nan')
    chip = (slice(602_500, 602_820, 10), slice(5_799_500, 5_799_820, 10))
    before = data[chip]['image']
    reproject(east, 'EPSG:32633')
    after = Imagery({STACK: root / 'stacks'}, nodata='nan')[chip]['image']
    assert after.isfinite().all()
    assert (after - before).abs().max() < 8  # Twice bilinear, within two columns.


def reproject(path: Path, crs: str) -> None:
    """Warp a file in place."""
    import rasterio
    from rasterio.vrt import WarpedVRT

    with rasterio.open(path) as file, WarpedVRT(file, crs=crs, nodata=0) as view:
        values, place = view.read(), {'crs': view.crs, 'transform': view.transform}
    path.unlink()
    write_raster(path, values, nodata=0, **place)


def test_a_system_that_cannot_be_warped(root: Path) -> None:
    change(band(root), crs='LOCAL_CS["a plan of the site",UNIT["metre",1]]')
    with pytest.raises(DataError, match=r'cannot warp .*B03\.tif .*reproject the file'):
        Imagery({OPTICAL: root / 's2'})[WHERE]


def test_an_unknown_system(root: Path) -> None:
    with pytest.raises(DataError, match=r"'EPSG:99999'.*EPSG:32633"):
        Imagery({OPTICAL: root / 's2'}, crs='EPSG:99999')


@pytest.mark.parametrize('name', ['cover.tif', 'cover.gpkg'])
def test_labels_elsewhere(root: Path, name: str) -> None:
    path = root / 'labels' / name
    if name.endswith('.tif'):
        change(path, transform=(10, 0, 900_000, 0, -10, 5_800_020))
        options: dict[str, Any] = {'classes': COVER}
    else:
        layer = gpd.read_file(path)
        layer.set_geometry(layer.translate(xoff=5)).to_file(path)
        options = {'classes': list(COVER), 'attribute': 'kind'}
    with pytest.raises(DataError, match=r'do not overlap the labels, at .*coordinate'):
        Imagery({OPTICAL: root / 's2'}, labels=path, **options)


def test_sensors_over_different_places(root: Path) -> None:
    radar = next((root / 's1').iterdir())
    change(radar, transform=(50, 0, 300_000, 0, -50, 5_000_000))
    with pytest.raises(DataError, match=r'do not overlap sentinel1_grd'):
        Imagery({OPTICAL: root / 's2', 'sentinel1_grd': root / 's1'})


def test_labels_outside_the_legend(root: Path) -> None:
    raster = Imagery({OPTICAL: root / 's2'}, labels=root / 'labels/cover.tif', classes={'sea': 1})
    with pytest.raises(DataError, match=r'cover\.tif holds the labels 2, 3, expected 1: add'):
        raster[WHERE]
    with pytest.raises(DataError, match=r'cover\.gpkg holds the labels forest, urban, expected w'):
        Imagery(
            {OPTICAL: root / 's2'},
            labels=root / 'labels/cover.gpkg',
            attribute='kind',
            classes=['water'],
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'attribute': 'knd', 'classes': list(COVER)}, r"no column 'knd'.*kind"),
        ({'classes': list(COVER)}, r'3 classes, but no attribute'),
        ({'attribute': 'kind', 'classes': []}, r'none'),
        ({'attribute': 'kind', 'classes': list(COVER), 'background': 'lnd'}, r"background 'lnd'"),
    ],
)
def test_polygons_that_are_not_understood(
    root: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Imagery({OPTICAL: root / 's2'}, labels=root / 'labels/cover.gpkg', **options)


def test_bands_and_sensors(root: Path) -> None:
    where = root / 's2'
    with pytest.raises(SensorError, match=r"unknown band 'B5'"):
        Imagery({OPTICAL: where}, bands=['B5'])
    with pytest.raises(SensorError, match='twice'):
        Imagery({OPTICAL: where}, bands=['B2', 'B02'])
    with pytest.raises(SensorError, match='both have a band B2'):
        Imagery({OPTICAL: where, 'landsat_tm_toa': where})
    with pytest.raises(SensorError, match='one after another'):
        Imagery({OPTICAL: where, 'sentinel1_grd': root / 's1'}, bands=['B2', 'VV', 'B3'])


def cut(path: Path) -> None:
    truncate(path)


def no_assets(path: Path) -> None:
    item = json.loads(path.read_text())['features'][0]
    del item['assets']
    path.write_text(json.dumps([item]))


def not_a_date(path: Path) -> None:
    path.write_text(path.read_text().replace('2020-06-01T10:30:31Z', 'yesterday'))


def other_bands(path: Path) -> None:
    content = path.read_text().replace('B0', 'X').replace('B11', 'Y')
    path.write_text(content.replace('"b', '"x'))


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (cut, r'cannot read .*items\.json'),
        (no_assets, r'items\.json, item 1, is no STAC item .*assets'),
        (not_a_date, r'items\.json, item 1, is no STAC item'),
        (other_bands, r'no asset of STAC item .* it has x2, x3'),
        (lambda path: path.write_text('{"type": "FeatureCollection"}'), r'is no STAC item'),
        (lambda path: path.write_text('[]'), r'holds no STAC item'),
    ],
)
def test_damaged_stac(root: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(root / 'items.json')
    with pytest.raises(DataError, match=message):
        Imagery({OPTICAL: root / 'items.json'})


def test_a_query_beside_everything(root: Path) -> None:
    with pytest.raises(IndexError, match='no image at'):
        Imagery({OPTICAL: root / 's2'})[0:320:10, 0:320:10]


def test_a_changed_file_is_read_anew(root: Path, tmp_path: Path) -> None:
    for data in (Imagery({OPTICAL: root / 's2'}), Imagery({OPTICAL: root / 's2'}, cache=tmp_path)):
        before = data[WHERE]['image'][1]
        change(band(root), read_raster(band(root)) + np.uint16(1), nodata=0)
        os.utime(band(root), ns=(0, band(root).stat().st_mtime_ns + 10**9))
        assert (data[WHERE]['image'][1] == before + 1).all()


class Killing(Imagery):
    """Ends the first worker at its third chip."""

    count = 0

    def __getitem__(self, index: Any) -> Any:
        self.count += 1
        worker = get_worker_info()
        if self.count == 3 and worker is not None and worker.id == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def chips() -> list[Any]:
    lefts = range(600_080, 601_600, 160)
    return [(slice(left, left + 320, 10), WHERE[1], slice(None)) for left in lefts]


def test_a_worker_killed_in_the_middle_of_an_epoch(root: Path, tmp_path: Path) -> None:
    data = Killing({OPTICAL: root / 's2'}, cache=tmp_path / 'blocks')
    keep: Any = {'sampler': chips(), 'collate_fn': lambda samples: samples[0]['image']}
    with pytest.raises(DataError, match=r'worker process .* num_workers'):
        list(GuardedLoader(data, num_workers=2, **keep))
    plain = Imagery({OPTICAL: root / 's2'})
    again = Imagery({OPTICAL: root / 's2'}, cache=tmp_path / 'blocks')
    loader = DataLoader(again, num_workers=2, **keep)
    for where, image in zip(chips(), loader, strict=True):
        assert torch.equal(image, plain[where]['image'])


def test_files_opened_before_a_fork_are_not_used_after_it(root: Path) -> None:
    """Parent and child would move one position in the file."""
    with open_file(str(band(root))) as parents:
        context = multiprocessing.get_context('fork')
        receiving, sending = context.Pipe()
        child = context.Process(target=_opens_another, args=(str(band(root)), parents, sending))
        child.start()
        assert receiving.poll(30)
        assert receiving.recv()
        child.join()


def _opens_another(path: str, parents: object, answer: Any) -> None:
    with open_file(path) as own:
        answer.send(own is not parents)
