"""The data modules over TorchGeo's own data sets: parts, bands, scales, and what moves together."""

import pickle
from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, normalised
from torchgeo.datasets import DatasetNotFoundError, EuroSAT

from torchgeo_geosane import datamodules
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule
from torchgeo_geosane.datasets import IGNORE_INDEX
from torchgeo_geosane.errors import DataError, SensorError

FOLDERS = {
    'GeoSANEEuroSATDataModule': 'eurosat',
    'GeoSANERESISC45DataModule': 'resisc45',
    'GeoSANEBigEarthNetDataModule': 'bigearthnet',
    'GeoSANEDIORDataModule': 'dior',
    'GeoSANESpaceNet1DataModule': 'spacenet1',
}
each = pytest.mark.parametrize('name', FOLDERS)


@pytest.fixture
def make(miniature: Miniature):
    def made(name: str, **options: object) -> TorchGeoSetDataModule:
        kind = getattr(datamodules, name)
        return kind(miniature(FOLDERS[name]), **{'batch_size': 2, **options})

    return made


def listed(module: TorchGeoSetDataModule, part: str) -> set[str]:
    """Names of the images of a part."""
    module.setup({'train': 'fit', 'val': 'validate', 'test': 'test'}[part])
    subset = getattr(module, f'{part}_dataset')
    return {module._name(subset.dataset, index) for index in subset.indices}


@each
def test_every_part_is_served_and_no_two_share_an_image(make, name: str) -> None:
    module = make(name)
    parts = [listed(module, part) for part in ('train', 'val', 'test')]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts))
    for part in ('train', 'val', 'test', 'predict'):
        image = batches(module, part)[0]['image']
        assert image.shape[1] == len(module.bands)
        assert image.dtype == torch.float32
        assert image.isfinite().all()


@each
def test_one_trains_on_a_fraction_that_lies_inside_a_larger_one(make, name: str) -> None:
    few, more, every = (
        listed(make(name, train_fraction=fraction, batch_size=1), 'train')
        for fraction in (0.3, 0.6, 1.0)
    )
    assert few <= more <= every
    assert len(few) < len(every)
    assert few == listed(make(name, train_fraction=0.3, batch_size=1), 'train')


@each
def test_bands_are_chosen_and_normalised_in_the_order_asked_for(make, name: str) -> None:
    every = make(name)
    bands = every.bands[2::-1]
    chosen = make(name, bands=bands)
    assert chosen.bands == bands
    (one, *_), (other, *_) = batches(chosen, 'val'), batches(every, 'val')
    torch.testing.assert_close(one['image'], other['image'][:, [2, 1, 0]])


@each
def test_validation_is_not_augmented_but_training_is(make, name: str) -> None:
    for part, changes in (('val', False), ('train', True)):
        one, other = (batches(make(name), part, seed)[0]['image'] for seed in (0, 1))
        assert torch.equal(one, other) != changes


@each
def test_it_pickles_after_setup(make, name: str) -> None:
    module = make(name)
    module.setup('fit')
    assert len(pickle.loads(pickle.dumps(module)).train_dataset) == len(module.train_dataset)


@each
def test_missing_folder_and_wrong_arguments(make, name: str, tmp_path: Path) -> None:
    kind = getattr(datamodules, name)
    with pytest.raises(DatasetNotFoundError):
        kind(tmp_path / 'nowhere').setup('fit')
    with pytest.raises(DataError, match='train_fraction 0 is not above 0'):
        make(name, train_fraction=0)
    with pytest.raises(SensorError, match="unknown band 'B99'"):
        make(name, bands=['B99'])
    with pytest.raises(DataError, match='fewer than a batch of 99'):
        make(name, batch_size=99).setup('fit')


@each
def test_statistics_are_of_the_training_part_in_full_size(make, name: str) -> None:
    module = make(name)
    mean, std = module.statistics()
    module.setup('fit')
    assert mean.shape == std.shape == (len(module.bands),)
    assert (std > 0).all()
    if name in {'GeoSANEEuroSATDataModule', 'GeoSANEBigEarthNetDataModule'}:
        images = torch.stack([sample['image'] for sample in module.train_dataset])
        expected = images.double().mean((0, 2, 3))
        torch.testing.assert_close(mean, expected)


