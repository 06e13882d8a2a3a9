"""Datasets in TorchGeo's manner."""

from torchgeo_geosane.datasets.california_wildfires import CaliforniaWildfires
from torchgeo_geosane.datasets.dfc2020 import DFC2020
from torchgeo_geosane.datasets.fmow import FMoW
from torchgeo_geosane.datasets.fmow_sentinel import FMoWSentinel
from torchgeo_geosane.datasets.geo_photos import GeoPhotos
from torchgeo_geosane.datasets.geobench2 import GeoBench2
from torchgeo_geosane.datasets.imagery import Imagery
from torchgeo_geosane.datasets.legend import IGNORE_INDEX
from torchgeo_geosane.datasets.sen1floods11 import Sen1Floods11
from torchgeo_geosane.datasets.sen12flood import SEN12Flood

__all__ = [
    'DFC2020',
    'IGNORE_INDEX',
    'CaliforniaWildfires',
    'FMoW',
    'FMoWSentinel',
    'GeoBench2',
    'GeoPhotos',
    'Imagery',
    'SEN12Flood',
    'Sen1Floods11',
]
