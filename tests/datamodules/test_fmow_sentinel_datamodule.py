from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, names, normalised, unchanged

from torchgeo_geosane.datamodules import FMoWSentinelDataModule


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('fmow_sentinel')


def module(root: Path, **options: object) -> FMoWSentinelDataModule:
    return FMoWSentinelDataModule(root, **{'size': 24, 'batch_size': 2, **options})


@pytest.mark.parametrize(('part', 'images'), [('train', 4), ('val', 2), ('test', 1)])
def test_every_part_in_one_size(root: Path, part: str, images: int) -> None:
    served = batches(module(root), part)
    assert sum(len(batch['image']) for batch in served) == images
    for batch in served:
        assert batch['image'].shape[1:] == (13, 24, 24)
        assert batch['image'].isfinite().all()


def test_the_authors_normalisation(root: Path) -> None:
    data = module(root, bands=['B10', 'B8A'])
    (batch,) = batches(data, 'val')
    expected = normalised(unchanged(data, 'val'), [14.8, 1972.6], [14.3, 1364.4])
    torch.testing.assert_close(batch['image'], expected, rtol=1e-4, atol=1e-4)


def test_bands_are_jittered_and_dropped_one_by_one(root: Path) -> None:
    torch.manual_seed(0)
    changed = module(root).train_aug({'image': torch.full((100, 13, 2, 2), 2000.0)})['image']
    dropped = (changed == 0).all((2, 3))
    assert dropped.any(0).all()
    assert not dropped.all(1).any()
    assert changed[:, 5, 0, 0].unique().numel() > 30


def test_images_without_data_are_left_out(root: Path) -> None:
    assert names(module(root, skip_empty=True), 'train') == [
        'airport_0_6',
        'airport_0_101',
        'multi-unit_residential_3_0',
    ]


def test_what_has_no_data_holds_the_stated_fill(root: Path) -> None:
    data = module(root)
    data.setup('fit')
    empty = data.train_dataset[3]['image']
    normalised_fill = data.aug({'image': empty[None]})['image'][0, :, 0, 0]
    torch.testing.assert_close(normalised_fill, data.fill)


def test_validation_has_no_augmentation(root: Path) -> None:
    one, other = (batches(module(root), 'val', seed)[0]['image'] for seed in (0, 1))
    assert torch.equal(one, other)
