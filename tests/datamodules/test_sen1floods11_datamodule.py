import pickle
import warnings
from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, fit_one_step, names, normalised, unchanged

from torchgeo_geosane.datamodules import Sen1Floods11DataModule
from torchgeo_geosane.datasets import IGNORE_INDEX, Sen1Floods11
from torchgeo_geosane.errors import DataError, SensorError

SIZE = 32


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('sen1floods11')


def module(root: Path, **options: object) -> Sen1Floods11DataModule:
    return Sen1Floods11DataModule(root, **{'batch_size': 2, **options})


@pytest.mark.parametrize(('part', 'chips'), [('train', 4), ('val', 2), ('test', 2), ('predict', 2)])
def test_every_part(root: Path, part: str, chips: int) -> None:
    served = batches(module(root), part)
    assert sum(len(batch['image']) for batch in served) == chips
    for batch in served:
        assert batch['image'].shape == (2, 15, SIZE, SIZE)
        assert batch['image'].dtype == torch.float32
        assert batch['image'].isfinite().all()
        assert batch['mask'].shape == (2, SIZE, SIZE)
        assert batch['mask'].dtype == torch.int64
        assert set(batch['mask'].unique().tolist()) <= {0, 1, IGNORE_INDEX}


def test_the_authors_normalisation(root: Path) -> None:
    data = module(root, bands=['B8A', 'VH', 'VV'])
    (batch,) = batches(data, 'val')
    images = unchanged(data, 'val')
    radar = (images[:, [1, 2]].clamp(-50, 1) + 50) / 51
    expected = torch.cat(
        (
            normalised(images[:, :1] * 1e-4, [0.3090], [0.1180]),
            normalised(radar, [0.5235, 0.6851], [0.1102, 0.0820]),
        ),
        dim=1,
    )
    torch.testing.assert_close(batch['image'], expected, rtol=1e-4, atol=1e-4)


def test_what_stands_for_no_data(root: Path) -> None:
    data = module(root)
    (batch,) = batches(data, 'val')
    assert torch.equal(batch['image'][0, :2, 0, 0], data.fill[:2])
    assert torch.equal(batch['image'][0, 2:, -1, 0], data.fill[2:])
    assert ((data.fill > -5) & (data.fill < 0)).all()


def test_very_bright_radar_is_clipped(root: Path) -> None:
    data = module(root, bands=['VV'])
    for pipeline in (data.aug, data.train_aug):
        bright = pipeline({'image': torch.full((4, 1, 2, 2), 30.0)})['image']
        torch.testing.assert_close(bright, torch.full_like(bright, (1 - 0.6851) / 0.0820))


def test_validation_and_test_have_no_augmentation(root: Path) -> None:
    for part in ('val', 'test'):
        one, other = (batches(module(root), part, seed) for seed in (0, 1))
        assert torch.equal(one[0]['image'], other[0]['image'])
    one, other = (batches(module(root), 'train', seed) for seed in (0, 1))
    assert not torch.equal(one[0]['image'], other[0]['image'])


def test_masks_move_with_their_images(root: Path) -> None:
    data = module(root, bands=['VV'])
    mask = torch.zeros(64, SIZE, SIZE, dtype=torch.int64)
    mask[:, :5, :9] = 1
    mask[:, 20:, 11:] = IGNORE_INDEX
    torch.manual_seed(0)
    images = torch.where(mask == 1, -50.0, 0.0)[:, None]
    batch = data.train_aug({'image': images, 'mask': mask})
    dark = batch['image'][:, 0] < data.fill  # -25 dB
    assert torch.equal(dark, batch['mask'] == 1)
    assert batch['mask'].dtype == torch.int64
    corners = batch['mask'][:, [0, 0, -1, -1], [0, -1, 0, -1]] == 1
    assert (corners.sum(1) == 1).all()
    assert corners.any(0).all(), 'flips in both directions'


