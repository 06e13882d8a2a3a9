"""Data modules in TorchGeo's manner."""

from torchgeo_geosane.datamodules.bigearthnet import GeoSANEBigEarthNetDataModule
from torchgeo_geosane.datamodules.california_wildfires import CaliforniaWildfiresDataModule
from torchgeo_geosane.datamodules.dfc2020 import DFC2020DataModule
from torchgeo_geosane.datamodules.dior import GeoSANEDIORDataModule
from torchgeo_geosane.datamodules.eurosat import GeoSANEEuroSATDataModule
from torchgeo_geosane.datamodules.fmow import FMoWDataModule
from torchgeo_geosane.datamodules.fmow_sentinel import FMoWSentinelDataModule
from torchgeo_geosane.datamodules.geo_photos import GeoPhotosDataModule
from torchgeo_geosane.datamodules.geobench2 import GeoBench2DataModule
from torchgeo_geosane.datamodules.imagery import ImageryDataModule
from torchgeo_geosane.datamodules.resisc45 import GeoSANERESISC45DataModule
from torchgeo_geosane.datamodules.sen1floods11 import Sen1Floods11DataModule
from torchgeo_geosane.datamodules.sen12flood import SEN12FloodDataModule
from torchgeo_geosane.datamodules.spacenet1 import GeoSANESpaceNet1DataModule

__all__ = [
    'CaliforniaWildfiresDataModule',
    'DFC2020DataModule',
    'FMoWDataModule',
    'FMoWSentinelDataModule',
    'GeoBench2DataModule',
    'GeoPhotosDataModule',
    'GeoSANEBigEarthNetDataModule',
    'GeoSANEDIORDataModule',
    'GeoSANEEuroSATDataModule',
    'GeoSANERESISC45DataModule',
    'GeoSANESpaceNet1DataModule',
    'ImageryDataModule',
    'SEN12FloodDataModule',
    'Sen1Floods11DataModule',
]

# Their names in earlier versions, by which configs still find them. The classes are not called so: a
# short class path such as `EuroSATDataModule` stays TorchGeo's.
BigEarthNetDataModule = GeoSANEBigEarthNetDataModule
DIORDataModule = GeoSANEDIORDataModule
EuroSATDataModule = GeoSANEEuroSATDataModule
RESISC45DataModule = GeoSANERESISC45DataModule
SpaceNet1DataModule = GeoSANESpaceNet1DataModule
