import shutil
from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, names, normalised, unchanged

from torchgeo_geosane.datamodules import DFC2020DataModule
from torchgeo_geosane.datasets import DFC2020, IGNORE_INDEX
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor

SIZE, PATCHES = 32, 40


@pytest.fixture(scope='module')
def root(miniature: Miniature, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature with more patches in ROIs0000_test; every tenth is empty, as the second one."""
    copy = Path(shutil.copytree(miniature('dfc2020'), tmp_path_factory.mktemp('dfc') / 'dfc2020'))
    for sensor in ('s1', 's2', 'dfc'):
        folder = copy / 'ROIs0000_test' / f'{sensor}_0'
        for number in range(3, PATCHES):
            like = 1 if number % 10 == 0 else 2
            shutil.copy(
                folder / f'ROIs0000_test_{sensor}_0_p{like}.tif',
                folder / f'ROIs0000_test_{sensor}_0_p{number}.tif',
            )
    return copy


def test_every_part(root: Path) -> None:
    for part in ('train', 'val', 'test'):
        for batch in batches(DFC2020DataModule(root, batch_size=2), part):
            assert batch['image'].shape[1:] == (15, SIZE, SIZE)
            assert batch['image'].isfinite().all()
            assert batch['mask'].dtype == torch.int64
            assert set(batch['mask'].unique().tolist()) <= {*range(8), IGNORE_INDEX}


def test_a_hash_divides_the_larger_part_and_the_other_is_for_the_test(root: Path) -> None:
    module = DFC2020DataModule(root)
    train, val, test = (names(module, part) for part in ('train', 'val', 'test'))
    assert not set(train) & set(val)
    assert len(train) + len(val) == PATCHES
    assert 0.05 * PATCHES < len(val) < 0.3 * PATCHES
    assert all(name.startswith('ROIs0000_test') for name in train + val)
    assert all(name.startswith('ROIs0000_validation') for name in test)
    assert len(test) == 2


def test_the_division_does_not_depend_on_what_else_is_there(root: Path, tmp_path: Path) -> None:
    fewer = Path(shutil.copytree(root, tmp_path / 'fewer'))
    module = DFC2020DataModule(fewer)
    before = names(module, 'val')
    (fewer / 'ROIs0000_test/dfc_0' / f'{before[0]}.tif').unlink()
    assert names(module, 'val') == before[1:]


def test_normalisation_of_clipped_values(root: Path) -> None:
    module = DFC2020DataModule(root, ['VH', 'B12', 'B08'])
    (batch,) = batches(module, 'test')
    images = unchanged(module, 'test')
    radar, optical = images[:, :1].clamp(-25, 0), images[:, 1:].clamp(0, 1e4)
    assert not torch.equal(radar, images[:, :1])
    bands = [get_sensor('sentinel1_grd').band('VH')]
    bands += [get_sensor('sentinel2_all').band(name) for name in ('B12', 'B8')]
    expected = normalised(
        torch.cat((radar, optical), dim=1),
        [band.mean for band in bands],
        [band.std for band in bands],
    )
    torch.testing.assert_close(batch['image'], expected, rtol=1e-4, atol=1e-4)


def test_statistics_are_of_clipped_values_of_the_training_part(root: Path) -> None:
    module = DFC2020DataModule(root, ['VH'])
    mean, _ = module.statistics()
    kept = set(names(module, 'train'))
    data = DFC2020(root, bands=['VH'], nodata='nan')
    images = [data[i]['image'] for i in range(len(data)) if data.name(i) in kept]
    torch.testing.assert_close(
        mean, torch.stack(images).clamp(-25, 0).nanmean().double()[None], rtol=1e-5, atol=0
    )


def test_patches_of_classes_that_do_not_count_are_left_out(root: Path) -> None:
    every, kept = (
        set(names(DFC2020DataModule(root, skip_empty=skip), 'train')) for skip in (False, True)
    )
    empty = {f'ROIs0000_test_dfc_0_p{number}' for number in (1, 10, 20, 30)}
    assert every - kept == every & empty
    assert len(every & empty) > 1


def test_a_fraction_of_the_training_part_alone(root: Path) -> None:
    tenth, fifth, every = (
        names(DFC2020DataModule(root, batch_size=1, train_fraction=fraction), 'train')
        for fraction in (0.1, 0.2, 1)
    )
    assert set(tenth) < set(fifth) < set(every)
    assert len(fifth) == round(0.2 * len(every))
    few = DFC2020DataModule(root, train_fraction=0.1, batch_size=1)
    assert names(few, 'val') == names(DFC2020DataModule(root), 'val')


def test_a_full_batch_is_needed(root: Path) -> None:
    with pytest.raises(DataError, match=r'fewer than a batch of 16: lower batch_size'):
        DFC2020DataModule(root, train_fraction=0.1).setup('fit')
