from pathlib import Path

import pytest
import torch
from rasters import Miniature
from served import batches, names, normalised, unchanged

from torchgeo_geosane.datamodules import SEN12FloodDataModule
from torchgeo_geosane.datasets import SEN12Flood
from torchgeo_geosane.errors import DataError, SensorError
from torchgeo_geosane.sensors import get_sensor

OPTICAL = SEN12Flood.all_bands[2:]


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('sen12flood')


def module(root: Path, **options: object) -> SEN12FloodDataModule:
    return SEN12FloodDataModule(root, **{'size': 16, 'batch_size': 2, **options})


@pytest.mark.parametrize('bands', [('VV', 'VH'), OPTICAL])
@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_every_part_of_each_sensor(root: Path, part: str, bands: tuple[str, ...]) -> None:
    served = batches(module(root, bands=bands), part)
    assert served
    for batch in served:
        assert batch['image'].shape[1:] == (len(bands), 16, 16)
        assert batch['image'].isfinite().all()
        assert batch['label'].shape == (len(batch['image']),)
        assert batch['label'].dtype == torch.int64


def test_power_becomes_decibels_before_normalisation(root: Path) -> None:
    data = module(root, bands=['VH', 'VV'])
    served = torch.cat([batch['image'] for batch in batches(data, 'test')])
    vv, vh = get_sensor('sentinel1_grd').bands
    decibels = 10 * unchanged(data, 'test').log10()
    expected = normalised(decibels, [vh.mean, vv.mean], [vh.std, vv.std])
    torch.testing.assert_close(served, expected, rtol=1e-4, atol=1e-4)


def test_statistics_are_in_decibels_and_at_full_size(root: Path) -> None:
    data = module(root, bands=['VV'], size=1)
    mean, std = data.statistics()
    raw = SEN12Flood(root, bands=['VV'], nodata='nan')
    values = torch.cat([10 * sample['image'].flatten().log10() for sample in raw])
    values = values[~values.isnan()].double()
    torch.testing.assert_close(mean, values.mean()[None], rtol=1e-5, atol=0)
    torch.testing.assert_close(std, values.std(correction=0)[None], rtol=1e-5, atol=0)


def test_no_data_is_the_noise_floor(root: Path) -> None:
    vv, vh = get_sensor('sentinel1_grd').bands
    expected = torch.tensor([(-25 - band.mean) / band.std for band in (vv, vh)])
    torch.testing.assert_close(module(root).fill, expected)


def test_radar_keeps_its_bands_and_optical_bands_get_no_speckle(root: Path) -> None:
    torch.manual_seed(0)
    radar = module(root).train_aug({'image': torch.full((100, 2, 8, 8), 0.1)})['image']
    assert not (radar == 0).all((2, 3)).any()
    assert 0.3 < (radar.std((2, 3)) > 0.05).all(1).float().mean() < 0.7
    optical = module(root, bands=OPTICAL).train_aug({'image': torch.full((100, 12, 8, 8), 2000.0)})
    assert (optical['image'] == optical['image'][..., :1, :1]).all()
    assert (optical['image'] == 0).all((2, 3)).any()


def test_validation_has_no_augmentation(root: Path) -> None:
    one, other = (batches(module(root), 'val', seed)[0]['image'] for seed in (0, 1))
    assert torch.equal(one, other)


def test_a_fraction_is_nested_and_keeps_both_classes(root: Path) -> None:
    half, more = (
        module(root, bands=['B02'], train_fraction=fraction, batch_size=1)
        for fraction in (0.3, 0.6)
    )
    assert set(names(half, 'train')) < set(names(more, 'train'))
    labels = [int(sample['label']) for sample in half.train_dataset]
    assert set(labels) == {0, 1}


def test_sensors_are_not_mixed_and_sizes_are_positive(root: Path) -> None:
    with pytest.raises(SensorError, match='make one dataset for each'):
        module(root, bands=['VV', 'B02']).setup('fit')
    with pytest.raises(DataError, match='resized to 0 pixels'):
        module(root, size=0)


def test_images_without_data_are_left_out_and_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    every = names(module(root), 'train')
    with caplog.at_level('INFO'):
        kept = names(module(root, skip_empty=True), 'train')
    (left_out,) = set(every) - set(kept)
    assert f'1 of {len(every)} chips to train on are empty and left out, {left_out}' in caplog.text
