"""Sensors: ordered band sets with centre wavelengths, units and statistics.

Wavelengths: Sentinel-2A from ESA's Sentinel-2 MSI user guide; Landsat the middle of the band
limits in USGS's "What are the band designations for the Landsat satellites?"; aerial cameras the
middle of the Leica ADS100's bands (cameras differ by some ten nanometres).

Units of Landsat: SSL4EO-L stretches surface reflectance 0 to 0.3, reflectance at the top of the
atmosphere 0 to 0.4, and temperatures from 25 degrees Celsius below freezing to 45 above it over 256
values (``experiments/ssl4eo/landsat/compress_*.sh`` in TorchGeo's repository).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from torchgeo_geosane.sensors.base import Band, Sensor

_TOA = 'TOA reflectance x 10000'
_EIGHT_BIT = '8-bit'

# name, wavelength (nm), mean, std, description, common name
_SENTINEL2 = tuple(
    Band(name, wavelength, _TOA, mean, std, description, (common,), gain=1e4)
    for name, wavelength, mean, std, description, common in (
        ('B1', 442.7, 1612.9, 791.0, 'coastal aerosol', 'coastal'),
        ('B2', 492.7, 1397.6, 854.3, 'blue', 'blue'),
        ('B3', 559.8, 1322.3, 878.7, 'green', 'green'),
        ('B4', 664.6, 1373.1, 1144.9, 'red', 'red'),
        ('B5', 704.1, 1561.0, 1127.5, 'red edge 1', 'rededge071'),
        ('B6', 740.5, 2108.4, 1164.2, 'red edge 2', 'rededge075'),
        ('B7', 782.8, 2390.7, 1276.0, 'red edge 3', 'rededge078'),
        ('B8', 832.8, 2318.7, 1249.5, 'near infrared', 'nir'),
        ('B8A', 864.7, 2581.0, 1345.9, 'narrow near infrared', 'nir08'),
        ('B9', 945.1, 837.7, 577.5, 'water vapour', 'nir09'),
        ('B10', 1373.5, 22.0, 47.5, 'cirrus', 'cirrus'),
        ('B11', 1613.7, 2195.2, 1340.0, 'shortwave infrared 1', 'swir16'),
        ('B12', 2202.4, 1537.4, 1142.9, 'shortwave infrared 2', 'swir22'),
    )
)
_SSL4EO_S12 = (
    'SSL4EO-S12 (arXiv 2211.07044), as in torchgeo.models.resnet._ssl4eo_s12_transforms_s2_stats'
)

# The packaged cloud masks were trained on cloudy scenes, brighter than SSL4EO-S12.
_UKIS_STATISTICS = {  # mean, std
    'B2': (2755.2, 2448.8),
    'B3': (2556.6, 2275.7),
    'B4': (2698.0, 2537.2),
    'B8': (3343.1, 2321.4),
    'B11': (2085.1, 1487.4),
    'B12': (1582.7, 1260.4),
}
_UKIS_SENTINEL2 = tuple(
    replace(band, mean=_UKIS_STATISTICS[band.name][0], std=_UKIS_STATISTICS[band.name][1])
    for band in _SENTINEL2
    if band.name in _UKIS_STATISTICS
)
_UKIS = 'ukis-csmask 1.0.0, model_6b_l1c.json: dataset_statistics x 10000'

_SENTINEL1 = (
    Band('VV', None, 'dB', -12.59, 5.26, 'C-band backscatter, co-polarised', gain=1.0),
    Band('VH', None, 'dB', -20.26, 5.91, 'C-band backscatter, cross-polarised', gain=1.0),
)
_SSL4EO_S1 = 'SSL4EO-S12 (arXiv 2211.07044), as in torchgeo.models.resnet._ssl4eo_s12_transforms_s1'


_COMMON_NAMES = {
    'coastal aerosol': ('coastal',),
    'blue': ('blue',),
    'green': ('green',),
    'red': ('red',),
    # Landsat's own items call it nir08; no Landsat has another near infrared.
    'near infrared': ('nir08', 'nir'),
    'shortwave infrared 1': ('swir16',),
    'shortwave infrared 2': ('swir22',),
    'panchromatic': ('pan',),
    'cirrus': ('cirrus',),
    'thermal': ('lwir',),
    'thermal 1': ('lwir11',),
    'thermal 2': ('lwir12',),
}


def _eight_bit(*rows: tuple[str, float, str]) -> tuple[Band, ...]:
    """Bands scaled to 0..255; TorchGeo knows no statistics for them and divides by 255."""
    return tuple(
        Band(name, wavelength, _EIGHT_BIT, 0.0, 255.0, about, _COMMON_NAMES.get(about, ()))
        for name, wavelength, about in rows
    )


def _stretched(bands: Iterable[Band], reflectance: float) -> tuple[Band, ...]:
    """Bands as SSL4EO-L stretches them: reflectance from 0 to a limit, temperatures in kelvin."""
    return tuple(
        replace(band, origin=273.15 - 25, gain=256 / 70)
        if (band.wavelength or 0) > 8000
        else replace(band, gain=256 / reflectance)
        for band in bands
    )


_LANDSAT_TM = _stretched(
    _eight_bit(
        ('B1', 485.0, 'blue'),
        ('B2', 560.0, 'green'),
        ('B3', 660.0, 'red'),
        ('B4', 830.0, 'near infrared'),
        ('B5', 1650.0, 'shortwave infrared 1'),
        ('B6', 11450.0, 'thermal'),
        ('B7', 2215.0, 'shortwave infrared 2'),
    ),
    reflectance=0.4,
)
_LANDSAT_ETM = _stretched(
    _eight_bit(
        ('B1', 485.0, 'blue'),
        ('B2', 560.0, 'green'),
        ('B3', 660.0, 'red'),
        ('B4', 835.0, 'near infrared'),
        ('B5', 1650.0, 'shortwave infrared 1'),
        ('B6_VCID_1', 11450.0, 'thermal, low gain'),
        ('B6_VCID_2', 11450.0, 'thermal, high gain'),
        ('B7', 2220.0, 'shortwave infrared 2'),
        ('B8', 710.0, 'panchromatic'),
    ),
    reflectance=0.4,
)
_LANDSAT_OLI_TIRS = _stretched(
    _eight_bit(
        ('B1', 440.0, 'coastal aerosol'),
        ('B2', 480.0, 'blue'),
        ('B3', 560.0, 'green'),
        ('B4', 655.0, 'red'),
        ('B5', 865.0, 'near infrared'),
        ('B6', 1610.0, 'shortwave infrared 1'),
        ('B7', 2200.0, 'shortwave infrared 2'),
        ('B8', 590.0, 'panchromatic'),
        ('B9', 1370.0, 'cirrus'),
        ('B10', 10895.0, 'thermal 1'),
        ('B11', 12005.0, 'thermal 2'),
    ),
    reflectance=0.4,
)
_SSL4EO_L = (
    'SSL4EO-L (arXiv 2306.09424): 8-bit / 255, as in torchgeo.models.resnet._ssl4eo_l_transforms'
)


def _surface_reflectance(bands: tuple[Band, ...], names: Iterable[str]) -> tuple[Band, ...]:
    """The named bands under the names of Landsat's surface-reflectance product."""
    chosen = [replace(band, name=f'SR_{band.name}') for band in bands if band.name in names]
    return _stretched(chosen, reflectance=0.3)


