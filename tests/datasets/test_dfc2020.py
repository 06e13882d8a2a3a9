from pathlib import Path

import numpy as np
import pytest
import torch
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import DFC2020, IGNORE_INDEX
from torchgeo_geosane.errors import DataError, SensorError

SIZE, CORNER = 32, 4
CONTEST = (255, 0, 1, 255, 2, 3, 4, 5, 255, 6, 7)
"""Class index of each value in the files, as the contest orders its eight classes."""


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('dfc2020')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('dfc2020')


def file(root: Path, sensor: str, number: int = 2) -> Path:
    return root / 'ROIs0000_test' / f'{sensor}_0' / f'ROIs0000_test_{sensor}_0_p{number}.tif'


@pytest.mark.parametrize(('split', 'patches'), [('val', 2), ('test', 3)])
def test_every_part(root: Path, split: str, patches: int) -> None:
    data = DFC2020(root, split)
    assert len(data) == patches
    for sample in data:
        assert sample['image'].shape == (15, SIZE, SIZE)
        assert sample['image'].dtype == torch.float32
        assert sample['image'].isfinite().all()
        assert sample['mask'].dtype == torch.int64
        assert set(sample['mask'].unique().tolist()) <= {*range(8), IGNORE_INDEX}


def test_labels_are_the_contests_eight_classes(root: Path) -> None:
    mask = DFC2020(root)[2]['mask'].numpy()
    written = read_raster(file(root, 'dfc'))[0]
    assert set(written.ravel()) >= {0, 3, 8}
    np.testing.assert_array_equal(mask, np.array(CONTEST)[written])
    names = [DFC2020.classes[CONTEST[value]] for value in (1, 4, 5, 7, 9, 10)]
    assert names == ['forest', 'grassland', 'wetland', 'urban', 'barren', 'water']


@pytest.mark.parametrize(
    ('bands', 'files'),
    [
        (['VH'], [('s1', 1)]),
        (['B12', 'B01'], [('s2', 12), ('s2', 0)]),
        (['B8A', 'VV', 'B09'], [('s2', 8), ('s1', 0), ('s2', 9)]),
    ],
)
def test_bands_come_in_the_order_asked_for(
    root: Path, bands: list[str], files: list[tuple[str, int]]
) -> None:
    image = DFC2020(root, bands=bands)[2]['image'].numpy()
    expected = [read_raster(file(root, sensor))[band] for sensor, band in files]
    np.testing.assert_array_equal(image, np.stack(expected).astype(np.float32))


def test_missing_pixels_are_filled_and_ignored(root: Path) -> None:
    sample, raw = DFC2020(root)[0], DFC2020(root, nodata='nan')[0]['image']
    assert (sample['image'][:2, :CORNER, :CORNER] == -25).all()
    assert (sample['image'][2:, -CORNER:, :CORNER] == 0).all()
    assert int(raw.isnan().sum()) == 15 * CORNER**2
    for rows in (slice(CORNER), slice(SIZE - CORNER, SIZE)):
        assert (sample['mask'][rows, :CORNER] == IGNORE_INDEX).all()


def test_patches_of_classes_that_do_not_count_are_empty(root: Path) -> None:
    assert DFC2020(root).empty == {1: 'ROIs0000_test_dfc_0_p1'}


def test_plot(root: Path) -> None:
    data = DFC2020(root)
    titles = [axis.get_title() for axis in data.plot(data[0]).axes]
    assert titles == ['Image', 'Label']


def test_not_found_says_how_to_obtain_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'10\.21227/rha7-m332'):
        DFC2020(tmp_path, download=True)


def test_there_is_no_training_part(root: Path) -> None:
    with pytest.raises(DataError, match="unknown split 'train'; known: 'test', 'val'"):
        DFC2020(root, 'train')


def test_unknown_band(root: Path) -> None:
    with pytest.raises(SensorError, match="unknown band 'VW'"):
        DFC2020(root, bands=['VW'])


def test_missing_sensor(copy: Path) -> None:
    file(copy, 's1').unlink()
    with pytest.raises(DataError, match=r'1 files of .*ROIs0000_test do not exist.*s1_0_p2\.tif'):
        DFC2020(copy)
    assert len(DFC2020(copy, bands=['B02'])) == 3


def test_extra_files_do_not_matter(copy: Path) -> None:
    (file(copy, 'dfc').parent / '._ROIs0000_test_dfc_0_p9.tif').touch()
    (file(copy, 'dfc').parent / 'ROIs0000_test_dfc_0_p2.tif.aux.xml').touch()
    assert len(DFC2020(copy)) == 3


@pytest.mark.parametrize('sensor', ['s1', 's2', 'dfc'])
def test_truncated_raster(copy: Path, sensor: str) -> None:
    truncate(file(copy, sensor))
    with pytest.raises(DataError, match=rf'_{sensor}_0_p2\.tif.*restore the file'):
        DFC2020(copy, checksum=True)


def test_wrong_number_of_bands(copy: Path) -> None:
    change(file(copy, 's1'), read_raster(file(copy, 's1'))[:1])
    with pytest.raises(DataError, match=r'holds 1 bands, expected 2 \(VV, VH\)'):
        DFC2020(copy)[2]


def test_labels_of_another_scheme_are_named(copy: Path) -> None:
    change(file(copy, 'dfc'), read_raster(file(copy, 'lc'))[:1] + 6)
    with pytest.raises(DataError, match=r'dfc_0_p2\.tif holds the labels 11, 12, 13, 14, 15, exp'):
        DFC2020(copy)[2]


def test_images_without_georeference(copy: Path, recwarn: pytest.WarningsRecorder) -> None:
    expected = DFC2020(copy)[0]
    for sensor in ('s1', 's2', 'dfc'):
        change(file(copy, sensor), crs=None, transform=None)
    recwarn.clear()
    found = next(
        sample for sample in DFC2020(copy) if torch.equal(sample['mask'], expected['mask'])
    )
    assert torch.equal(found['image'], expected['image'])
    assert not recwarn.list
