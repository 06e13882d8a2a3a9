"""What people call bands, held against the sensors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.sensors import SENSORS, get_sensor
from torchgeo_geosane.sensors.spelling import COMMON_NAMES, Kind, band_meant, is_numbering

MEANT = {
    'sentinel2_all': {
        'B4 (Red)': 'B4',
        'Red': 'B4',
        'red, 665 nm': 'B4',
        'B4, central wavelength 665 nm': 'B4',
        'Band 4 (0.665 Micrometers)': 'B4',
        'B8A': 'B8A',
        'b08a': 'B8A',
        'Band 8A - Narrow NIR': 'B8A',
        'nir08': 'B8A',
        'nir': 'B8',
        'NIR_Broad': 'B8',
        'NIR_Narrow': 'B8A',
        'rededge1': 'B5',
        'Red Edge 2': 'B6',
        'Vegetation Red Edge 3': 'B7',
        'RedEdge1': 'B5',
        'Coastal_Aerosol': 'B1',
        'Water vapour': 'B9',
        'cirrus': 'B10',
        'SWIR1': 'B11',
        'swir22': 'B12',
        'Shortwave infrared 2': 'B12',
        'B11_median': 'B11',
        '0_B4': 'B4',
        'Sentinel-2 L2A B03': 'B3',
        '0.8648 um': 'B8A',
        '842 nanometers': 'B8',
        '2.19 micrometers': 'B12',
    },
    'landsat_oli_sr': {'SR_B5': 'SR_B5', 'nir08': 'SR_B5', 'nir': 'SR_B5', 'sr_band4': 'SR_B4'},
    'landsat_tm_toa': {'NIR': 'B4', 'B4 (nir)': 'B4', 'thermal': 'B6', 'swir16': 'B5'},
    'landsat_etm_toa': {'B6_VCID_2': 'B6_VCID_2', 'panchromatic': 'B8'},
    'sentinel1_grd': {
        'VV': 'VV',
        'Sigma0_VH_db': 'VH',
        'Gamma0_VV': 'VV',
        'VV dB': 'VV',
        'Intensity_VH': 'VH',
        'Amplitude_VV': 'VV',
        'vh': 'VH',
    },
    'rgbn': {
        'R': 'R',
        'green': 'G',
        'N': 'NIR',
        'NIR': 'NIR',
        'Near-Infrared': 'NIR',
        '0.66 um': 'R',
    },
}

OTHERWISE = {
    Kind.EXTRA: [
        ('sentinel2_all', 'SCL'),
        ('sentinel2_all', 'QA60'),
        ('sentinel2_all', 'MSK_CLDPRB'),
        ('sentinel2_all', 'B4_std'),
        ('sentinel2_all', 'WVP'),
        ('sentinel2_all', 'dataMask'),
        ('sentinel2_all', 'cloud mask B4'),
        ('landsat_oli_tirs_toa', 'ST_B10'),
        ('sentinel1_grd', 'i_VV'),
        ('sentinel1_grd', 'VV phase'),
        ('sentinel1_grd', 'angle'),
    ],
    Kind.FOREIGN: [
        ('sentinel1_grd', 'HH'),
        ('sentinel1_grd', 'Sigma0_HV_db'),
        ('sentinel2_4', 'B8A'),
        ('sentinel2_4', 'nir08'),
        ('sentinel2_all', 'rededge'),
        ('sentinel2_all', 'swir'),
        ('rgbn', 'B4'),
        ('sentinel2_all', 'B13'),
        ('sentinel2_4', '705 nm'),
        ('sentinel2_all', 'SR_B5'),
    ],
    Kind.UNCLEAR: [
        ('landsat_tm_toa', 'B4 (Red)'),
        ('sentinel2_all', 'B4 Nir'),
        ('sentinel2_all', 'Band 1 (560 nm)'),
        ('sentinel2_all', 'red river'),
        ('sentinel1_grd', 'VVVH'),
    ],
    Kind.NOTHING: [('sentinel2_all', ''), ('sentinel2_all', 'Layer'), ('rgb', 'reflectance')],
}


@pytest.mark.parametrize(
    ('sensor', 'text', 'band'),
    [(sensor, text, band) for sensor, meant in MEANT.items() for text, band in meant.items()],
)
def test_bands_that_are_meant(sensor: str, text: str, band: str) -> None:
    kind, found = band_meant(text, get_sensor(sensor))
    assert (kind, found and found.name) == (Kind.BAND, band)


@pytest.mark.parametrize(
    ('kind', 'sensor', 'text'),
    [(kind, sensor, text) for kind, pairs in OTHERWISE.items() for sensor, text in pairs],
)
def test_texts_that_mean_no_band_of_the_sensor(kind: Kind, sensor: str, text: str) -> None:
    assert band_meant(text, get_sensor(sensor)) == (kind, None)


@pytest.mark.parametrize('sensor', SENSORS.values(), ids=lambda sensor: sensor.name)
def test_every_band_is_found_by_its_own_names(sensor: object) -> None:
    for band in sensor.bands:
        texts = [band.name, band.name.lower(), *band.common_names]
        assert {band_meant(text, sensor)[1] for text in texts} == {band}
        assert set(band.common_names) <= set(COMMON_NAMES)
        if band.wavelength is not None and band.common_names:
            assert band_meant(f'{band.wavelength} nm', sensor)[1] is band


def test_no_common_name_is_of_two_bands() -> None:
    for sensor in SENSORS.values():
        names = [name for band in sensor.bands for name in band.common_names]
        assert len(names) == len(set(names))


@given(st.text(max_size=30))
def test_any_text_is_read(text: str) -> None:
    kind, band = band_meant(text, get_sensor('sentinel2_all'))
    assert (kind == Kind.BAND) == (band is not None)


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        (['Band 1', 'Band 2', 'Band 3'], True),
        (['lyr.1', 'lyr.2'], True),
        (['scene_1', 'scene_2'], True),
        (['1', '2'], True),
        (['B4', 'B3', 'B2'], False),
        (['B2', 'B3', 'B4'], False),
        (['Band 1', None], False),
        (['Band 1'], False),
        ([], False),
    ],
)
def test_numbering(texts: list[str | None], expected: bool) -> None:
    assert is_numbering(texts) == expected
