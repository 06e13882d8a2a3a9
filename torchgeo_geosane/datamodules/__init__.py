"""Data modules in TorchGeo's manner."""

from torchgeo_geosane.datamodules.california_wildfires import CaliforniaWildfiresDataModule
from torchgeo_geosane.datamodules.dfc2020 import DFC2020DataModule
from torchgeo_geosane.datamodules.fmow import FMoWDataModule
from torchgeo_geosane.datamodules.fmow_sentinel import FMoWSentinelDataModule
from torchgeo_geosane.datamodules.landsat7_landcover import Landsat7LandCoverDataModule
from torchgeo_geosane.datamodules.sen1floods11 import Sen1Floods11DataModule
from torchgeo_geosane.datamodules.sen12flood import SEN12FloodDataModule
from torchgeo_geosane.datamodules.sentinel2_landuse import Sentinel2LandUseDataModule

__all__ = [
    'CaliforniaWildfiresDataModule',
    'DFC2020DataModule',
    'FMoWDataModule',
    'FMoWSentinelDataModule',
    'Landsat7LandCoverDataModule',
    'SEN12FloodDataModule',
    'Sen1Floods11DataModule',
    'Sentinel2LandUseDataModule',
]
