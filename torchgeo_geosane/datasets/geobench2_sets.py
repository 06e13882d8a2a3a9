"""GEO-Bench-2's data sets, as data: which of ours their bands are, and which fit TorchGeo's tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal['classes', 'labels', 'mask']


@dataclass(frozen=True)
class Look:
    """Images of one sensor, of which a data set may have several for one place.

    Attributes:
        sensor: Ours.
        bands: Our name of each band, by the package's, in the package's order.
        key: What the package calls the image in a sample.
        modality: What the package calls the sensor; empty where it has only one.
        options: What else the package's class has to be given.
    """

    sensor: str
    bands: Mapping[str, str]
    key: str = 'image'
    modality: str = ''
    options: Mapping[str, object] | None = None


@dataclass(frozen=True)
class BenchmarkImages:
    """A data set whose samples are images with one label, several labels or a mask.

    Attributes:
        maker: Name of its class in ``geobench_v2.datasets``.
        kind: What it is labelled with.
        looks: By our name; the first is the default.
        ignored: Class index of pixels without label, where there are some.
    """

    maker: str
    kind: Kind
    looks: Mapping[str, Look]
    ignored: int | None = None


def _padded(*bands: str) -> dict[str, str]:
    """``B02`` is our ``B2``."""
    return {band: f'B{band[1:].lstrip("0")}' for band in bands}


_TEN = ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')
_TWELVE = ('B01', *_TEN[:8], 'B09', 'B11', 'B12')
_PHOTOGRAPH = {'red': 'R', 'green': 'G', 'blue': 'B'}
_AERIAL = {**_PHOTOGRAPH, 'nir': 'NIR'}
_SENTINEL2_COLOURS = {'red': 'B4', 'green': 'B3', 'blue': 'B2', 'nir': 'B8'}
# The package spells these as Sentinel-2's; ForestNet's are Landsat 8's (arXiv 2011.05479).
_LANDSAT8 = {'B02': 'B2', 'B03': 'B3', 'B04': 'B4', 'B8A': 'B5', 'B11': 'B6', 'B12': 'B7'}

GEOBENCH2: Mapping[str, BenchmarkImages] = {
    'benv2': BenchmarkImages(
        'GeoBenchBENV2',
        'labels',
        {
            'sentinel2': Look('sentinel2_all', _padded(*_TWELVE), 'image_s2', 's2'),
            'sentinel1': Look('sentinel1_grd', {'VV': 'VV', 'VH': 'VH'}, 'image_s1', 's1'),
        },
    ),
    'burn_scars': BenchmarkImages(
        'GeoBenchBurnScars',
        'mask',
        {'hls': Look('sentinel2_all', _padded('B02', 'B03', 'B04', 'B8A', 'B11', 'B12'))},
        ignored=2,
    ),
    'cloudsen12': BenchmarkImages(
        'GeoBenchCloudSen12', 'mask', {'sentinel2': Look('sentinel2_all', _padded(*_TWELVE))}
    ),
    'flair2': BenchmarkImages(
        'GeoBenchFLAIR2', 'mask', {'aerial': Look('rgbn', _AERIAL, 'image_aerial', 'aerial')}
    ),
    'forestnet': BenchmarkImages(
        'GeoBenchForestnet', 'classes', {'landsat8': Look('landsat_oli_tirs_toa', _LANDSAT8)}
    ),
    'fotw': BenchmarkImages(
        'GeoBenchFieldsOfTheWorld',
        'mask',
        {
            window: Look(
                'sentinel2_all',
                _SENTINEL2_COLOURS,
                f'image_{window[-1]}',
                options={'return_window': [window]},
            )
            for window in ('win_a', 'win_b')
        },
    ),
    'so2sat': BenchmarkImages(
        'GeoBenchSo2Sat',
        'classes',
        {'sentinel2': Look('sentinel2_all', _padded(*_TEN), 'image_s2', 's2')},
    ),
    'spacenet7': BenchmarkImages('GeoBenchSpaceNet7', 'mask', {'planet': Look('rgb', _PHOTOGRAPH)}),
    'treesatai': BenchmarkImages(
        'GeoBenchTreeSatAI',
        'labels',
        {
            'aerial': Look('rgbn', _AERIAL, 'image_aerial', 'aerial'),
            'sentinel2': Look(
                'sentinel2_all',
                _padded(*('B02', 'B03', 'B04', 'B08', 'B05', 'B06', 'B07', 'B8A'), *_TWELVE[-2:])
                | _padded('B01', 'B09'),
                'image_s2',
                's2',
            ),
        },
    ),
}

# Why the others do not fit TorchGeo's classification and segmentation of images.
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ('biomassters', 'dynamic_earthnet', 'kuro_siwo', 'pastis'), 'its samples are time series'
    ),
    **dict.fromkeys(
        ('everwatch', 'nzcattle', 'pastis_r', 'substation'), 'its labels are objects, not classes'
    ),
    'caffe': 'no sensor of ours has its band, the grey values of several radars',
    'spacenet2': 'no sensor of ours has its bands, those of WorldView-2',
}
