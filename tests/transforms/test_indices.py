import kornia.augmentation as K
import pytest
import torch

from torchgeo_geosane.errors import SensorError, TransformError
from torchgeo_geosane.sensors import find_sensor, get_sensor
from torchgeo_geosane.transforms import (
    AppendRatio,
    append_ndvi,
    append_ndwi,
    append_vv_vh_ratio,
    to_decibel,
    to_linear,
)

# Sensor: its green, red and near infrared.
BANDS = {
    'sentinel2_all': ('B3', 'B4', 'B8'),
    'sentinel2_6': ('B3', 'B4', 'B8'),
    'sentinel2_4': ('B3', 'B4', 'B8'),
    'sentinel2_all[B8A,B8,B7,B4,B3]': ('B3', 'B4', 'B8'),
    'sentinel2_all[B8A,B5,B4,B3]': ('B3', 'B4', 'B8A'),
    'landsat_tm_toa': ('B2', 'B3', 'B4'),
    'landsat_etm_toa': ('B2', 'B3', 'B4'),
    'landsat_etm_sr': ('SR_B2', 'SR_B3', 'SR_B4'),
    'landsat_oli_tirs_toa': ('B3', 'B4', 'B5'),
    'landsat_oli_sr': ('SR_B3', 'SR_B4', 'SR_B5'),
    'rgbn': ('G', 'R', 'NIR'),
}


@pytest.mark.parametrize(('name', 'bands'), BANDS.items())
def test_channels_are_found_by_wavelength(name: str, bands: tuple[str, ...]) -> None:
    sensor = get_sensor(name)
    image = 0.1 + torch.rand(2, sensor.in_chans, 4, 4)
    green, red, nir = (image[:, sensor.band_names.index(band)] for band in bands)
    append = K.AugmentationSequential(
        append_ndvi(sensor), append_ndwi(sensor), data_keys=None, keepdim=True
    )
    appended = append({'image': image})['image']
    assert torch.equal(appended[:, :-2], image)
    torch.testing.assert_close(appended[:, -2], (nir - red) / (nir + red))
    torch.testing.assert_close(appended[:, -1], (green - nir) / (green + nir))


def test_a_datasets_own_list_of_bands_will_do() -> None:
    sensor = find_sensor(['B04', 'B08', 'B03'])
    assert append_ndvi(sensor).flags == {'index_a': 1, 'index_b': 0}


@pytest.mark.parametrize('append', [append_ndvi, append_ndwi])
@pytest.mark.parametrize('name', ['rgb', 'sentinel1_grd', 'sentinel2_all[B5,B6,B7,B9]'])
def test_a_sensor_without_the_bands_is_named(append, name: str) -> None:
    with pytest.raises(SensorError, match=r'has no (green|near infrared) band, \d+ to \d+ nm'):
        append(get_sensor(name))


@pytest.mark.parametrize('order', ['VV,VH', 'VH,VV'])
def test_the_ratio_is_a_quotient_of_power_and_a_difference_of_decibels(
    order: str, device: torch.device
) -> None:
    sensor = get_sensor(f'sentinel1_grd[{order}]')
    linear = (0.01 + torch.rand(2, 2, 4, 4)).to(device)
    vv, vh = (linear[:, sensor.band_names.index(band)] for band in ('VV', 'VH'))
    appended = append_vv_vh_ratio(sensor, 'linear')(linear)
    torch.testing.assert_close(appended[:, 2], vv / vh)
    decibel = append_vv_vh_ratio(sensor, 'dB')(to_decibel(linear))
    torch.testing.assert_close(to_linear(decibel), appended)


def test_one_image_alone() -> None:
    ratio = AppendRatio(0, 1, 'dB')(torch.tensor([-10.0, -17.0]).reshape(2, 1, 1))
    assert ratio.flatten().tolist() == [-10, -17, 7]


def test_what_has_no_ratio_is_refused() -> None:
    with pytest.raises(SensorError, match="sensor 'rgb' has no band 'VV'"):
        append_vv_vh_ratio(get_sensor('rgb'), 'dB')
    with pytest.raises(TransformError, match="unknown units 'DB': did you mean 'dB'"):
        AppendRatio(0, 1, 'DB')  # type: ignore[arg-type]
