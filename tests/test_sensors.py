import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgeo.datasets import NAIP, EuroSAT, Landsat8, Sentinel2
from torchgeo.models import get_model_weights

from torchgeo_geosane.errors import SensorError
from torchgeo_geosane.sensors import SENSORS, Band, Sensor, find_sensor, get_sensor, sensors_with
from torchgeo_geosane.stem import same_bands


@pytest.mark.parametrize(
    ('sensor', 'member'),
    [
        ('sentinel2_all', 'SENTINEL2_ALL_MOCO'),
        ('sentinel2_rgb', 'SENTINEL2_RGB_MOCO'),
        ('sentinel1_grd', 'SENTINEL1_ALL_MOCO'),
        ('landsat_tm_toa', 'LANDSAT_TM_TOA_MOCO'),
        ('landsat_etm_toa', 'LANDSAT_ETM_TOA_MOCO'),
        ('landsat_etm_sr', 'LANDSAT_ETM_SR_MOCO'),
        ('landsat_oli_tirs_toa', 'LANDSAT_OLI_TIRS_TOA_MOCO'),
        ('landsat_oli_sr', 'LANDSAT_OLI_SR_MOCO'),
    ],
)
def test_bands_are_those_of_torchgeo(sensor: str, member: str) -> None:
    meta = get_model_weights('resnet50')[member].meta
    bands = [name.replace('B8a', 'B8A') for name in meta['bands']]
    assert list(get_sensor(sensor).band_names) == bands
    assert get_sensor(sensor).in_chans == meta['in_chans']


def test_statistics_are_those_of_torchgeo() -> None:
    from torchgeo.models import resnet

    assert list(get_sensor('sentinel2_all').mean or ()) == resnet._mean_s2
    assert list(get_sensor('sentinel2_all').std or ()) == resnet._std_s2
    assert list(get_sensor('sentinel1_grd').mean or ()) == resnet._mean_s1
    assert list(get_sensor('sentinel1_grd').std or ()) == resnet._std_s1


@pytest.mark.parametrize('sensor', SENSORS.values(), ids=lambda sensor: sensor.name)
def test_every_sensor_is_complete(sensor: Sensor) -> None:
    assert len(set(sensor.band_names)) == sensor.in_chans
    assert sensor.statistics
    assert sensor.units
    assert sensor.mean is not None
    assert sensor.std is not None
    assert min(sensor.std) > 0
    assert all(band.wavelength is None or 400 < band.wavelength < 13000 for band in sensor.bands)
    assert (sensor.name == 'sentinel1_grd') == all(band.wavelength is None for band in sensor.bands)


def test_statistics_are_none_where_one_is_unknown() -> None:
    sensor = Sensor('x', '', (Band('a', 500.0, '8-bit', 1.0, 1.0), Band('b', 600.0, '8-bit')), '')
    assert sensor.mean is None
    assert sensor.std is None


@pytest.mark.parametrize('name', ['B8A', 'B8a', 'b8a', 'B08A'])
def test_band_spellings(name: str) -> None:
    assert get_sensor('sentinel2_all').band(name).name == 'B8A'


def test_band_spellings_of_other_products() -> None:
    assert get_sensor('sentinel2_all').band('B08').name == 'B8'
    assert get_sensor('sentinel2_all').band('b10').name == 'B10'
    assert get_sensor('landsat_oli_sr').band('b4').name == 'SR_B4'
    assert get_sensor('landsat_oli_tirs_toa').band('SR_B4').name == 'B4'


def test_select_keeps_the_order_asked_for() -> None:
    sensor = get_sensor('sentinel2_all')
    chosen = sensor.select(['B8a', 'B04'])
    assert chosen.band_names == ('B8A', 'B4')
    assert chosen.name == 'sentinel2_all[B8A,B4]'
    assert chosen.bands[1] is sensor.bands[3]
    assert sensor.select(sensor.band_names) is sensor


