from random import Random

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.sensors import SENSORS, Band, get_sensor
from torchgeo_geosane.stem import adapt_stem, band_mixture, same_bands

sensors = st.sampled_from(sorted(SENSORS))


def kernel(channels: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    # Positive on the whole, so that channels do not cancel.
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(8, channels, 3, 3, generator=generator) + 0.5).to(dtype)


def summed_norm(weight: Tensor) -> float:
    return weight.double().sum(dim=1).norm().item()


@pytest.mark.parametrize(
    ('architecture', 'stem'),
    [
        ('resnet50', 'conv1.weight'),
        ('resnet50d', 'conv1.0.weight'),
        ('vit_small_patch16_224', 'patch_embed.proj.weight'),
        ('convnext_tiny', 'stem.0.weight'),
        ('swin_tiny_patch4_window7_224', 'patch_embed.proj.weight'),
        ('tf_efficientnet_b4', 'conv_stem.weight'),
        ('regnety_002', 'stem.conv.weight'),
    ],
)
def test_find_stems(architecture: str, stem: str) -> None:
    assert get_architecture(architecture).stems == (stem,)
    config = timm.get_pretrained_cfg(architecture)
    assert config is not None
    assert f'{config.first_conv}.weight' == stem


def test_a_stem_of_branches() -> None:
    assert get_architecture('repvgg_a0').stems == (
        'stem.conv_kxk.conv.weight',
        'stem.conv_1x1.conv.weight',
    )
    assert len(get_architecture('crossvit_9_240').stems) == 2


@pytest.mark.parametrize(
    ('architecture', 'message'),
    [
        ('csatv2', 'no stem'),
        ('tresnet_m', 'not a plain convolution'),
        ('naflexvit_base_patch16_gap', 'not a plain convolution'),
    ],
)
def test_odd_stems_are_refused(architecture: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        _ = get_architecture(architecture).stems


@given(sensors, st.integers(0, 9), st.sampled_from([torch.float16, torch.float32, torch.float64]))
def test_same_bands_keep_every_bit(name: str, seed: int, dtype: torch.dtype) -> None:
    bands = get_sensor(name).bands
    weight = kernel(len(bands), seed, dtype)
    adapted = adapt_stem(weight, bands, bands)
    assert adapted.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(adapted.to(dtype), weight)
    adapted.zero_()
    assert weight.any()


@given(sensors, st.randoms(use_true_random=False))
def test_another_order_is_an_exact_permutation(name: str, random: Random) -> None:
    bands = list(get_sensor(name).bands)
    order = random.sample(range(len(bands)), len(bands))
    weight = kernel(len(bands))
    assert torch.equal(adapt_stem(weight, bands, [bands[i] for i in order]), weight[:, order])


@settings(deadline=None)
@given(sensors, sensors, st.integers(0, 9))
def test_gain_is_preserved(source: str, target: str, seed: int) -> None:
    one, other = get_sensor(source).bands, get_sensor(target).bands
    weight = kernel(len(one), seed)
    adapted = adapt_stem(weight, one, other)
    assert adapted.shape == (8, len(other), 3, 3)
    assert summed_norm(adapted) == pytest.approx(summed_norm(weight), rel=1e-4)


@given(sensors, sensors)
def test_mixture_is_a_mean(source: str, target: str) -> None:
    mixture = band_mixture(get_sensor(source).bands, get_sensor(target).bands)
    assert (mixture >= 0).all()
    torch.testing.assert_close(mixture.sum(dim=1), torch.ones(len(mixture), dtype=torch.float64))


@given(st.sets(st.sampled_from(get_sensor('sentinel2_all').band_names), min_size=1))
def test_chosen_bands_are_copied_up_to_one_factor(names: set[str]) -> None:
    sensor = get_sensor('sentinel2_all')
    chosen = sensor.select(sorted(names))
    weight = kernel(13)
    adapted = adapt_stem(weight, sensor.bands, chosen.bands)
    copied = weight[:, [sensor.band_names.index(name) for name in chosen.band_names]]
    factor = summed_norm(weight) / summed_norm(copied)
    torch.testing.assert_close(adapted, copied * factor)


def test_interpolation_by_wavelength() -> None:
    source = [Band('low', 400.0, ''), Band('high', 800.0, ''), Band('radar', None, '')]
    target = [Band('quarter', 500.0, ''), Band('below', 300.0, ''), Band('above', 9000.0, '')]
    mixture = band_mixture(source, target)
    assert mixture.tolist() == [[0.75, 0.25, 0], [1, 0, 0], [0, 1, 0]]


def test_equal_names_of_other_instruments_are_other_bands() -> None:
    # B4 is red for Sentinel-2 and near infrared for Landsat TM.
    row = band_mixture(
        get_sensor('sentinel2_all').bands, [get_sensor('landsat_tm_toa').band('B4')]
    )[0]
    assert row[3] == 0
    assert row[6] + row[7] == pytest.approx(1)
    assert row[7] > 0.9


def test_one_instrument_in_two_products_is_copied() -> None:
    oli, surface = get_sensor('landsat_oli_tirs_toa'), get_sensor('landsat_oli_sr')
    assert same_bands(oli.bands[:7], surface.bands)


def test_bands_of_one_wavelength_share() -> None:
    etm, tm = get_sensor('landsat_etm_toa').bands, get_sensor('landsat_tm_toa').bands
    assert band_mixture(etm, [tm[5]])[0].tolist() == [0, 0, 0, 0, 0, 0.5, 0.5, 0, 0]
    assert band_mixture(etm, [etm[6]])[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ('source', 'target'), [('rgb', 'sentinel1_grd'), ('sentinel1_grd', 'sentinel2_all')]
)
def test_radar_and_optics_meet_in_the_channel_mean(source: str, target: str) -> None:
    one, other = get_sensor(source).bands, get_sensor(target).bands
    weight = kernel(len(one))
    adapted = adapt_stem(weight, one, other)
    expected = weight.sum(dim=1, keepdim=True) / len(other)
    torch.testing.assert_close(adapted, expected.expand_as(adapted))


def test_channels_that_cancel_fall_back_to_the_ratio_of_counts() -> None:
    rgb = get_sensor('rgb').bands
    one = kernel(1)
    weight = torch.cat([one, -one, torch.zeros_like(one)], dim=1)
    adapted = adapt_stem(weight, rgb, rgb[:2])
    torch.testing.assert_close(adapted, weight[:, :2] * 1.5)
    assert not adapt_stem(torch.zeros(8, 3, 3, 3), rgb, rgb[:2]).any()


def test_half_precision_is_computed_in_single() -> None:
    rgb, grd = get_sensor('rgb').bands, get_sensor('sentinel1_grd').bands
    weight = kernel(3, dtype=torch.float16)
    adapted = adapt_stem(weight, rgb, grd)
    assert adapted.dtype == torch.float32
    assert torch.equal(adapted, adapt_stem(weight.float(), rgb, grd))


@pytest.mark.parametrize('shape', [(8, 4, 3, 3), (8, 3), (8, 3, 3, 3, 3)])
def test_a_stem_of_other_channels_is_refused(shape: tuple[int, ...]) -> None:
    rgb = get_sensor('rgb').bands
    with pytest.raises(ArchitectureError, match='cannot be adapted'):
        adapt_stem(torch.zeros(shape), rgb, rgb)
    with pytest.raises(ArchitectureError, match='cannot be adapted'):
        adapt_stem(torch.zeros(8, 3, 3, 3), rgb, [])