def test_each_sensor_has_its_own_augmentation(root: Path) -> None:
    augment = module(root, bands=['B04', 'VV', 'B03', 'VH']).train_aug
    torch.manual_seed(0)
    even = torch.tensor([1500.0, -12, 1500, -20]).reshape(1, 4, 1, 1).expand(200, 4, 16, 16)
    changed = augment({'image': even})['image']
    optical, radar = changed[:, [0, 2]], changed[:, [1, 3]]
    assert (optical == optical[..., :1, :1]).all(), 'no speckle on reflectance'
    assert 0.3 < (radar.std((2, 3)) > 0.05).all(1).float().mean() < 0.7, 'speckle on radar'
    dropped = (optical == 0).all((2, 3))
    assert 0.05 < dropped.float().mean() < 0.2
    assert not (radar == 0).all((2, 3)).any(), 'radar bands are never dropped'
    assert optical[..., 0, 0].unique().numel() > 50, 'gains of reflectance'
    speckled = radar.std((2, 3)) > 0.05
    shift = radar.mean((2, 3)) * torch.tensor([0.0820, 0.1102]) * 51
    shift = shift + torch.tensor([0.6851, 0.5235]) * 51 - 50 - torch.tensor([-12.0, -20])
    # A gain as reflectance has would shift -20 dB by up to 2 dB.
    assert 0.9 < shift[~speckled].abs().max() <= 1.0001


def test_empty_chips_are_left_out_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level('INFO'):
        data = module(root, skip_empty=True)
        kept = names(data, 'train')
    assert kept == ['Ghana_1033830', 'Spain_7370579', 'USA_181263']
    assert '1 of 4 chips to train on are empty and left out, Mekong_922373' in caplog.text
    assert 'Mekong_922373' in names(module(root), 'train')


def test_a_fraction_of_the_training_part_alone(root: Path) -> None:
    chosen = [
        set(names(module(root, batch_size=1, train_fraction=fraction), 'train'))
        for fraction in (0.25, 0.5, 0.75, 1)
    ]
    assert list(map(len, chosen)) == [1, 2, 3, 4]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    assert len(names(module(root, train_fraction=0.5), 'val')) == 2
    again = names(module(root, batch_size=1, train_fraction=0.5), 'train')
    assert set(again) == chosen[1]
    others = {
        tuple(names(module(root, batch_size=1, train_fraction=0.25, seed=seed), 'train'))
        for seed in range(8)
    }
    assert len(others) > 1


def test_weak_labels_are_for_training_and_bolivia_is_for_the_test(root: Path) -> None:
    data = module(root, labels='otsu', test_part='bolivia')
    assert names(data, 'train') == ['Ghana_1078550', 'India_103447']
    assert names(data, 'val') == names(module(root), 'val')
    assert all(name.startswith('Bolivia_') for name in names(data, 'test'))


def test_statistics_are_those_of_the_pixels_that_have_data(root: Path) -> None:
    mean, std = module(root, bands=['VH', 'B10']).statistics()
    raw = Sen1Floods11(root, 'train', ['VH', 'B10'], nodata='nan')
    for band in range(2):
        values = torch.cat([sample['image'][band].flatten() for sample in raw]).double()
        values = values[~values.isnan()]
        torch.testing.assert_close(mean[band], values.mean())
        torch.testing.assert_close(std[band], values.std(correction=0))


def test_a_figure_of_a_validation_sample(root: Path) -> None:
    data = module(root)
    (batch,) = batches(data, 'val')
    data.setup('fit')
    figure = data.plot({key: value[0] for key, value in batch.items()})
    assert [axis.get_title() for axis in figure.axes] == ['Image', 'Label']


def test_workers_and_pickle(root: Path) -> None:
    assert pickle.loads(pickle.dumps(module(root))).bands == Sen1Floods11.all_bands
    here, there = (batches(module(root, num_workers=count), 'val') for count in (0, 1))
    assert torch.equal(here[0]['image'], there[0]['image'])


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'train_fraction': 0}, DataError, 'train_fraction 0 is not above 0'),
        ({'train_fraction': 10}, DataError, 'train_fraction 10 is not above 0 and up to 1'),
        ({'bands': ['B8']}, SensorError, "unknown band 'B8'"),
        ({'batch_size': 5}, DataError, '4 images to train on, fewer than a batch of 5'),
        ({'labels': 'otus'}, DataError, "did you mean 'otsu'"),
    ],
)
def test_wrong_arguments(
    root: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        module(root, **options).setup('fit')


def test_a_step_of_torchgeos_segmentation(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from torchgeo.trainers import SemanticSegmentationTask

        task = SemanticSegmentationTask(
            model='unet',
            backbone='resnet18',
            in_channels=3,
            task='multiclass',
            num_classes=2,
            ignore_index=IGNORE_INDEX,
        )
        metrics = fit_one_step(task, module(root, bands=['VV', 'VH', 'B08']))
    assert metrics['train_loss'].isfinite()
    assert metrics['val_loss'].isfinite()
