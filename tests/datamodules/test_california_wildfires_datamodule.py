from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, names, normalised, unchanged

from torchgeo_geosane.datamodules import CaliforniaWildfiresDataModule
from torchgeo_geosane.sensors import get_sensor


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('california_wildfires')


def module(root: Path, **options: object) -> CaliforniaWildfiresDataModule:
    return CaliforniaWildfiresDataModule(root, **{'size': 20, 'batch_size': 2, **options})


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_every_part_in_one_size(root: Path, part: str) -> None:
    served = batches(module(root), part)
    assert served
    for batch in served:
        assert batch['image'].shape[1:] == (3, 20, 20)
        assert batch['image'].isfinite().all()
        assert set(batch['label'].tolist()) <= {0, 1}


def test_normalisation_in_the_order_asked_for(root: Path) -> None:
    data = module(root, bands=['B12', 'B8A'], batch_size=9)
    served = torch.cat([batch['image'] for batch in batches(data, 'test')])
    sensor = get_sensor('sentinel2_all').select(['B12', 'B8A'])
    expected = normalised(unchanged(data, 'test'), sensor.mean, sensor.std)
    torch.testing.assert_close(served, expected, rtol=1e-4, atol=1e-4)


def test_flips_alone_move_pixels(root: Path) -> None:
    torch.manual_seed(0)
    image = torch.zeros(40, 3, 4, 4)
    image[..., 0, 1] = 9000
    changed = module(root).train_aug({'image': image})['image'].amax(1)
    places = [tuple(torch.nonzero(one == one.max())[0].tolist()) for one in changed]
    assert set(places) == {(0, 1), (0, 2), (3, 1), (3, 2)}


def test_a_fraction_is_nested_and_keeps_both_classes(root: Path) -> None:
    few, more = (module(root, train_fraction=fraction, batch_size=1) for fraction in (0.2, 0.6))
    assert set(names(few, 'train')) < set(names(more, 'train'))
    assert {name.split('/')[0] for name in names(few, 'train')} == {'fire', 'no-fire'}


def test_validation_has_no_augmentation(root: Path) -> None:
    one, other = (batches(module(root), 'val', seed)[0]['image'] for seed in (0, 1))
    assert torch.equal(one, other)
