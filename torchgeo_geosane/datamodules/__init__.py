"""Data modules in TorchGeo's manner."""

from torchgeo_geosane.datamodules.bigearthnet import BigEarthNetDataModule
from torchgeo_geosane.datamodules.california_wildfires import CaliforniaWildfiresDataModule
from torchgeo_geosane.datamodules.dfc2020 import DFC2020DataModule
from torchgeo_geosane.datamodules.dior import DIORDataModule
from torchgeo_geosane.datamodules.eurosat import EuroSATDataModule
from torchgeo_geosane.datamodules.fmow import FMoWDataModule
from torchgeo_geosane.datamodules.fmow_sentinel import FMoWSentinelDataModule
from torchgeo_geosane.datamodules.imagery import ImageryDataModule
from torchgeo_geosane.datamodules.resisc45 import RESISC45DataModule
from torchgeo_geosane.datamodules.sen1floods11 import Sen1Floods11DataModule
from torchgeo_geosane.datamodules.sen12flood import SEN12FloodDataModule
from torchgeo_geosane.datamodules.spacenet1 import SpaceNet1DataModule

__all__ = [
    'BigEarthNetDataModule',
    'CaliforniaWildfiresDataModule',
    'DFC2020DataModule',
    'DIORDataModule',
    'EuroSATDataModule',
    'FMoWDataModule',
    'FMoWSentinelDataModule',
    'ImageryDataModule',
    'RESISC45DataModule',
    'SEN12FloodDataModule',
    'Sen1Floods11DataModule',
    'SpaceNet1DataModule',
]