def test_eurosat_has_the_statistics_of_torchgeo(make) -> None:
    module = make('GeoSANEEuroSATDataModule', bands=['B8A', 'B02'])
    module.setup('validate')
    raw = torch.stack([module.val_dataset[index]['image'] for index in range(2)])
    (batch, *_) = batches(module, 'val')
    expected = normalised(raw, [2594.14080798, 1118.24399958], [1231.58581042, 333.00778264])
    torch.testing.assert_close(batch['image'], expected)
    assert module.val_dataset.dataset.bands == ('B8A', 'B02')  # What CheckBands reads.


def test_classes_keep_their_share_in_a_fraction(make) -> None:
    module = make('GeoSANEEuroSATDataModule', train_fraction=1.0)
    module.setup('fit')
    data = module.train_dataset.dataset
    assert list(module._labels(data)) == [int(data[index]['label']) for index in range(len(data))]
    assert isinstance(data, EuroSAT)


@pytest.mark.parametrize(
    ('bands', 'sensors'),
    [(['VV'], 's1'), (['B04', 'B12'], 's2'), (['B8A', 'VV', 'B01', 'VH'], 'all')],
)
def test_bigearthnet_reads_the_sensors_that_are_asked_for(make, bands, sensors) -> None:
    module = make('GeoSANEBigEarthNetDataModule', bands=bands)
    module.setup('validate')
    data = module.val_dataset.dataset
    assert data.bands == sensors
    image = module.val_dataset[0]['image']
    assert image.shape == (len(bands), 120, 120)
    for band, channel in zip(bands, image, strict=True):
        # Backscatter in dB is negative, VH below VV; reflectance is positive.
        assert (channel.mean() < 0) == band.startswith('V')
    radar = {band: image[i].mean() for i, band in enumerate(bands) if band.startswith('V')}
    if len(radar) == 2:
        assert radar['VH'] < radar['VV'] - 3


def test_bigearthnets_radar_gets_speckle_and_its_reflectance_loses_bands(make) -> None:
    steps = repr(make('GeoSANEBigEarthNetDataModule', bands=['VV', 'B04']).train_aug)
    assert 'RandomSpeckle' in steps
    assert 'RandomBandDropout' in steps
    assert 'RandomSpeckle' not in repr(make('GeoSANEBigEarthNetDataModule').train_aug)
    photographs = repr(make('GeoSANEDIORDataModule').train_aug)
    assert 'RandomBandDropout' not in photographs
    assert 'RandomHorizontalFlip' in photographs


@pytest.mark.parametrize('size', [64, 96])
def test_boxes_move_with_their_images(make, size: int) -> None:
    """The objects of the miniature are bright: each box holds one, after resizing and flips."""
    module = make('GeoSANEDIORDataModule', size=size, batch_size=4)
    corners = set()
    for seed in range(3):
        for batch in batches(module, 'train', seed):
            assert batch['image'].shape == (4, 3, size, size)
            bright = batch['image'].mean(1) > 0
            for inside, boxes, labels in zip(
                bright, batch['bbox_xyxy'], batch['label'], strict=True
            ):
                assert labels.tolist() == [1, 20]
                found = torch.zeros_like(inside)
                for left, top, right, bottom in boxes.round().int().tolist():
                    assert 0 <= left < right <= size
                    assert 0 <= top < bottom <= size
                    box = slice(top, bottom + 1), slice(left, right + 1)
                    assert inside[box].float().mean() > 0.95
                    found[box] = True
                    corners.add((left < size / 2, top < size / 2))
                assert (inside & ~found).float().mean() < 0.03
    assert len(corners) == 4, 'flips in both directions'


def test_buildings_move_with_their_images_and_padding_is_ignored(make) -> None:
    module = make('GeoSANESpaceNet1DataModule')
    (batch, *_) = batches(module, 'val')
    image, mask = batch['image'], batch['mask']
    assert image.shape[-2:] == mask.shape[-2:] == (416, 448)
    assert (mask[:, 406:] == IGNORE_INDEX).all()
    assert (mask[:, :, 439:] == IGNORE_INDEX).all()
    for served in (batch, *batches(module, 'train')[:2]):
        bright = served['image'].mean(1) > 0
        known = served['mask'] != IGNORE_INDEX
        assert known.float().mean() == pytest.approx(406 * 439 / (416 * 448))
        assert (bright == (served['mask'] == 1))[known].float().mean() > 0.99
        assert set(served['mask'].unique().tolist()) == {0, 1, IGNORE_INDEX}
