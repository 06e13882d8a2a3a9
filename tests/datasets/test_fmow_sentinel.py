from pathlib import Path

import numpy as np
import pytest
import torch
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import FMoWSentinel
from torchgeo_geosane.datasets.fmow import CATEGORIES
from torchgeo_geosane.errors import DataError

NAMES = {
    'train': ['airport_0_6', 'airport_0_101', 'multi-unit_residential_3_0', 'zoo_12_100'],
    'val': ['airport_7_1', 'zoo_40_103'],
    'test': ['port_2_0'],
}


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('fmow_sentinel')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('fmow_sentinel')


def file(root: Path, name: str = 'airport_0_101') -> Path:
    place = name.rpartition('_')[0]
    return root / 'fmow-sentinel/train' / place.rpartition('_')[0] / place / f'{name}.tif'


@pytest.mark.parametrize('split', NAMES)
def test_every_part(root: Path, split: str) -> None:
    data = FMoWSentinel(root, split)
    assert [data.name(index) for index in range(len(data))] == NAMES[split]
    for row, (name, sample) in enumerate(zip(NAMES[split], data, strict=True)):
        assert sample['image'].shape == (13, 20 + row, 20 + row)
        assert sample['image'].dtype == torch.float32
        assert CATEGORIES[sample['label']] == name.rsplit('_', 2)[0]
        assert sample['label'].dtype == torch.int64


@pytest.mark.parametrize('bands', [('B8A',), ('B12', 'B01', 'B09')])
def test_bands_come_in_the_order_asked_for(root: Path, bands: tuple[str, ...]) -> None:
    image = FMoWSentinel(root, bands=bands)[1]['image'].numpy()
    indexes = [FMoWSentinel.all_bands.index(band) for band in bands]
    np.testing.assert_array_equal(image, read_raster(file(root))[indexes].astype(np.float32))


def test_images_without_data(root: Path) -> None:
    data = FMoWSentinel(root, nodata='nan')
    assert data.empty == {3: 'zoo_12_100'}
    assert data[3]['image'].isnan().all()
    assert (FMoWSentinel(root)[3]['image'] == 0).all()


def test_index_beyond_the_end(root: Path) -> None:
    with pytest.raises(IndexError):
        FMoWSentinel(root)[4]


def test_plot(root: Path) -> None:
    data = FMoWSentinel(root)
    sample = {**data[0], 'prediction': torch.tensor(61)}
    assert data.plot(sample).axes[0].get_title() == 'Label: airport\nPrediction: zoo'


def test_not_found_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'10\.25740/vg497cb6002'):
        FMoWSentinel(tmp_path, download=True)


def test_csv_that_names_absent_images(copy: Path) -> None:
    file(copy).unlink()
    file(copy, 'zoo_12_100').unlink()
    with pytest.raises(DataError, match=r'2 files of .*train\.csv do not .*airport_0_101\.tif'):
        FMoWSentinel(copy)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'cannot read'),
        ('category,location_id\nzoo,12\n', 'cannot read .*image_id'),
        ('category,location_id,image_id\nzoo,twelve,1\n', 'cannot read .*twelve'),
        ('category,location_id,image_id\nzoo,,1\n', 'cannot read'),
        ('category,location_id,image_id\nzoos,12,1\n', "category 'zoos': did you mean 'zoo'"),
        ('category,location_id,image_id\n,12,1\n', "category ''"),
        (b'\xff\xfe,\x00', 'cannot read'),
    ],
)
def test_corrupt_csv(copy: Path, content: str | bytes, message: str) -> None:
    path = copy / 'fmow-sentinel' / 'train.csv'
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=rf'train\.csv.*{message}|{message}') as caught:
        FMoWSentinel(copy)
    assert 'train.csv' in str(caught.value)


def test_image_that_failed_to_download(copy: Path) -> None:
    change(file(copy), read_raster(file(copy, 'airport_0_102')))
    with pytest.raises(DataError, match=r'airport_0_101\.tif holds 1 bands, expected 13'):
        FMoWSentinel(copy, checksum=True)


def test_truncated_image(copy: Path) -> None:
    truncate(file(copy))
    with pytest.raises(DataError, match=r'airport_0_101\.tif.*restore the file'):
        FMoWSentinel(copy)[1]


def test_extra_files_do_not_matter(copy: Path) -> None:
    for extra in ('._airport_0_101.tif', 'airport_0_101.tif.aux.xml', 'airport_0_999.tif'):
        (file(copy).parent / extra).touch()
    assert len(FMoWSentinel(copy)) == len(NAMES['train'])


def test_images_without_georeference(copy: Path, recwarn: pytest.WarningsRecorder) -> None:
    expected = FMoWSentinel(copy)[1]['image']
    change(file(copy), crs=None, transform=None)
    recwarn.clear()
    assert torch.equal(FMoWSentinel(copy)[1]['image'], expected)
    assert not recwarn.list
