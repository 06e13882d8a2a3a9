import shutil
import warnings
from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, fit_one_step, names, normalised, unchanged

from torchgeo_geosane.datamodules import FMoWDataModule

PLACES = 40


@pytest.fixture(scope='module')
def root(miniature: Miniature, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature with more zoos to train on, so that some are kept for validation."""
    copy = Path(shutil.copytree(miniature('fmow'), tmp_path_factory.mktemp('fmow') / 'fmow'))
    zoos = copy / 'train' / 'zoo'
    for place in range(100, 100 + PLACES):
        for file in (zoos / 'zoo_12').iterdir():
            (zoos / f'zoo_{place}').mkdir(exist_ok=True)
            new = zoos / f'zoo_{place}' / file.name.replace('zoo_12', f'zoo_{place}')
            shutil.copy(file, new)
    return copy


def module(root: Path, **options: object) -> FMoWDataModule:
    return FMoWDataModule(root, **{'size': 32, 'batch_size': 4, **options})


@pytest.mark.parametrize('context', [None, 0.2])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_photographs_of_one_size(root: Path, part: str, context: float | None) -> None:
    served = batches(module(root, context=context), part)
    assert served
    for batch in served:
        assert batch['image'].shape[1:] == (3, 32, 32)
        assert batch['image'].isfinite().all()
        assert ((batch['label'] >= 0) & (batch['label'] < 62)).all()


def test_places_are_in_one_part_and_the_official_one_is_for_the_test(root: Path) -> None:
    data = module(root)
    train, val, test = (names(data, part) for part in ('train', 'val', 'test'))
    places = [{name.rpartition('_')[0] for name in part} for part in (train, val, test)]
    assert not places[0] & places[1]
    assert len(places[0] | places[1]) == 4 + PLACES
    assert len(places[1]) > 2
    assert test == ['airport_7_0', 'airport_7_1', 'zoo_40_0', 'zoo_40_1']


def test_normalisation(root: Path) -> None:
    data = module(root, bands=['B', 'R'])
    (batch,) = batches(data, 'test')
    expected = normalised(unchanged(data, 'test'), [103.53, 123.675], [57.375, 58.395])
    torch.testing.assert_close(batch['image'], expected, rtol=1e-4, atol=1e-4)


def test_no_colour_is_dropped(root: Path) -> None:
    torch.manual_seed(0)
    changed = module(root).train_aug({'image': torch.full((200, 3, 4, 4), 200.0)})['image']
    assert (changed == changed[..., :1, :1]).all()
    assert not (changed == 0).any()
    assert changed[..., 0, 0].unique().numel() > 50


def test_classes_keep_their_share_of_a_fraction(root: Path) -> None:
    tenth, fifth = (module(root, train_fraction=fraction) for fraction in (0.1, 0.2))
    assert set(names(tenth, 'train')) < set(names(fifth, 'train'))
    categories = [name.rsplit('_', 2)[0] for name in names(tenth, 'train')]
    assert set(categories) == {'airport', 'multi-unit_residential', 'zoo'}


def test_a_step_of_torchgeos_classification(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from torchgeo.trainers import ClassificationTask

        task = ClassificationTask(model='test_resnet', in_channels=3, num_classes=62)
        metrics = fit_one_step(task, module(root))
    assert metrics['train_loss'].isfinite()
    assert metrics['val_loss'].isfinite()