def test_subsets_see_the_same_bands() -> None:
    everything = get_sensor('sentinel2_all')
    for name in ('sentinel2_6', 'sentinel2_4', 'sentinel2_rgb'):
        subset = get_sensor(name)
        assert same_bands(everything.select(subset.band_names).bands, subset.bands)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['B4', 'B13'], "no band 'B13'"),
        (['B4', 'b04'], "'B4' is named more than once"),
        ([], 'no band is named'),
    ],
)
def test_select_refuses(names: list[str], message: str) -> None:
    with pytest.raises(SensorError, match=message):
        get_sensor('sentinel2_all').select(names)


def test_ambiguous_band_is_refused() -> None:
    with pytest.raises(SensorError, match='B6_VCID_1'):
        get_sensor('landsat_etm_toa').band('B6')


def test_unknown_sensor_names_the_nearest() -> None:
    with pytest.raises(
        SensorError, match=r"unknown sensor 'sentinel2_al': did you mean .*'sentinel2_all'"
    ):
        get_sensor('sentinel2_al')


def test_sensors_with() -> None:
    assert sensors_with(3) == ['sentinel2_rgb', 'rgb']
    assert sensors_with(1000) == []


def test_bands_in_brackets() -> None:
    sensor = get_sensor('sentinel2_all[b08, SR_B4,B8a]')
    assert sensor.name == 'sentinel2_all[B8,B4,B8A]'
    assert sensor.band_names == ('B8', 'B4', 'B8A')
    assert get_sensor(sensor.name) == sensor
    whole = get_sensor('sentinel1_grd')
    assert get_sensor('sentinel1_grd[VV,VH]') == whole


@given(st.permutations(get_sensor('sentinel2_all').band_names), st.integers(1, 13))
def test_any_selection_is_found_again_by_its_name(names: list[str], count: int) -> None:
    sensor = get_sensor('sentinel2_all').select(names[:count])
    assert get_sensor(sensor.name) == sensor


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('sentinel2_all[B4', "'sentinel2_all[B4' is not the name of a sensor"),
        ('sentinel2_all*2*2', 'is not the name of a sensor'),
        ('sentinel2_all*0', '1 to 64 images can be stacked, not 0'),
        ('sentinel2_all*999', 'not 999'),
        ('sentinel2_all[B4,B99]', "no band 'B99'"),
        ('sentinel2_all[B4,B04]', "'B4' is named more than once"),
        ('sentinel2[B4]', "unknown sensor 'sentinel2[B4]': did you mean"),
    ],
)
def test_bad_brackets(name: str, message: str) -> None:
    with pytest.raises(SensorError, match=re.escape(message)):
        get_sensor(name)


@pytest.mark.parametrize(
    ('bands', 'name'),
    [
        (
            EuroSAT.all_band_names,
            'sentinel2_all[B1,B2,B3,B4,B5,B6,B7,B8,B9,B10,B11,B12,B8A]',
        ),
        (Sentinel2.all_bands, 'sentinel2_all'),
        (Landsat8.default_bands, 'landsat_oli_sr'),
        (NAIP.all_bands, 'rgbn'),
        (('B04', 'B03', 'B02'), 'sentinel2_rgb'),
        (('VH', 'VV'), 'sentinel1_grd[VH,VV]'),
    ],
)
def test_a_datasets_bands_name_the_sensor(bands: tuple[str, ...], name: str) -> None:
    assert find_sensor(bands).name == name


@pytest.mark.parametrize(
    ('bands', 'message'),
    [
        (['B4', 'B3'], 'several sensors'),
        (['VV', 'B4'], 'no sensor has all of the bands'),
        (['B02', 'B02'], 'more than once'),
        ([], 'no band is named'),
        ('B02', 'not a list'),
    ],
)
def test_bands_that_name_no_sensor(bands: list[str], message: str) -> None:
    with pytest.raises(SensorError, match=message):
        find_sensor(bands)


def test_stacked_images() -> None:
    pair = get_sensor('sentinel2_all[B4,B3]*2')
    assert pair.band_names == ('B4', 'B3', 'B4', 'B3')
    assert pair.mean == (1373.1, 1322.3, 1373.1, 1322.3)
    assert get_sensor(pair.name) == pair
    assert get_sensor('rgb*1') == get_sensor('rgb')