_RGB = (
    Band('R', 635.0, _EIGHT_BIT, 123.675, 58.395, 'red', ('red',)),
    Band('G', 555.0, _EIGHT_BIT, 116.28, 57.12, 'green', ('green',)),
    Band('B', 465.0, _EIGHT_BIT, 103.53, 57.375, 'blue', ('blue',)),
)
_RGBN = _eight_bit(
    ('R', 635.0, 'red'),
    ('G', 555.0, 'green'),
    ('B', 465.0, 'blue'),
    ('NIR', 845.0, 'near infrared'),
)


def _named(*bands: str, out_of: tuple[Band, ...]) -> tuple[Band, ...]:
    """Bands by name, in the order asked for."""
    by_name = {band.name: band for band in out_of}
    return tuple(by_name[name] for name in bands)


SENSORS: Mapping[str, Sensor] = MappingProxyType(
    {
        sensor.name: sensor
        for sensor in (
            Sensor('sentinel2_all', 'Sentinel-2 L1C, all 13 bands', _SENTINEL2, _SSL4EO_S12),
            Sensor(
                'sentinel2_6',
                'Sentinel-2 L1C, the six bands it shares with Landsat',
                _UKIS_SENTINEL2,
                _UKIS,
            ),
            Sensor(
                'sentinel2_4', 'Sentinel-2 L1C, blue to near infrared', _UKIS_SENTINEL2[:4], _UKIS
            ),
            Sensor(
                'sentinel2_rgb',
                'Sentinel-2 L1C, natural colour',
                _named('B4', 'B3', 'B2', out_of=_SENTINEL2),
                _SSL4EO_S12,
            ),
            Sensor(
                'sentinel1_grd',
                'Sentinel-1 GRD, interferometric wide swath',
                _SENTINEL1,
                _SSL4EO_S1,
            ),
            Sensor('landsat_tm_toa', 'Landsat 4-5 TM, top of atmosphere', _LANDSAT_TM, _SSL4EO_L),
            Sensor('landsat_etm_toa', 'Landsat 7 ETM+, top of atmosphere', _LANDSAT_ETM, _SSL4EO_L),
            Sensor(
                'landsat_etm_sr',
                'Landsat 7 ETM+, surface reflectance',
                _surface_reflectance(_LANDSAT_ETM, {'B1', 'B2', 'B3', 'B4', 'B5', 'B7'}),
                _SSL4EO_L,
            ),
            Sensor(
                'landsat_oli_tirs_toa',
                'Landsat 8-9 OLI and TIRS, top of atmosphere',
                _LANDSAT_OLI_TIRS,
                _SSL4EO_L,
            ),
            Sensor(
                'landsat_oli_sr',
                'Landsat 8-9 OLI, surface reflectance',
                _surface_reflectance(_LANDSAT_OLI_TIRS, {f'B{i}' for i in range(1, 8)}),
                _SSL4EO_L,
            ),
            Sensor(
                'rgb',
                'aerial or other photographs',
                _RGB,
                'ImageNet x 255 (timm.data.IMAGENET_DEFAULT_MEAN)',
            ),
            Sensor(
                'rgbn',
                'aerial photographs with near infrared',
                _RGBN,
                '8-bit / 255, as in torchgeo NAIPDataModule',
            ),
        )
    }
)
"""Every known sensor by name."""
