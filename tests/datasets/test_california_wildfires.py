from pathlib import Path

import numpy as np
import pytest
import torch
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import CaliforniaWildfires
from torchgeo_geosane.errors import DataError, SensorError

SPLITS = ('train', 'val', 'test')
IMAGES = 25


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('california_wildfires')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('california_wildfires')


def names(data: CaliforniaWildfires) -> list[str]:
    return [data.name(index) for index in range(len(data))]


@pytest.mark.parametrize('split', SPLITS)
def test_every_part(root: Path, split: str) -> None:
    data = CaliforniaWildfires(root, split)
    assert len(data) > 0
    for name, sample in zip(names(data), data, strict=True):
        folder, identifier = name.split('/')
        size = 16 + int(identifier) % 4
        assert sample['image'].shape == (3, size, size)
        assert sample['image'].dtype == torch.float32
        assert sample['label'].dtype == torch.int64
        assert int(sample['label']) == (folder == 'fire')


def test_parts_share_no_id_and_lose_no_image(root: Path) -> None:
    parts = [names(CaliforniaWildfires(root, split)) for split in SPLITS]
    assert sum(map(len, parts)) == IMAGES
    identifiers = [{name.split('/')[1] for name in part} for part in parts]
    assert sum(map(len, identifiers)) == len(set.union(*identifiers)) == IMAGES - 1


@pytest.mark.parametrize('bands', [('B12',), ('B11', 'B8A'), ('B12', 'B8A', 'B11')])
def test_bands_come_in_the_order_asked_for(root: Path, bands: tuple[str, ...]) -> None:
    data = CaliforniaWildfires(root, bands=bands)
    files = [root / 'images' / f'{data.name(3)}_{band}.tif' for band in bands]
    expected = np.concatenate([read_raster(file) for file in files]).astype(np.float32)
    np.testing.assert_array_equal(data[3]['image'].numpy(), expected)


def test_images_without_data(root: Path) -> None:
    parts = [CaliforniaWildfires(root, split, nodata='nan') for split in SPLITS]
    empty = [data.empty for data in parts]
    assert [list(found.values()) for found in empty if found] == [['no-fire/31']]
    data, found = next((d, e) for d, e in zip(parts, empty, strict=True) if e)
    (index,) = found
    assert data[index]['image'].isnan().all()
    assert (CaliforniaWildfires(root, data.split)[index]['image'] == 0).all()
    assert np.isfinite(data.plot(data[index]).axes[0].images[0].get_array()).all()


def test_plot(root: Path) -> None:
    data = CaliforniaWildfires(root)
    assert data.plot(data[-1]).axes[0].get_title() == 'Label: fire'


def test_not_found_says_that_no_source_is_known(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='No public place'):
        CaliforniaWildfires(tmp_path, download=True)


def test_unknown_band(root: Path) -> None:
    with pytest.raises(SensorError, match=r"unknown band 'B8'.*'B8A'"):
        CaliforniaWildfires(root, bands=['B8'])


def test_a_missing_band_is_not_a_missing_image(copy: Path) -> None:
    name = CaliforniaWildfires(copy).name(0)
    for band in ('B8A', 'B12'):
        (copy / 'images' / f'{name}_{band}.tif').unlink()
    with pytest.raises(DataError, match=rf'2 files of .*{name}_B8A\.tif'):
        CaliforniaWildfires(copy)


def test_extra_files_do_not_matter(copy: Path) -> None:
    for extra in ('._1_B12.tif', '1_B02.tif', '1_B12.tif.aux.xml', 'Thumbs.db'):
        (copy / 'images' / 'fire' / extra).touch()
    assert sum(len(CaliforniaWildfires(copy, split)) for split in SPLITS) == IMAGES


def test_truncated_band(copy: Path) -> None:
    truncate(copy / 'images' / f'{CaliforniaWildfires(copy).name(2)}_B11.tif')
    with pytest.raises(DataError, match=r'_B11\.tif.*restore the file'):
        CaliforniaWildfires(copy, checksum=True)


def test_images_without_georeference(copy: Path, recwarn: pytest.WarningsRecorder) -> None:
    data = CaliforniaWildfires(copy)
    expected = data[0]['image']
    for band in data.all_bands:
        change(copy / 'images' / f'{data.name(0)}_{band}.tif', crs=None, transform=None)
    recwarn.clear()
    assert torch.equal(data[0]['image'], expected)
    assert not recwarn.list


def test_bands_of_different_size(copy: Path) -> None:
    data = CaliforniaWildfires(copy)
    path = copy / 'images' / f'{data.name(0)}_B12.tif'
    change(path, read_raster(path)[:, 2:], crs=None, transform=None)
    with pytest.raises(DataError, match=r'_B12\.tif is .* without georeference'):
        data[0]


def test_wrong_number_of_bands(copy: Path) -> None:
    data = CaliforniaWildfires(copy)
    path = copy / 'images' / f'{data.name(0)}_B12.tif'
    change(path, np.repeat(read_raster(path), 3, axis=0))
    with pytest.raises(DataError, match=r'_B12\.tif holds 3 bands, expected 1'):
        data[0]
