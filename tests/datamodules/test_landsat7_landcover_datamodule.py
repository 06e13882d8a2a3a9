from pathlib import Path

import torch
from served import batches

from torchgeo_geosane.datamodules import Landsat7LandCoverDataModule
from torchgeo_geosane.datasets import IGNORE_INDEX, Landsat7LandCover

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
