from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches

from torchgeo_geosane.datamodules import Landsat7LandCoverDataModule
from torchgeo_geosane.datasets import IGNORE_INDEX, Landsat7LandCover
from torchgeo_geosane.errors import DataError

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'data' / 'landsat7_landcover'


def test_batches_of_the_real_scene() -> None:
    module = Landsat7LandCoverDataModule(EXAMPLE, length=16)
    train, val, test = (batches(module, part) for part in ('train', 'val', 'test'))
    assert [len(found) for found in (train, val, test)] == [2, 1, 1]
    assert train[0]['image'].shape == (8, 6, 96, 96)
    for batch in (*train, *val, *test):
        assert batch['image'].isfinite().all()
        assert (batch['mask'] != IGNORE_INDEX).any()
    mean, std = Landsat7LandCover(EXAMPLE, 'train').statistics()
    raw = Landsat7LandCover(EXAMPLE, 'test')[0]['image']
    expected = (raw - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(test[0]['image'][0], expected)


def test_a_fraction_of_the_labels(miniature: Miniature) -> None:
    def labelled(fraction: float) -> torch.Tensor:
        module = Landsat7LandCoverDataModule(
            miniature('landsat7_landcover'), patch_size=24, train_fraction=fraction
        )
        module.setup('fit')
        assert len(module.val_dataset) > 0
        return torch.from_numpy(module.train_dataset.mask != IGNORE_INDEX)

    few, more, every = labelled(0.2), labelled(0.6), labelled(1.0)
    assert not (few & ~more).any()
    assert 0 < few.sum() < more.sum() < every.sum() == every.numel()
    with pytest.raises(DataError, match='train_fraction 0 is not above 0'):
        labelled(0)
